-- The same of the daily tables of cards: a day that changed in one of them is counted in all.
with stored as not materialized (
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
), wanted as materialized (
    select unnest(%(buckets)s::date[]) as date
    union
    select date from stored where updated_at >= %(since)s
)
select
    of_table, date as bucket, count(*) as rows, sum(counted)::bigint as counted,
    count(*) filter (where updated_at >= %(since)s) as changed
from stored
where date = any (array(select date from wanted))
group by of_table, date;
