"""A process killed at any moment of a snapshot of profiles leaves all of the snapshot or nothing of it."""

import multiprocessing
import random
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline.subscribers.replace import totals_that_differ
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.plain_recomputation import PlainProfiles, profiles
from mixpanel_pipeline_tests.slow.test_kills import moment_to_kill, wait_for_its_sessions_to_end
from mixpanel_pipeline_tests.workbench import (
    build_profile_sync,
    build_sync,
    expected_totals,
    exported_lines,
    rows_of,
    shown_profiles,
    stored_changes,
    stored_profiles,
    stored_totals,
)

KILLS = 25
PEOPLE = 400
DAY = date(2025, 3, 8)


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    project = Project(
        today=lambda: DAY, events_per_day=500, people=200, profiles=PEOPLE, first_day=DAY, last_day=DAY, seed=5
    )
    with SimulatorServer(project) as server:
        yield server


def synchronize(database_url: str, directory: str, url: str, pipe) -> None:
    """What the killed process runs."""
    sync = build_profile_sync(Warehouse(database_url, "killed"), Path(directory), url)
    pipe.send(True)
    sync.synchronize()
    pipe.send(False)


def change_something(project: Project, chance: random.Random) -> None:
    """People who come, change, go and come back."""
    ids = project.profiles.ids()
    for person in chance.sample(ids, 20):
        project.profiles.update(person, {"income": chance.choice(["50k", "100k", ""]), "buying_power": chance.random()})
    for person in chance.sample(ids, 5):
        project.delete_profile(person)
    for _ in range(5):
        project.set_profile(f"person {chance.randrange(20)}", {"net_worth": f"{chance.randrange(5)}"})


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_kill_at_any_moment_leaves_all_of_the_snapshot_or_nothing(
    warehouse: Warehouse, database_url: str, server: SimulatorServer, tmp_path: Path
) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload(["mixpanel_pipeline_tests.workbench"])
    events, sync = build_sync(warehouse, tmp_path, server.url), build_profile_sync(warehouse, tmp_path, server.url)
    fetched = {DAY: exported_lines(server.url, DAY)}
    events.materialize_day(DAY)
    snapshots = [(sync.synchronize().snapshot.taken_at, shown_profiles(server.url))]
    before = profiles(snapshots)
    whole = None  # seconds that a snapshot takes, measured on those that were let finish
    outcomes = {"before": 0, "after": 0, "finished": 0}
    for _ in range(KILLS):
        change_something(server.project, chance)
        shown = shown_profiles(server.url)
        ours, theirs = processes.Pipe()
        child = processes.Process(
            target=synchronize, args=(database_url, str(tmp_path), server.url, theirs), daemon=True
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
        taken = rows_of(warehouse, "select taken_at from profile_snapshots order by 1")
        committed = len(taken) > len(snapshots)
        if committed:
            snapshots.append((taken[-1]["taken_at"], shown))
            before = profiles(snapshots)
        check_state(warehouse, before, fetched)
        assert totals_that_differ(warehouse, sync.storage) == []
        outcomes["finished" if finished else "after" if committed else "before"] += 1
        if not committed and chance.random() < 0.5:
            snapshots.append((sync.synchronize().snapshot.taken_at, shown))
            before = profiles(snapshots)
            check_state(warehouse, before, fetched)
    snapshots.append((sync.synchronize().snapshot.taken_at, shown_profiles(server.url)))
    check_state(warehouse, profiles(snapshots), fetched)
    assert rows_of(warehouse, "select 1 from sync_logs where status = 'running'") == []
    print(outcomes)
    assert outcomes["before"] >= KILLS // 4, "too few kills struck before the commit"


def check_state(warehouse: Warehouse, known: PlainProfiles, fetched: dict[date, list[bytes]]) -> None:
    assert stored_profiles(warehouse) == known.people
    assert len(stored_changes(warehouse)) == len(known.changes)
    assert stored_totals(warehouse) == expected_totals(fetched, profiles=known.people)
