-- DuckDB: the rows that become the day's partition. Table duplicate_rows, variable `staged`.
select staged.* exclude (usable, wall_seconds, bad_values, filename, file_row_number)
from read_parquet(getvariable('staged'), filename = true, file_row_number = true, hive_partitioning = false) as staged
anti join duplicate_rows using (filename, file_row_number)
where usable
