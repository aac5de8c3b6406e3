"""Brings some hours or days up to date, and says what that did to each of them."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic

from psycopg.rows import dict_row

from mixpanel_pipeline.warehouse.connection import Warehouse, database_time
from mixpanel_pipeline.warehouse.sql_files import read_sql
from mixpanel_pipeline.web.aggregation import Aggregated, aggregate_cards, aggregate_days, aggregate_hours
from mixpanel_pipeline.web.marks import (
    Bucket,
    mark_card_days,
    mark_days,
    mark_hours,
    marked_card_days,
    marked_days,
    marked_hours,
)


@dataclass(frozen=True)
class Kind(Generic[Bucket]):
    """How a kind of aggregate is refreshed; `figures` and `preview` are files of sql/web."""

    mark: Callable[[Warehouse, Bucket, Bucket], None]
    marked: Callable[[Warehouse], Mapping[Bucket, int]]
    aggregate: Callable[[Warehouse], Aggregated]
    figures: str
    preview: str


HOURS: Kind[datetime] = Kind(mark_hours, marked_hours, aggregate_hours, "hour_figures.sql", "preview_hours.sql")
DAYS: Kind[date] = Kind(mark_days, marked_days, aggregate_days, "day_figures.sql", "preview_days.sql")
CARDS: Kind[date] = Kind(
    mark_card_days, marked_card_days, aggregate_cards, "card_day_figures.sql", "preview_card_days.sql"
)


@dataclass(frozen=True)
class BucketFigures:
    """What a table has of an hour or day: rows, what they count (events, or views and clicks), rows written now."""

    rows: int = 0
    counted: int = 0
    changed: int = 0


@dataclass(frozen=True)
class Refreshed(Generic[Bucket]):
    """What was done. `marks` waited in each bucket when it began; `figures` are by table and bucket, and lack buckets
    that a table has no row of; `preview` is a look into the newest bucket asked for."""

    asked_for: Sequence[Bucket]
    aggregated: Aggregated
    marks: Mapping[Bucket, int]
    figures: dict[tuple[str, Bucket], BucketFigures]
    preview: list[dict[str, Any]]
    seconds: float

    @property
    def others(self) -> list[Bucket]:
        """Buckets that nobody asked for and that were computed again: late rows had come to them, or to a day before
        that tells who is new on them."""
        changed = {bucket for (_, bucket), figures in self.figures.items() if figures.changed}
        return sorted((self.marks.keys() | changed) - set(self.asked_for))

    @property
    def rows_deleted(self) -> int:
        """Stale rows that went: of all that was written, what is not there."""
        changed = sum(figures.changed for figures in self.figures.values())
        return max(self.aggregated.rows_written - changed, 0)


def refresh(
    warehouse: Warehouse, kind: Kind[Bucket], buckets: Sequence[Bucket], *, everything: bool
) -> Refreshed[Bucket]:
    """Takes all marks of the kind, those of `buckets` (consecutive, or none) and of others.

    With `everything` all that there is in `buckets` is computed again. Without, what somebody wrote to: that is all
    there is to do unless somebody went past the triggers.
    """
    began = time.monotonic()
    if everything and buckets:
        kind.mark(warehouse, buckets[0], buckets[-1])
    with warehouse.connect() as connection:
        since = database_time(connection)
    waiting = kind.marked(warehouse)
    aggregated = kind.aggregate(warehouse)
    # Of two runs at once the later one finds nothing left: the other one reports those buckets.
    marks = waiting if aggregated.marks_taken else {}
    return Refreshed(
        asked_for=buckets,
        aggregated=aggregated,
        marks=marks,
        figures=_figures(warehouse, kind.figures, sorted({*marks, *buckets}), since),
        preview=_preview(warehouse, kind.preview, buckets[-1]) if buckets else [],
        seconds=time.monotonic() - began,
    )


def _figures(warehouse: Warehouse, file: str, buckets: list[Any], since: datetime) -> dict[Any, BucketFigures]:
    with warehouse.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(read_sql(f"web/{file}"), {"buckets": buckets, "since": since}).fetchall()
    return {(row.pop("of_table"), row.pop("bucket")): BucketFigures(**row) for row in rows}


def _preview(warehouse: Warehouse, file: str, bucket: date | datetime) -> list[dict[str, Any]]:
    with warehouse.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(read_sql(f"web/{file}"), {"bucket": bucket}).fetchall()
