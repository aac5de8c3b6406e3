-- DuckDB: how many events of a day's new file were not in its old file; an event that merely moved to another person
-- is not new. Variables `new_file`, `old_file`.
select count(*) from (
    select event, time, insert_id from read_parquet(getvariable('new_file'), hive_partitioning = false)
    except all
    select event, time, insert_id from read_parquet(getvariable('old_file'), hive_partitioning = false)
)
