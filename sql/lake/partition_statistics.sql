-- DuckDB: what the manifest says of a day, from the staged rows that are kept. Table duplicate_rows, variables
-- `staged`, `export_day`, `twice_from`, `twice_to`, `never_from`, `never_to` (wall clock seconds).
-- content_hash is of the set of events: their order in an export means nothing (reference/mixpanel.md, not established).
select
    count(*) as rows,
    count(distinct subscriber_id) as users,
    coalesce(sum(bad_values), 0)::bigint as bad_values,
    count(*) filter (where not inside_day) as outside_day,
    count(*) filter (where wall_seconds >= getvariable('twice_from')::double and wall_seconds < getvariable('twice_to')::double) as ambiguous_times,
    count(*) filter (where wall_seconds >= getvariable('never_from')::double and wall_seconds < getvariable('never_to')::double) as shifted_times,
    max(mp_processing_time_ms) as newest_processing_ms,
    -- Of events inside their day: one with a time of the year 2100 must not move the watermark there.
    min(time) filter (where inside_day) as first_event_time,
    max(time) filter (where inside_day) as last_event_time,
    printf('%d-%s-%s', count(*), coalesce(bit_xor(row_hash), 0)::varchar, coalesce(sum(row_hash::hugeint), 0)::varchar) as content_hash
from (
    select *, floor(wall_seconds / 86400) = epoch(getvariable('export_day')::date) / 86400 as inside_day
    from read_parquet(getvariable('staged'), filename = true, file_row_number = true, hive_partitioning = false)
) as staged
anti join duplicate_rows using (filename, file_row_number)
where usable
