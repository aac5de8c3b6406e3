-- How many members each owner of a scope has on the UTC days from %(from)s to before %(to)s above the raw floor, and on
-- the 90 days before them.
select owner, count(*) as members
from analytics_daily_members
where scope = %(scope)s::analytics_scope
    and day >= greatest(%(from)s::date, (select (raw_floor at time zone 'UTC')::date from analytics_retention)) - 90
    and day < %(to)s::date
group by owner
order by owner;
