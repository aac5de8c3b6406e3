"""Aggregation that is killed at any of its statements leaves the old buckets and their marks."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.aggregation import aggregate_all
from mixpanel_pipeline_tests.web import site

# Every table that a call touches, in the order of its statements: it stops at the one that somebody holds.
STATEMENTS = {
    "aggregate_analytics_hours": (
        "analytics_retention", "analytics_dirty_hours", "analytics_events", "analytics_events_hourly_agg",
        "analytics_dirty_days", "analytics_progress",
    ),
    "aggregate_analytics_days": (
        "analytics_retention", "analytics_dirty_days", "analytics_events", "analytics_daily_members",
        "analytics_events_daily_agg", "analytics_events_daily_totals",
    ),
    "aggregate_analytics_cards": (
        "analytics_retention", "analytics_dirty_cards", "analytics_sessions", "analytics_page_views",
        "analytics_clicks", "analytics_daily_members", "analytics_daily_user_stats", "analytics_daily_group_stats",
        "analytics_daily_contact_stats", "analytics_daily_group_contact_stats", "analytics_daily_page_stats",
        "analytics_daily_click_targets",
        "analytics_progress",
    ),
}  # fmt: skip
WATCHED = (*site.AGGREGATES, "analytics_daily_members", "analytics_progress")
QUEUES = ("analytics_dirty_hours", "analytics_dirty_days", "analytics_dirty_cards")


def contents(warehouse: Warehouse) -> dict[str, list[Any]]:
    with warehouse.connect() as connection:
        return {
            table: sorted(connection.execute(SQL("select x::text from {} as x").format(Identifier(table))).fetchall())
            for table in (*WATCHED, *QUEUES)
        }


def write_traffic(warehouse: Warehouse, visitor: str) -> None:
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(day), visitor) for day in (1, 2, 40)])
        site.insert(connection, "page_views", [site.page_view(site.at(day), visitor) for day in (1, 2)])
        site.insert(connection, "clicks", [site.click(site.at(2), visitor)])
        site.insert(connection, "sessions", [site.session_row(site.at(1), visitor)])


def kill_when_waiting_for(warehouse: Warehouse, table: str, function: str) -> None:
    """Runs an aggregation while the table is held, and kills its backend when it has come to that table."""

    def run() -> None:
        with warehouse.connect() as connection:
            connection.execute(SQL("select {}()").format(Identifier(function)))

    waiting = "select pid from pg_locks where relation = %s::regclass and not granted"
    with warehouse.connect() as holder, warehouse.connect(autocommit=True) as killer, ThreadPoolExecutor(1) as pool:
        holder.execute(SQL("lock table {} in access exclusive mode").format(Identifier(table)))
        running = pool.submit(run)
        patience = Retrying(
            retry=retry_if_result(lambda rows: not rows), stop=stop_after_delay(20), wait=wait_fixed(0.02)
        )
        pids = patience(lambda: killer.execute(waiting, [table]).fetchall())
        killer.execute("select pg_terminate_backend(%s, 5000)", pids[0])
        with pytest.raises(psycopg.OperationalError):
            running.result()


@pytest.mark.parametrize("function", STATEMENTS)
def test_a_killed_aggregation_leaves_old_buckets_and_marks(warehouse: Warehouse, function: str) -> None:
    write_traffic(warehouse, "early")
    aggregate_all(warehouse)
    write_traffic(warehouse, "late")
    if function == "aggregate_analytics_days":
        site.value(warehouse, "select taken from aggregate_analytics_hours()")
    before = contents(warehouse)
    assert any(before[queue] for queue in QUEUES)
    for table in STATEMENTS[function]:
        kill_when_waiting_for(warehouse, table, function)
        assert contents(warehouse) == before, table
    aggregate_all(warehouse)
    site.check_aggregates(warehouse, site.raw_rows(warehouse))
