-- A project's events of one type by label, of the UTC days from %(from)s to before %(to)s, at most 91, with exact
-- uniques. A null label is the events without one.
select event_label, event_count as total_events, unique_visitors, unique_sessions
from analytics_event_totals(%(project_id)s, %(from)s, %(to)s)
where level = 'label' and event_type = %(event_type)s
order by total_events desc, event_label;
