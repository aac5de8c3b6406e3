-- Profiles, and histories of profiles, that no snapshot can have brought: there was none yet.
select distinct_id, 'is stored, but there was no snapshot' as difference,
    null::text as stored_value, null::text as snapshot_value
from subscriber_profiles
union all
select distinct distinct_id, 'has a history, but there was no snapshot', null, null
from subscriber_profile_changes as noted
where not exists (select from subscriber_profiles as stored where stored.distinct_id = noted.distinct_id)
order by distinct_id
