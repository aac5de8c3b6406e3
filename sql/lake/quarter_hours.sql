-- DuckDB: how often each of some events happened in each quarter of an hour (UTC, seconds since 1970), which is fine
-- enough to be added up to the days of any time zone: offsets are multiples of a quarter. View partition_events,
-- variable `events`: their names.
select event, (floor(epoch(time) / 900) * 900)::bigint as quarter, count(*) as events
from partition_events
where list_contains(getvariable('events'), event)
group by all
