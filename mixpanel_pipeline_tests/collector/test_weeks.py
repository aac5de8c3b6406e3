"""Partitions: what happens now is never refused for good because nobody made room for it."""

import asyncio
import contextlib
import json

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from tenacity import Retrying, stop_after_delay, wait_fixed

from mixpanel_pipeline.collector import weeks as weeks_module
from mixpanel_pipeline.collector.weeks import keep_weeks_ahead
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.collector.conftest import TIMEOUT_SECONDS, Start
from mixpanel_pipeline_tests.collector.made_events import click, event, page_view
from mixpanel_pipeline_tests.web import site

PATIENTLY = Retrying(stop=stop_after_delay(TIMEOUT_SECONDS), wait=wait_fixed(0.05), reraise=True)
CURRENT = "week_end > now()"


def weeks_of_now(warehouse: Warehouse) -> int:
    return site.value(warehouse, f"select count(*) from analytics_partitions where {CURRENT}")


def drop_weeks(warehouse: Warehouse) -> None:
    """As after a month in which nobody made any."""
    with warehouse.connect() as connection:
        for (leaf,) in connection.execute(f"select leaf::text from analytics_partitions where {CURRENT}").fetchall():
            connection.execute(SQL("drop table {}").format(Identifier(leaf)))


def test_a_collector_makes_the_weeks_that_are_missing(start: Start, warehouse: Warehouse) -> None:
    drop_weeks(warehouse)
    collector = start()
    for attempt in PATIENTLY:
        with attempt:
            assert weeks_of_now(warehouse) >= 4 * 4
    assert collector.stored([page_view(), click(), event()])["accepted"] == 3


def test_without_a_week_senders_are_told_to_come_again(start: Start, warehouse: Warehouse) -> None:
    collector = start()
    collector.stored([page_view()])
    for attempt in PATIENTLY:
        with attempt:
            assert collector.get("/readyz").status_code == 200
    drop_weeks(warehouse)
    batch = [page_view(), event()]
    answer = collector.send(batch)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    for attempt in PATIENTLY:
        with attempt:
            assert collector.get("/readyz").json()["problems"] == [
                f"{table} has no partition for now: see make_analytics_partitions"
                for table in ("analytics_clicks", "analytics_events", "analytics_page_views", "analytics_sessions")
            ]
    with warehouse.connect() as connection:
        connection.execute("select make_analytics_partitions(current_date, current_date + 7)")
    assert collector.stored(batch)["accepted"] == 2


def test_senders_of_the_function_are_told_too(warehouse: Warehouse) -> None:
    drop_weeks(warehouse)
    with warehouse.connect() as connection, pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as refused:
        connection.execute("select ingest_analytics_batch(%s)", [json.dumps([event()])])
    assert "no partition for what happens now in analytics_clicks, analytics_events" in str(refused.value)


def test_weeks_are_made_whatever_failed_before(warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weeks_module, "ASK_SECONDS", 0.05)
    monkeypatch.setattr(weeks_module, "STATEMENT_SECONDS", 1)
    drop_weeks(warehouse)

    async def keep() -> None:
        with psycopg.connect(warehouse.url) as other:
            other.execute("select pg_advisory_xact_lock(7241010, 1)")  # as whoever makes weeks
            keeping = asyncio.create_task(keep_weeks_ahead(warehouse))
            await asyncio.sleep(1.5)
            assert weeks_of_now(warehouse) == 0
        for _ in range(TIMEOUT_SECONDS * 20):
            if weeks_of_now(warehouse):
                break
            await asyncio.sleep(0.05)
        keeping.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeping

    asyncio.run(keep())
    assert weeks_of_now(warehouse) >= 4 * 4
