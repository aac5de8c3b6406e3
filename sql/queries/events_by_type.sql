-- The last 30 UTC days of a project, today included, by day and type. Uniques are each day's and each type's own: they
-- do not add up; for the uniques of all days see events_by_label.sql and event_kpis.sql.
-- %(today)s: the last day; null is today.
with day as (
    select day::date as day
    from generate_series(
        (coalesce(%(today)s::date, (now() at time zone 'UTC')::date) - 29)::timestamp,      -- days of no time zone
        coalesce(%(today)s::date, (now() at time zone 'UTC')::date)::timestamp,
        interval '1 day'
    ) as day
), live as (
    select (aggregated_until at time zone 'UTC')::date as first_day from analytics_progress where aggregate = 'days'
)
select day, event_type, event_count as total_events, unique_visitors, unique_sessions
from analytics_events_daily_totals
join day using (day)
where project_id = %(project_id)s and event_type is not null and day < (select first_day from live)
union all
select
    (created_at at time zone 'UTC')::date, event_type,
    count(*), count(distinct visitor_id), count(distinct session_id)
from analytics_events
where project_id = %(project_id)s
    and created_at >= greatest((select min(day) from day), (select first_day from live))::timestamp at time zone 'UTC'
    and created_at < ((select max(day) from day) + 1)::timestamp at time zone 'UTC'
group by 1, 2
order by day, event_type;
