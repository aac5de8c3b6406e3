"""What web aggregation is measured beside: bare scans, the raw queries of a dashboard, and the statements of the hourly
plan this half started from, as they stood but for the table's name."""

RAW_TABLES = ("analytics_events", "analytics_sessions", "analytics_page_views", "analytics_clicks")

COUNT_EVENTS = "select count(*) from analytics_events"
COUNT_ALL = "select " + " + ".join(f"(select count(*) from {table})" for table in RAW_TABLES)
COUNT_ALL_SINCE = (
    "select (select count(*) from analytics_events where created_at >= %s)"
    " + (select count(*) from analytics_sessions where first_seen >= %s)"
    " + (select count(*) from analytics_page_views where viewed_at >= %s)"
    " + (select count(*) from analytics_clicks where clicked_at >= %s)"
)
COUNT_EVENTS_BETWEEN = "select count(*) from analytics_events where created_at >= %(from)s and created_at < %(to)s"

# Its unique key takes every null label for another one, and its uniques do not add up: it does less than ours.
PLANNED_TABLE = """
create table planned (
  id bigint generated always as identity primary key,
  project_id text not null, event_type text not null, event_label text, hour_bucket timestamptz not null,
  event_count bigint not null default 0, unique_visitors bigint not null default 0,
  unique_sessions bigint not null default 0,
  created_at timestamptz not null default now(), updated_at timestamptz not null default now(),
  unique (project_id, event_type, event_label, hour_bucket)
)
"""
PLANNED_AGGREGATION = """
insert into planned (project_id, event_type, event_label, hour_bucket, event_count, unique_visitors, unique_sessions)
select project_id, event_type, event_label, date_trunc('hour', created_at),
  count(*), count(distinct visitor_id), count(distinct session_id)
from analytics_events
where created_at >= %(from)s and created_at < %(to)s
group by project_id, event_type, event_label, date_trunc('hour', created_at)
on conflict (project_id, event_type, event_label, hour_bucket) do update set
  event_count = excluded.event_count, unique_visitors = excluded.unique_visitors,
  unique_sessions = excluded.unique_sessions, updated_at = now()
"""

# What the dashboard shows, from the raw rows.
RAW_QUERIES = {
    "events_by_hour": """
select date_trunc('hour', created_at, 'UTC'), count(*) from analytics_events
where project_id = %(project_id)s and created_at >= %(now)s::timestamptz - interval '24 hours' and created_at < %(now)s
group by 1 order by 1
""",
    "events_by_type": """
select (created_at at time zone 'UTC')::date, event_type,
  count(*), count(distinct visitor_id), count(distinct session_id)
from analytics_events
where project_id = %(project_id)s and created_at >= %(today)s::date - 29 and created_at < %(today)s::date + 1
group by 1, 2 order by 1, 2
""",
    "events_by_label": """
select event_label, count(*), count(distinct visitor_id), count(distinct session_id)
from analytics_events
where project_id = %(project_id)s and event_type = %(event_type)s
  and created_at >= %(from)s::date and created_at < %(to)s::date
group by 1 order by 2 desc
""",
    "event_kpis": """
select count(*), count(distinct visitor_id), count(distinct session_id) from analytics_events
where project_id = %(project_id)s and created_at >= %(from)s::date and created_at < %(to)s::date
""",
    "event_totals": """
select event_type, nullif(event_label, ''), count(*), count(distinct visitor_id), count(distinct session_id)
from analytics_events
where project_id = %(project_id)s and created_at >= %(from)s::date and created_at < %(to)s::date
group by grouping sets ((), (event_type), (event_type, nullif(event_label, '')))
""",
}
