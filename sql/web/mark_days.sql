-- Marks the UTC days from %(from)s to before %(to)s of which there are daily aggregates or members; days that have raw
-- rows only are marked by the aggregation of their hours (mark_hours.sql).
insert into analytics_dirty_days (project_id, day)
select project_id, day
from (
    select project_id, day from analytics_events_daily_agg
    union
    select project_id, day from analytics_events_daily_totals
    union
    select owner, day from analytics_daily_members where scope in ('event visitors', 'event sessions')
) as known
where day >= %(from)s::date and day < %(to)s::date
    and day >= (select (raw_floor at time zone 'UTC')::date from analytics_retention)
order by day, project_id;
