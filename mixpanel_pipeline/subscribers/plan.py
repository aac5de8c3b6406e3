"""Which days a sync materializes (spec section 3, `sync`)."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import psycopg

from mixpanel_pipeline.lake.calendar import DayRange, ExportCalendar, day_ranges, days_between
from mixpanel_pipeline.lake.manifest import read_partitions
from mixpanel_pipeline.subscribers.late_sweep import marked_late_days
from mixpanel_pipeline.subscribers.watermark import read_watermark


@dataclass(frozen=True)
class SyncPlan:
    """Days to materialize, oldest first. `late` are those among them that a sweep marked."""

    days: list[date]
    late: dict[date, int]
    first_sync: bool

    def ranges(self) -> list[DayRange]:
        """The days as ranges: a backfill is one run a range."""
        return day_ranges(self.days)


def plan_incremental(
    connection: psycopg.Connection,
    calendar: ExportCalendar,
    *,
    now: datetime,
    start: date,
    window_days: int,
    overlap_hours: int,
) -> SyncPlan:
    """From the watermark less the overlap to yesterday, and the days that late events touched; the first time the
    window."""
    yesterday = calendar.last_closed_day(now)
    late = marked_late_days(connection)
    stored = read_partitions(connection)
    if not stored:
        days = window(calendar, now=now, start=start, window_days=window_days)
        return SyncPlan(days, {}, first_sync=True)
    watermark = read_watermark(connection)
    # Days without any event leave the watermark where it was; the newest fetched day is then as good a mark.
    newest = stored[-1].export_day
    reached = calendar.day_of(watermark - timedelta(hours=overlap_hours)) if watermark else newest
    # Never past a day that no run has fetched yet, whatever the events' times say.
    first = max(start, min(reached, newest + timedelta(days=1), yesterday))
    days = sorted({*days_between(first, yesterday), *(day for day in late if day <= yesterday)})
    return SyncPlan(days, late, first_sync=False)


def window(calendar: ExportCalendar, *, now: datetime, start: date, window_days: int) -> list[date]:
    """The last `window_days` closed days, none before `start`."""
    yesterday = calendar.last_closed_day(now)
    return days_between(max(start, yesterday - timedelta(days=window_days - 1)), yesterday)
