-- Views, clicks and exact unique sessions of each of %(cards)s in each of the ranges of days %(names)s: from %(froms)s to
-- before %(tos)s. Days from %(live_day)s on, which no run has reached, to before %(until)s are counted from the raw rows,
-- as analytics_card_totals does it, but of all cards at once: a session seen live is new to a range unless a stored day
-- of it has seen it. %(stored_from)s: the first day of the ranges that reach into live days.
with span as materialized (
    select * from unnest(%(names)s::text[], %(froms)s::date[], %(tos)s::date[]) as span (name, first, after_last)
), live_time as materialized (
    select
        %(live_day)s::date::timestamp at time zone 'UTC' as live_start,
        %(until)s::date::timestamp at time zone 'UTC' as live_end
), live as (
    select user_code, viewed_at as at, session_id, 1 as page_views, 0 as clicks
    from analytics_page_views
    where user_code = any (%(cards)s::text[])
        and viewed_at >= (select live_start from live_time) and viewed_at < (select live_end from live_time)
    union all
    select user_code, clicked_at, session_id, 0, 1
    from analytics_clicks
    where user_code = any (%(cards)s::text[])
        and clicked_at >= (select live_start from live_time) and clicked_at < (select live_end from live_time)
    union all
    select user_code, first_seen, session_id, 0, 0
    from analytics_sessions
    where user_code = any (%(cards)s::text[])
        and first_seen >= (select live_start from live_time) and first_seen < (select live_end from live_time)
), live_session as materialized (
    select
        user_code, (at at time zone 'UTC')::date as day, session_id,
        sum(page_views) as page_views, sum(clicks) as clicks
    from live
    group by 1, 2, 3
), seen as materialized (
    -- By day and not one by one: row-level security asks an enum's operators last, so the key finds nobody.
    select owner as user_code, member as session_id, day
    from analytics_daily_members
    where owner = any (%(cards)s::text[]) and scope = 'card sessions'
        and day >= %(stored_from)s::date and day < %(live_day)s::date
), part as (
    select user_code, name, page_views, clicks, newcomer_sessions[date - first + 1] as sessions
    from analytics_daily_user_stats
    join span on date >= first and date < after_last
    where user_code = any (%(cards)s::text[]) and date < %(live_day)s::date
    union all
    select user_code, name, sum(page_views), sum(clicks), 0
    from live_session
    join span on day >= first and day < after_last
    group by user_code, name
    union all
    select user_code, name, 0, 0, count(distinct session_id)
    from live_session
    join span on live_session.day >= first and live_session.day < after_last
    where not exists (
        select from seen
        where seen.user_code = live_session.user_code and seen.session_id = live_session.session_id
            and seen.day >= first
    )
    group by user_code, name
)
select
    user_code, name, coalesce(sum(page_views), 0)::bigint as page_views, coalesce(sum(clicks), 0)::bigint as clicks,
    coalesce(sum(sessions), 0)::bigint as unique_sessions
from unnest(%(cards)s::text[]) as user_code
cross join span
left join part using (user_code, name)
group by user_code, name;
