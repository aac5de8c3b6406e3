-- DuckDB: the rows of stored partitions. Variable `files`: their Parquet files.
from read_parquet(getvariable('files'), hive_partitioning = false)
