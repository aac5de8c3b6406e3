-- Hourly rows of the time given that are not what the raw rows say, leaving out hours with an open mark. The bounds stand
-- in each WHERE, not in a CTE to join with: only so are the weeks beside them left out of the plan.
with raw as (
    select
        project_id, date_trunc('hour', created_at, 'UTC') as hour_bucket, event_type,
        nullif(event_label, '') as event_label,
        count(*) as event_count,
        count(distinct visitor_id) as unique_visitors,
        count(distinct session_id) as unique_sessions
    from analytics_events
    where created_at >= %(from)s::timestamptz and created_at < %(to)s::timestamptz
        and created_at >= (select raw_floor from analytics_retention)
    group by 1, 2, 3, 4
), stored as (
    select project_id, hour_bucket, event_type, event_label, event_count, unique_visitors, unique_sessions
    from analytics_events_hourly_agg
    where hour_bucket >= %(from)s::timestamptz and hour_bucket < %(to)s::timestamptz
        and hour_bucket >= (select raw_floor from analytics_retention)
), different as (
    select 'raw' as side, * from (select * from raw except select * from stored) as missing
    union all
    select 'aggregate', * from (select * from stored except select * from raw) as surplus
)
select project_id, hour_bucket, side, event_type, event_label, event_count, unique_visitors, unique_sessions
from different
where not exists (
    select from analytics_dirty_hours as mark
    where (mark.project_id, mark.hour_bucket) = (different.project_id, different.hour_bucket)
)
order by project_id, hour_bucket, event_type, event_label, side;
