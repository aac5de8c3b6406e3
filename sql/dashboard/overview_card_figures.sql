-- Views, clicks and exact unique sessions of each of %(cards)s in each of the ranges of days %(names)s: from %(froms)s to
-- before %(tos)s. What no run has wholly reached is counted as analytics_card_totals does it.
with live as (
    select (aggregated_until at time zone 'UTC')::date as first_day from analytics_progress where aggregate = 'cards'
), span as (
    select * from unnest(%(names)s::text[], %(froms)s::date[], %(tos)s::date[]) as span (name, first, after_last)
)
select
    user_code, name, coalesce(sum(page_views), 0)::bigint as page_views, coalesce(sum(clicks), 0)::bigint as clicks,
    coalesce(sum(sessions), 0)::bigint as unique_sessions
from unnest(%(cards)s::text[]) as user_code
cross join span
left join lateral (
    select page_views, clicks, newcomer_sessions[date - first + 1] as sessions
    from analytics_daily_user_stats as stored
    where stored.user_code = user_code.user_code and date >= first and date < after_last
        and after_last <= (select first_day from live)
    union all
    select page_views, clicks, unique_sessions
    from analytics_card_totals(user_code.user_code, first, after_last)
    where level = 'all' and after_last > (select first_day from live)
) as part on true
group by user_code, name;
