-- Where stored profiles are not what the newest snapshot says: a row for a person, or for each value of theirs.
-- Run after compare_profiles.sql.
with stored_columns as (
    select stored.distinct_id, each.key as name, each.value
    from changed_profiles as changed
    join subscriber_profiles as stored on stored.distinct_id = changed.distinct_id
    cross join lateral jsonb_each(to_jsonb(stored)) as each
    where changed.change = 'changed'
),
snapshot_columns as (
    select new.distinct_id, each.key as name, each.value
    from changed_profiles as changed
    join new_profiles as new on new.distinct_id = changed.distinct_id
    cross join lateral jsonb_each(to_jsonb(new)) as each
    where changed.change = 'changed' and each.key <> 'properties'
)
select distinct_id, difference, left(stored_value, 200) as stored_value, left(snapshot_value, 200) as snapshot_value
from (
    select distinct_id, null::text as stored_value, null::text as snapshot_value,
        case change
            when 'new' then 'is not stored'
            when 'restored' then 'is stored as deleted'
            else 'is stored, but not in the snapshot'
        end as difference
    from changed_profiles
    where change <> 'changed'
    union all
    select distinct_id, old_value #>> '{}', new_value #>> '{}', 'property ' || property
    from profile_differences
    where distinct_id in (select distinct_id from changed_profiles where change = 'changed')
    union all
    select distinct_id, stored.value #>> '{}', snapshot.value #>> '{}', 'column ' || name
    from stored_columns as stored
    join snapshot_columns as snapshot using (distinct_id, name)
    where stored.value is distinct from snapshot.value
) as differences
order by distinct_id, difference
