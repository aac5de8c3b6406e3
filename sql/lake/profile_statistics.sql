-- DuckDB: figures of a snapshot. Variable `staged`: the file of sql/lake/exported_profiles.sql.
select
    count(*) as lines,
    count(distinct subscriber_id) as people,
    count(*) filter (where anonymous) as anonymous,
    count(*) - count(distinct subscriber_id) - count(*) filter (where anonymous) as refused,
    count(*) filter (where coalesce(distinct_id, '') = '') as unidentified,
    coalesce(sum(len(bad_numbers)) filter (where subscriber_id is not null), 0)::bigint as bad_values
from read_parquet(getvariable('staged'), hive_partitioning = false)
