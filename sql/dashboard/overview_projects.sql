-- The projects that the reader sees: their own, and those with events.
with recursive counted as (
    -- One step of the key's index a project.
    select min(project_id) as project_id from analytics_events_daily_totals
    union all
    select (select min(project_id) from analytics_events_daily_totals as further where further.project_id > counted.project_id)
    from counted
    where project_id is not null
)
select project_id from counted where project_id is not null
union
select analytics_my_projects()
order by project_id;
