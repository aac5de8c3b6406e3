-- The most frequent events of a day.
select project_id, event_type, event_label, event_count, unique_visitors, unique_sessions
from analytics_events_daily_agg
where day = %(bucket)s
order by event_count desc, project_id, event_type, event_label
limit 10;
