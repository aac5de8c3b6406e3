"""Whatever happens to the raw rows, in whatever order, every aggregate equals a plain computation."""

import itertools
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tenacity import Retrying, stop_after_delay, wait_fixed

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.aggregation import (
    Aggregated,
    aggregate_all,
    aggregate_cards,
    aggregate_days,
    aggregate_hours,
    backfill,
)
from mixpanel_pipeline.web.partitions import apply_retention
from mixpanel_pipeline_tests.web import site
from mixpanel_pipeline_tests.web.differences import wrong_aggregates
from mixpanel_pipeline_tests.web.plain_web import Row

# Days after the oldest: some so far apart that a range of 91 days has just one of them.
DAYS = st.sampled_from([0, 1, 2, 6, 7, 8, 30, 60, 88, 89, 90, 91, 92, 95])
TIMES = st.builds(site.at, DAYS, st.sampled_from([0, 11, 23]), st.sampled_from([0, 59]))
LABELS = st.sampled_from([None, "", "a", "b"])
EVENTS = st.builds(
    lambda when, visitor, label, **given: site.event(when, visitor, event_label=label, **given),
    TIMES, st.sampled_from("uvw"), LABELS,
    project_id=st.sampled_from("pq"), session_id=st.sampled_from("xyz"),
    event_type=st.sampled_from(["visible", "click"]),
)  # fmt: skip
CARD = {"user_code": st.sampled_from("cd"), "share_code": LABELS, "contact_id": LABELS}
PAGE_VIEWS = st.builds(
    site.page_view, TIMES, st.sampled_from("xyz"), page_type=st.sampled_from(["home", "contact"]), **CARD
)
CLICKS = st.builds(
    site.click, TIMES, st.sampled_from("xyz"), click_category=st.sampled_from(["social", "other"]), click_target=LABELS,
    **CARD,
)  # fmt: skip
SESSIONS = st.builds(site.session_row, TIMES, **CARD)
BATCH = st.one_of(
    st.tuples(st.just("events"), st.lists(EVENTS, min_size=1, max_size=8)),
    st.tuples(st.just("events"), st.lists(EVENTS, min_size=1, max_size=8)),
    st.tuples(st.just("page_views"), st.lists(PAGE_VIEWS, min_size=1, max_size=4)),
    st.tuples(st.just("clicks"), st.lists(CLICKS, min_size=1, max_size=4)),
    st.tuples(st.just("sessions"), st.lists(SESSIONS, min_size=1, max_size=3)),
)
RUNS = {"hours": aggregate_hours, "days": aggregate_days, "cards": aggregate_cards, "all": aggregate_all}
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), BATCH),
        st.tuples(st.just("copy"), BATCH),
        st.tuples(st.just("rolled_back"), BATCH),
        st.tuples(st.just("update"), st.tuples(st.integers(0, 10**6), EVENTS)),
        st.tuples(st.just("update_view"), st.tuples(st.integers(0, 10**6), PAGE_VIEWS)),
        st.tuples(st.just("delete"), st.tuples(st.sampled_from(list(site.TIME_COLUMN)), st.integers(0, 10**6))),
        st.tuples(st.just("aggregate"), st.tuples(st.sampled_from(list(RUNS)), st.integers(1, 5))),
        st.tuples(st.just("again"), DAYS),
        st.tuples(st.just("retain"), st.tuples(st.sampled_from([20, 60, 85]), st.booleans())),
    ),
    min_size=4, max_size=14,
)  # fmt: skip
UNCHECKED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
RANGES = st.lists(st.tuples(st.integers(-3, 96), st.integers(1, 91)), min_size=4, max_size=4)


class History:
    """Plays steps against Postgres and keeps, in lists, what must be counted."""

    def __init__(self, warehouse: Warehouse) -> None:
        self.warehouse = warehouse
        self.rows: dict[str, list[Row]] = {kind: [] for kind in site.TIME_COLUMN}
        self.gone: dict[str, list[Row]] = {kind: [] for kind in site.TIME_COLUMN}  # by retention: still counted
        self.floor: datetime | None = None
        self.refused = 0
        self.starts = itertools.count()

    def counted(self) -> dict[str, list[Row]]:
        return {kind: self.rows[kind] + self.gone[kind] for kind in self.rows}

    def late(self, kind: str, row: Row) -> bool:
        return self.floor is not None and row[site.TIME_COLUMN[kind]] < self.floor

    def insert(self, batch: tuple[str, list[Row]]) -> None:
        self._write(batch, site.insert)

    def copy(self, batch: tuple[str, list[Row]]) -> None:
        self._write(batch, site.copy)

    def _write(self, batch: tuple[str, list[Row]], write: Callable[[psycopg.Connection, str, list[Row]], None]) -> None:
        kind, rows = batch
        if kind == "sessions":
            rows = [row | {"session_id": f"start-{next(self.starts)}"} for row in rows]
        for part in ([row for row in rows if not self.late(kind, row)], [row for row in rows if self.late(kind, row)]):
            if not part:
                continue
            try:
                with self.warehouse.connect() as connection:
                    write(connection, kind, part)
            except psycopg.errors.CheckViolation:  # their partition is gone
                if not all(self.late(kind, row) for row in part):
                    raise
            else:
                self.refused += sum(self.late(kind, row) for row in part)
                self.rows[kind] += [row for row in part if not self.late(kind, row)]

    def rolled_back(self, batch: tuple[str, list[Row]]) -> None:
        kind, rows = batch
        with self.warehouse.connect() as connection:
            for row in rows[:1] if kind == "sessions" else rows:
                if not self.late(kind, row):
                    site.insert(connection, kind, [row])
            connection.rollback()

    def update(self, chosen: tuple[int, Row]) -> None:
        self._update("events", *chosen)

    def update_view(self, chosen: tuple[int, Row]) -> None:
        self._update("page_views", *chosen)

    def _update(self, kind: str, number: int, new: Row) -> None:
        if not self.rows[kind] or self.late(kind, new):
            return
        old = self.rows[kind][number % len(self.rows[kind])]
        changes = {column: value for column, value in new.items() if column not in ("id", "event_data")}
        with self.warehouse.connect() as connection:
            site.update(connection, kind, old["id"], changes)
        old.update(changes)

    def delete(self, chosen: tuple[str, int]) -> None:
        kind, number = chosen
        if self.rows[kind]:
            row = self.rows[kind].pop(number % len(self.rows[kind]))
            with self.warehouse.connect() as connection:
                site.delete(connection, kind, row["session_id" if kind == "sessions" else "id"])

    def aggregate(self, chosen: tuple[str, int]) -> None:
        what, marks_at_once = chosen
        RUNS[what](self.warehouse, marks_at_once)

    def again(self, day: int) -> None:
        backfill(self.warehouse, site.at(day).date(), site.at(day).date())

    def retain(self, chosen: tuple[int, bool]) -> None:
        days, drop = chosen
        if drop:
            self.floor = apply_retention(self.warehouse, days).raw_floor
        else:
            site.value(self.warehouse, "select cleanup_old_raw_events(%s)", [days])
            self.floor = site.value(self.warehouse, "select raw_floor from analytics_retention")
        for kind, rows in self.rows.items():
            self.gone[kind] += [row for row in rows if self.late(kind, row)]
            rows[:] = [row for row in rows if not self.late(kind, row)]


def check_history(warehouse: Warehouse, steps: list[tuple[str, Any]], ranges: list[tuple[int, int]]) -> None:
    site.clear(warehouse)
    history = History(warehouse)
    for name, argument in steps:
        getattr(history, name)(argument)
    aggregate_all(warehouse)
    rows = history.counted()
    site.check_aggregates(warehouse, rows)
    site.check_ranges(
        warehouse, rows, [(site.at(first).date(), site.at(first + days).date()) for first, days in ranges]
    )
    assert site.value(warehouse, "select sum(refused_rows) from analytics_progress") == history.refused
    assert not wrong_aggregates(warehouse)
    # Nothing has changed: aggregating everything again writes nothing, and keeps what lies behind the floor.
    for day in {site.at(day).date() for day in (0, 1, 7, 30, 60, 88, 89, 90, 91, 92, 95)}:
        again = backfill(warehouse, day, day)
        assert sum((one.aggregated for one in again), Aggregated()).rows_written == 0
    site.check_aggregates(warehouse, rows)


@settings(max_examples=10, deadline=None, suppress_health_check=UNCHECKED)
@given(steps=STEPS, ranges=RANGES)
def test_aggregates_equal_a_plain_recomputation(
    warehouse: Warehouse, steps: list[tuple[str, Any]], ranges: list[tuple[int, int]]
) -> None:
    check_history(warehouse, steps, ranges)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=60, deadline=None, suppress_health_check=UNCHECKED)
@given(steps=STEPS, ranges=RANGES)
def test_aggregates_equal_a_plain_recomputation_over_many_histories(
    warehouse: Warehouse, steps: list[tuple[str, Any]], ranges: list[tuple[int, int]]
) -> None:
    check_history(warehouse, steps, ranges)


def test_writers_and_aggregators_at_once_lose_nothing(warehouse: Warehouse) -> None:
    """Three writers, a fifth of whose transactions roll back, beside two aggregators of each kind."""

    def write(seed: int) -> None:
        chance = random.Random(seed)
        known: list[Row] = []
        for _ in range(25):
            with warehouse.connect() as connection:
                events = [
                    site.event(
                        site.at(chance.choice([3, 50, 90]), chance.randrange(24)), f"v{chance.randrange(4)}",
                        project_id=chance.choice("pq"), event_label=chance.choice([None, "a"]),
                    )
                    for _ in range(5)
                ]  # fmt: skip
                site.copy(connection, "events", events)
                views = [site.page_view(site.at(chance.choice([3, 50])), f"s{chance.randrange(4)}") for _ in range(3)]
                site.insert(connection, "page_views", views)
                if known and chance.random() < 0.5:
                    moved = known.pop()
                    site.update(connection, "events", moved["id"], {"created_at": site.at(chance.choice([3, 90]), 5)})
                if known and chance.random() < 0.5:
                    site.delete(connection, "events", known.pop()["id"])
                if chance.random() < 0.2:
                    connection.rollback()
                else:
                    connection.commit()
                    known += events

    def aggregate(seed: int) -> None:
        chance = random.Random(seed)
        for _ in range(12):
            chance.choice([aggregate_hours, aggregate_days, aggregate_cards])(warehouse, chance.choice([1, 7, 100]))

    with ThreadPoolExecutor(7) as pool:
        work = [pool.submit(write, seed) for seed in range(3)] + [pool.submit(aggregate, seed) for seed in range(4)]
        for one in work:
            one.result()
    aggregate_all(warehouse)
    rows = site.raw_rows(warehouse)
    assert len(rows["events"]) > 100
    site.check_aggregates(warehouse, rows)
    site.check_ranges(warehouse, rows, [(site.at(first).date(), site.at(91).date()) for first in (1, 3, 4, 50)])


def test_a_row_that_commits_after_the_run_that_should_have_seen_it_is_counted(warehouse: Warehouse) -> None:
    with warehouse.connect() as slow:
        site.insert(slow, "events", [site.event(site.at(10))])
        with warehouse.connect() as quick:
            site.insert(quick, "events", [site.event(site.at(10), "w")])
        aggregate_all(warehouse)
        assert site.value(warehouse, "select sum(event_count) from analytics_events_daily_agg") == 1
    aggregate_all(warehouse)
    assert site.value(warehouse, "select sum(event_count) from analytics_events_daily_agg") == 2


def test_a_row_that_comes_while_its_day_is_aggregated_waits_for_the_next_run(warehouse: Warehouse) -> None:
    """Counts and uniques are of one moment: the day that was waiting for its table knows nothing of the new label."""
    waiting = "select count(*) from pg_locks where relation = %s::regclass and not granted"
    for kind, function, table in (
        ("events", "aggregate_analytics_days", "analytics_events_daily_agg"),
        ("page_views", "aggregate_analytics_cards", "analytics_daily_user_stats"),
    ):
        first, second = (
            [site.event(site.at(10), label, event_label=label) for label in "ab"]
            if kind == "events"
            else [site.page_view(site.at(10), group, share_code=group) for group in "ab"]
        )
        with warehouse.connect() as connection:
            site.insert(connection, kind, [first])
        aggregate_hours(warehouse)
        with warehouse.connect() as holder, ThreadPoolExecutor(1) as pool:
            holder.execute(f"lock table {table} in access exclusive mode".encode())
            running = pool.submit(site.value, warehouse, f"select written from {function}()")
            for attempt in Retrying(stop=stop_after_delay(20), wait=wait_fixed(0.02)):
                with attempt:
                    assert site.value(warehouse, waiting, [table])
            with warehouse.connect() as connection:
                site.insert(connection, kind, [second])
            holder.rollback()
            running.result()
        assert site.value(warehouse, f"select count(*) from {table}") == 1
    aggregate_all(warehouse)
    site.check_aggregates(warehouse, site.raw_rows(warehouse))


def test_aggregation_refuses_a_transaction_that_reads_an_old_snapshot(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with pytest.raises(psycopg.errors.InvalidTransactionState, match="needs READ COMMITTED"):
            connection.execute("select aggregate_analytics_hours()")


def test_unchanged_buckets_are_not_even_locked(warehouse: Warehouse) -> None:
    """Not only the rows are the same: they are the very same versions, with no lock written into them."""
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(day), f"v{day % 3}") for day in range(10)])
        site.insert(connection, "page_views", [site.page_view(site.at(day)) for day in range(10)])
        site.insert(connection, "clicks", [site.click(site.at(day)) for day in range(10)])
    aggregate_all(warehouse)

    def versions() -> list[tuple]:
        with warehouse.connect() as connection:
            return [
                row
                for table in site.AGGREGATES
                for row in connection.execute(f"select ctid, xmin, xmax from {table} order by 1".encode()).fetchall()
            ]

    before = versions()
    backfill(warehouse, site.OLDEST, site.at(10).date())
    assert versions() == before


def test_backfill_and_the_run_by_marks_agree_whatever_the_sessions_time_zone(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        site.insert(
            connection, "events", [site.event(site.at(5, hour, 45), f"v{hour % 4}") for hour in range(24)]
        )  # fmt: skip
    with warehouse.connect() as connection:
        connection.execute("set timezone = 'Asia/Kathmandu'")
        connection.execute("select aggregate_analytics_daily(%s)", [site.at(5).date()])
        connection.execute("select aggregate_analytics_hours()")
    site.check_aggregates(warehouse, site.raw_rows(warehouse))


@pytest.mark.parametrize("days", [0, 92])
def test_a_range_that_cannot_be_exact_is_refused(warehouse: Warehouse, days: int) -> None:
    for function in ("analytics_event_totals", "analytics_card_totals"):
        with (
            warehouse.connect() as connection,
            pytest.raises(psycopg.errors.InvalidParameterValue, match="1 to 91 days"),
        ):
            connection.execute(
                f"select * from {function}('p', %s, %s)".encode(), [site.TODAY - timedelta(days=days), site.TODAY]
            )
