-- Legacy rows that cannot be normalized, of the UTC days from %(from)s to before %(to)s, by day and reason.
select (created_at at time zone 'UTC')::date as day, problem, count(*) as rows
from analytics_legacy_actions
where problem is not null
    and created_at >= %(from)s::date::timestamp at time zone 'UTC'
    and created_at < %(to)s::date::timestamp at time zone 'UTC'
group by 1, 2
order by 1, 2;
