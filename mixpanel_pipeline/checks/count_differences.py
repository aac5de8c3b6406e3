"""Where Mixpanel's reports count other than the lake, and whether days of another time zone are why
(reference/mixpanel.md A1.5, A3)."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal, NamedTuple
from zoneinfo import ZoneInfo, available_timezones

from mixpanel_pipeline.lake.calendar import ExportCalendar, days_between

Kind = Literal["unexplained", "time zone", "late", "duplicates", "quarantined", "deleted"]
Cell = tuple[str, date]

ONE_DAY = timedelta(days=1)
ZONES_NAMED = 3


class QuarterHour(NamedTuple):
    """So many of an event from `wire_seconds`, the time as Mixpanel writes it, for a quarter of an hour."""

    event: str
    wire_seconds: int
    events: int


@dataclass(frozen=True)
class Difference:
    """One event on one of the project's days that both sides count otherwise."""

    event: str
    day: date
    ours: int
    mixpanel: int
    kind: Kind = "unexplained"
    reason: str = ""

    @property
    def difference(self) -> int:
        """What Mixpanel counts more than the lake."""
        return self.mixpanel - self.ours

    def row(self) -> dict[str, Any]:
        return {
            "event": self.event,
            "day": self.day,
            "ours": self.ours,
            "mixpanel": self.mixpanel,
            "difference": self.difference,
            "explanation": f"{self.kind}: {self.reason}" if self.reason else self.kind,
        }


def report_start(calendar: ExportCalendar, day: date) -> int:
    """The wire time at which a report's day begins. Reports have the project's days in both time modes; in `project`
    mode the wire time is its wall clock already."""
    zone = UTC if calendar.time_mode == "project" else ZoneInfo(calendar.timezone)
    return int(datetime.combine(day, time(), zone).timestamp())


def covering_days(calendar: ExportCalendar, day: date) -> list[date]:
    """The export days that a report's day lies in: one, or two where exports' days are UTC's and reports' are not."""
    first, end = report_start(calendar, day), report_start(calendar, day + ONE_DAY)
    return days_between(_wire_day(first), _wire_day(end - 1))


def counts_by_day(quarters: Iterable[QuarterHour], calendar: ExportCalendar, first: date, last: date) -> Counter[Cell]:
    """Events by the report's days from `first` to `last`."""
    days = days_between(first, last)
    starts = [report_start(calendar, day) for day in (*days, last + ONE_DAY)]
    counts: Counter[Cell] = Counter()
    for event, wire_seconds, events in quarters:
        if starts[0] <= wire_seconds < starts[-1]:
            counts[event, days[bisect_right(starts, wire_seconds) - 1]] += events
    return counts


def explained_by_time_zone(
    differences: list[Difference],
    quarters: Sequence[QuarterHour],
    counted: Mapping[Cell, int],
    calendar: ExportCalendar,
    landed: set[date],
) -> list[Difference]:
    """The differences, explained if in another time zone, or the other time mode, no count differs at all.

    `counted` is what Mixpanel says of the days compared, `landed` the days that partitions are there of. Events must be
    missing on one day and too many on another: what is only late or deleted is no question of zones.
    """
    if not _moved(differences):
        return differences
    days = sorted({day for _, day in counted})
    fitting = [
        zones
        for zones in _zones_by_midnights(days[0], days[-1])
        if _agrees(ExportCalendar("utc", zones[0]), differences, quarters, counted, landed)
    ]
    if not fitting:
        return differences
    reason = _which_setting(calendar, sorted(zone for zones in fitting for zone in zones))
    return [replace(cell, kind="time zone", reason=reason) for cell in differences]


def _agrees(
    calendar: ExportCalendar,
    differences: Sequence[Difference],
    quarters: Sequence[QuarterHour],
    counted: Mapping[Cell, int],
    landed: set[date],
) -> bool:
    """Whether no count differs on the days that are covered in that zone too."""
    days = {day for _, day in counted if landed.issuperset(covering_days(calendar, day))}
    if not _moved(cell for cell in differences if cell.day in days):
        return False
    ours = counts_by_day(quarters, calendar, min(days), max(days))
    return all(ours[event, day] == events for (event, day), events in counted.items() if day in days)


def _moved(differences: Iterable[Difference]) -> bool:
    """Whether events are missing here and too many there."""
    return {cell.difference > 0 for cell in differences} == {True, False}


def _zones_by_midnights(first: date, last: date) -> list[list[str]]:
    """All time zones, those together whose days begin at the same moments: some forty groups."""
    days = days_between(first, last + ONE_DAY)
    groups: defaultdict[tuple[int, ...], list[str]] = defaultdict(list)
    for zone in sorted(available_timezones()):
        groups[tuple(report_start(ExportCalendar("utc", zone), day) for day in days)].append(zone)
    return list(groups.values())


def _which_setting(calendar: ExportCalendar, zones: list[str]) -> str:
    # Names that Mixpanel's own list has come first, then the shorter ones; many are aliases.
    named = sorted(zones, key=lambda zone: (not zone.startswith("US/"), "/" not in zone, len(zone), zone))
    such_as = ", ".join(named[:ZONES_NAMED])
    if calendar.time_mode == "project" and calendar.timezone in zones:
        return f"all counts agree with times in UTC and days in {calendar.timezone}: MIXPANEL_TIME_MODE=utc"
    if calendar.time_mode == "project":
        return f"all counts agree with MIXPANEL_TIME_MODE=utc and MIXPANEL_TIMEZONE such as {such_as}"
    if "UTC" in zones:
        return (
            "all counts agree on the exports' own days: MIXPANEL_TIME_MODE=project if the project was created before "
            "2023, else MIXPANEL_TIMEZONE=UTC"
        )
    return f"all counts agree on days of another time zone: MIXPANEL_TIMEZONE such as {such_as}"


def _wire_day(wire_seconds: int) -> date:
    return datetime.fromtimestamp(wire_seconds, UTC).date()
