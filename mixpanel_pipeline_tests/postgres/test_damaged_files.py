"""Bytes of the lake's files that are not what was written: told, never a crash, and mended by what is advised."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import duckdb
import pytest

from mixpanel_pipeline.checks.equivalence import add_equals_replace, contributions_equal_lake
from mixpanel_pipeline.checks.profiles import profiles_equal_snapshot
from mixpanel_pipeline.lake.manifest import read_partitions
from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline.subscribers.event_sync import EventSync
from mixpanel_pipeline.subscribers.lake_queries import LakeReadError, stored_partitions
from mixpanel_pipeline.subscribers.replace import replace_from_lake
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.workbench import build_profile_sync, build_sync

DAYS = [date(2025, 3, number) for number in (7, 8, 9)]
PLACES = 12


def flipped(whole: bytes, place: int, length: int = 64) -> bytes:
    """The same file with other bytes there."""
    return whole[:place] + bytes(byte ^ 0xFF for byte in whole[place : place + length]) + whole[place + length :]


@pytest.fixture
def sync(warehouse: Warehouse, tmp_path: Path) -> Iterator[EventSync]:
    """Three days of fifty people, loaded."""
    project = Project(today=lambda: datetime(2025, 3, 10, 12, tzinfo=UTC))
    for number in range(150):
        moment = int(datetime(2025, 3, 7 + number % 3, 12, tzinfo=UTC).timestamp()) + number
        project.add("SubscriptionCreated", f"person-{number % 50}", moment, properties={"income": f"{number}k"})
    with SimulatorServer(project) as server:
        sync = build_sync(warehouse, tmp_path, server.url)
        for day in DAYS:
            sync.materialize_day(day)
        yield sync


def file_of(sync: EventSync, day: date) -> Path:
    with sync.warehouse.connect() as connection:
        (partition,) = read_partitions(connection, day, day)
    return Path(sync.storage.address(partition.file))


def test_wherever_a_day_is_damaged_checks_say_so_or_pass(warehouse: Warehouse, sync: EventSync) -> None:
    file = file_of(sync, DAYS[1])
    whole = file.read_bytes()
    chance, told = random.Random(1), []
    for _ in range(PLACES):
        file.write_bytes(flipped(whole, chance.randrange(len(whole)), chance.choice([1, 8, 64])))
        for verdict in (add_equals_replace(warehouse, sync.storage), contributions_equal_lake(warehouse, sync.storage)):
            if not verdict.passed and "cannot be read" in verdict.summary:
                told.append(verdict.summary)
    assert told
    assert all(f"the raw partition of {DAYS[1]} (" in summary for summary in told)
    assert all("`mixpanel-pipeline sync --full`" in summary for summary in told)
    file.write_bytes(flipped(whole, 4, len(whole) // 2))
    with pytest.raises(LakeReadError, match=f"raw partition of {DAYS[1]}"):
        replace_from_lake(warehouse, sync.storage)
    assert not sync.materialize_day(DAYS[1], "full").unchanged
    assert add_equals_replace(warehouse, sync.storage).passed


def test_wherever_it_is_damaged_a_day_can_be_landed_again(warehouse: Warehouse, sync: EventSync) -> None:
    chance = random.Random(2)
    for _ in range(PLACES // 2):
        file = file_of(sync, DAYS[1])
        whole = file.read_bytes()
        file.write_bytes(flipped(whole, chance.randrange(len(whole)), chance.choice([1, 8, 64])))
        sync.materialize_day(DAYS[1], "full")
    assert add_equals_replace(warehouse, sync.storage).passed
    assert contributions_equal_lake(warehouse, sync.storage).passed


def test_wherever_a_snapshot_is_damaged_the_check_says_so_or_passes(warehouse: Warehouse, tmp_path: Path) -> None:
    project = Project(today=lambda: datetime(2025, 3, 10, 12, tzinfo=UTC))
    for number in range(50):
        project.set_profile(f"person-{number}", {"income": f"{number}k", "plan": json.dumps({"number": number})})
    with SimulatorServer(project) as server:
        sync = build_profile_sync(warehouse, tmp_path, server.url)
        file = Path(sync.storage.address(str(sync.synchronize().snapshot.file)))
    whole = file.read_bytes()
    chance, told = random.Random(3), 0
    for _ in range(PLACES):
        file.write_bytes(flipped(whole, chance.randrange(len(whole)), chance.choice([1, 8, 64])))
        verdict = profiles_equal_snapshot(warehouse, sync.storage)
        told += not verdict.passed and "cannot be read" in verdict.summary
    assert told


def test_a_wrong_statement_or_too_little_memory_is_no_damaged_file(
    warehouse: Warehouse, sync: EventSync, tmp_path: Path
) -> None:
    with warehouse.connect() as connection:
        partitions = read_partitions(connection)
    for statement, error in (
        ("select no_such_column from partition_events", duckdb.BinderException),
        ("select from where", duckdb.ParserException),
        ("from no_such_table", duckdb.CatalogException),
        ("set memory_limit = '1MB'; select * from partition_events order by properties", duckdb.OutOfMemoryException),
    ):
        with pytest.raises(error), stored_partitions(sync.storage, partitions, tmp_path) as engine:
            engine.execute(statement).fetchall()
