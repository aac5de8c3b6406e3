-- The same of the daily tables of cards; each is known by its name.
select
    of_table, date as bucket, count(*) as rows, sum(counted)::bigint as counted,
    count(*) filter (where updated_at >= %(since)s) as changed
from (
    select 'analytics_daily_user_stats' as of_table, date, page_views + clicks as counted, updated_at
    from analytics_daily_user_stats
    union all
    select 'analytics_daily_group_stats', date, page_views + clicks, updated_at from analytics_daily_group_stats
    union all
    select 'analytics_daily_contact_stats', date, page_views + clicks, updated_at from analytics_daily_contact_stats
    union all
    select 'analytics_daily_group_contact_stats', date, page_views + clicks, updated_at
    from analytics_daily_group_contact_stats
    union all
    select 'analytics_daily_page_stats', date, page_views, updated_at from analytics_daily_page_stats
    union all
    select 'analytics_daily_click_targets', date, clicks, updated_at from analytics_daily_click_targets
) as stored
where date = any (%(buckets)s) or updated_at >= %(since)s
group by of_table, date;
