"""What a snapshot must not do, whatever Mixpanel, the clock or the disk did."""

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from mixpanel_pipeline.checks.profiles import profiles_equal_snapshot
from mixpanel_pipeline.mixpanel.engage import EngageClient
from mixpanel_pipeline.subscribers.locks import lock_totals
from mixpanel_pipeline.subscribers.profile_sync import EmptySnapshotError, ProfileSync
from mixpanel_pipeline.warehouse.connection import Warehouse, database_time
from mixpanel_pipeline_tests.postgres.test_profiles import (
    Bench,
    bench,
    counts,
    database,
    everything,
    project,
    server,
    warehouse,
)
from mixpanel_pipeline_tests.workbench import PROJECT_ID, SECRET, USERNAME, NoBudget, rows_of, stored_totals

__all__ = ["bench", "database", "project", "server", "warehouse"]  # fixtures

PEOPLE = ["ann", "bob", "carl", "dora", "emil", "fay"]


def test_whoever_came_without_an_id_is_not_taken_for_gone(bench: Bench) -> None:
    for person in PEOPLE:
        bench.project.set_profile(person, {"income": person})
    bench.snapshot()
    bench.project.faults.add("without_distinct_id", rows=2)
    bench.project.delete_profile("fay")
    said: list[str] = []
    result = replace(bench.profiles, log=said.append).synchronize()
    assert counts(result) == (0, 0, 3, 0)
    assert result.snapshot.unidentified == 2
    assert any("2 of 5 profiles came without an id" in line for line in said)
    assert stored_totals(bench.warehouse).keys() == set(PEOPLE)
    # The next whole snapshot tells who is gone.
    assert bench.snapshot().deleted == 1
    assert "fay" not in stored_totals(bench.warehouse)


def test_a_snapshot_of_nobody_with_an_id_changes_nothing(bench: Bench) -> None:
    for person in PEOPLE:
        bench.project.set_profile(person, {"income": person})
    bench.snapshot()
    before = everything(bench.warehouse)
    bench.project.faults.add("without_distinct_id", rows=6)
    with pytest.raises(EmptySnapshotError, match="6 are stored"):
        bench.profiles.synchronize()
    assert everything(bench.warehouse) == before


def test_the_newest_snapshot_is_the_last_one_whatever_the_clock_says(bench: Bench) -> None:
    bench.project.set_profile("ann", {"income": "50k"})
    for _ in range(8):
        bench.snapshot()
    with bench.warehouse.connect() as connection:
        connection.execute("update profile_snapshots set taken_at = taken_at + interval '30 days'")
    bench.project.set_profile("ann", {"income": "100k"})
    bench.profiles.synchronize()
    newest = rows_of(bench.warehouse, "select file from profile_snapshots order by id desc limit 1")
    assert newest[0]["file"]
    verdict = profiles_equal_snapshot(bench.warehouse, bench.profiles.storage)
    assert verdict.passed, verdict


def test_a_damaged_file_is_replaced_by_the_next_snapshot(bench: Bench) -> None:
    bench.project.set_profile("ann", {"income": "50k"})
    file = Path(bench.profiles.storage.address(str(bench.snapshot().snapshot.file)))
    file.write_bytes(bytes(file.stat().st_size))
    assert not profiles_equal_snapshot(bench.warehouse, bench.profiles.storage).passed
    bench.snapshot()
    assert profiles_equal_snapshot(bench.warehouse, bench.profiles.storage).passed


def fail_the_comparison(warehouse: Warehouse, person: str) -> None:
    """A stored row that jsonb_each refuses; it is written again by whoever writes everybody."""
    with warehouse.connect() as connection:
        connection.execute("update subscriber_profiles set properties = '[]' where distinct_id = %s", [person])


def test_writing_everybody_makes_nobody_newer(bench: Bench) -> None:
    bench.project.set_profile("ann", {"income": "50k", "x": ""})
    bench.project.set_profile("bob", {})
    bench.snapshot()
    long_ago = bench.snapshots[0][0] - timedelta(days=100)
    with bench.warehouse.connect() as connection:
        connection.execute("update subscriber_profiles set changed_at = %s, first_seen_at = %s", [long_ago, long_ago])
    fail_the_comparison(bench.warehouse, "bob")
    bench.project.set_profile("ann", {"income": "50k"})
    result = bench.profiles.synchronize()
    assert result.comparison_error
    assert result.written == 2
    ann = rows_of(bench.warehouse, "select changed_at from subscriber_profiles where distinct_id = 'ann'")
    assert ann == [{"changed_at": long_ago}]
    history = rows_of(bench.warehouse, "select distinct_id, change from subscriber_profile_changes order by id")
    assert [tuple(row.values()) for row in history] == [("ann", "new"), ("bob", "new"), ("bob", "changed")]


def test_a_person_who_gains_one_value_and_loses_another_is_written_once(bench: Bench) -> None:
    bench.project.set_profile("ann", {"income": "50k", "net_worth": "1m"})
    bench.project.set_profile("bob", {"income": "50k"})
    bench.snapshot()
    bench.project.set_profile("ann", {"income": "100k"})
    bench.project.delete_profile("bob")
    assert bench.snapshot().totals_changed == 2


def test_days_commit_while_a_snapshot_is_copied_to_the_lake(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow object store must stop nobody: the totals are locked only once the file lies there."""
    bench.project.set_profile("ann", {"income": "50k"})
    uploading, go_on = threading.Event(), threading.Event()
    publish = bench.profiles.storage.publish

    def slow_publish(*arguments: object) -> str:
        uploading.set()
        assert go_on.wait(60)
        return publish(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(bench.profiles.storage, "publish", slow_publish)
    thread = threading.Thread(target=bench.profiles.synchronize)
    thread.start()
    try:
        assert uploading.wait(60)
        with bench.warehouse.connect() as connection:
            connection.execute("set local lock_timeout = '5s'")
            lock_totals(connection)
    finally:
        go_on.set()
        thread.join(60)
    assert stored_totals(bench.warehouse)["ann"]["income"] == "50k"


def test_a_vanished_profile_takes_no_row_in_which_a_caller_counted_events(bench: Bench) -> None:
    bench.project.set_profile("ann", {"income": "50k"})
    bench.project.set_profile("bob", {"income": "50k"})
    bench.snapshot()
    payload = '[{"distinct_id": "ann", "total_copies": 10, "events_processed": 3}]'
    with bench.warehouse.connect() as connection:
        connection.execute("select upsert_subscribers_incremental_add(%s)", [payload])
    for person in ("ann", "bob"):
        bench.project.delete_profile(person)
    bench.profiles.synchronize(all_deleted=True)
    (ann,) = stored_totals(bench.warehouse).values()
    assert (ann["total_copies"], ann["income"]) == (10, None)


def test_ids_that_become_one_keep_the_same_person_in_whatever_order_they_come(bench: Bench) -> None:
    first, second = {"income": "50k"}, {"income": "100k"}
    bench.project.set_profile("a\ud800", first)
    bench.project.set_profile("a\ud801", second)
    assert bench.profiles.synchronize().snapshot.refused == 1
    for person in ("a\ud800", "a\ud801"):
        bench.project.delete_profile(person)
    bench.project.set_profile("a\ud801", second)
    bench.project.set_profile("a\ud800", first)
    assert counts(bench.profiles.synchronize()) == (0, 0, 1, 0)


def test_a_lost_connection_during_the_comparison_is_no_reason_to_write_everybody(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.project.set_profile("ann", {"income": "50k"})
    bench.snapshot()
    bench.project.set_profile("ann", {"income": "100k"})
    before = everything(bench.warehouse)
    compare = "mixpanel_pipeline.subscribers.profile_sync.read_sql"
    from mixpanel_pipeline.warehouse.sql_files import read_sql

    def cut(name: str) -> str:
        ending = "select pg_terminate_backend(pg_backend_pid());"
        return ending if name == "subscribers/compare_profiles.sql" else read_sql(name)

    monkeypatch.setattr(compare, cut)
    with pytest.raises(psycopg.OperationalError):
        bench.profiles.synchronize()
    assert everything(bench.warehouse) == before


class SlowBudget(NoBudget):
    """Somebody else's requests used the limit up; meanwhile an event happens."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.meanwhile = meanwhile

    def acquire(self) -> None:
        self.meanwhile()


def test_a_snapshot_is_as_new_as_its_request_not_as_the_wait_for_it(bench: Bench) -> None:
    asked_before: list[datetime] = []
    bench.project.set_profile("ann", {"income": "50k"})
    budget = SlowBudget(lambda: asked_before.append(database_now(bench.warehouse)))
    client = EngageClient(bench.url, PROJECT_ID, USERNAME, SECRET, budget)
    result = ProfileSync(bench.warehouse, bench.profiles.storage, client).synchronize()
    assert result.snapshot.taken_at > asked_before[0]


def database_now(warehouse: Warehouse) -> datetime:
    with warehouse.connect() as connection:
        return database_time(connection)
