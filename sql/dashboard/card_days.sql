-- A card's figures of the days from %(from)s to before %(to)s by day or by week (%(by_week)s; ISO weeks, the first and
-- the last cut to the range), at a %(level)s as analytics_card_totals has them. Buckets that no run has wholly reached
-- are counted as that function does it.
with day as (
    select day::date as day
    from generate_series(%(from)s::date::timestamp, %(to)s::date::timestamp - interval '1 day', interval '1 day') as day
), bucket as (
    select min(day) as bucket, max(day) + 1 as bucket_end
    from day
    group by case when %(by_week)s then date_trunc('week', day::timestamp) else day::timestamp end
), live as (
    select (aggregated_until at time zone 'UTC')::date as first_day from analytics_progress where aggregate = 'cards'
), stored as (
    select 'all' as level, null as share_code, null as contact_id, date, page_views, clicks, sessions_started, newcomer_sessions
    from analytics_daily_user_stats where user_code = %(user_code)s
    union all
    select 'group', share_code, null, date, page_views, clicks, sessions_started, newcomer_sessions
    from analytics_daily_group_stats where user_code = %(user_code)s
    union all
    select 'contact', null, contact_id, date, page_views, clicks, sessions_started, newcomer_sessions
    from analytics_daily_contact_stats where user_code = %(user_code)s
    union all
    select 'group and contact', share_code, contact_id, date, page_views, clicks, sessions_started, newcomer_sessions
    from analytics_daily_group_contact_stats where user_code = %(user_code)s
), stored_day as (
    select * from stored
    where level = %(level)s and share_code is not distinct from %(share_code)s
        and contact_id is not distinct from %(contact_id)s and date >= %(from)s::date and date < %(to)s::date
)
select
    bucket, bucket_end,
    coalesce(sum(page_views), 0)::bigint as page_views, coalesce(sum(clicks), 0)::bigint as clicks,
    coalesce(sum(sessions_started), 0)::bigint as sessions_started,
    coalesce(sum(newcomer_sessions[date - bucket + 1]), 0)::bigint as unique_sessions
from bucket
left join stored_day on date >= bucket and date < bucket_end
where bucket_end <= (select first_day from live)
group by bucket, bucket_end
union all
select
    bucket, bucket_end,
    coalesce(sum(page_views), 0)::bigint, coalesce(sum(clicks), 0)::bigint,
    coalesce(sum(sessions_started), 0)::bigint, coalesce(sum(unique_sessions), 0)::bigint
from bucket
left join lateral analytics_card_totals(%(user_code)s, bucket, bucket_end) as total
    on total.level = %(level)s and total.share_code is not distinct from %(share_code)s
    and total.contact_id is not distinct from %(contact_id)s
where bucket_end > (select first_day from live)
group by bucket, bucket_end
order by bucket;
