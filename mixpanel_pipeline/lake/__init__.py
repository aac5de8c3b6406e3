"""Raw partitions: land a stream, prove it complete, DuckDB → Parquet, manifest, quarantine."""
