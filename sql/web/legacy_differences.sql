-- Card-days on which the legacy form and the normalized tables do not say the same, of the UTC days from %(from)s to
-- before %(to)s. Legacy rows that have no place in the normalized tables are left out; see legacy_problems.sql.
with legacy as (
    select
        (created_at at time zone 'UTC')::date as day, user_code,
        count(*) filter (where action = 'page view') as page_views,
        count(*) filter (where action = 'click') as clicks,
        count(distinct session_id) filter (where action <> 'session') as sessions
    from analytics_legacy_actions
    where problem is null
        and created_at >= %(from)s::date::timestamp at time zone 'UTC'
        and created_at < %(to)s::date::timestamp at time zone 'UTC'
    group by 1, 2
), action as (
    select 'page view' as action, viewed_at as happened_at, user_code, session_id from analytics_page_views
    union all
    select 'click', clicked_at, user_code, session_id from analytics_clicks
), normalized as (
    select
        (happened_at at time zone 'UTC')::date as day, user_code,
        count(*) filter (where action = 'page view') as page_views,
        count(*) filter (where action = 'click') as clicks,
        count(distinct session_id) as sessions
    from action
    where happened_at >= %(from)s::date::timestamp at time zone 'UTC'
        and happened_at < %(to)s::date::timestamp at time zone 'UTC'
    group by 1, 2
)
select
    day, user_code,
    coalesce(legacy.page_views, 0) as legacy_page_views, coalesce(normalized.page_views, 0) as page_views,
    coalesce(legacy.clicks, 0) as legacy_clicks, coalesce(normalized.clicks, 0) as clicks,
    coalesce(legacy.sessions, 0) as legacy_sessions, coalesce(normalized.sessions, 0) as sessions
from legacy
full join normalized using (day, user_code)
where (coalesce(legacy.page_views, 0), coalesce(legacy.clicks, 0), coalesce(legacy.sessions, 0))
    <> (coalesce(normalized.page_views, 0), coalesce(normalized.clicks, 0), coalesce(normalized.sessions, 0))
order by day, user_code;
