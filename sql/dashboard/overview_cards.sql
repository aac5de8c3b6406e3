-- The cards that the reader sees, their own and, for admins, those with traffic, the most visited first: at most
-- %(most)s, with how many there are. %(search)s: a part of the name; null is all. As overview_projects.sql has it.
with recursive counted as (
    select min(user_code) as user_code from analytics_daily_user_stats where (select analytics_is_admin())
    union all
    select (
        select min(user_code) from analytics_daily_user_stats as further where further.user_code > counted.user_code
    )
    from counted
    where user_code is not null
), seen as (
    select user_code from counted where user_code is not null
    union
    select user_code from analytics_sessions
    where (select analytics_is_admin()) and first_seen >= (
        select coalesce(nullif(aggregated_until, '-infinity'), now() - interval '1 day') from analytics_progress where aggregate = 'cards'
    )
    union
    select analytics_my_cards()
)
select
    user_code, count(*) over () as cards,
    (select min(date) from analytics_daily_user_stats as stored where stored.user_code = seen.user_code) as first_day
from seen
left join lateral (
    select sum(page_views) as page_views
    from analytics_daily_user_stats as stored
    where stored.user_code = seen.user_code and date >= %(from)s::date
) as recent on true
where %(search)s::text is null or strpos(lower(user_code), lower(%(search)s)) > 0
order by coalesce(page_views, 0) desc, user_code
limit %(most)s;
