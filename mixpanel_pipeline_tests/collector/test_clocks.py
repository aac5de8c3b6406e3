"""A sender that says its time, and is wrong."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from mixpanel_pipeline.collector.batches import UnusableBodyError, read_batch
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.collector.conftest import ORIGIN, RunningCollector
from mixpanel_pipeline_tests.collector.made_events import page_view
from mixpanel_pipeline_tests.collector.test_openapi import check
from mixpanel_pipeline_tests.web import site


def sent(collector: RunningCollector, batch: list[Any], clock: object, **headers: str) -> requests.Response:
    body = {"write_key": collector.key, "sent_at": clock, "events": batch}
    return collector.post(json.dumps(body), **headers)


def off_by(**how_much: float) -> str:
    return (datetime.now(UTC) + timedelta(**how_much)).isoformat()


def rows(warehouse: Warehouse) -> int:
    return site.value(warehouse, "select count(*) from analytics_page_views")


def test_a_right_clock_or_none_is_taken(shared: tuple[RunningCollector, Warehouse]) -> None:
    collector, _ = shared
    for clock in (off_by(), off_by(minutes=4, seconds=50), off_by(minutes=-4, seconds=-50), None):
        assert sent(collector, [page_view()], clock).json()["accepted"] == 1


def test_a_wrong_one_is_told_the_time_and_nothing_is_stored(collector: RunningCollector, warehouse: Warehouse) -> None:
    wrong = [{"minutes": 5.2}, {"minutes": -5.2}, {"days": 3000}, {"days": -20000}]
    document = collector.get("/openapi.json").json()
    for how_much in wrong:
        before = datetime.now(UTC)
        answer = sent(collector, [page_view(), {}], off_by(**how_much), Origin=ORIGIN)
        after = datetime.now(UTC)
        assert answer.status_code == 409
        assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert answer.json()["error"].startswith("sent_at: expected a clock within 5 minutes of server_time, got ")
        told = datetime.fromisoformat(answer.json()["server_time"])
        assert before - timedelta(milliseconds=1) <= told <= after
        check(document, answer)
    assert rows(warehouse) == 0
    assert collector.metric("collector_requests_total", status="409") == len(wrong)
    assert collector.metric("collector_events_total", outcome="accepted") == 0


def test_a_sender_corrects_itself_and_its_retries_are_duplicates(
    collector: RunningCollector, warehouse: Warehouse
) -> None:
    """As the document says: what was never stored is shifted by what the answer tells, once."""
    wrong = timedelta(hours=7)
    made = datetime.now(UTC) + wrong
    first = sent(collector, [page_view(viewed_at=made.isoformat())], off_by(hours=7))
    correction = datetime.fromisoformat(first.json()["server_time"]) - (datetime.now(UTC) + wrong)
    shifted = page_view(viewed_at=(made + correction).isoformat())
    for expected in ("accepted", "duplicates"):
        answer = sent(collector, [shifted], (datetime.now(UTC) + wrong + correction).isoformat())
        assert answer.json()[expected] == 1
    assert rows(warehouse) == 1
    [stored] = site.value(warehouse, "select array_agg(viewed_at) from analytics_page_views")
    assert abs(datetime.now(UTC) - stored) < timedelta(seconds=30)


UNREADABLE = [
    7, "", "now", "2026-01-31", "2026-01-31T09:30:00", "2026-02-30T09:30:00Z", "2026-01-31T09:30:00+99:00", [], {},
    True, "infinity", "\ud800", "٢٠٢٦-01-31T09:30:00Z",
]  # fmt: skip


def test_what_is_no_time_is_named(shared: tuple[RunningCollector, Warehouse]) -> None:
    collector, warehouse = shared
    before = rows(warehouse)
    for clock in UNREADABLE:
        answer = sent(collector, [page_view()], clock)
        assert answer.status_code == 400, clock
        assert answer.json()["error"].startswith(
            "sent_at: expected a time with its zone, such as 2026-01-31T09:30:00.123Z, got "
        )
    assert rows(warehouse) == before


def test_an_unknown_key_learns_nothing_of_clocks(shared: tuple[RunningCollector, Warehouse]) -> None:
    collector, _ = shared
    body = {"write_key": "wk_another", "sent_at": off_by(days=1), "events": []}
    assert collector.post(json.dumps(body)).status_code == 401


READABLE = [
    "2026-01-31T09:30:00Z", "2026-01-31t09:30:00z", "2026-01-31 09:30Z", "2026-01-31T10:30:00+01",
    "2026-01-31T10:30:00.000000000+0100", "2026-01-31T10:30:00.000+01:00",
]  # fmt: skip


def test_it_is_read_as_the_times_of_events_are() -> None:
    for text in READABLE:
        body = json.dumps({"sent_at": text, "events": []}).encode()
        assert read_batch(body, 500).sent_at == datetime(2026, 1, 31, 9, 30, tzinfo=UTC), text
    for text in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        read = read_batch(json.dumps({"sent_at": text, "events": []}).encode(), 500).sent_at
        assert read is not None
        assert abs(datetime.now(UTC) - read) > timedelta(days=300_000)
    with pytest.raises(UnusableBodyError, match=r"^sent_at: "):
        read_batch(b'{"sent_at": NaN, "events": []}', 500)
