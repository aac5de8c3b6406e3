-- The last 24 hours of a project, the running one included, an hour a row, hours without events too.
-- Hours that aggregation has not reached, the running one always, are counted from the raw rows, and so are hours that
-- were written to since; not those of more than a day ago, of which retention may have taken the raw rows.
-- %(now)s: the time to look back from; null is now.
with hour as materialized (
    select
        hour_bucket,
        hour_bucket >= (select aggregated_until from analytics_progress where aggregate = 'hours')
        or (
            hour_bucket >= date_trunc('hour', now(), 'UTC') - interval '23 hours'
            and exists (
                select from analytics_dirty_hours as mark
                where mark.project_id = %(project_id)s and mark.hour_bucket = hour.hour_bucket
            )
        ) as live
    from generate_series(
        date_trunc('hour', coalesce(%(now)s::timestamptz, now()), 'UTC') - interval '23 hours',
        date_trunc('hour', coalesce(%(now)s::timestamptz, now()), 'UTC'),
        interval '1 hour'
    ) as hour (hour_bucket)
), counted as (
    select hour_bucket, sum(event_count) as total_events
    from analytics_events_hourly_agg
    where project_id = %(project_id)s and hour_bucket in (select hour_bucket from hour where not live)
    group by hour_bucket
    union all
    select hour_bucket, count(*)
    from hour
    join analytics_events
        on created_at >= hour_bucket and created_at < hour_bucket + interval '1 hour'
    where live and project_id = %(project_id)s
    group by hour_bucket
)
select hour_bucket, coalesce(total_events, 0)::bigint as total_events, live
from hour
left join counted using (hour_bucket)
order by hour_bucket;
