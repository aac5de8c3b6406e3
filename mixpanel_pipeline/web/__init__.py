"""Web events in Postgres: hourly and daily aggregates, uniques, reconciliation, retention, legacy migration."""
