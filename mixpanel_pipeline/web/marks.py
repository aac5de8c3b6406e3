"""Which buckets aggregation has to take, and marking some that nobody wrote to."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql

HOUR = timedelta(hours=1)


Bucket = TypeVar("Bucket", date, datetime)


def marked_hours(warehouse: Warehouse) -> dict[datetime, int]:
    """Hours of events and how many marks each has, oldest first."""
    return _marked(warehouse, "web/marked_hours.sql")


def marked_days(warehouse: Warehouse) -> dict[date, int]:
    """Days of events, oldest first: those of marked hours too."""
    return _marked(warehouse, "web/marked_days.sql")


def marked_card_days(warehouse: Warehouse) -> dict[date, int]:
    """Days of cards, oldest first."""
    return _marked(warehouse, "web/marked_card_days.sql")


def mark_hours(warehouse: Warehouse, first: datetime, last: datetime) -> None:
    """Has the hours from `first` to `last` computed again, whether or not somebody wrote to them."""
    with warehouse.connect() as connection:
        connection.execute(read_sql("web/mark_hours.sql"), {"from": first, "to": last + HOUR})


def mark_days(warehouse: Warehouse, first: date, last: date) -> None:
    """Has the days of events from `first` to `last` computed again, and their hours."""
    end = last + timedelta(days=1)
    with warehouse.connect() as connection:
        connection.execute(read_sql("web/mark_hours.sql"), {"from": start_of(first), "to": start_of(end)})
        connection.execute(read_sql("web/mark_days.sql"), {"from": first, "to": end})


def mark_card_days(warehouse: Warehouse, first: date, last: date) -> None:
    """Has the days of cards from `first` to `last` computed again."""
    with warehouse.connect() as connection:
        connection.execute(read_sql("web/mark_cards.sql"), {"from": first, "to": last + timedelta(days=1)})


def start_of(day: date) -> datetime:
    """The midnight with which a UTC day begins."""
    return datetime.combine(day, datetime.min.time(), UTC)


def hour_of(moment: datetime) -> datetime:
    """The hour that a moment lies in."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def ranges_of(buckets: Iterable[Bucket], step: timedelta) -> list[tuple[Bucket, Bucket]]:
    """Buckets without a gap in between as (first, last), oldest first."""
    ranges: list[tuple[Bucket, Bucket]] = []
    for bucket in sorted(set(buckets)):
        if ranges and bucket - ranges[-1][1] == step:
            ranges[-1] = (ranges[-1][0], bucket)
        else:
            ranges.append((bucket, bucket))
    return ranges


def _marked(warehouse: Warehouse, file: str) -> dict[Any, int]:
    with warehouse.connect() as connection:
        rows = connection.execute(read_sql(file)).fetchall()
    return dict(rows)
