"""What pages tell of periods: totals, how they changed, and series of buckets."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from mixpanel_pipeline.dashboard.periods import Period, Span, Step
from mixpanel_pipeline.dashboard.view import Table
from mixpanel_pipeline.dashboard.wording import NARROW_SPACE, day, number, span_of_days
from mixpanel_pipeline.warehouse.sql_files import read_sql

Row = dict[str, Any]
# Of a table on a page; its CSV and JSON have all.
MOST_ROWS_SHOWN = 25


@dataclass(frozen=True)
class Metric:
    """A figure that can be shown: its name in the data, its title, and how it reads in a sentence."""

    name: str
    title: str
    one: str
    many: str
    is_unique: bool = False


@dataclass(frozen=True)
class Bucket:
    """One place of a series."""

    start: datetime
    end: datetime
    is_complete: bool
    values: Row

    @property
    def data(self) -> Row:
        return {"start": self.start, "end": self.end, "complete": self.is_complete, **self.values}


def rows(connection: psycopg.Connection, query: str, given: Row) -> list[Row]:
    """The rows of a file under sql/dashboard."""
    return connection.cursor(row_factory=dict_row).execute(read_sql(f"dashboard/{query}.sql"), given).fetchall()


def row(connection: psycopg.Connection, query: str, given: Row) -> Row:
    return rows(connection, query, given)[0]


def days(span: Span) -> Row:
    """A span as the queries take it."""
    return {"from": span.first, "to": span.after_last}


def buckets(found: Iterable[Row], period: Period, step: Step, names: Sequence[str]) -> list[Bucket]:
    """The rows of a query as a series; days begin at midnight, UTC."""
    series = []
    for each in found:
        start, end = _moment(each["bucket"]), _moment(each["bucket_end"])
        values = {name: each[name] for name in names if name in each}
        series.append(Bucket(start, end, period.is_complete(start, end, step), values))
    return series


def table(found: Iterable[Row], columns: Sequence[str]) -> Table:
    """Rows of a query for CSV."""
    return Table(columns, [[each[name] for name in columns] for each in found])


def series_table(series: Sequence[Bucket], names: Sequence[str]) -> Table:
    """A series for CSV, with those of the figures that its buckets have."""
    has = [name for name in names if series and name in series[0].values]
    return Table(
        ["start_utc", "end_utc", "complete", *has],
        [
            [each.start.isoformat(), each.end.isoformat(), each.is_complete, *(each.values[name] for name in has)]
            for each in series
        ],
    )


def compared(now: float | None, before: float | None) -> float | None:
    """The change from before to now as a share; none when there was nothing before."""
    return (now - before) / before if before and now is not None else None


def can_compare(period: Period, first_day: date | None) -> bool:
    """Whether something of the period is complete, and the previous one is wholly known: not before the first day."""
    return period.previous is not None and first_day is not None and period.previous.first >= first_day


def comparison(
    period: Period, first_day: date | None, names: Sequence[str], totals: Callable[[Span], Row]
) -> Row | None:
    """The complete part of a period beside the previous one, where there is something to compare."""
    if period.complete is None or period.previous is None or not can_compare(period, first_day):
        return None
    now, before = totals(period.complete), totals(period.previous)
    return {
        "from": period.complete.start,
        "to": period.complete.end,
        "previous_from": period.previous.start,
        "previous_to": period.previous.end,
        "figures": {
            name: {"now": now[name], "previous": before[name], "change": compared(now[name], before[name])}
            for name in names
        },
    }


def sentence(metric: Metric, total: int | None, of_what: str, period: Period, against: Row | None) -> str:
    """The figure, of what, when, and how it changed."""
    when = period_words(period)
    if total is None:
        return f"{metric.title}{of_what} {when}."
    said = f"{number(total)} {metric.one if total == 1 else metric.many}{of_what} {when}"
    change = against["figures"][metric.name]["change"] if against else None
    if against is None or change is None:
        return f"{said}."
    share = round(abs(change) * 100)
    moved = "as many as" if share == 0 else f"{'up' if change > 0 else 'down'} {share:,}{NARROW_SPACE}% on"
    return f"{said}, {moved} {compared_with(period, against)}."


def compared_with(period: Period, against: Row) -> str:
    """The previous period in words."""
    if period.is_rolling:
        return "the same hours a week before"
    return span_of_days(against["previous_from"], against["previous_to"])


def shown(period: Period, against: Row | None) -> Row:
    """What templates say of a period."""
    return {
        "period": period,
        "when": period_words(period),
        "compared_with": compared_with(period, against) if against else None,
        "most": MOST_ROWS_SHOWN,
    }


def period_data(period: Period) -> Row:
    return {"name": period.name, "from": period.start, "to": period.end, "days": period.days, "time_zone": "UTC"}


def period_words(period: Period) -> str:
    """As a part of a sentence."""
    if period.name == "days":
        return f"on {day(period.first)}" if period.days == 1 else f"from {day(period.first)} to {day(period.last)}"
    return {"24h": "in the last 24 hours", "today": "today"}.get(period.name, f"in the last {period.days} days")


def _moment(value: date | datetime) -> datetime:
    if isinstance(value, datetime):
        return value.astimezone(UTC)
    return datetime.combine(value, datetime.min.time(), UTC)
