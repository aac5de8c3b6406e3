"""Which hours and days are due, and which late rows came to after they had been aggregated."""

from datetime import UTC, date, datetime, timedelta

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.marks import HOUR, hour_of, marked_card_days, marked_days, marked_hours, start_of
from mixpanel_pipeline.web.progress import Progress

DAY = timedelta(days=1)

# The hourly run is at :05, the daily one at 02:00 UTC; until they had their turn a bucket is not late but new.
HOUR_HAD_ITS_TURN = timedelta(minutes=15)
DAY_HAD_ITS_TURN = timedelta(hours=3)


def hours_due(progress: Progress, now: datetime, start: date) -> tuple[datetime, datetime] | None:
    """The first and the last hour of the next hourly run: from what the last one reached to the hour just ended, so
    that hours missed are made up for. None when no hour has ended since `start`."""
    last = hour_of(now) - HOUR
    reached = progress.hours_until or progress.oldest_marked_hour or last
    first = max(min(reached, last), start_of(start))
    return (first, last) if first <= last else None


def days_due(progress: Progress, now: datetime, start: date) -> tuple[date, date] | None:
    """The same of the next daily run."""
    last = now.astimezone(UTC).date() - DAY
    if progress.days_until and progress.cards_until:
        reached = min(progress.days_until, progress.cards_until).astimezone(UTC).date()
    else:
        reached = progress.oldest_marked_day or last
    first = max(min(reached, last), start)
    return (first, last) if first <= last else None


def late_hours(warehouse: Warehouse, now: datetime, start: date) -> list[datetime]:
    """Hours that had their turn and were written to since."""
    return [hour for hour in marked_hours(warehouse) if start_of(start) <= hour <= now - HOUR - HOUR_HAD_ITS_TURN]


def late_days(warehouse: Warehouse, now: datetime, start: date) -> list[date]:
    """The same of days, of events and of cards."""
    marked = marked_days(warehouse).keys() | marked_card_days(warehouse).keys()
    return sorted(day for day in marked if day >= start and start_of(day) <= now - DAY - DAY_HAD_ITS_TURN)
