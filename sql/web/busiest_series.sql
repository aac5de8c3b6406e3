-- The project and its type of event with the most events of the last 30 days: what is slowest to draw.
select project_id, event_type
from analytics_events_daily_totals
where event_type is not null and day > (now() at time zone 'UTC')::date - 30
group by project_id, event_type
order by sum(event_count) desc, project_id, event_type
limit 1;
