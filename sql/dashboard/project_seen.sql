-- Whether the reader sees this project: it is theirs, or has events that they see; and since which day it has aggregates.
select
    exists (select from analytics_my_projects() as mine where mine = %(project_id)s)
    or exists (select from analytics_events_daily_totals where project_id = %(project_id)s)
    or exists (select from analytics_events_hourly_agg where project_id = %(project_id)s)
    or exists (select from analytics_events where project_id = %(project_id)s) as seen,
    (select min(day) from analytics_events_daily_totals where project_id = %(project_id)s) as first_day;
