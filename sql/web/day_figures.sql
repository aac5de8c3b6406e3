-- What the daily tables of events hold of the days of %(buckets)s and of days with a row that was written since
-- %(since)s, and how many rows that were. Days behind a late one are written too: whoever came late is no newcomer there
-- any more.
with wanted as materialized (
    select unnest(%(buckets)s::date[]) as day
    union
    select day from analytics_events_daily_agg where updated_at >= %(since)s
    union
    select day from analytics_events_daily_totals where updated_at >= %(since)s
), stored as not materialized (
    select 'analytics_events_daily_agg' as of_table, day, event_count, updated_at from analytics_events_daily_agg
    union all
    select 'analytics_events_daily_totals', day, event_count, updated_at from analytics_events_daily_totals
)
select
    of_table, day as bucket, count(*) as rows, sum(event_count)::bigint as counted,
    count(*) filter (where updated_at >= %(since)s) as changed
from stored
where day = any (array(select day from wanted))
group by of_table, day;
