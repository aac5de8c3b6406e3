-- A project's totals of the UTC days from %(from)s to before %(to)s, at most 91, with exact uniques.
select
    coalesce(sum(event_count), 0)::bigint as total_events,
    coalesce(sum(unique_visitors), 0)::bigint as unique_visitors,
    coalesce(sum(unique_sessions), 0)::bigint as unique_sessions
from analytics_event_totals(%(project_id)s, %(from)s, %(to)s)
where level = 'all';
