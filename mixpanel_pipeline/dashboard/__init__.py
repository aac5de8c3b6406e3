"""Pages over the aggregates and their JSON, read-only, under row-level security (docs/dashboard.md)."""
