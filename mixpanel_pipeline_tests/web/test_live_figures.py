"""What dashboards see before aggregation has come: what has not been aggregated is counted from the raw rows."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql
from mixpanel_pipeline.web.aggregation import aggregate_all, aggregate_cards
from mixpanel_pipeline_tests.web import site
from mixpanel_pipeline_tests.web.plain_web import Row
from mixpanel_pipeline_tests.web.test_access import as_role

LAST = (site.TODAY - site.OLDEST).days


def card_rows(day: int) -> dict[str, list[Row]]:
    """Sessions that come again, in other groups and from other contacts, before and after the day."""
    sessions = [("s", "g", "x"), ("s", None, "y"), (f"only-{day}", "g", None), (f"even-{day // 2}", "", "x")]
    views = [
        site.page_view(site.at(day, hour), session, share_code=share, contact_id=contact)
        for hour, (session, share, contact) in enumerate(sessions)
    ]
    clicks = [site.click(site.at(day, 3), "s", share_code="h"), site.click(site.at(day, 3), "clicks only")]
    starts = [site.session_row(site.at(day), f"start-{day}", share_code="g"), site.session_row(site.at(day), "s")]
    return {"page_views": views, "clicks": clicks, "sessions": starts, "events": [site.event(site.at(day), "v")]}


def write(warehouse: Warehouse, *days: int) -> None:
    with warehouse.connect() as connection:
        for day in days:
            for kind, rows in card_rows(day).items():
                site.insert(connection, kind, rows)


RANGES = [
    (site.at(first).date(), site.at(end).date())
    for first, end in ((LAST, LAST + 1), (LAST - 1, LAST + 1), (LAST - 3, LAST + 2), (LAST - 80, LAST + 3), (0, 91))
]  # fmt: skip


@pytest.mark.parametrize("aggregated", [False, True])
def test_totals_of_days_that_no_run_has_reached(warehouse: Warehouse, aggregated: bool) -> None:
    write(warehouse, LAST - 80, LAST - 3, LAST - 1)
    if aggregated:
        aggregate_all(warehouse)
    write(warehouse, LAST, LAST + 1)
    site.check_ranges(warehouse, site.raw_rows(warehouse), RANGES)
    aggregate_all(warehouse)
    site.check_ranges(warehouse, site.raw_rows(warehouse), RANGES)


def test_sessions_started_are_each_days_own(warehouse: Warehouse) -> None:
    write(warehouse, LAST - 1, LAST, LAST + 1)
    query = "select * from analytics_card_totals('c', %s, %s)"
    days = [site.at(LAST - 1).date(), site.at(LAST + 2).date()]
    answers = []
    for _ in range(2):
        with warehouse.connect() as connection:
            answers.append(connection.execute(query.encode(), days).fetchall())
        aggregate_cards(warehouse)
        with warehouse.connect() as connection:  # of today's rows too the aggregates alone are asked
            connection.execute("update analytics_progress set aggregated_until = %s", [site.at(LAST + 2)])
    assert answers[0] == answers[1]
    assert ("all", None, None, 12, 6, 6) in [row[:6] for row in answers[0]]


def test_a_cards_owner_sees_today(warehouse: Warehouse) -> None:
    write(warehouse, LAST - 1)
    aggregate_all(warehouse)
    write(warehouse, LAST)
    with warehouse.connect() as connection:
        connection.execute("insert into admin_users values (%s)", ["00000000-0000-0000-0000-00000000000a"])
    query = "select page_views from analytics_card_totals('c', %s, %s) where level = 'all'"
    days = [site.at(LAST - 1).date(), site.at(LAST + 1).date()]
    with as_role(warehouse, "authenticated", "stranger") as connection:
        assert connection.execute(query, days).fetchall() == []
    with as_role(warehouse, "authenticated") as connection:
        connection.execute(
            "select set_config('request.jwt.claims', '{\"sub\": \"00000000-0000-0000-0000-00000000000a\"}', true)"
        )
        assert connection.execute(query, days).fetchall() == [(8,)]


def last_hours(warehouse: Warehouse, now: datetime) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(read_sql("queries/events_by_hour.sql"), {"project_id": "p", "now": now}).fetchall()


def test_an_hour_that_was_written_to_since_is_counted_from_its_rows(warehouse: Warehouse) -> None:
    """A row that came late, one that moved from the running hour, one that went: each shows at once, and once."""
    now = site.value(warehouse, "select now()")
    ago = {hours: now - timedelta(hours=hours) for hours in (0, 2, 5, 9)}
    rows = {hours: site.event(time) for hours, time in ago.items()}
    with warehouse.connect() as connection:
        site.insert(connection, "events", list(rows.values()))
    aggregate_all(warehouse)
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(ago[2])])
        site.update(connection, "events", rows[0]["id"], {"created_at": ago[5]})
        site.delete(connection, "events", rows[9]["id"])
        site.insert(connection, "events", [site.event(ago[0], project_id="q")])
    hours = last_hours(warehouse, now)
    assert [count for _, count, _ in hours[-10:]] == [0, 0, 0, 0, 2, 0, 0, 2, 0, 0]
    assert [number for number, (_, _, live) in enumerate(hours) if live] == [14, 18, 21, 23]
    aggregate_all(warehouse)
    again = last_hours(warehouse, now)
    assert [count for _, count, _ in again] == [count for _, count, _ in hours]
    assert [live for *_, live in again] == [False] * 23 + [True]


def test_an_hour_whose_rows_retention_took_is_not_counted_from_what_came_since(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(10), f"v{number}") for number in range(4)])
    aggregate_all(warehouse)
    site.value(warehouse, "select cleanup_old_raw_events(30)")
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(10))])
    assert [count for _, count, _ in last_hours(warehouse, site.at(10, 12, 30))][-1] == 4
