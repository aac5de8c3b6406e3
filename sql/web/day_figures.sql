-- What the days of %(buckets)s hold in the daily tables of events, and how many of their rows were written since
-- %(since)s. Days behind a late one are written too: whoever came late is no newcomer there any more.
select
    'analytics_events_daily_agg' as of_table, day as bucket,
    count(*) filter (where by_label) as rows,
    coalesce(sum(event_count) filter (where by_label), 0)::bigint as counted,
    count(*) filter (where updated_at >= %(since)s) as changed
from (
    select day, event_count, updated_at, true as by_label from analytics_events_daily_agg
    union all
    select day, event_count, updated_at, false from analytics_events_daily_totals
) as stored
where day = any (%(buckets)s) or updated_at >= %(since)s
group by day;
