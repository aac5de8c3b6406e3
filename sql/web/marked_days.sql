-- The same of the days of events: marked themselves, or by an hour in them.
select day, count(*) as marks
from (
    select day from analytics_dirty_days
    union all
    select (hour_bucket at time zone 'UTC')::date from analytics_dirty_hours
) as mark
where day >= (select (raw_floor at time zone 'UTC')::date from analytics_retention)
group by day
order by day;
