-- A project's events of the hours from %(from)s to before %(to)s: at level 'bucket' by %(step)s, of one type and label
-- when these are given; at level 'type' by type; at level 'label' one type's by label.
-- As queries/events_by_hour.sql has it: hours that aggregation has not reached, the running one always, and hours of
-- the last day that were written to since are counted from the raw rows.
-- %(event_type)s: null is all; %(event_label)s: null is none, where %(by_label)s.
with hour as materialized (
    select
        hour_bucket,
        hour_bucket >= (select aggregated_until from analytics_progress where aggregate = 'hours')
        or (
            hour_bucket >= date_trunc('hour', now(), 'UTC') - interval '23 hours'
            and exists (
                select from analytics_dirty_hours as mark
                where mark.project_id = %(project_id)s and mark.hour_bucket = hour.hour_bucket
            )
        ) as live
    from generate_series(
        %(from)s::timestamptz, %(to)s::timestamptz - interval '1 hour', interval '1 hour'
    ) as hour (hour_bucket)
), counted as (
    select hour_bucket, event_type, event_label, event_count
    from analytics_events_hourly_agg
    where project_id = %(project_id)s
        and hour_bucket >= %(from)s::timestamptz and hour_bucket < %(to)s::timestamptz
        and hour_bucket in (select hour_bucket from hour where not live)
    union all
    select hour_bucket, raw.event_type, raw.event_label, raw.event_count
    from hour
    -- Hour by hour, by the index of the one partition that has it: as one join it would read them all.
    cross join lateral (
        select event_type, nullif(event_label, '') as event_label, count(*) as event_count
        from analytics_events
        where project_id = %(project_id)s
            and created_at >= hour_bucket and created_at < hour_bucket + interval '1 hour'
        group by 1, 2
    ) as raw
    where live
), bucket as (
    select bucket, least(bucket + %(step)s::interval, %(to)s::timestamptz) as bucket_end
    from generate_series(
        %(from)s::timestamptz, %(to)s::timestamptz - interval '1 second', %(step)s::interval
    ) as bucket
), wanted as (
    select date_bin(%(step)s::interval, hour_bucket, %(from)s::timestamptz) as bucket, event_count
    from counted
    where (%(event_type)s::text is null or event_type = %(event_type)s)
        and (not %(by_label)s or event_label is not distinct from %(event_label)s)
)
select 'bucket' as level, bucket, bucket_end, null as event_type, null as event_label, coalesce(sum(event_count), 0)::bigint as events
from bucket
left join wanted using (bucket)
group by bucket, bucket_end
union all
select 'type', null, null, event_type, null, sum(event_count)::bigint from counted group by event_type
union all
select 'label', null, null, event_type, event_label, sum(event_count)::bigint
from counted
where event_type = %(event_type)s
group by event_type, event_label
order by level, bucket, events desc, event_type, event_label;
