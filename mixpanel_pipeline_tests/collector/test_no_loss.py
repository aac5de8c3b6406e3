"""100,000 events while everything is killed."""

import random
import threading
from pathlib import Path
from typing import Any

import pytest
import requests
from tenacity import Retrying, stop_after_delay, wait_fixed

from mixpanel_pipeline.collector.write_keys import make_key
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline.warehouse.migrations import migrate
from mixpanel_pipeline.web.aggregation import aggregate_all
from mixpanel_pipeline_tests.collector.conftest import BROWSER, TIMEOUT_SECONDS, running
from mixpanel_pipeline_tests.collector.made_events import click, event, page_view
from mixpanel_pipeline_tests.web import site

EVENTS = 100_000
SENDERS = 10
MOST_EVENTS = 200
BLOWS = ("kill", "crash", "kill", "terminate", "kill", "crash")
STORED_IDS = (
    "select id from analytics_page_views union all select id from analytics_clicks union all select id from "
    "analytics_events"
)
PATIENTLY = Retrying(stop=stop_after_delay(5 * TIMEOUT_SECONDS), wait=wait_fixed(0.05), reraise=True)


class Senders:
    """Each sends batches of up to 200 events, and one batch until it is acknowledged."""

    def __init__(self, key: str) -> None:
        self.key, self.url = key, ""
        self.acknowledged: set[str] = set()
        self.again = 0
        self.problems: list[str] = []
        self._enough, self._abandoned = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=self._send, args=[number]) for number in range(SENDERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends each after the batch that it is at."""
        self._enough.set()
        for thread in self._threads:
            thread.join(TIMEOUT_SECONDS)
            assert not thread.is_alive()

    def abandon(self) -> None:
        """Ends all of them, whatever they are at."""
        self._enough.set()
        self._abandoned.set()

    def wait_for(self, acknowledged: int) -> None:
        for attempt in PATIENTLY:
            with attempt:
                assert self.problems == []
                assert len(self.acknowledged) >= acknowledged

    def _send(self, number: int) -> None:
        chance = random.Random(number)
        with requests.Session() as session:
            session.headers["User-Agent"] = BROWSER
            while not self._enough.is_set():
                makers = chance.choices([page_view, click, event], k=chance.randint(1, MOST_EVENTS))
                batch = [make(session_id=f"s-{chance.randrange(500)}") for make in makers]
                while not self._sent(session, batch):
                    self.again += 1
                    if self._abandoned.wait(0.1):  # as a browser waits before it sends again
                        return

    def _sent(self, session: requests.Session, batch: list[dict[str, Any]]) -> bool:
        body = {"write_key": self.key, "events": batch}
        try:
            answer = session.post(f"{self.url}/v1/batch", json=body, timeout=TIMEOUT_SECONDS)
        except requests.RequestException:
            return False
        if answer.status_code == 200 and not answer.json()["rejected"]:
            self.acknowledged |= {each["id"] for each in batch}
            return True
        if answer.status_code != 503:
            self.problems.append(answer.text)
        return False


@pytest.mark.slow
def test_what_was_acknowledged_is_there_once_whatever_is_killed(tmp_path: Path) -> None:
    """Senders retry with the same ids while the process is killed or told to end, and Postgres crashes; and what is
    there is what the aggregates count."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    warehouse = Warehouse(server.start())
    migrate(warehouse)
    senders = Senders(make_key(warehouse, "shop", []))
    try:
        part = EVENTS // (len(BLOWS) + 1)
        for number, blow in enumerate(BLOWS):
            with running(
                server.url(), tmp_path, senders.key, COLLECTOR_REQUESTS_PER_ADDRESS="1000000"
            ) as collector:  # fmt: skip
                senders.url = collector.url
                if number == 0:
                    senders.start()
                senders.wait_for((number + 1) * part)
                if blow == "kill":
                    collector.process.kill()
                elif blow == "crash":
                    server._run("pg_ctl", "-D", str(server.data), "-m", "immediate", "stop")
                    server.start()
                    senders.wait_for(len(senders.acknowledged) + part // 4)
        with running(server.url(), tmp_path, senders.key, COLLECTOR_REQUESTS_PER_ADDRESS="1000000") as collector:
            senders.url = collector.url
            senders.wait_for(EVENTS)
            senders.stop()
        with warehouse.connect() as connection:
            stored = [str(found) for (found,) in connection.execute(STORED_IDS).fetchall()]
        assert len(stored) == len(set(stored))
        assert set(stored) == senders.acknowledged  # for each batch was sent until it was acknowledged
        assert senders.again >= len(BLOWS)
        aggregate_all(warehouse)
        counted = "select sum(page_views)::bigint + sum(clicks)::bigint from analytics_daily_user_stats"
        events = "select sum(event_count)::bigint from analytics_events_hourly_agg"
        assert site.value(warehouse, counted) + site.value(warehouse, events) == len(stored)
    finally:
        senders.abandon()
        server.stop()
