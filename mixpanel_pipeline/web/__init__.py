"""Web events in Postgres: hourly and daily aggregates, uniques, retention, legacy migration."""
