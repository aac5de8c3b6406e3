-- DuckDB: days, and how many events of each, that a late sweep found and their partitions do not have yet.
-- Variables `staged` (the swept events), `files` (the partitions of those days and their neighbours); table day_clocks
-- (export_day, boundary, offset_before, offset_after) of the days swept, as in exported_events.sql.
with swept as (
    select day_clocks.export_day, event, distinct_id, insert_id, coalesce(mp_processing_time_ms, -1) as processed,
        make_timestamptz(((wall_seconds - case when wall_seconds < boundary then offset_before else offset_after end) * 1000000)::bigint) as time
    from read_parquet(getvariable('staged'), hive_partitioning = false) as staged
    join day_clocks on day_clocks.export_day = date '1970-01-01' + floor(staged.wall_seconds / 86400)::int
    where usable
),
-- Whatever day they were exported for: an event outside its day lies in a neighbour's partition.
stored as (
    -- Days landed with another catalog have other columns; these here all have.
    select event, distinct_id, time, insert_id, coalesce(mp_processing_time_ms, -1) as processed
    from read_parquet(getvariable('files'), union_by_name = true, hive_partitioning = false)
),
-- Of an event with an insert id the newest version is stored: one that is at least as new covers it.
newest_stored as (
    select event, distinct_id, time, insert_id, max(processed) as processed
    from stored
    where insert_id is not null
    group by all
),
missing_versions as (
    select swept.export_day
    from swept
    left join newest_stored on swept.event = newest_stored.event
        and swept.time = newest_stored.time
        and swept.distinct_id is not distinct from newest_stored.distinct_id
        and swept.insert_id = newest_stored.insert_id
        and swept.processed <= newest_stored.processed
    where swept.insert_id is not null and newest_stored.event is null
),
-- Events without one are all kept, so there must be as many.
counted_swept as (
    select export_day, event, distinct_id, time, processed, count(*) as events
    from swept
    where insert_id is null
    group by all
),
counted_stored as (
    select event, distinct_id, time, processed, count(*) as events
    from stored
    where insert_id is null
    group by all
),
missing_events as (
    select swept.export_day
    from counted_swept as swept
    left join counted_stored as stored on swept.event = stored.event
        and swept.time = stored.time
        and swept.distinct_id is not distinct from stored.distinct_id
        and swept.processed = stored.processed
    where swept.events > coalesce(stored.events, 0)
)
select export_day, count(*) as events
from (from missing_versions union all from missing_events)
group by export_day
order by export_day
