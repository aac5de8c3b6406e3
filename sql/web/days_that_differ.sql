-- Daily rows of the days given that are not what the raw rows say, leaving out days with an open mark, of the day or of
-- an hour in it. A null event_type is all types. Bounds as in hours_that_differ.sql.
with event as (
    select project_id, (created_at at time zone 'UTC')::date as day, event_type,
        nullif(event_label, '') as event_label, visitor_id, session_id
    from analytics_events
    where created_at >= %(from)s::date::timestamp at time zone 'UTC'
        and created_at < %(to)s::date::timestamp at time zone 'UTC'
        and created_at >= (select raw_floor from analytics_retention)
), raw as (
    select
        project_id, day, event_type, event_label,
        case when grouping(event_label) = 0 then 'label' when grouping(event_type) = 0 then 'type' else 'all' end as level,
        count(*) as event_count,
        count(distinct visitor_id) as unique_visitors,
        count(distinct session_id) as unique_sessions
    from event
    group by grouping sets ((project_id, day), (project_id, day, event_type), (project_id, day, event_type, event_label))
), stored as (
    select project_id, day, event_type, event_label, 'label' as level, event_count, unique_visitors, unique_sessions
    from analytics_events_daily_agg
    where day >= %(from)s::date and day < %(to)s::date
        and day >= (select (raw_floor at time zone 'UTC')::date from analytics_retention)
    union all
    select project_id, day, event_type, null, case when event_type is null then 'all' else 'type' end,
        event_count, unique_visitors, unique_sessions
    from analytics_events_daily_totals
    where day >= %(from)s::date and day < %(to)s::date
        and day >= (select (raw_floor at time zone 'UTC')::date from analytics_retention)
), different as (
    select 'raw' as side, * from (select * from raw except select * from stored) as missing
    union all
    select 'aggregate', * from (select * from stored except select * from raw) as surplus
)
select project_id, day, side, level, event_type, event_label, event_count, unique_visitors, unique_sessions
from different
where not exists (
    select from analytics_dirty_days as mark where (mark.project_id, mark.day) = (different.project_id, different.day)
) and not exists (
    select from analytics_dirty_hours as mark
    where mark.project_id = different.project_id and (mark.hour_bucket at time zone 'UTC')::date = different.day
)
order by project_id, day, level, event_type, event_label, side;
