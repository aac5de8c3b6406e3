-- Where the times of stored profiles are not what their history says. Nothing else tells whether a value of a profile
-- is newer than one of an event. Temporary table new_profiles: the snapshot; who is in it and not stored is found by
-- profiles_that_differ.sql.
with history as (
    select distinct_id,
        max(changed_at) filter (where change <> 'deleted') as changed_at,
        max(changed_at) filter (where change = 'new') as first_seen_at,
        max(id) as last_id
    from subscriber_profile_changes
    group by distinct_id
)
select distinct_id, difference, stored_value::text, history_value::text as snapshot_value
from (
    select history.distinct_id, 'has a history, but is not stored' as difference,
        null::timestamptz as stored_value, null::timestamptz as history_value
    from history
    where not exists (select from subscriber_profiles as stored where stored.distinct_id = history.distinct_id)
        and not exists (select from new_profiles as snapshot where snapshot.distinct_id = history.distinct_id)
    union all
    select stored.distinct_id, held.difference, held.stored_value, held.history_value
    from subscriber_profiles as stored
    left join history on history.distinct_id = stored.distinct_id
    left join subscriber_profile_changes as gone on gone.id = history.last_id and gone.change = 'deleted'
    cross join lateral (values
        ('first_seen_at is not the history''s', stored.first_seen_at, history.first_seen_at),
        ('changed_at is not the history''s', stored.changed_at, history.changed_at),
        ('deleted_at is not the history''s', stored.deleted_at, gone.changed_at)
    ) as held (difference, stored_value, history_value)
    where held.stored_value is distinct from held.history_value
) as differences
order by distinct_id, difference
