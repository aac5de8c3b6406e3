"""A process killed at any moment of a day's materialization leaves all of the day or nothing of it."""

import multiprocessing
import random
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline.subscribers.replace import contributions_that_differ, totals_that_differ
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.histories import DAYS, NOW, PEOPLE, History
from mixpanel_pipeline_tests.workbench import build_sync, expected_totals, exported_lines, stored_totals

KILLS = 60
EVENTS_A_DAY = 800


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    project = Project(
        today=lambda: NOW, events_per_day=EVENTS_A_DAY, people=200, first_day=DAYS[0], last_day=DAYS[-1], seed=5
    )
    with SimulatorServer(project) as server:
        yield server


def materialize(database_url: str, directory: str, url: str, day: date, started) -> None:
    """What the killed process runs."""
    sync = build_sync(Warehouse(database_url, "killed"), Path(directory), url, now=lambda: NOW)
    started.send(True)
    sync.materialize_day(day)
    started.send(False)


def wait_for_its_sessions_to_end(warehouse: Warehouse) -> None:
    """Postgres notices a dead client when it next speaks to it; a commit that was asked for is finished first."""
    with warehouse.connect(autocommit=True) as connection:
        for _ in range(600):
            row = connection.execute(
                "select count(*) from pg_stat_activity "
                "where application_name = 'killed' and datname = current_database()"
            ).fetchone()
            if row and row[0] == 0:
                return
            connection.execute("select pg_sleep(0.02)")
    raise TimeoutError("the killed process' sessions did not end within 12 s")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_kill_at_any_moment_leaves_all_of_the_day_or_nothing(
    warehouse: Warehouse, database_url: str, server: SimulatorServer, tmp_path: Path
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["mixpanel_pipeline_tests.workbench"])
    sync = build_sync(warehouse, tmp_path, server.url, now=lambda: NOW)
    history = History(server.project, sync, server.url)
    for day in DAYS:
        history.fetch(day)
    whole = None  # seconds that a materialization takes, measured on those that were let finish
    outcomes = {"before": 0, "after": 0, "finished": 0}
    for _ in range(KILLS):
        day = chance.choice(DAYS)
        change_something(history, chance)
        before = expected_totals(history.fetched)
        after_lines = {**history.fetched, day: exported_lines(server.url, day)}
        after = expected_totals(after_lines)
        ours, theirs = processes.Pipe()
        child = processes.Process(
            target=materialize, args=(database_url, str(tmp_path), server.url, day, theirs), daemon=True
        )
        child.start()
        assert ours.poll(30)
        assert ours.recv()
        started = time.monotonic()
        finished = ours.poll(30 if whole is None else moment_to_kill(whole, chance))
        child.kill()
        child.join()
        if finished:
            whole = time.monotonic() - started
        wait_for_its_sessions_to_end(warehouse)
        stored = stored_totals(warehouse)
        assert stored in (before, after)
        assert totals_that_differ(warehouse, sync.storage) == []
        assert contributions_that_differ(warehouse, sync.storage) == []
        outcomes["finished" if finished else "after" if stored == after else "before"] += 1
        if stored == after:
            history.fetched = after_lines
        if chance.random() < 0.5:
            history.fetch(day)
            assert stored_totals(warehouse) == expected_totals(history.fetched)
    for day in DAYS:
        history.fetch(day)
    assert stored_totals(warehouse) == expected_totals(history.fetched)
    print(outcomes)
    assert outcomes["before"] >= KILLS // 4, "too few kills struck before the commit"


def moment_to_kill(whole: float, chance: random.Random) -> float:
    """Anywhere, and as often around the commit, which comes at the very end."""
    return chance.uniform(0, whole * 1.05) if chance.random() < 0.5 else chance.uniform(whole * 0.7, whole * 1.1)


def change_something(history: History, chance: random.Random) -> None:
    """A few events more, fewer, moved or sent again."""
    events = [
        {
            "event_name": chance.choice(["SubscriptionCreated", "DubAutoCopyInitiated", "BankAccountLinked"]),
            "distinct_id": chance.choice(PEOPLE),
            "moment": (chance.choice(DAYS), chance.randrange(86_400)),
            "insert_id": None,
            "properties": {"income": chance.choice(["50k", "100k", ""]), "buyingPower": chance.randrange(1000)},
        }
        for _ in range(chance.randrange(1, 30))
    ]
    history.add(events)
    history.duplicate(chance.randrange(1000))
    history.delete(chance.randrange(1000))
    if chance.random() < 0.2:
        history.merge(("ann", "carl"))
