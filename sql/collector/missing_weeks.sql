-- By their names, as make_analytics_partitions gives them: asked for its limits a partition that is locked would wait.
select raw_table
from unnest(array['analytics_clicks', 'analytics_events', 'analytics_page_views', 'analytics_sessions']) as needed (raw_table)
where not exists (
    select from pg_inherits
    where inhparent = raw_table::regclass and not inhdetachpending
        and inhrelid = to_regclass(raw_table || to_char(date_trunc('week', now() at time zone 'UTC'), '_YYYYMMDD'))
)
