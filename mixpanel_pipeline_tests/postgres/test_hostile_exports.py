"""Exports and circumstances that nobody promised would not occur."""

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mixpanel_pipeline.checks.equivalence import add_equals_replace, no_quarantined_events, partitions_follow_settings
from mixpanel_pipeline.lake.calendar import ExportCalendar
from mixpanel_pipeline.lake.manifest import read_partition
from mixpanel_pipeline.mixpanel.errors import BadRequest, IncompleteExport, RateLimited
from mixpanel_pipeline.mixpanel.export import ExportClient
from mixpanel_pipeline.subscribers.event_sync import EventSync
from mixpanel_pipeline.subscribers.identity import WrongProjectError
from mixpanel_pipeline.subscribers.late_sweep import sweep_late_events
from mixpanel_pipeline.subscribers.locks import day_lock
from mixpanel_pipeline.subscribers.plan import plan_incremental
from mixpanel_pipeline.subscribers.status import failed_days
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.raw_server import RawServer, raw_server
from mixpanel_pipeline_tests.workbench import NoBudget, build_sync, stored_totals

DAY = date(2025, 3, 8)
NOON = int(datetime(2025, 3, 8, 12, tzinfo=UTC).timestamp())


@pytest.fixture
def server() -> Iterator[RawServer]:
    with raw_server() as server:
        yield server


@pytest.fixture
def sync(warehouse: Warehouse, server: RawServer, tmp_path: Path) -> EventSync:
    return build_sync(warehouse, tmp_path, server.url)


def line(person: str = "ann", **properties) -> bytes:
    values = {"time": NOON, "distinct_id": person, "mp_processing_time_ms": NOON * 1000, **properties}
    return json.dumps({"event": "SubscriptionCreated", "properties": values}).encode() + b"\n"


def subscriptions(warehouse: Warehouse) -> dict[str, int]:
    return {person: row["total_subscriptions"] for person, row in stored_totals(warehouse).items()}


@pytest.mark.parametrize(
    ("stored", "hour"),
    [
        ("2025-03-08T12:00:00", 12),
        ("2025-03-08T12:00:00Z", 12),
        ("2025-03-08T12:00:00-05:00", 17),
        ("2025-03-08 12:00:00+02", 10),
        (f"{NOON}", 12),
        (NOON + 0.25, 12),
    ],
)
def test_times_are_read_with_their_zone(
    sync: EventSync, warehouse: Warehouse, server: RawServer, stored: object, hour: int
) -> None:
    server.body = line(time=stored)
    sync.materialize_day(DAY)
    assert stored_totals(warehouse)["ann"]["last_event_time"].hour == hour


@pytest.mark.parametrize("before", [b"", line()])
@pytest.mark.parametrize("after", [b"", line("bob")])
def test_an_error_in_place_of_an_event_fails_the_fetch(
    sync: EventSync, warehouse: Warehouse, server: RawServer, before: bytes, after: bytes
) -> None:
    server.body = line() + line("bob")
    sync.materialize_day(DAY)
    server.body = before + b'{"error": "internal timeout", "status": "error"}\n' + after
    with pytest.raises(IncompleteExport, match="internal timeout"):
        sync.materialize_day(DAY)
    assert subscriptions(warehouse) == {"ann": 1, "bob": 1}


def test_no_bytes_are_no_gzip(sync: EventSync, server: RawServer) -> None:
    server.headers = {"Content-Encoding": "gzip"}
    with pytest.raises(IncompleteExport, match="no trailer"):
        sync.materialize_day(DAY)


@pytest.mark.parametrize("value", ["[" * 3000 + "]" * 3000, "9" * 5000])
@pytest.mark.parametrize("last", [True, False])
def test_deep_and_long_values_land(
    sync: EventSync, warehouse: Warehouse, server: RawServer, value: str, last: bool
) -> None:
    odd = line("odd", odd=0).replace(b'"odd": 0', b'"odd": ' + value.encode())
    server.body = line() + odd if last else odd + line()
    partition = sync.materialize_day(DAY).partition
    assert partition.rows + partition.quarantined == 2
    assert subscriptions(warehouse)["ann"] == 1


@pytest.mark.slow
def test_a_day_of_events_as_large_as_mixpanel_takes_lands(
    sync: EventSync, warehouse: Warehouse, server: RawServer
) -> None:
    chance = random.Random(1)
    server.body = b"".join(line(f"p{number}", text=chance.randbytes(440_000).hex()) for number in range(300))
    assert sync.materialize_day(DAY).partition.rows == 300


def test_a_cut_lake_file_is_a_lost_one(
    sync: EventSync, warehouse: Warehouse, server: RawServer, tmp_path: Path
) -> None:
    server.body = line()
    file = tmp_path / "lake" / sync.materialize_day(DAY).partition.file
    file.write_bytes(file.read_bytes()[:-20])
    verdict = add_equals_replace(warehouse, sync.storage)
    assert not verdict.passed
    assert "2025-03-08 is missing in the lake or cut" in verdict.summary
    result = sync.materialize_day(DAY)
    assert (result.unchanged, result.new_events) == (False, 0)
    assert add_equals_replace(warehouse, sync.storage).passed


def test_mode_full_repairs_a_damaged_file_of_the_right_size(
    sync: EventSync, warehouse: Warehouse, server: RawServer, tmp_path: Path
) -> None:
    server.body = line()
    file = tmp_path / "lake" / sync.materialize_day(DAY).partition.file
    file.write_bytes(b"\0" * file.stat().st_size)
    verdict = add_equals_replace(warehouse, sync.storage)
    assert not verdict.passed
    assert "sync --full" in verdict.summary
    assert sync.materialize_day(DAY).unchanged
    assert not sync.materialize_day(DAY, "full").unchanged
    assert add_equals_replace(warehouse, sync.storage).passed


def test_the_first_sweep_looks_back_to_the_first_fetch(
    sync: EventSync, warehouse: Warehouse, server: RawServer
) -> None:
    server.body = line()
    sync.materialize_day(DAY)
    with warehouse.connect() as connection:
        connection.execute("update raw_partitions set fetched_at = now() - interval '5 days'")
    three_days_ago = datetime.now(UTC) - timedelta(days=3)
    server.body = line("late", mp_processing_time_ms=int(three_days_ago.timestamp() * 1000))
    assert sweep_late_events(sync) == {DAY: 1}


def test_twins_without_insert_id_are_counted(sync: EventSync, server: RawServer) -> None:
    server.body = line() + line()
    sync.materialize_day(DAY)
    sweep_late_events(sync)
    assert sweep_late_events(sync) == {}
    server.body = line() * 3
    assert sweep_late_events(sync) == {DAY: 1}


def test_a_time_of_the_future_moves_no_watermark(sync: EventSync, warehouse: Warehouse, server: RawServer) -> None:
    server.body = line() + line("future", time=4_102_444_800) + line("past", time=-62_000_000_000)
    assert sync.materialize_day(DAY).partition.outside_day == 2
    with warehouse.connect() as connection:
        row = connection.execute("select last_event_time from sync_watermarks").fetchone()
        plan = plan_incremental(
            connection, sync.calendar, now=datetime(2025, 3, 13, 3, tzinfo=UTC), start=date(2025, 1, 1),
            window_days=45, overlap_hours=2,
        )  # fmt: skip
    assert row == (datetime(2025, 3, 8, 12, tzinfo=UTC),)
    assert plan.days == [date(2025, 3, day) for day in range(8, 13)]


def test_two_databases_share_a_lake(
    sync: EventSync, warehouse: Warehouse, server: RawServer, tmp_path: Path, second_warehouse: Warehouse
) -> None:
    server.body = line()
    ours = sync.materialize_day(DAY).partition
    other = build_sync(second_warehouse, tmp_path, server.url)
    theirs = other.materialize_day(DAY).partition
    in_two_days = replace(sync, now=lambda: datetime.now(UTC) + timedelta(days=2))
    assert in_two_days.remove_garbage() == []
    for partition in (ours, theirs):
        assert sync.storage.holds(partition.file, partition.bytes)


def test_two_projects_do_not_share_a_database(sync: EventSync, warehouse: Warehouse, server: RawServer) -> None:
    server.body = line()
    sync.materialize_day(DAY)
    client = ExportClient(server.url, 999, "demo-account", "demo-secret", NoBudget())
    with pytest.raises(WrongProjectError, match="project 12345, and MIXPANEL_PROJECT_ID is 999"):
        replace(sync, client=client).materialize_day(DAY)


def test_days_of_another_time_mode_are_named(sync: EventSync, warehouse: Warehouse, server: RawServer) -> None:
    server.body = line()
    sync.materialize_day(DAY)
    changed = replace(sync, calendar=ExportCalendar("project", "America/New_York"))
    assert partitions_follow_settings(warehouse, sync.recipe).passed
    assert partitions_follow_settings(warehouse, replace(sync, tracked_only=False).recipe).passed
    verdict = partitions_follow_settings(warehouse, changed.recipe)
    assert not verdict.passed
    assert "sync --from 2025-03-08 --to 2025-03-08" in verdict.fix


def test_quarantine_follows_the_newest_content(sync: EventSync, warehouse: Warehouse, server: RawServer) -> None:
    server.body = line()
    sync.materialize_day(DAY)
    for bad in (b"garbage\n", b"other garbage\n"):
        server.body = bad + line()
        partition = sync.materialize_day(DAY).partition
        assert partition.quarantined == 1
        assert not no_quarantined_events(warehouse).passed
        assert partition.quarantine_file is not None
        text = (Path(sync.storage.root) / partition.quarantine_file).read_text()
        assert json.loads(text)["text"] == bad.decode().strip()
    server.body = line()
    sync.materialize_day(DAY)
    assert no_quarantined_events(warehouse).passed


@pytest.mark.parametrize("body", [b"a\0b", b'{"error": "\\ud800"}'])
def test_whatever_an_error_says_is_logged(
    sync: EventSync, warehouse: Warehouse, server: RawServer, body: bytes
) -> None:
    server.status, server.body = 400, body
    with pytest.raises(BadRequest):
        sync.materialize_day(DAY)
    with warehouse.connect() as connection:
        assert connection.execute("select status from sync_logs").fetchall() == [("failed",)]


@pytest.mark.parametrize("seconds", ["999999999999999999", "86401"])
def test_a_wait_of_years_is_cut_to_a_day(sync: EventSync, server: RawServer, seconds: str) -> None:
    server.status, server.headers = 429, {"Retry-After": seconds}
    with pytest.raises(RateLimited) as failure:
        sync.materialize_day(DAY)
    assert failure.value.wait_seconds == 86_400


def test_a_re_fetch_whose_process_died_is_a_failed_day(
    sync: EventSync, warehouse: Warehouse, server: RawServer
) -> None:
    server.body = line()
    sync.materialize_day(DAY)
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("update sync_logs set status = 'running'")
        assert failed_days(connection) == [DAY]
        with day_lock(connection, DAY, print):
            assert failed_days(connection) == []
        assert read_partition(connection, DAY) is not None


def test_the_addresss_own_options_are_kept(database_url: str) -> None:
    warehouse = Warehouse(f"{database_url}&options=-csearch_path%3Dpg_catalog%20-cstatement_timeout%3D5")
    with warehouse.connect() as connection:
        for name, value in (("search_path", "pg_catalog"), ("TimeZone", "UTC"), ("statement_timeout", "0")):
            assert connection.execute("select current_setting(%s)", [name]).fetchone() == (value,)


def test_a_folder_that_looks_like_a_hive_partition(warehouse: Warehouse, server: RawServer, tmp_path: Path) -> None:
    directory = tmp_path / "event=x" / "time=1"
    directory.mkdir(parents=True)
    sync = build_sync(warehouse, directory, server.url)
    server.body = line()
    sync.materialize_day(DAY)
    assert subscriptions(warehouse) == {"ann": 1}
    assert add_equals_replace(warehouse, sync.storage).passed
