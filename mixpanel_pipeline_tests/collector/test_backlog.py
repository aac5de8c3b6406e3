"""What /metrics says of aggregation."""

import asyncio
from pathlib import Path

import psycopg
import pytest
from prometheus_client import CollectorRegistry

from mixpanel_pipeline.collector import backlog as backlog_module
from mixpanel_pipeline.collector.backlog import Backlog
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline.warehouse.migrations import migrate
from mixpanel_pipeline.web.aggregation import aggregate_all
from mixpanel_pipeline_tests.collector.conftest import RunningCollector, Start
from mixpanel_pipeline_tests.collector.made_events import click, event, page_view, session
from mixpanel_pipeline_tests.web import site

FIGURES = ("collector_marks", "collector_oldest_mark_seconds", "collector_aggregate_lag_seconds")


def figures(collector: RunningCollector) -> dict[str, float]:
    lines = [line for line in collector.get("/metrics").text.splitlines() if line.startswith(FIGURES)]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_marks_wait_and_are_gone_once_aggregated(start: Start, warehouse: Warehouse) -> None:
    first = start()
    first.stored([session(), page_view(), click(), event(), event()])
    waiting = figures(first)
    hours = site.value(warehouse, "select count(*) from analytics_dirty_hours")
    cards = site.value(warehouse, "select count(*) from analytics_dirty_cards")
    assert min(hours, cards) >= 1
    assert waiting['collector_marks{aggregate="hours"}'] == hours
    assert waiting['collector_marks{aggregate="cards"}'] == cards
    assert waiting['collector_marks{aggregate="days"}'] == 0
    assert 0 <= waiting['collector_oldest_mark_seconds{aggregate="hours"}'] < 2 * 3600
    assert 0 <= waiting['collector_oldest_mark_seconds{aggregate="cards"}'] < 25 * 3600
    assert len(waiting) == 5  # neither an oldest day, for none is marked, nor a lag, for there was no run
    aggregate_all(warehouse)
    assert figures(first) == waiting  # the database is not asked again at once
    taken = figures(start())
    assert [taken[f'collector_marks{{aggregate="{kind}"}}'] for kind in ("hours", "days", "cards")] == [0, 0, 0]
    lags = [taken[f'collector_aggregate_lag_seconds{{aggregate="{kind}"}}'] for kind in ("hours", "days", "cards")]
    assert 0 <= lags[0] < 3660  # they are whole up to the last full hour, or midnight
    assert all(0 <= lag < 24 * 3600 + 60 for lag in lags)
    assert len(taken) == 6


def test_there_are_no_figures_while_the_database_is_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backlog_module, "ASK_SECONDS", -1)
    server = EmbeddedPostgres(tmp_path / "postgres")
    server.start()
    try:
        migrate(Warehouse(server.url()))
        backlog = Backlog(Warehouse(server.url()), CollectorRegistry())

        def marks() -> int:
            asyncio.run(backlog.refresh())
            return sum(len(family.samples) for family in backlog.collect())

        assert marks() == 3
        server.stop()
        assert marks() == 0
        server.start()
        assert marks() == 3
    finally:
        server.stop()


def test_a_database_that_does_not_answer_holds_no_scrape_up(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backlog_module, "ASK_SECONDS", -1)
    monkeypatch.setattr(backlog_module, "WAIT_SECONDS", 0.2)
    backlog = Backlog(warehouse, CollectorRegistry())

    async def scrapes() -> list[int]:
        found = []
        with psycopg.connect(warehouse.url) as other:
            await backlog.refresh()
            found.append(sum(len(family.samples) for family in backlog.collect()))
            other.execute("lock table analytics_dirty_hours in access exclusive mode")
            for _ in range(2):
                await backlog.refresh()
                found.append(sum(len(family.samples) for family in backlog.collect()))
        monkeypatch.setattr(backlog_module, "WAIT_SECONDS", 30)
        await backlog.refresh()
        return [*found, sum(len(family.samples) for family in backlog.collect())]

    assert asyncio.run(scrapes()) == [3, 0, 0, 3]
