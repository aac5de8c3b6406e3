"""Brings the aggregates to what the raw tables say. The SQL is in migrations 0009 to 0011; each batch of marks is one
transaction, so a run that is ended anywhere has lost nothing and done its part."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import LiteralString

from mixpanel_pipeline.warehouse.connection import Warehouse

# Enough buckets for set-based statements to pay, few enough for transactions of seconds.
MARKS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Aggregated:
    """What a run did: marks taken, buckets computed again, rows that had to be written or removed, late rows that were
    refused because their time lies behind the raw floor."""

    buckets: int = 0
    rows_written: int = 0
    rows_refused: int = 0
    marks_taken: int = 0

    def __add__(self, other: "Aggregated") -> "Aggregated":
        return Aggregated(
            self.buckets + other.buckets,
            self.rows_written + other.rows_written,
            self.rows_refused + other.rows_refused,
            self.marks_taken + other.marks_taken,
        )


def aggregate_hours(warehouse: Warehouse, marks_at_once: int = MARKS_AT_ONCE) -> Aggregated:
    """Every marked project-hour; hands the days on to `aggregate_days`."""
    query = "select taken, buckets, written, refused from aggregate_analytics_hours(%s)"
    return _take_marks(warehouse, query, marks_at_once)


def aggregate_days(warehouse: Warehouse, marks_at_once: int = MARKS_AT_ONCE) -> Aggregated:
    """Every marked project-day; hours first, which say which days they are."""
    hours = aggregate_hours(warehouse, marks_at_once)
    query = "select taken, buckets, written, 0 from aggregate_analytics_days(%s)"
    return hours + _take_marks(warehouse, query, marks_at_once)


def aggregate_cards(warehouse: Warehouse, marks_at_once: int = MARKS_AT_ONCE) -> Aggregated:
    """Every marked card-day."""
    query = "select taken, buckets, written, refused from aggregate_analytics_cards(%s)"
    return _take_marks(warehouse, query, marks_at_once)


def aggregate_all(warehouse: Warehouse, marks_at_once: int = MARKS_AT_ONCE) -> Aggregated:
    """Hours, days and cards."""
    return aggregate_days(warehouse, marks_at_once) + aggregate_cards(warehouse, marks_at_once)


@dataclass(frozen=True)
class DayAggregated:
    """One day of a backfill. Behind the raw floor nothing is done."""

    day: date
    behind_raw_floor: bool
    aggregated: Aggregated


def backfill(
    warehouse: Warehouse, first: date, last: date, on_day: Callable[[DayAggregated], None] = lambda _: None
) -> list[DayAggregated]:
    """Aggregates the days from `first` to `last` again, oldest first, and commits each; `on_day` hears of it then."""
    done = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        done.append(_aggregate_day(warehouse, day))
        on_day(done[-1])
    return done


def _aggregate_day(warehouse: Warehouse, day: date) -> DayAggregated:
    with warehouse.connect() as connection:
        row = connection.execute("select aggregate_analytics_daily(%s)", [day]).fetchone()
    answer = row[0] if row else {}
    aggregated = Aggregated(answer["buckets"], answer["rows_written"], answer["late_rows_refused"])
    return DayAggregated(day, answer["behind_raw_floor"], aggregated)


def _take_marks(warehouse: Warehouse, query: LiteralString, marks_at_once: int) -> Aggregated:
    total = Aggregated()
    while True:
        with warehouse.connect() as connection:
            taken, *counts = connection.execute(query, [marks_at_once]).fetchone() or (0, 0, 0, 0)
        total += Aggregated(*counts, marks_taken=taken)
        if taken < marks_at_once:
            return total
