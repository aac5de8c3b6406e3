-- DuckDB: the rows of the staged files that a newer copy of the same event makes void. Mixpanel's exports are not
-- deduplicated (reference/mixpanel.md A1.9). Variable `staged`: the files.
-- Of one event, distinct id, time and insert id the newest processing time is kept; events without an insert id all are.
with staged as (
    select filename, file_row_number, event, distinct_id, time, insert_id, mp_processing_time_ms, row_hash,
        hash(event, distinct_id, time, insert_id) as key_hash
    from read_parquet(getvariable('staged'), filename = true, file_row_number = true, hive_partitioning = false)
    where usable and insert_id is not null
),
-- Grouping by a number instead of four columns keeps memory small; equal numbers are only suspects.
suspects as (
    select key_hash from staged group by key_hash having count(*) > 1
),
ranked as (
    select filename, file_row_number,
        row_number() over (
            partition by event, distinct_id, time, insert_id
            order by mp_processing_time_ms desc nulls last, row_hash desc
        ) as newest_first
    from staged
    where key_hash in (from suspects)
)
select filename, file_row_number from ranked where newest_first > 1
