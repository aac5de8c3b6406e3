-- Card-days of the days given in which any of the daily tables of cards is not what the raw rows say, leaving out those
-- with an open mark. `part` is the table; a side that has no row shows null. Bounds as in hours_that_differ.sql.
with action as (
    select 'page view' as action, user_code, (viewed_at at time zone 'UTC')::date as date, session_id,
        nullif(share_code, '') as share_code, nullif(contact_id, '') as contact_id,
        page_type, null as click_category, null as click_target
    from analytics_page_views
    where viewed_at >= %(from)s::date::timestamp at time zone 'UTC'
        and viewed_at < %(to)s::date::timestamp at time zone 'UTC'
        and viewed_at >= (select raw_floor from analytics_retention)
    union all
    select 'click', user_code, (clicked_at at time zone 'UTC')::date, session_id,
        nullif(share_code, ''), nullif(contact_id, ''), null, click_category, nullif(click_target, '')
    from analytics_clicks
    where clicked_at >= %(from)s::date::timestamp at time zone 'UTC'
        and clicked_at < %(to)s::date::timestamp at time zone 'UTC'
        and clicked_at >= (select raw_floor from analytics_retention)
    union all
    select 'start', user_code, (first_seen at time zone 'UTC')::date, session_id,
        nullif(share_code, ''), nullif(contact_id, ''), null, null, null
    from analytics_sessions
    where first_seen >= %(from)s::date::timestamp at time zone 'UTC'
        and first_seen < %(to)s::date::timestamp at time zone 'UTC'
        and first_seen >= (select raw_floor from analytics_retention)
), raw as (
    select
        case grouping(share_code, contact_id)
            when 0 then 'group and contact' when 1 then 'group' when 2 then 'contact' else 'user'
        end as part,
        user_code, date, jsonb_build_array(share_code, contact_id) as what,
        jsonb_build_array(
            count(*) filter (where action = 'page view'), count(*) filter (where action = 'click'),
            count(distinct session_id) filter (where action = 'start'), count(distinct session_id)
        ) as counts
    from action
    group by user_code, date, cube (share_code, contact_id)
    union all
    select 'page', user_code, date, jsonb_build_array(share_code, contact_id, page_type), jsonb_build_array(count(*))
    from action where action = 'page view' group by user_code, date, share_code, contact_id, page_type
    union all
    select 'click target', user_code, date,
        jsonb_build_array(share_code, contact_id, click_category, click_target), jsonb_build_array(count(*))
    from action where action = 'click' group by user_code, date, share_code, contact_id, click_category, click_target
), stored as (
    select 'user' as part, user_code, date, jsonb_build_array(null, null) as what,
        jsonb_build_array(page_views, clicks, sessions_started, unique_sessions) as counts
    from analytics_daily_user_stats
    union all
    select 'group', user_code, date, jsonb_build_array(share_code, null),
        jsonb_build_array(page_views, clicks, sessions_started, unique_sessions)
    from analytics_daily_group_stats
    union all
    select 'contact', user_code, date, jsonb_build_array(null, contact_id),
        jsonb_build_array(page_views, clicks, sessions_started, unique_sessions)
    from analytics_daily_contact_stats
    union all
    select 'group and contact', user_code, date, jsonb_build_array(share_code, contact_id),
        jsonb_build_array(page_views, clicks, sessions_started, unique_sessions)
    from analytics_daily_group_contact_stats
    union all
    select 'page', user_code, date, jsonb_build_array(share_code, contact_id, page_type), jsonb_build_array(page_views)
    from analytics_daily_page_stats
    union all
    select 'click target', user_code, date,
        jsonb_build_array(share_code, contact_id, click_category, click_target), jsonb_build_array(clicks)
    from analytics_daily_click_targets
)
select
    user_code, date, part, what, raw.counts as raw_counts, stored.counts as stored_counts
from raw
full join (
    select * from stored
    where date >= %(from)s::date and date < %(to)s::date
        and date >= (select (raw_floor at time zone 'UTC')::date from analytics_retention)
) as stored
    using (part, user_code, date, what)
where raw.counts is distinct from stored.counts and not exists (
    select from analytics_dirty_cards as mark where (mark.user_code, mark.day) = (user_code, date)
)
order by user_code, date, part, what;
