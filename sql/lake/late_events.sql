-- DuckDB: days, and how many events of each, that a late sweep found and the day's partition does not have yet.
-- Variables `staged` (the swept events), `files` (the partitions of the days they may belong to); table day_clocks
-- (export_day, boundary, offset_before, offset_after) of those days, as in exported_events.sql.
with swept as (
    select day_clocks.export_day, event, distinct_id, insert_id, coalesce(mp_processing_time_ms, -1) as processed,
        make_timestamptz(((wall_seconds - case when wall_seconds < boundary then offset_before else offset_after end) * 1000000)::bigint) as time
    from read_parquet(getvariable('staged')) as staged
    join day_clocks on day_clocks.export_day = date '1970-01-01' + floor(staged.wall_seconds / 86400)::int
    where usable
),
stored as (
    select export_day, event, distinct_id, time, insert_id, max(coalesce(mp_processing_time_ms, -1)) as processed
    -- Days landed with another catalog have other columns; these here all have.
    from read_parquet(getvariable('files'), union_by_name = true)
    where export_day in (select export_day from swept)
    group by all
)
select swept.export_day, count(*) as events
from swept
left join stored on swept.export_day = stored.export_day
    and swept.event = stored.event
    and swept.time = stored.time
    and swept.distinct_id is not distinct from stored.distinct_id
    and swept.insert_id is not distinct from stored.insert_id
    and swept.processed <= stored.processed
where stored.event is null
group by swept.export_day
order by swept.export_day
