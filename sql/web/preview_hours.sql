-- The most frequent events of an hour, project by project as in hour_figures.sql.
with recursive project as (
    select min(project_id) as project_id from analytics_events_hourly_agg
    union all
    select (
        select min(project_id) from analytics_events_hourly_agg as further
        where further.project_id > project.project_id
    )
    from project
    where project_id is not null
)
select stored.project_id, event_type, event_label, event_count, unique_visitors, unique_sessions
from project
join analytics_events_hourly_agg as stored on stored.project_id = project.project_id and hour_bucket = %(bucket)s
order by event_count desc, stored.project_id, event_type, event_label
limit 10;
