-- DuckDB: numbers, from 1 and without blank lines, of the lines that are no usable event. Table exported_events holds
-- sql/lake/exported_events.sql as a view; insertion order must be preserved.
select line from (select row_number() over () as line, usable from exported_events) where not usable order by line
