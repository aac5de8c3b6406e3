"""Which days a page is of, in which buckets they are shown, and what they are compared with. All in UTC."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

from starlette.requests import Request

from mixpanel_pipeline.dashboard import parameters
from mixpanel_pipeline.dashboard.parameters import BadParameterError

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
# Newcomers are kept of so many days (docs/web.md).
MOST_EXACT_DAYS = 91
MOST_DAYS = 731
# No event is older, and the days before the first of all cannot be reckoned with.
OLDEST_DAY = date(1970, 1, 1)
DAYS_OF = {"today": 1, "7d": 7, "30d": 30, "90d": 90}

Step = Literal["hour", "4 hours", "day", "week"]
STEPS: dict[Step, timedelta] = {"hour": HOUR, "4 hours": 4 * HOUR, "day": DAY, "week": WEEK}


@dataclass(frozen=True)
class Span:
    """Days, or hours, from `start` to before `end`."""

    start: datetime
    end: datetime

    @property
    def first(self) -> date:
        return self.start.date()

    @property
    def after_last(self) -> date:
        """The day after its last one."""
        return (self.end - timedelta(microseconds=1)).date() + DAY

    @property
    def last(self) -> date:
        return self.after_last - DAY

    @property
    def days(self) -> int:
        return (self.after_last - self.first).days


@dataclass(frozen=True)
class Period(Span):
    """What the reader chose. `name` is "days" when it is from one day to another."""

    name: str
    now: datetime

    @property
    def is_rolling(self) -> bool:
        """The last 24 hours: no whole days, so that there are no uniques of it."""
        return self.name == "24h"

    @property
    def is_exact(self) -> bool:
        return not self.is_rolling and self.days <= MOST_EXACT_DAYS

    @property
    def step(self) -> Step:
        """The width of a bucket, by spec: 24 hours by hour, a week by 4 hours, a month by day, more by week."""
        if self.is_rolling or self.days <= 2:
            return "hour"
        if self.days <= 7:
            return "4 hours"
        return "day" if self.days < 90 else "week"

    @property
    def step_of_uniques(self) -> Step:
        """Uniques are kept by day."""
        return "week" if self.step == "week" else "day"

    @property
    def complete(self) -> Span | None:
        """Without the bucket that is running: what can be compared."""
        running = self.now.replace(minute=0, second=0, microsecond=0) if self.is_rolling else _midnight(self.now)
        end = min(self.end, running)
        return Span(self.start, end) if end > self.start else None

    @property
    def previous(self) -> Span | None:
        """As long as the complete part and on the same weekdays, so whole weeks before."""
        if self.complete is None:
            return None
        back = WEEK * -(-(self.end - self.start) // WEEK)
        return Span(self.complete.start - back, self.complete.end - back)

    def is_complete(self, start: datetime, end: datetime, step: Step) -> bool:
        """Whether a bucket is neither running nor cut off by the ends of the period."""
        return end <= self.now and end - start == STEPS[step]


def read_period(request: Request, now: datetime, names: Sequence[str], default: str) -> Period:
    """What `period`, or `from` and `to` in its place, ask for."""
    now = now.astimezone(UTC)
    tomorrow = _midnight(now) + DAY
    first, last = parameters.day(request, "from"), parameters.day(request, "to")
    if first or last:
        if first is None:
            raise BadParameterError("from", "a day such as 2026-01-31 when there is a `to`")
        if last is None:
            raise BadParameterError("to", "a day such as 2026-01-31 when there is a `from`")
        if first < OLDEST_DAY:
            raise BadParameterError("from", f"a day from {OLDEST_DAY} on")
        if not first <= last < tomorrow.date():
            raise BadParameterError("to", f"a day from {first} (`from`) to {now.date()}, which is today (UTC)")
        if (last - first).days >= MOST_DAYS:
            raise BadParameterError("from", f"a day at most {MOST_DAYS - 1} days before `to`")
        return Period(_start_of(first), _start_of(last) + DAY, "days", now)
    return last_days(parameters.choice(request, "period", names, default), now)


def last_days(name: str, now: datetime) -> Period:
    """A period that ends now; today, which is not over, is its last day."""
    now = now.astimezone(UTC)
    if name == "24h":
        end = now.replace(minute=0, second=0, microsecond=0) + HOUR
        return Period(end - DAY, end, name, now)
    end = _midnight(now) + DAY
    return Period(end - DAYS_OF[name] * DAY, end, name, now)


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _start_of(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time(), UTC)
