-- Marks the card-days from %(from)s to before %(to)s of which there are raw rows, aggregates or members.
insert into analytics_dirty_cards (user_code, day)
select user_code, day
from (
    select user_code, (viewed_at at time zone 'UTC')::date as day from analytics_page_views
    where viewed_at >= %(from)s::date::timestamp at time zone 'UTC'
        and viewed_at < %(to)s::date::timestamp at time zone 'UTC'
    union
    select user_code, (clicked_at at time zone 'UTC')::date from analytics_clicks
    where clicked_at >= %(from)s::date::timestamp at time zone 'UTC'
        and clicked_at < %(to)s::date::timestamp at time zone 'UTC'
    union
    select user_code, (first_seen at time zone 'UTC')::date from analytics_sessions
    where first_seen >= %(from)s::date::timestamp at time zone 'UTC'
        and first_seen < %(to)s::date::timestamp at time zone 'UTC'
    union
    select user_code, date from analytics_daily_user_stats
    union
    select user_code, date from analytics_daily_group_stats
    union
    select user_code, date from analytics_daily_contact_stats
    union
    select user_code, date from analytics_daily_group_contact_stats
    union
    select user_code, date from analytics_daily_page_stats
    union
    select user_code, date from analytics_daily_click_targets
    union
    select owner, day from analytics_daily_members where scope = 'card sessions'
) as known
where day >= %(from)s::date and day < %(to)s::date
    and day >= (select (raw_floor at time zone 'UTC')::date from analytics_retention)
order by day, user_code;
