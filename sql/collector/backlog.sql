-- What aggregation has yet to take, and how far it is; ages in seconds, null where there is nothing to count from.
select
    aggregate,
    coalesce(marks, 0) as marks,
    extract(epoch from now() - oldest)::float8 as oldest_seconds,
    extract(epoch from now() - nullif(aggregated_until, '-infinity'))::float8 as lag_seconds
from analytics_progress
left join (
    select 'hours' as aggregate, count(*) as marks, min(hour_bucket) as oldest from analytics_dirty_hours
    union all
    select 'days', count(*), min(day)::timestamptz from analytics_dirty_days
    union all
    select 'cards', count(*), min(day)::timestamptz from analytics_dirty_cards
) as queue using (aggregate)
order by aggregate
