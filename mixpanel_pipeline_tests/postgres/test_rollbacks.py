"""Every migration taken back, and applied again, on a database that a pipeline has worked in."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline.subscribers.replace import replace_from_lake, totals_that_differ
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.migrations import available_migrations, migrate, rollback
from mixpanel_pipeline_tests.postgres.test_sql_api import call
from mixpanel_pipeline_tests.workbench import (
    build_profile_sync,
    build_sync,
    expected_totals,
    exported_lines,
    rows_of,
    stored_totals,
)

DAYS = [date(2025, 3, 8), date(2025, 3, 9)]


@pytest.fixture
def server() -> Iterator[SimulatorServer]:
    project = Project(today=lambda: datetime(2025, 3, 20, tzinfo=UTC))
    for number, day in enumerate(DAYS):
        at = int(datetime(day.year, day.month, day.day, 12, tzinfo=UTC).timestamp())
        project.add("Viewed Portfolio Details", "ann", at, properties={"income": f"event {number}", "net_worth": "9k"})
        project.add("BankAccountLinked", "bob", at)
    project.set_profile("ann", {"income": "profile", "buying_power": 12})
    project.set_profile("bob", {"net_worth": "1m"})
    project.set_profile("carl, who has only a profile", {"income": "nothing"})
    with SimulatorServer(project) as running:
        yield running


@pytest.fixture
def filled(warehouse: Warehouse, server: SimulatorServer, tmp_path: Path) -> Warehouse:
    """With two days of events and a snapshot of three profiles."""
    sync = build_sync(warehouse, tmp_path, server.url)
    for day in DAYS:
        sync.materialize_day(day)
    build_profile_sync(warehouse, tmp_path, server.url).synchronize()
    return warehouse


def test_without_profiles_totals_are_what_events_alone_say(
    filled: Warehouse, server: SimulatorServer, tmp_path: Path
) -> None:
    with_profiles = stored_totals(filled)
    assert with_profiles["ann"]["income"] == "profile"
    assert len(with_profiles) == 3
    undone = rollback(filled, to="0004")
    assert undone[-1] == "0005_subscriber_profiles"
    of_events = expected_totals({day: exported_lines(server.url, day) for day in DAYS})
    stored = stored_totals(filled)
    assert {person: {name: stored[person][name] for name in row} for person, row in of_events.items()} == of_events
    assert stored.keys() == of_events.keys()
    assert rows_of(filled, "select * from sync_logs where source like '%%profiles'") == []

    migrate(filled)
    sync = build_sync(filled, tmp_path, server.url)
    assert totals_that_differ(filled, sync.storage) == []
    build_profile_sync(filled, tmp_path, server.url).synchronize()
    again = stored_totals(filled)
    assert {person: row["income"] for person, row in again.items()} == {
        person: row["income"] for person, row in with_profiles.items()
    }
    assert totals_that_differ(filled, sync.storage) == []
    assert replace_from_lake(filled, sync.storage).totals_changed == 0


def test_what_callers_of_the_sql_api_wrote_outlives_profiles(filled: Warehouse) -> None:
    """Beside a profile: counts of a person whom no day knows, a value that is newer than the profile's."""
    person = "carl, who has only a profile"
    of_profile = stored_totals(filled)[person]
    counted = {"distinct_id": person, "total_copies": 5, "linked_bank_account": True, "events_processed": 7}
    call(filled, "upsert_subscribers_incremental_add", [{**counted, "net_worth": "of a caller"}])
    call(filled, "upsert_subscribers_incremental", [{"distinct_id": "ann", "income": "of a caller"}])
    call(filled, "upsert_subscribers_incremental", [{"distinct_id": "dora", "total_copies": 1}])
    before = stored_totals(filled)
    assert of_profile["income"] == before[person]["income"] == "nothing"
    rollback(filled, to="0004")
    after = stored_totals(filled)
    gone = {"income": None, "income_at": None}
    assert after[person] == {**before[person], **gone}
    assert after["ann"] == {**before["ann"], "buying_power": None, "buying_power_at": None}
    assert after["ann"]["income"] == "of a caller"
    assert after["dora"] == before["dora"]
    assert after.keys() == before.keys()


def test_the_sql_api_goes_and_comes_without_touching_totals(filled: Warehouse, tmp_path: Path) -> None:
    rollback(filled, to="0004")
    before = stored_totals(filled)
    assert rollback(filled) == ["0004_sql_api"]
    assert rows_of(filled, "select 1 from pg_proc where proname like 'upsert\\_%%'") == []
    assert stored_totals(filled) == before
    migrate(filled)
    assert rows_of(filled, "select 1 from pg_proc where proname like 'upsert\\_%%'")
    assert stored_totals(filled) == before


@pytest.mark.parametrize("down_to", ["0000", *(migration.name[:4] for migration in available_migrations()[:-1])])
def test_a_database_with_data_goes_down_and_up_again(
    filled: Warehouse, server: SimulatorServer, tmp_path: Path, down_to: str
) -> None:
    names = [migration.name for migration in available_migrations()]
    undone = rollback(filled, to=down_to)
    assert undone == [name for name in reversed(names) if name[:4] > down_to]
    assert migrate(filled) == list(reversed(undone))
    sync = build_sync(filled, tmp_path, server.url)
    for day in DAYS:
        sync.materialize_day(day)
    build_profile_sync(filled, tmp_path, server.url).synchronize()
    assert totals_that_differ(filled, sync.storage) == []
    assert len(stored_totals(filled)) == 3
