"""Many senders at once, a database that goes and comes, a process that is told to end."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
import requests
from tenacity import Retrying, stop_after_delay, wait_fixed

from mixpanel_pipeline.collector.application import CONNECTIONS
from mixpanel_pipeline.collector.write_keys import make_key
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline.warehouse.migrations import migrate
from mixpanel_pipeline_tests.collector.conftest import TIMEOUT_SECONDS, RunningCollector, Start, StartProcess, running
from mixpanel_pipeline_tests.collector.made_events import click, event, page_view, session
from mixpanel_pipeline_tests.web import site

PATIENTLY = Retrying(stop=stop_after_delay(TIMEOUT_SECONDS), wait=wait_fixed(0.05), reraise=True)


@contextmanager
def held_up(warehouse: Warehouse) -> Iterator[None]:
    """For the length of the block nothing can be stored: another transaction has the table."""
    with psycopg.connect(warehouse.url) as connection:
        connection.execute("lock table analytics_page_views in access exclusive mode")
        yield


def is_reachable(collector: RunningCollector) -> bool:
    try:
        return collector.get("/healthz").ok
    except requests.ConnectionError:
        return False


def wait_for_queue(collector: RunningCollector, events: int) -> None:
    for attempt in PATIENTLY:
        with attempt:
            assert collector.metric("collector_queued_events") == events


def test_those_who_come_meanwhile_are_stored_together(collector: RunningCollector, warehouse: Warehouse) -> None:
    with ThreadPoolExecutor(10) as senders:
        with held_up(warehouse):
            first = []
            for number in range(CONNECTIONS):  # they find a connection each
                first.append(senders.submit(collector.stored, [page_view()]))
                wait_for_queue(collector, number + 1)
            others = [senders.submit(collector.stored, [page_view(), click(), {}, page_view()]) for _ in range(8)]
            wait_for_queue(collector, CONNECTIONS + 32)
            assert collector.metric("collector_oldest_queued_seconds") > 0
        assert [each.result()["accepted"] for each in first] == [1] * CONNECTIONS
        for other in others:
            answer = other.result()
            assert (answer["accepted"], answer["duplicates"]) == (3, 0)
            assert [each["error"].partition(":")[0] for each in answer["rejected"]] == ["events[2].type"]
    assert collector.metric("collector_group_events_count") == CONNECTIONS + 1
    assert site.value(warehouse, "select count(distinct xmin::text) from analytics_page_views") == CONNECTIONS + 1


def test_one_poisoned_event_of_a_group_harms_no_other_request(
    collector: RunningCollector, warehouse: Warehouse
) -> None:
    with warehouse.connect() as connection:
        connection.execute("alter table analytics_clicks add check (click_target <> 'poison')")
    with ThreadPoolExecutor(10) as senders:
        with held_up(warehouse):
            first = [senders.submit(collector.stored, [page_view()]) for _ in range(CONNECTIONS)]
            wait_for_queue(collector, CONNECTIONS)
            good = [senders.submit(collector.stored, [page_view(), click()]) for _ in range(5)]
            bad = senders.submit(collector.stored, [click(), click(click_target="poison"), page_view()])
            wait_for_queue(collector, CONNECTIONS + 13)
        assert [each.result()["accepted"] for each in first] == [1] * CONNECTIONS
        assert [each.result()["accepted"] for each in good] == [2] * 5
        assert bad.result()["accepted"] == 2
        assert [each["index"] for each in bad.result()["rejected"]] == [1]


def test_the_same_events_from_many_senders_are_stored_once(collector: RunningCollector, warehouse: Warehouse) -> None:
    shared = [f(id=str(uuid4())) for f in (page_view, click, event) for _ in range(20)] + [session()]
    with ThreadPoolExecutor(8) as senders:
        answers = list(senders.map(lambda _: collector.stored(shared), range(40)))
    assert sum(answer["accepted"] for answer in answers) == len(shared)
    assert sum(answer["duplicates"] for answer in answers) == 39 * len(shared)


def test_two_collectors_and_a_sender_of_the_function_take_turns(
    start: Start, warehouse: Warehouse, tmp_path: Path
) -> None:
    """Groups hold events of many sessions at once; nobody ends in a deadlock that the sender sees."""
    one, other = start(COLLECTOR_REQUESTS_PER_ADDRESS="9999"), start(COLLECTOR_REQUESTS_PER_ADDRESS="9999")
    ids = [str(uuid4()) for _ in range(60)]

    def send(number: int) -> None:
        batch = [page_view(id=ids[(number * 7 + n) % 60], session_id=f"s-{(number * 5 - n) % 9}") for n in range(20)]
        (one, other)[number % 2].stored(batch)

    with ThreadPoolExecutor(8) as senders:
        list(senders.map(send, range(80)))
    assert site.value(warehouse, "select count(*) from analytics_page_views") == 60


def test_a_full_queue_sends_senders_away(start: Start, warehouse: Warehouse) -> None:
    collector = start(COLLECTOR_QUEUE_EVENTS="500")
    with ThreadPoolExecutor(4) as senders:
        with held_up(warehouse):
            waiting = [senders.submit(collector.stored, [page_view() for _ in range(300)])]
            wait_for_queue(collector, 300)
            answer = collector.send([page_view() for _ in range(300)])
            assert answer.status_code == 503
            assert int(answer.headers["Retry-After"]) > 0
            waiting.append(senders.submit(collector.stored, [page_view() for _ in range(200)]))
            wait_for_queue(collector, 500)
            assert collector.get("/readyz").json() == {"ready": False, "problems": ["the queue is full"]}
        assert [each.result()["accepted"] for each in waiting] == [300, 200]


def test_a_connection_that_died_meanwhile_is_replaced(collector: RunningCollector, warehouse: Warehouse) -> None:
    collector.stored([page_view()])
    with warehouse.connect() as connection:
        ended = connection.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity "
            "where datname = current_database() and pid <> pg_backend_pid()"
        ).fetchall()
    assert ended
    assert collector.stored([page_view()])["accepted"] == 1


def test_a_sender_that_goes_away_takes_nothing_back(collector: RunningCollector, warehouse: Warehouse) -> None:
    with held_up(warehouse), pytest.raises(requests.Timeout):
        requests.post(
            f"{collector.url}/v1/batch", json={"write_key": collector.key, "events": [page_view()]},
            headers={"User-Agent": "Mozilla/5.0"}, timeout=0.5,
        )  # fmt: skip
    wait_for_queue(collector, 0)
    assert site.value(warehouse, "select count(*) from analytics_page_views") == 1


def test_told_to_end_it_answers_what_it_took(start_process: StartProcess, warehouse: Warehouse) -> None:
    collector = start_process()
    with ThreadPoolExecutor(4) as senders:
        with held_up(warehouse):
            first = senders.submit(collector.stored, [page_view()])
            wait_for_queue(collector, 1)
            second = senders.submit(collector.stored, [page_view(), click()])
            wait_for_queue(collector, 3)
            collector.process.send_signal(signal.SIGTERM)
            for attempt in PATIENTLY:
                with attempt:
                    assert not is_reachable(collector)
        assert (first.result()["accepted"], second.result()["accepted"]) == (1, 2)
    assert collector.process.wait(TIMEOUT_SECONDS) == 0
    assert site.value(warehouse, "select count(*) from analytics_page_views") == 2


def test_told_to_end_under_load_it_stores_what_it_answers_and_answers_what_it_stores(
    start_process: StartProcess, warehouse: Warehouse
) -> None:
    """Whoever gets no answer was not let in: nothing of theirs is there."""
    collector = start_process(COLLECTOR_REQUESTS_PER_ADDRESS="1000000")
    answered: list[str] = []

    def send_until_nobody_answers() -> None:
        while True:
            batch = [page_view() for _ in range(20)]
            try:
                assert collector.stored(batch)["accepted"] == 20
            except requests.RequestException:
                return
            answered.extend(event["id"] for event in batch)

    with ThreadPoolExecutor(12) as senders:
        sending = [senders.submit(send_until_nobody_answers) for _ in range(12)]
        for attempt in PATIENTLY:
            with attempt:
                assert len(answered) > 2000
        collector.process.send_signal(signal.SIGTERM)
        for each in sending:
            each.result(TIMEOUT_SECONDS)
    assert collector.process.wait(TIMEOUT_SECONDS) == 0
    with warehouse.connect() as connection:
        stored = [str(found) for (found,) in connection.execute("select id from analytics_page_views").fetchall()]
    assert sorted(stored) == sorted(answered)


def test_while_the_database_is_away_senders_are_told_to_come_again(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres")
    server.start()
    try:
        warehouse = Warehouse(server.url())
        migrate(warehouse)
        key = make_key(warehouse, "shop", [])
        with running(server.url(), tmp_path, key) as collector:
            batch = [page_view(), session()]
            assert collector.stored(batch[:1])["accepted"] == 1
            server.stop()
            answer = collector.send(batch)
            assert (answer.status_code, int(answer.headers["Retry-After"])) == (503, 5)
            for attempt in PATIENTLY:
                with attempt:
                    assert collector.get("/readyz").json()["problems"] == ["the database does not answer"]
            assert collector.get("/healthz").status_code == 200
            for attempt in PATIENTLY:  # a key that was made since would be lost for good if this were 401
                with attempt:
                    assert collector.post('{"write_key": "another", "events": []}').status_code == 503
            assert collector.metric("collector_database_errors_total", kind="connection") >= 1
            server.start()
            assert collector.stored(batch) == {"accepted": 1, "duplicates": 1, "rejected": []}
    finally:
        server.stop()
