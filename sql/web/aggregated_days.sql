-- The UTC days from %(from)s to before %(to)s, and above the raw floor, of which there are daily aggregates or members.
select day
from (
    select day from analytics_events_daily_totals
    union
    select date from analytics_daily_user_stats
    union
    select day from analytics_daily_members
) as known
where day >= %(from)s::date and day < %(to)s::date
    and day >= (select (raw_floor at time zone 'UTC')::date from analytics_retention)
order by day;
