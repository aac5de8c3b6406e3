"""The plan by which operators try a synchronization before they trust it, item by item.

Items of it that have their own files: sums by ADD and the watermark's function (test_sql_api.py,
test_sql_api_grants.py), the set-based forms against loops (test_sql_api_rule.py, test_set_based_check.py), every fault
against the watermark (test_faults.py), skip rate and fallback of profiles (test_profiles.py).
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mixpanel_pipeline.lake.calendar import ExportCalendar, days_between
from mixpanel_pipeline.mixpanel.errors import MixpanelError
from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline.subscribers.event_sync import DayResult
from mixpanel_pipeline.subscribers.late_sweep import sweep_late_events
from mixpanel_pipeline.subscribers.plan import SyncPlan, plan_incremental, window
from mixpanel_pipeline.subscribers.profile_sync import ProfileResult
from mixpanel_pipeline.subscribers.replace import replace_from_lake, totals_that_differ
from mixpanel_pipeline.subscribers.watermark import read_watermark
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.plain_recomputation import profiles
from mixpanel_pipeline_tests.workbench import (
    build_profile_sync,
    build_sync,
    expected_totals,
    exported_lines,
    rows_of,
    shown_profiles,
    stored_totals,
)

CALENDAR = ExportCalendar("utc", "UTC")
FIRST_DAY = date(2025, 2, 1)
WINDOW_DAYS = 10
OVERLAP_HOURS = 2


@dataclass
class Operator:
    """Somebody who synchronizes once a day, at three in the morning, and changes nothing else."""

    server: SimulatorServer
    warehouse: Warehouse
    directory: Path
    today: date = date(2025, 3, 1)
    fetched: dict[date, list[bytes]] = field(default_factory=dict)
    snapshots: list[tuple[datetime, list[dict[str, Any]]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.url = self.server.url
        self.project = self.server.project = Project(
            today=self.now, events_per_day=40, people=20, profiles=60, first_day=FIRST_DAY,
            last_day=date(2025, 3, 31), seed=9,
        )  # fmt: skip
        self.events = build_sync(self.warehouse, self.directory, self.url, now=self.now)
        self.profiles = build_profile_sync(self.warehouse, self.directory, self.url)

    def now(self) -> datetime:
        return datetime.combine(self.today, datetime.min.time(), UTC) + timedelta(hours=3)

    def plan(self) -> SyncPlan:
        with self.warehouse.connect() as connection:
            return plan_incremental(
                connection, CALENDAR, now=self.now(), start=FIRST_DAY, window_days=WINDOW_DAYS,
                overlap_hours=OVERLAP_HOURS,
            )  # fmt: skip

    def sync(self) -> list[DayResult]:
        """As `mixpanel-pipeline sync` does: the late sweep, then the days that are due."""
        sweep_late_events(self.events)
        return self.materialize(self.plan().days)

    def materialize(self, days: list[date], mode: str = "incremental") -> list[DayResult]:
        results = []
        for day in days:
            lines = exported_lines(self.url, day)
            results.append(self.events.materialize_day(day, mode))
            self.fetched[day] = lines
        return results

    def snapshot(self) -> ProfileResult:
        shown = shown_profiles(self.url)
        result = self.profiles.synchronize()
        self.snapshots.append((result.snapshot.taken_at, shown))
        return result

    def watermark(self) -> datetime | None:
        with self.warehouse.connect() as connection:
            return read_watermark(connection)

    def add(self, day: date, hour: int, person: str = "ann", **properties: Any) -> None:
        at = datetime.combine(day, datetime.min.time(), UTC) + timedelta(hours=hour)
        self.project.add("DubAutoCopyInitiated", person, int(at.timestamp()), properties=properties)

    def copies(self, person: str = "ann") -> int:
        return stored_totals(self.warehouse)[person]["total_copies"]

    def is_right(self) -> None:
        known = profiles(self.snapshots).people
        assert stored_totals(self.warehouse) == expected_totals(self.fetched, profiles=known)
        assert totals_that_differ(self.warehouse, self.events.storage) == []


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(Project()) as server:
        yield server


@pytest.fixture
def operator(warehouse: Warehouse, server: SimulatorServer, tmp_path: Path) -> Operator:
    return Operator(server, warehouse, tmp_path)


def test_ten_and_five_are_fifteen_on_top_of_what_the_pipeline_counted(operator: Operator) -> None:
    for hour in range(10):
        operator.add(operator.today - timedelta(days=1), hour)
    operator.sync()
    assert operator.copies() == 10
    said = [{"distinct_id": "ann", "total_copies": 5, "updated_at": "2025-11-13T00:00:00Z"}]
    with operator.warehouse.connect() as connection:
        connection.execute("select upsert_subscribers_incremental_add(%s)", [json.dumps(said)])
    assert operator.copies() == 15


def test_the_first_sync_takes_the_window_and_sets_the_watermark(operator: Operator) -> None:
    assert operator.watermark() is None
    plan = operator.plan()
    assert plan.first_sync
    assert plan.days == days_between(date(2025, 2, 19), date(2025, 2, 28))
    results = operator.sync()
    assert [result.new_events for result in results] == [result.partition.rows for result in results]
    watermark = operator.watermark()
    assert watermark
    assert watermark.date() == date(2025, 2, 28)
    (row,) = rows_of(operator.warehouse, "select * from sync_watermarks")
    assert row["total_events_synced"] == sum(result.partition.rows for result in results)
    operator.is_right()


def test_the_second_sync_fetches_what_is_new_and_the_overlap_counts_once(operator: Operator) -> None:
    operator.add(date(2025, 2, 28), 23)
    operator.sync()
    before = operator.watermark()
    operator.today += timedelta(days=1)
    # Within the overlap: after the first sync, of a day that it had fetched.
    operator.add(date(2025, 2, 28), 23)
    operator.add(date(2025, 3, 1), 12)
    asked = len(operator.project.requests)
    plan = operator.plan()
    assert not plan.first_sync
    assert plan.days == [date(2025, 2, 28), date(2025, 3, 1)]
    overlap, fresh = operator.sync()
    assert (overlap.new_events, fresh.new_events) == (1, fresh.partition.rows)
    assert operator.copies() == 3
    exports = [request for request in operator.project.requests[asked:] if request.path.endswith("/export")]
    assert len(exports) == 1 + 2 * 2, "the sweep, and the two days, once by the pipeline and once by this test"
    after = operator.watermark()
    assert before
    assert after
    assert after > before
    operator.sync()
    assert operator.copies() == 3
    operator.is_right()


def test_a_failed_sync_leaves_the_watermark_and_the_next_one_makes_up_for_it(operator: Operator) -> None:
    operator.sync()
    operator.today += timedelta(days=3)
    days = operator.plan().days
    assert days == days_between(date(2025, 2, 28), date(2025, 3, 3))
    operator.project.faults.add("terminated_early", times=None, day=days[2])
    with pytest.raises(MixpanelError):
        operator.sync()
    watermark = operator.watermark()
    assert watermark
    assert watermark.date() == days[1], "the day before the one that failed"
    log = rows_of(operator.warehouse, "select status from sync_logs order by id desc limit 1")
    assert log == [{"status": "failed"}]
    operator.is_right()
    operator.project.faults.clear()
    assert operator.plan().days == days[1:]
    operator.sync()
    watermark = operator.watermark()
    assert watermark
    assert watermark.date() == days[3]
    operator.is_right()


def test_forcing_all_equals_going_on(operator: Operator) -> None:
    operator.sync()
    operator.snapshot()
    for _ in range(3):
        operator.today += timedelta(days=1)
        operator.add(operator.today - timedelta(days=2), 22, income="late")
        operator.sync()
        operator.snapshot()
    incremental = stored_totals(operator.warehouse)
    operator.is_right()
    days = window(CALENDAR, now=operator.now(), start=FIRST_DAY, window_days=30)
    results = operator.materialize(sorted({*days} & {*operator.fetched}), "full")
    assert {(result.new_events, result.changed_people) for result in results} == {(0, 0)}
    replaced = replace_from_lake(operator.warehouse, operator.events.storage)
    assert (replaced.contributions_changed, replaced.totals_changed) == (0, 0)
    assert stored_totals(operator.warehouse) == incremental


def test_a_backfill_adds_the_past_once_and_moves_no_watermark_back(operator: Operator) -> None:
    operator.sync()
    watermark = operator.watermark()
    past = days_between(date(2025, 2, 5), date(2025, 2, 8))
    for _ in range(2):
        operator.materialize(past, "backfill")
        assert operator.watermark() == watermark
        operator.is_right()
    modes = rows_of(operator.warehouse, "select mode, count(*) as number from sync_logs group by mode order by mode")
    assert modes == [{"mode": "backfill", "number": 8}, {"mode": "incremental", "number": 10}]


def test_a_second_sync_of_profiles_skips_those_who_did_not_change(operator: Operator) -> None:
    assert operator.snapshot().new == 60
    for person in operator.project.profiles.ids()[:3]:
        operator.project.profiles.update(person, {"income": "changed"})
    result = operator.snapshot()
    assert (result.changed, result.unchanged, result.written) == (3, 57, 3)
    totals = stored_totals(operator.warehouse)
    assert {totals[person]["income"] for person in operator.project.profiles.ids()[:3]} == {"changed"}
    assert operator.snapshot().written == 0
    metadata = rows_of(operator.warehouse, "select sync_metadata as said from sync_logs order by id")
    assert [row["said"]["skipped_percent"] for row in metadata] == [0.0, 95.0, 100.0]
    operator.is_right()


def test_whole_cycles_are_right(operator: Operator) -> None:
    """Events and profiles together, day after day."""
    for _ in range(4):
        operator.sync()
        operator.snapshot()
        operator.is_right()
        operator.today += timedelta(days=1)
        people = operator.project.profiles.ids()
        operator.project.profiles.update(people[0], {"income": f"of {operator.today}", "buying_power": "17"})
        operator.project.delete_profile(people[-1])
        operator.add(operator.today - timedelta(days=1), 5, people[1], income="event")
    unchanged = replace(operator.events, log=print).materialize_day(operator.today - timedelta(days=2))
    assert unchanged.unchanged
