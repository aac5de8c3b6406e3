"""Which days there are, and how a day's wall clock becomes UTC."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from mixpanel_pipeline.lake.wall_clock import UTC_CLOCK, WallClock, wall_clock_of

DayRange = tuple[date, date]  # first and last, both included


@dataclass(frozen=True)
class ExportCalendar:
    """Export days: UTC's, or the project's in `project` time mode (spec section 4)."""

    time_mode: Literal["utc", "project"]
    timezone: str

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone if self.time_mode == "project" else "UTC")

    def wall_clock(self, day: date) -> WallClock:
        """How the day's stored times become UTC."""
        return wall_clock_of(day, self.zone) if self.time_mode == "project" else UTC_CLOCK

    def day_of(self, moment: datetime) -> date:
        """The export day that a moment falls on."""
        return moment.astimezone(self.zone).date()

    def last_closed_day(self, now: datetime) -> date:
        """Yesterday: the newest day that is over."""
        return self.day_of(now) - timedelta(days=1)

    def describe(self) -> str:
        """Part of a partition's recipe: days landed under another calendar are landed again."""
        return self.time_mode if self.time_mode == "utc" else f"project {self.timezone}"


def days_between(first: date, last: date) -> list[date]:
    """Both included; empty when `last` is before `first`."""
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def day_ranges(days: Iterable[date]) -> list[DayRange]:
    """Consecutive days as (first, last), oldest first."""
    ranges: list[DayRange] = []
    for day in sorted(set(days)):
        if ranges and day - ranges[-1][1] == timedelta(days=1):
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges


def utc_now() -> datetime:
    """The real clock."""
    return datetime.now(UTC)
