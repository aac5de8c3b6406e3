-- The projects that the reader sees, their own and, for admins, those with events, the busiest first: at most %(most)s,
-- with how many there are. %(search)s: a part of the name; null is all. Who is no admin sees their own alone: asking the
-- tables would only pass by everybody else's rows.
with recursive counted as (
    -- One step of the key's index a project.
    select min(project_id) as project_id from analytics_events_daily_totals where (select analytics_is_admin())
    union all
    select (
        select min(project_id) from analytics_events_daily_totals as further
        where further.project_id > counted.project_id
    )
    from counted
    where project_id is not null
), counted_by_hour as (
    select min(project_id) as project_id from analytics_events_hourly_agg where (select analytics_is_admin())
    union all
    select (
        select min(project_id) from analytics_events_hourly_agg as further
        where further.project_id > counted_by_hour.project_id
    )
    from counted_by_hour
    where project_id is not null
), seen as (
    select project_id from counted where project_id is not null
    union
    select project_id from counted_by_hour where project_id is not null
    union
    select project_id from analytics_events
    where (select analytics_is_admin()) and created_at >= (
        select coalesce(nullif(aggregated_until, '-infinity'), now() - interval '1 day') from analytics_progress where aggregate = 'hours'
    )
    union
    select analytics_my_projects()
)
select
    project_id, count(*) over () as projects,
    (select min(day) from analytics_events_daily_totals as stored where stored.project_id = seen.project_id) as first_day
from seen
left join lateral (
    select sum(event_count) as events
    from analytics_events_daily_totals as stored
    where stored.project_id = seen.project_id and event_type is null and day >= %(from)s::date
) as recent on true
where %(search)s::text is null or strpos(lower(project_id), lower(%(search)s)) > 0
order by coalesce(events, 0) desc, project_id
limit %(most)s;
