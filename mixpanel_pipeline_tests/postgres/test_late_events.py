"""Late events of any age are found by one query and loaded by materializing just their days."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from mixpanel_pipeline.lake.calendar import ExportCalendar
from mixpanel_pipeline.lake.manifest import read_partition
from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline.subscribers.event_sync import EventSync
from mixpanel_pipeline.subscribers.late_sweep import marked_late_days, sweep_late_events
from mixpanel_pipeline.subscribers.plan import plan_incremental, window
from mixpanel_pipeline.subscribers.status import read_status
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.workbench import build_sync, expected_totals, exported_lines, stored_totals

DAYS = [date(2025, 3, day) for day in range(1, 6)]


class Clock:
    """The time of both Mixpanel and the pipeline."""

    def __init__(self) -> None:
        self.moment = datetime(2025, 3, 6, 3, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.moment

    def milliseconds(self) -> int:
        return int(self.moment.timestamp() * 1000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server(clock: Clock) -> Iterator[SimulatorServer]:
    project = Project(today=clock, events_per_day=50, people=10, first_day=DAYS[0], last_day=DAYS[-1], seed=2)
    with SimulatorServer(project) as server:
        yield server


@pytest.fixture
def sync(warehouse: Warehouse, server: SimulatorServer, clock: Clock, tmp_path: Path) -> EventSync:
    sync = build_sync(warehouse, tmp_path, server.url, now=clock)
    for day in DAYS:
        sync.materialize_day(day)
    assert sweep_late_events(sync) == {}
    return sync


def add_late(server: SimulatorServer, clock: Clock, day: date, person: str = "late") -> None:
    at = int(datetime(day.year, day.month, day.day, 7, tzinfo=UTC).timestamp())
    server.project.add("SubscriptionCreated", person, at, processed_ms=clock.milliseconds() - 60_000)


def test_only_the_days_with_late_events_are_marked_and_loaded(
    sync: EventSync, warehouse: Warehouse, server: SimulatorServer, clock: Clock
) -> None:
    clock.moment += timedelta(days=3)
    for day in (DAYS[0], DAYS[3], DAYS[3]):
        add_late(server, clock, day)
    requests_before = len(server.project.requests)
    found = sweep_late_events(sync)
    assert {day: found[day] for day in (DAYS[0], DAYS[3])} == {DAYS[0]: found[DAYS[0]], DAYS[3]: found[DAYS[3]]}
    assert len(server.project.requests) == requests_before + 1
    for day in found:
        sync.materialize_day(day)
    assert stored_totals(warehouse) == expected_totals({day: exported_lines(server.url, day) for day in DAYS})
    assert stored_totals(warehouse)["late"]["total_subscriptions"] == 3
    with warehouse.connect() as connection:
        assert marked_late_days(connection) == {}
    assert sweep_late_events(sync) == {}


def test_an_event_that_shows_up_hours_after_it_was_processed_is_found(
    sync: EventSync, server: SimulatorServer, clock: Clock
) -> None:
    clock.moment += timedelta(hours=20)
    sweep_late_events(sync)
    # Processed before that sweep, shown after it: Mixpanel's materialization lag.
    at = int(datetime(2025, 3, 2, 7, tzinfo=UTC).timestamp())
    server.project.add("SubscriptionCreated", "lagging", at, processed_ms=clock.milliseconds() - 3_600_000)
    clock.moment += timedelta(hours=1)
    assert DAYS[1] in sweep_late_events(sync)


def test_marks_survive_until_the_day_is_loaded(
    sync: EventSync, warehouse: Warehouse, server: SimulatorServer, clock: Clock
) -> None:
    clock.moment += timedelta(days=1)
    add_late(server, clock, DAYS[2])
    assert DAYS[2] in sweep_late_events(sync)
    # The run that should load it never comes; the next sweep, a week later, has nothing to ask of that time.
    clock.moment += timedelta(days=7)
    sweep_late_events(sync)
    with warehouse.connect() as connection:
        plan = plan_incremental(connection, sync.calendar, now=clock(), start=DAYS[0], window_days=45, overlap_hours=2)
    assert DAYS[2] in plan.days
    assert DAYS[2] in plan.late


def test_a_failed_sweep_marks_nothing_and_is_made_again(
    sync: EventSync, warehouse: Warehouse, server: SimulatorServer, clock: Clock
) -> None:
    clock.moment += timedelta(days=1)
    add_late(server, clock, DAYS[1])
    server.project.faults.add("terminated_early_alone", times=None)
    with pytest.raises(Exception, match="terminated early"):
        sweep_late_events(sync)
    with warehouse.connect() as connection:
        assert marked_late_days(connection) == {}
    server.project.faults.clear()
    assert DAYS[1] in sweep_late_events(sync)


def test_a_sweep_works_in_project_time(warehouse: Warehouse, clock: Clock, tmp_path: Path) -> None:
    project = Project(
        timezone="America/New_York", time_mode="project", today=clock, events_per_day=50, people=10,
        first_day=DAYS[0], last_day=DAYS[-1], seed=2,
    )  # fmt: skip
    with SimulatorServer(project) as server:
        calendar = ExportCalendar("project", "America/New_York")
        sync = build_sync(warehouse, tmp_path, server.url, now=clock, calendar=calendar)
        for day in DAYS[:4]:
            sync.materialize_day(day)
        sweep_late_events(sync)
        clock.moment += timedelta(hours=30)
        for day in sweep_late_events(sync):
            sync.materialize_day(day)
        at = int(datetime(2025, 3, 2, 2, tzinfo=UTC).timestamp())  # still the first of March in New York
        project.add("SubscriptionCreated", "late", at, processed_ms=clock.milliseconds() - 60_000)
        assert list(sweep_late_events(sync)) == [DAYS[0]]


def test_the_first_sync_takes_the_window_and_the_next_the_overlap(
    warehouse: Warehouse, sync: EventSync, clock: Clock
) -> None:
    calendar = ExportCalendar("utc", "UTC")
    assert window(calendar, now=clock(), start=date(2025, 1, 1), window_days=3) == DAYS[2:]
    assert window(calendar, now=clock(), start=DAYS[4], window_days=45) == DAYS[4:]
    with warehouse.connect() as connection:
        arguments = {"now": clock(), "start": DAYS[0], "window_days": 45}
        plan = plan_incremental(connection, calendar, overlap_hours=2, **arguments)
        wide = plan_incremental(connection, calendar, overlap_hours=48, **arguments)
    assert plan.days == [DAYS[4]]
    assert wide.days == DAYS[2:]
    assert not plan.first_sync


def test_status_tells_of_gaps_that_the_watermark_passed(
    warehouse: Warehouse, sync: EventSync, server: SimulatorServer, clock: Clock
) -> None:
    clock.moment += timedelta(days=3)
    sync.materialize_day(date(2025, 3, 8))
    with warehouse.connect() as connection:
        status = read_status(connection, sync.calendar, clock())
    assert status.missing_days == [date(2025, 3, 6), date(2025, 3, 7)]
    assert status.failed_days == []
    server.project.faults.add("plan_without_export", times=None)
    with pytest.raises(Exception, match="plan"):
        sync.materialize_day(date(2025, 3, 7))
    with warehouse.connect() as connection:
        assert read_status(connection, sync.calendar, clock()).failed_days == [date(2025, 3, 7)]


def test_a_lost_file_and_an_old_catalog_do_not_stop_the_sweep(
    sync: EventSync, warehouse: Warehouse, server: SimulatorServer, clock: Clock, tmp_path: Path
) -> None:
    clock.moment += timedelta(days=2)
    for day in DAYS[:3]:
        add_late(server, clock, day)
    with warehouse.connect() as connection:
        lost = read_partition(connection, DAYS[0])
        connection.execute("update raw_partitions set recipe = 'an older one' where export_day = %s", [DAYS[1]])
    assert lost
    (tmp_path / "lake" / lost.file).unlink()
    assert set(DAYS[:3]) <= set(sweep_late_events(sync))
