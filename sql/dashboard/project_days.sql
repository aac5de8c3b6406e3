-- A project's events and exact uniques of the days from %(from)s to before %(to)s by day or by week (%(by_week)s; ISO
-- weeks, the first and the last cut to the range): of all types (%(level)s 'all'), one type ('type'), or one type and
-- label ('label'; null: without one). Buckets that no daily run has wholly reached are counted as
-- analytics_event_totals does it.
with day as (
    select day::date as day
    from generate_series(%(from)s::date::timestamp, %(to)s::date::timestamp - interval '1 day', interval '1 day') as day
), bucket as (
    select min(day) as bucket, max(day) + 1 as bucket_end
    from day
    group by case when %(by_week)s then date_trunc('week', day::timestamp) else day::timestamp end
), live as (
    select (aggregated_until at time zone 'UTC')::date as first_day from analytics_progress where aggregate = 'days'
), stored_day as (
    select day, event_count, newcomer_visitors, newcomer_sessions
    from analytics_events_daily_totals
    where %(level)s <> 'label' and project_id = %(project_id)s and event_type is not distinct from %(event_type)s
        and day >= %(from)s::date and day < %(to)s::date
    union all
    select day, event_count, newcomer_visitors, newcomer_sessions
    from analytics_events_daily_agg
    where %(level)s = 'label' and project_id = %(project_id)s and event_type = %(event_type)s
        and event_label is not distinct from %(event_label)s and day >= %(from)s::date and day < %(to)s::date
)
select
    bucket, bucket_end, coalesce(sum(event_count), 0)::bigint as events,
    coalesce(sum(newcomer_visitors[day - bucket + 1]), 0)::bigint as unique_visitors,
    coalesce(sum(newcomer_sessions[day - bucket + 1]), 0)::bigint as unique_sessions
from bucket
left join stored_day on day >= bucket and day < bucket_end
where bucket_end <= (select first_day from live)
group by bucket, bucket_end
union all
select
    bucket, bucket_end, coalesce(sum(event_count), 0)::bigint,
    coalesce(sum(unique_visitors), 0)::bigint, coalesce(sum(unique_sessions), 0)::bigint
from bucket
left join lateral analytics_event_totals(%(project_id)s, bucket, bucket_end) as total
    on total.level = %(level)s and total.event_type is not distinct from %(event_type)s
    and total.event_label is not distinct from %(event_label)s
where bucket_end > (select first_day from live)
group by bucket, bucket_end
order by bucket;
