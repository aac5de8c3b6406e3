-- Events and exact uniques of each of %(projects)s in each of the ranges of days %(names)s: from %(froms)s to before
-- %(tos)s. What no daily run has wholly reached is counted as analytics_event_totals does it.
with live as (
    select (aggregated_until at time zone 'UTC')::date as first_day from analytics_progress where aggregate = 'days'
), span as (
    select * from unnest(%(names)s::text[], %(froms)s::date[], %(tos)s::date[]) as span (name, first, after_last)
)
select
    project_id, name, coalesce(sum(event_count), 0)::bigint as events,
    coalesce(sum(visitors), 0)::bigint as unique_visitors, coalesce(sum(sessions), 0)::bigint as unique_sessions
from unnest(%(projects)s::text[]) as project_id
cross join span
left join lateral (
    select event_count, newcomer_visitors[day - first + 1] as visitors, newcomer_sessions[day - first + 1] as sessions
    from analytics_events_daily_totals as stored
    where stored.project_id = project_id.project_id and event_type is null and day >= first and day < after_last
        and after_last <= (select first_day from live)
    union all
    select event_count, unique_visitors, unique_sessions
    from analytics_event_totals(project_id.project_id, first, after_last)
    where level = 'all' and after_last > (select first_day from live)
) as part on true
group by project_id, name;
