"""What lands in the lake is all of what was sent, once; what is not named there is swept."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import duckdb
import pytest

from mixpanel_pipeline.lake.calendar import ExportCalendar
from mixpanel_pipeline.lake.manifest import read_partition
from mixpanel_pipeline.lake.storage import LakeStorage
from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline.subscribers.event_sync import EventSync
from mixpanel_pipeline.subscribers.lake_queries import LakeReadError
from mixpanel_pipeline.subscribers.replace import replace_from_lake, totals_that_differ
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.plain_recomputation import deduplicated
from mixpanel_pipeline_tests.workbench import build_sync, expected_totals, exported_lines, stored_totals

DAY = date(2025, 3, 9)  # the clock of New York changes
NOW = datetime(2025, 3, 20, 12, tzinfo=UTC)


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(Project(today=lambda: NOW)) as server:
        yield server


@pytest.fixture
def sync(warehouse: Warehouse, server: SimulatorServer, tmp_path: Path) -> EventSync:
    return build_sync(warehouse, tmp_path, server.url, now=lambda: NOW)


def at(hour: int, minute: int = 0) -> int:
    return int(datetime(DAY.year, DAY.month, DAY.day, hour, minute, tzinfo=UTC).timestamp())


def stored_properties(sync: EventSync, file: str) -> list[dict]:
    rows = duckdb.execute("select properties from read_parquet($file)", {"file": sync.storage.address(file)}).fetchall()
    return [json.loads(text) for (text,) in rows]


def test_properties_survive_whole(sync: EventSync, server: SimulatorServer) -> None:
    odd = {
        "nested": {"a": [1, None, True, {"b": "c"}]},
        "big": 2**90,
        "negative": -(2**70),
        "float": 0.1,
        "unicode": "ż\u2028\U0001f600",
        "nul": "a\0b",
        "Key": 1,
        "key": 2,
        "empty": {},
        "quote'\"": "'\"\\",
        "": "no name",
    }
    server.project.add("SubscriptionCreated", "ann", at(1), properties=odd)
    partition = sync.materialize_day(DAY).partition
    (properties,) = stored_properties(sync, partition.file)
    assert {name: properties[name] for name in odd} == odd
    assert partition.first_event_time == datetime(2025, 3, 9, 1, tzinfo=UTC)


def test_all_events_of_a_generated_day_are_kept_once(
    sync: EventSync, warehouse: Warehouse, server: SimulatorServer
) -> None:
    server.project = Project(today=lambda: NOW, events_per_day=2000, people=30, first_day=DAY, last_day=DAY, seed=9)
    everything = replace(sync, tracked_only=False)
    partition = everything.materialize_day(DAY).partition
    lines = exported_lines(server.url, DAY, tracked_only=False)
    kept = [event["properties"] for event in deduplicated(lines)]
    stored = stored_properties(sync, partition.file)
    as_text = sorted(json.dumps(properties, sort_keys=True) for properties in stored)
    assert as_text == sorted(json.dumps(properties, sort_keys=True) for properties in kept)
    assert partition.duplicates == len(lines) - len(kept) > 0
    # Untracked events are in the lake and in no total.
    assert stored_totals(warehouse) == expected_totals({DAY: lines})


def test_an_unchanged_day_skips_all_work_whatever_its_order(sync: EventSync, server: SimulatorServer) -> None:
    server.project = Project(today=lambda: NOW, events_per_day=500, people=30, first_day=DAY, last_day=DAY, seed=9)
    first = sync.materialize_day(DAY)
    same = sync.materialize_day(DAY)
    server.project.faults.add("shuffled_rows", times=None)
    shuffled = sync.materialize_day(DAY)
    assert (first.unchanged, same.unchanged, shuffled.unchanged) == (False, True, True)
    assert "prove_and_parse" not in same.seconds, "the same bytes were proven complete before"
    assert first.partition.file == same.partition.file == shuffled.partition.file
    assert shuffled.partition.wire_sha256 != first.partition.wire_sha256
    assert shuffled.partition.fetched_at > same.partition.fetched_at > first.partition.fetched_at


def test_new_events_are_counted_and_moved_ones_are_not(
    sync: EventSync, warehouse: Warehouse, server: SimulatorServer
) -> None:
    project = server.project
    for number in range(5):
        project.add("SubscriptionCreated", "ann", at(number))
    assert sync.materialize_day(DAY).new_events == 5
    project.merge("ann", "bob")
    assert sync.materialize_day(DAY).new_events == 0
    project.add("SubscriptionCreated", "bob", at(9))
    assert sync.materialize_day(DAY).new_events == 1
    with warehouse.connect() as connection:
        row = connection.execute("select total_events_synced from sync_watermarks").fetchone()
    assert row == (6,)


def test_an_empty_day_is_a_partition_too(sync: EventSync, warehouse: Warehouse) -> None:
    partition = sync.materialize_day(DAY).partition
    assert (partition.rows, partition.users, partition.last_event_time) == (0, 0, None)
    assert sync.materialize_day(DAY).unchanged
    assert totals_that_differ(warehouse, sync.storage) == []


def test_project_time_is_stored_as_utc_and_odd_hours_are_counted(
    warehouse: Warehouse, server: SimulatorServer, tmp_path: Path
) -> None:
    zone = "America/New_York"
    server.project = Project(today=lambda: NOW, timezone=zone, time_mode="project")
    sync = build_sync(warehouse, tmp_path, server.url, calendar=ExportCalendar("project", zone), now=lambda: NOW)
    project = server.project
    project.add("SubscriptionCreated", "ann", at(5))  # midnight in New York
    project.add("SubscriptionCreated", "ann", at(12))
    # Half past two did not exist that night; some devices say it was.
    project.add("DubAutoCopyInitiated", "ann", at(8), properties={"time": at(2, 30), "income": "50k"})
    partition = sync.materialize_day(DAY).partition
    lines = exported_lines(server.url, DAY)
    assert len(lines) == 3
    assert stored_totals(warehouse) == expected_totals({DAY: lines}, ZoneInfo(zone))
    assert stored_totals(warehouse)["ann"]["first_event_time"] == datetime(2025, 3, 9, 5, tzinfo=UTC)
    assert (partition.shifted_times, partition.ambiguous_times, partition.outside_day) == (1, 0, 0)


def test_a_time_outside_its_day_is_counted_and_told(sync: EventSync, server: SimulatorServer) -> None:
    server.project.add("SubscriptionCreated", "ann", at(1), properties={"time": at(1) + 86_400 * 3})
    assert sync.materialize_day(DAY).partition.outside_day == 1


def test_replace_repairs_what_somebody_broke(sync: EventSync, warehouse: Warehouse, server: SimulatorServer) -> None:
    server.project = Project(today=lambda: NOW, events_per_day=500, people=30, first_day=DAY, last_day=DAY, seed=9)
    sync.materialize_day(DAY)
    expected = stored_totals(warehouse)
    with warehouse.connect() as connection:
        connection.execute("update subscribers_insights_v2 set total_copies = 999, income = 'x' where distinct_id = "
                           "(select min(distinct_id) from subscribers_insights_v2)")  # fmt: skip
        connection.execute("delete from subscribers_insights_v2 where distinct_id = "
                           "(select max(distinct_id) from subscribers_insights_v2)")  # fmt: skip
        connection.execute("insert into subscribers_insights_v2 (distinct_id) values ('invented')")
        connection.execute("update subscriber_daily_contributions set paywall_views = 77 where distinct_id = "
                           "(select min(distinct_id) from subscriber_daily_contributions)")  # fmt: skip
    assert {difference.distinct_id for difference in totals_that_differ(warehouse, sync.storage)} == {
        min(expected), max(expected), "invented",
    }  # fmt: skip
    result = replace_from_lake(warehouse, sync.storage)
    assert (result.contributions_changed, result.totals_changed) == (1, 3)
    assert stored_totals(warehouse) == expected
    assert replace_from_lake(warehouse, sync.storage).totals_changed == 0


def test_a_partition_lost_from_the_lake_is_named_and_fetched_again(
    sync: EventSync, warehouse: Warehouse, server: SimulatorServer, tmp_path: Path
) -> None:
    server.project.add("SubscriptionCreated", "ann", at(1))
    partition = sync.materialize_day(DAY).partition
    (tmp_path / "lake" / partition.file).unlink()
    with pytest.raises(LakeReadError, match=r"2025-03-09 is missing in the lake .* sync --from 2025-03-09"):
        totals_that_differ(warehouse, sync.storage)
    again = sync.materialize_day(DAY)
    assert not again.unchanged
    assert again.new_events == 0
    assert totals_that_differ(warehouse, sync.storage) == []


def test_files_that_no_row_names_are_swept_after_a_day(
    sync: EventSync, warehouse: Warehouse, server: SimulatorServer, tmp_path: Path
) -> None:
    server.project.add("SubscriptionCreated", "ann", at(1))
    old = sync.materialize_day(DAY).partition
    server.project.add("SubscriptionCreated", "ann", at(2))
    new = sync.materialize_day(DAY).partition
    clock = replace(sync, now=lambda: datetime.now(UTC))
    assert clock.remove_garbage() == []
    yesterday = time.time() - timedelta(days=1).total_seconds() - 60
    for name in (old.file, new.file):
        os.utime(tmp_path / "lake" / name, (yesterday, yesterday))
    abandoned = tmp_path / "scratch" / "day-abandoned"
    abandoned.mkdir()
    os.utime(abandoned, (yesterday, yesterday))
    assert sorted(clock.remove_garbage()) == sorted([old.file, "day-abandoned"])
    assert (tmp_path / "lake" / new.file).exists()
    with warehouse.connect() as connection:
        assert read_partition(connection, DAY) == new


def test_a_lake_that_is_not_on_this_machines_disk(
    warehouse: Warehouse, server: SimulatorServer, tmp_path: Path
) -> None:
    """fsspec's memory stands for s3: the same calls, no local path."""
    sync = build_sync(warehouse, tmp_path, server.url, now=lambda: NOW)
    sync = replace(sync, storage=LakeStorage(f"memory://lake-{tmp_path.name}", tmp_path / "scratch"))
    server.project.add("SubscriptionCreated", "ann", at(1))
    sync.materialize_day(DAY)
    server.project.add("SubscriptionCreated", "bob", at(2))
    assert sync.materialize_day(DAY).new_events == 1
    assert totals_that_differ(warehouse, sync.storage) == []
    assert stored_totals(warehouse) == expected_totals({DAY: exported_lines(server.url, DAY)})
