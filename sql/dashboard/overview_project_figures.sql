-- Events and exact uniques of each of %(projects)s in each of the ranges of days %(names)s: from %(froms)s to before
-- %(tos)s. Days from %(live_day)s on, which no daily run has reached, to before %(until)s are counted from the raw rows,
-- as analytics_event_totals does it, but of all projects at once: who was seen live is new to a range unless a stored day
-- of it has seen them. %(stored_from)s: the first day of the ranges that reach into live days.
with span as materialized (
    select * from unnest(%(names)s::text[], %(froms)s::date[], %(tos)s::date[]) as span (name, first, after_last)
), live as materialized (
    select project_id, (created_at at time zone 'UTC')::date as day, visitor_id, session_id
    from analytics_events
    where project_id = any (%(projects)s::text[])
        and created_at >= %(live_day)s::date::timestamp at time zone 'UTC'
        and created_at < %(until)s::date::timestamp at time zone 'UTC'
), live_member as materialized (
    select distinct project_id, day, 'event visitors'::analytics_scope as scope, visitor_id as member from live
    union all
    select distinct project_id, day, 'event sessions'::analytics_scope, session_id from live
), seen as materialized (
    -- By day and not one by one: row-level security asks an enum's operators last, so the key finds nobody.
    select owner as project_id, scope, member, day
    from analytics_daily_members
    where owner = any (%(projects)s::text[]) and scope in ('event visitors', 'event sessions')
        and day >= %(stored_from)s::date and day < %(live_day)s::date
), part as (
    select
        project_id, name, event_count as events,
        newcomer_visitors[day - first + 1] as visitors, newcomer_sessions[day - first + 1] as sessions
    from analytics_events_daily_totals
    join span on day >= first and day < after_last
    where project_id = any (%(projects)s::text[]) and event_type is null and day < %(live_day)s::date
    union all
    select project_id, name, events, 0, 0
    from (select project_id, day, count(*) as events from live group by project_id, day) as live_day
    join span on day >= first and day < after_last
    union all
    select
        project_id, name, 0,
        count(distinct member) filter (where scope = 'event visitors'),
        count(distinct member) filter (where scope = 'event sessions')
    from live_member
    join span on live_member.day >= first and live_member.day < after_last
    where not exists (
        select from seen
        where seen.project_id = live_member.project_id and seen.scope = live_member.scope
            and seen.member = live_member.member and seen.day >= first
    )
    group by project_id, name
)
select
    project_id, name, coalesce(sum(events), 0)::bigint as events,
    coalesce(sum(visitors), 0)::bigint as unique_visitors, coalesce(sum(sessions), 0)::bigint as unique_sessions
from unnest(%(projects)s::text[]) as project_id
cross join span
left join part using (project_id, name)
group by project_id, name;
