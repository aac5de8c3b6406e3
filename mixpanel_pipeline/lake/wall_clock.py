"""Project time: events stored as the project's wall clock, written as if it were an epoch (spec section 2).

Projects created before 2023 have it (reference/mixpanel.md A1.5). An hour that occurs twice is taken as its first
occurrence, one that does not exist is shifted forward; both come from one rule: before the clock's change the old
offset holds, up to the later of the two wall clock readings of that moment.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

# Wide enough for a change of clock beside the day to be seen, narrow enough to hold one change only.
MARGIN = timedelta(days=2)
NEVER = 1e15


@dataclass(frozen=True)
class WallClock:
    """How one day's wall clock seconds become UTC: subtract `offset_before` before `boundary`, else `offset_after`.

    All in seconds; `twice` and `never` are the wall clock spans [from, to) that occurred twice or not at all.
    """

    boundary: float = NEVER
    offset_before: float = 0.0
    offset_after: float = 0.0
    twice: tuple[float, float] = (NEVER, NEVER)
    never: tuple[float, float] = (NEVER, NEVER)


UTC_CLOCK = WallClock()


def wall_clock_of(day: date, zone: ZoneInfo) -> WallClock:
    """The wall clock of `zone` around `day`."""
    start = datetime.combine(day, time(), UTC) - MARGIN
    end = datetime.combine(day, time(), UTC) + MARGIN + timedelta(days=1)
    before, after = _offset(start, zone), _offset(end, zone)
    if before == after:
        return WallClock(offset_before=before, offset_after=after)
    changed = _change_between(start, end, zone).timestamp()
    earlier, later = sorted((changed + before, changed + after))
    span = (earlier, later)
    nothing = (NEVER, NEVER)
    return WallClock(
        boundary=later, offset_before=before, offset_after=after,
        twice=span if after < before else nothing, never=span if after > before else nothing,
    )  # fmt: skip


def _offset(moment: datetime, zone: ZoneInfo) -> float:
    offset = moment.astimezone(zone).utcoffset()
    return offset.total_seconds() if offset else 0.0


def _change_between(start: datetime, end: datetime, zone: ZoneInfo) -> datetime:
    """The first second of the new offset, by halving."""
    before = _offset(start, zone)
    low, high = int(start.timestamp()), int(end.timestamp())
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(datetime.fromtimestamp(middle, UTC), zone) == before:
            low = middle
        else:
            high = middle
    return datetime.fromtimestamp(high, UTC)
