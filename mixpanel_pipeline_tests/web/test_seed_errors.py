"""The designs this half started from, statement by statement: what each did wrong, and that ours does not.

Statements of the hourly plan are quoted as they stood, but for the table's name where both forms are compared."""

import re
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql
from mixpanel_pipeline.web.aggregation import aggregate_all
from mixpanel_pipeline_tests.web import site

PLANNED_TABLE = """
create table planned (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  project_id text NOT NULL,
  event_type text NOT NULL,
  event_label text,
  hour_bucket timestamp with time zone NOT NULL,
  event_count bigint NOT NULL DEFAULT 0,
  unique_visitors bigint NOT NULL DEFAULT 0,
  unique_sessions bigint NOT NULL DEFAULT 0,
  created_at timestamp with time zone NOT NULL DEFAULT now(),
  updated_at timestamp with time zone NOT NULL DEFAULT now(),
  CONSTRAINT analytics_events_hourly_agg_unique UNIQUE (project_id, event_type, event_label, hour_bucket)
)
"""
PLANNED_AGGREGATION = """
INSERT INTO planned (
  project_id, event_type, event_label, hour_bucket, event_count, unique_visitors, unique_sessions
)
SELECT
  project_id,
  event_type,
  event_label,
  date_trunc('hour', created_at) as hour_bucket,
  COUNT(*) as event_count,
  COUNT(DISTINCT visitor_id) as unique_visitors,
  COUNT(DISTINCT session_id) as unique_sessions
FROM analytics_events
WHERE {where}
GROUP BY project_id, event_type, event_label, date_trunc('hour', created_at)
ON CONFLICT (project_id, event_type, event_label, hour_bucket)
DO UPDATE SET
  event_count = EXCLUDED.event_count,
  unique_visitors = EXCLUDED.unique_visitors,
  unique_sessions = EXCLUDED.unique_sessions,
  updated_at = NOW()
"""
BACKFILL = PLANNED_AGGREGATION.format(where="created_at >= NOW() - INTERVAL '90 days'")
HOURLY = PLANNED_AGGREGATION.format(
    where="created_at >= date_trunc('hour', NOW() - INTERVAL '2 hours') AND created_at < date_trunc('hour', NOW())"
)
PLANNED_KPIS = """
SELECT SUM(event_count), SUM(unique_visitors), SUM(unique_sessions) FROM planned
WHERE project_id = 'p' AND hour_bucket >= %s AND hour_bucket < %s
"""
PLANNED_LABELS = """
SELECT event_label, SUM(event_count), SUM(unique_visitors) FROM planned
WHERE project_id = 'p' AND event_type = 'visible' AND event_label IS NOT NULL
GROUP BY event_label ORDER BY 2 DESC
"""
PLANNED_DAYS = """
SELECT date_trunc('day', hour_bucket)::date, event_type, SUM(event_count), SUM(unique_visitors), SUM(unique_sessions)
FROM planned WHERE project_id = 'p' AND hour_bucket >= NOW() - INTERVAL '30 days' GROUP BY 1, 2 ORDER BY 1, 2
"""
PLANNED_LAST_24_HOURS = """
SELECT hour_bucket, SUM(event_count) FROM planned
WHERE project_id = 'p' AND hour_bucket >= NOW() - INTERVAL '24 hours' GROUP BY hour_bucket ORDER BY hour_bucket
"""
PLANNED_POLICY = """
CREATE POLICY "Users can view their project aggregated events" ON planned FOR SELECT TO authenticated USING (
    EXISTS (
      SELECT 1
      FROM project p
      LEFT JOIN account_collaborator ac ON ac.account_id = p.account_id
      WHERE p.project_id = planned.project_id
        AND (
          p.account_id IN (SELECT id FROM account WHERE user_id = auth.uid())
          OR ac.user_id = auth.uid()
        )
    )
)
"""
PLANNED_BACKFILL_CALL = "SELECT backfill_aggregates(CURRENT_DATE - INTERVAL '90 days', CURRENT_DATE - INTERVAL '1 day')"


@pytest.fixture
def planned(warehouse: Warehouse) -> Warehouse:
    """The planned table beside ours."""
    run(warehouse, PLANNED_TABLE)
    return warehouse


def run(warehouse: Warehouse, statement: str, parameters: Any = None) -> list[tuple]:
    with warehouse.connect() as connection:
        cursor = connection.execute(statement.encode(), parameters)
        return cursor.fetchall() if cursor.description else []


def insert(warehouse: Warehouse, *events: site.Row) -> None:
    with warehouse.connect() as connection:
        site.insert(connection, "events", list(events))


def truth(warehouse: Warehouse) -> list[tuple]:
    return run(
        warehouse,
        "select event_label, count(*) from analytics_events group by 1, date_trunc('hour', created_at, 'UTC') "
        "order by 1, 2",
    )


def kept(warehouse: Warehouse, table: str) -> list[tuple]:
    return run(warehouse, f"select event_label, event_count from {table} order by 1, 2")


OURS = "analytics_events_hourly_agg"


def test_a_missing_label_is_one_group_however_often_it_is_aggregated(planned: Warehouse) -> None:
    insert(planned, *(site.event(site.at(80), f"v{number}") for number in range(50)))
    for _ in range(3):
        run(planned, BACKFILL)
        run(planned, "select aggregate_analytics_daily(%s)", [site.at(80).date()])
    assert kept(planned, "planned") == [(None, 50)] * 3
    assert kept(planned, OURS) == truth(planned) == [(None, 50)]


def test_an_empty_label_is_a_missing_one(planned: Warehouse) -> None:
    insert(planned, site.event(site.at(80)), site.event(site.at(80), event_label=""))
    run(planned, BACKFILL)
    aggregate_all(planned)
    assert len(kept(planned, "planned")) == 2
    assert kept(planned, OURS) == [(None, 2)]


def test_late_rows_of_any_age_are_counted(planned: Warehouse) -> None:
    insert(planned, site.event(site.at(60), event_label="a"))
    run(planned, BACKFILL)
    aggregate_all(planned)
    insert(planned, site.event(site.at(60), "late", event_label="a"))
    run(planned, HOURLY)
    aggregate_all(planned)
    assert kept(planned, "planned") == [("a", 1)]
    assert kept(planned, OURS) == truth(planned) == [("a", 2)]


def test_a_bucket_whose_rows_are_gone_goes_too(planned: Warehouse) -> None:
    first, second = site.event(site.at(60), event_label="a"), site.event(site.at(60), event_label="b")
    insert(planned, first, second)
    run(planned, BACKFILL)
    aggregate_all(planned)
    run(planned, "update analytics_events set event_label = 'c' where id = %s", [first["id"]])
    run(planned, "delete from analytics_events where id = %s", [second["id"]])
    run(planned, BACKFILL)
    aggregate_all(planned)
    assert kept(planned, "planned") == [("a", 1), ("b", 1), ("c", 1)]
    assert kept(planned, OURS) == truth(planned) == [("c", 1)]


def test_buckets_are_utc_hours_whatever_the_session_says(planned: Warehouse) -> None:
    insert(planned, site.event(site.at(60, 10, 15), event_label="a"), site.event(site.at(60, 10, 45), event_label="a"))
    with planned.connect() as connection:
        connection.execute("set timezone = 'Asia/Kolkata'")
        connection.execute(BACKFILL.encode())
        connection.execute("select aggregate_analytics_daily(%s)", [site.at(60).date()])
    assert kept(planned, "planned") == [("a", 1), ("a", 1)]
    assert kept(planned, OURS) == [("a", 2)]
    assert run(planned, f"select hour_bucket from {OURS}") == [(site.at(60, 10),)]


def test_what_has_not_changed_is_not_written(planned: Warehouse) -> None:
    insert(planned, site.event(site.at(60), event_label="a"))
    run(planned, BACKFILL)
    aggregate_all(planned)
    versions = "select (select ctid from planned), (select ctid from analytics_events_hourly_agg)"
    ((theirs, ours),) = run(planned, versions)
    run(planned, BACKFILL)
    run(planned, "select aggregate_analytics_daily(%s)", [site.at(60).date()])
    ((theirs_again, ours_again),) = run(planned, versions)
    assert theirs_again != theirs
    assert ours_again == ours


def test_aggregating_again_behind_the_floor_keeps_what_was_counted(planned: Warehouse) -> None:
    """The planned backfill starts in the middle of an hour, and counts what retention left of a bucket."""
    insert(planned, *(site.event(site.at(10), f"v{number}", event_label="a") for number in range(40)))
    run(planned, BACKFILL)
    aggregate_all(planned)
    run(planned, "select cleanup_old_raw_events(30)")
    # What the planned clean-up, a DELETE of old rows, left when it was interrupted.
    insert(planned, site.event(site.at(10), event_label="a"))
    run(planned, BACKFILL)
    run(planned, "select backfill_aggregates(%s, %s)", [site.OLDEST, site.TODAY])
    assert kept(planned, "planned") == [("a", 1)]
    assert kept(planned, OURS) == [("a", 40)]
    assert site.value(planned, "select refused_rows from analytics_progress where aggregate = 'hours'") == 1


def test_unique_visitors_of_a_range_are_not_sums(planned: Warehouse) -> None:
    insert(
        planned,
        *(site.event(site.at(day, hour), event_label=label) for day in (60, 61) for hour in (9, 10) for label in "ab"),
    )
    run(planned, BACKFILL)
    aggregate_all(planned)
    days = {"project_id": "p", "from": site.at(60).date(), "to": site.at(62).date()}
    assert run(planned, PLANNED_KPIS, [days["from"], days["to"]]) == [(8, 8, 8)]
    assert run(planned, read_sql("queries/event_kpis.sql"), days) == [(8, 1, 1)]
    assert run(planned, PLANNED_LABELS) == [("a", 4, 4), ("b", 4, 4)]
    labels = run(planned, read_sql("queries/events_by_label.sql"), days | {"event_type": "visible"})
    assert labels == [("a", 4, 1, 1), ("b", 4, 1, 1)]
    assert [row[2:] for row in run(planned, PLANNED_DAYS) if row[0] == site.at(61).date()] in ([], [(4, 4, 4)])
    by_type = run(planned, read_sql("queries/events_by_type.sql"), {"project_id": "p", "today": site.at(70).date()})
    assert by_type == [(site.at(day).date(), "visible", 4, 1, 1) for day in (60, 61)]


def test_the_last_day_has_24_hours_and_the_running_one(planned: Warehouse) -> None:
    now = run(planned, "select now()")[0][0]
    insert(planned, site.event(now), site.event(now - timedelta(hours=3)))
    run(planned, HOURLY)
    aggregate_all(planned)
    insert(planned, site.event(now))
    assert sum(row[1] for row in run(planned, PLANNED_LAST_24_HOURS)) < 3
    hours = run(planned, read_sql("queries/events_by_hour.sql"), {"project_id": "p", "now": now})
    assert len(hours) == 24
    assert [(count, live) for _, count, live in hours if count] == [(1, False), (2, True)]


def test_a_sessions_two_days_each_have_their_own_views(warehouse: Warehouse) -> None:
    """Counters on sessions, as the scalable schema has them, belong to no day: this session's two views are of two."""
    with warehouse.connect() as connection:
        site.insert(connection, "sessions", [site.session_row(site.at(60, 23, 50), page_views=2, clicks=1)])
        site.insert(connection, "page_views", [site.page_view(site.at(60, 23, 55)), site.page_view(site.at(61, 0, 5))])
        site.insert(connection, "clicks", [site.click(site.at(61, 0, 6))])
    aggregate_all(warehouse)
    from_counters = "select first_seen::date, sum(page_views), sum(clicks) from analytics_sessions group by 1"
    assert run(warehouse, from_counters) == [(site.at(60).date(), 2, 1)]
    days = (
        "select date, page_views, clicks, unique_sessions, sessions_started from analytics_daily_user_stats order by 1"
    )
    assert run(warehouse, days) == [(site.at(60).date(), 1, 0, 1, 1), (site.at(61).date(), 1, 1, 1, 0)]
    two_days = run(
        warehouse,
        "select page_views, clicks, unique_sessions from analytics_card_totals('c', %s, %s) where level = 'all'",
        [site.at(60).date(), site.at(62).date()],
    )  # fmt: skip
    assert two_days == [(2, 1, 1)]


def test_every_filter_of_the_dashboard_has_its_aggregate(warehouse: Warehouse) -> None:
    """The scalable schema knew no contact, and pages and targets only by card."""
    with warehouse.connect() as connection:
        for share, contact in (("g", "x"), ("g", "y"), (None, "x")):
            given = {"share_code": share, "contact_id": contact}
            site.insert(connection, "page_views", [site.page_view(site.at(60), f"{share}{contact}", **given)])
            site.insert(connection, "clicks", [site.click(site.at(60), f"{share}{contact}", **given)])
    aggregate_all(warehouse)
    for table, counted in (("analytics_daily_page_stats", "page_views"), ("analytics_daily_click_targets", "clicks")):
        for where, expected in (
            ("share_code = 'g'", 2), ("contact_id = 'x'", 2), ("share_code = 'g' and contact_id = 'x'", 1), ("true", 3)
        ):  # fmt: skip
            assert run(warehouse, f"select sum({counted}) from {table} where {where}") == [(expected,)]
    assert run(warehouse, "select unique_sessions from analytics_daily_contact_stats where contact_id = 'x'") == [(2,)]


def test_backfill_may_be_called_as_the_plan_calls_it(warehouse: Warehouse) -> None:
    """With times, for which a function of two dates does not exist; and with dates."""
    run(warehouse, "create function of_dates(p_from date, p_to date) returns int language sql as 'select 1'")
    with pytest.raises(psycopg.errors.UndefinedFunction):
        run(warehouse, PLANNED_BACKFILL_CALL.replace("backfill_aggregates", "of_dates"))
    day = site.TODAY - timedelta(days=1)
    insert(warehouse, site.event(site.at((day - site.OLDEST).days)))
    ((done,),) = run(warehouse, PLANNED_BACKFILL_CALL)
    assert done["days"] == 90
    assert kept(warehouse, OURS) == [(None, 1)]
    for call in ("%s::date, %s::date", "%s::text::date, %s::timestamptz"):
        ((done,),) = run(warehouse, f"select backfill_aggregates({call})", [day, day])
        assert (done["days"], done["rows_written"]) == (1, 0)


def test_the_planned_policy_asks_for_every_row_and_ours_once(planned: Warehouse) -> None:
    insert(planned, *(site.event(site.at(80, hour), event_label="a") for hour in range(20)))
    run(planned, BACKFILL)
    aggregate_all(planned)
    run(planned, "alter table planned enable row level security")
    run(planned, PLANNED_POLICY)
    run(planned, "grant select on planned, project, account, account_collaborator to authenticated")
    asked = {}
    for table in ("planned", OURS):
        with planned.connect() as connection:
            connection.execute("set local role authenticated")
            rows = connection.execute(f"explain (analyze, timing off) select * from {table}".encode()).fetchall()
            plan = "\n".join(line for (line,) in rows)
        asked[table] = max((int(loops) for loops in re.findall(r"loops=(\d+)", plan)), default=0)
    assert asked == {"planned": 20, OURS: 1}
