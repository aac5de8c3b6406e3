-- The last 24 hours of a project, the running one included, an hour a row, hours without events too.
-- Hours that aggregation has not reached, the running one always, are counted from the raw rows.
-- %(now)s: the time to look back from; null is now.
with hour as (
    select
        hour_bucket,
        hour_bucket >= (select aggregated_until from analytics_progress where aggregate = 'hours') as live
    from generate_series(
        date_trunc('hour', coalesce(%(now)s::timestamptz, now()), 'UTC') - interval '23 hours',
        date_trunc('hour', coalesce(%(now)s::timestamptz, now()), 'UTC'),
        interval '1 hour'
    ) as hour_bucket
), counted as (
    select hour_bucket, sum(event_count) as total_events
    from analytics_events_hourly_agg
    where project_id = %(project_id)s and hour_bucket in (select hour_bucket from hour where not live)
    group by hour_bucket
    union all
    select date_trunc('hour', created_at, 'UTC'), count(*)
    from analytics_events
    where project_id = %(project_id)s
        and created_at >= (select min(hour_bucket) from hour where live)
        and created_at < (select max(hour_bucket) from hour where live) + interval '1 hour'
    group by 1
)
select hour_bucket, coalesce(total_events, 0)::bigint as total_events, live
from hour
left join counted using (hour_bucket)
order by hour_bucket;
