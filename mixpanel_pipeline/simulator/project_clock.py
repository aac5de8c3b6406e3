"""What time it is for a project, and how its days and its `time` property follow from real time.

Projects created before 2023 ("project" mode) store the wall clock of their time zone written as an epoch,
daylight saving included, and count days in that zone; newer ones ("utc" mode) store true epochs and count
UTC days (docs.mixpanel.com: export-methods, managing-projects).
"""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

TimeMode = Literal["utc", "project"]
EPOCH_ORDINAL = date(1970, 1, 1).toordinal()
SECONDS_PER_DAY = 86_400


class ProjectClock:
    """Real time, days and wire times of one project.

    `today` replaces the real clock: it returns the project's day, which then counts as nearly over, or the
    exact moment as an aware datetime.
    """

    def __init__(self, timezone: str, time_mode: TimeMode, today: Callable[[], date | datetime] | None = None) -> None:
        if time_mode not in ("utc", "project"):
            raise ValueError(f"time_mode is {time_mode!r}; it takes 'utc' or 'project'")
        self.zone = ZoneInfo(timezone)
        self.time_mode: TimeMode = time_mode
        self._day_zone = self.zone if time_mode == "project" else UTC
        self._today = today

    def now(self) -> datetime:
        if self._today is None:
            return datetime.now(UTC)
        given = self._today()
        if isinstance(given, datetime):
            return given
        return datetime.fromtimestamp(self.bounds(given)[1], UTC) - timedelta(milliseconds=1)

    def now_ms(self) -> int:
        return int(self.now().timestamp() * 1000)

    def today(self) -> date:
        return self.now().astimezone(self._day_zone).date()

    def offset_seconds(self, utc_seconds: int) -> int:
        """What the wire time is ahead of the real one at that moment."""
        if self.time_mode == "utc":
            return 0
        offset = datetime.fromtimestamp(utc_seconds, self.zone).utcoffset()
        return int(offset.total_seconds()) if offset else 0

    def wire_seconds(self, utc_seconds: int) -> int:
        return utc_seconds + self.offset_seconds(utc_seconds)

    def utc_seconds(self, wire_seconds: int) -> int:
        """The real moment of a wire time; an hour that occurs twice is taken as its first occurrence."""
        if self.time_mode == "utc":
            return wire_seconds
        wall_clock = datetime.fromtimestamp(wire_seconds, UTC).replace(tzinfo=self.zone)
        return int(wall_clock.timestamp())

    def day_of(self, utc_seconds: int) -> date:
        return date.fromordinal(EPOCH_ORDINAL + self.wire_seconds(utc_seconds) // SECONDS_PER_DAY)

    def bounds(self, day: date) -> tuple[int, int]:
        """The real seconds from which and before which an event belongs to the day (23 to 25 hours)."""
        start, end = (
            int(datetime.combine(midnight, time(), self._day_zone).timestamp())
            for midnight in (day, day + timedelta(days=1))
        )
        return start, end
