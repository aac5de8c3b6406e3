"""Draws who visits what when: the sessions of a day, and what is done in them, as numpy columns.

A visitor is known by project, the day of the first visit, and a number: nothing has to be remembered from one day
to the next, and any day can be drawn by itself. So that two sessions of a visitor are always more than 30 minutes
apart, and the actions within one always less, a visitor's day has six slots of four hours; a session begins in the
first two hours of a slot and lasts at most 90 minutes. When that day begins, from midnight to four, is the visitor's
own, so that together they come at any time.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime, timedelta
from typing import Self

import numpy as np

from mixpanel_pipeline.simulator.web_words import HOUR_WEIGHTS, HOURS_FROM_UTC, WEEKDAY_WEIGHTS

STREAM = 7_004  # keeps these draws apart from others that follow the same seed
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
SLOT_MS = 4 * HOUR_MS
LONGEST_SESSION_MS = 90 * MINUTE_MS
LONGEST_PAUSE_MS = 29 * MINUTE_MS
MEDIAN_PAUSE_MS, PAUSE_SPREAD = 12_000, 1.4
MOST_ACTIONS = 400
SESSIONS_PER_CHUNK = 2_048  # about 25,000 actions: what is rendered at a time stays in the processor's caches

SESSIONS_PER_VISITOR = 1.23
DOUBLE_BOOKED = 0.076  # of drawn sessions, those dropped since their visitor has one in the same slot
FIRST_DAY_FRACTION = 0.5  # of a day's sessions, those of visitors who have their first day; after weeks 60 % are new
OLDEST_VISIT_DAYS = 90
LOYALTY = 1.4  # above 1, some visitors come more often than others
ONLINE_MS = (50, 10_000)  # browsers send what they gathered every ten seconds
LATE_MS = (2 * MINUTE_MS, 7 * DAY_MS)

PAGE_VIEW, CLICK, EVENT = 0, 1, 2
PAGE_VIEW_FRACTION, CLICK_FRACTION = 0.22, 0.13  # of what follows a session's first page view; the rest are events


@dataclass(frozen=True)
class Columns:
    """Columns of equal length."""

    def __len__(self) -> int:
        return len(getattr(self, fields(self)[0].name))

    def take(self, rows: slice | np.ndarray) -> Self:
        return type(self)(*(getattr(self, column.name)[rows] for column in fields(self)))

    def followed_by(self, other: Self) -> Self:
        return type(self)(
            *(np.concatenate([getattr(self, column.name), getattr(other, column.name)]) for column in fields(self))
        )


@dataclass(frozen=True)
class Sessions(Columns):
    """The sessions of a day in the order in which they began."""

    numbers: np.ndarray  # unlike those of any other day
    projects: np.ndarray
    openings: np.ndarray  # which way of opening a card, of all projects'
    visitors: np.ndarray  # another number for each, without pattern
    starts_ms: np.ndarray


@dataclass(frozen=True)
class Actions(Columns):
    """Page views, clicks and events."""

    sessions: np.ndarray  # their rows among the day's sessions
    kinds: np.ndarray
    times_ms: np.ndarray
    received_ms: np.ndarray
    choices: np.ndarray  # which page, which click, or which event with which label
    variants: np.ndarray  # which event_data
    random_high: np.ndarray
    random_low: np.ndarray

    @property
    def received_of_session(self) -> np.ndarray:
        """When the session's first action was received; needs them session by session."""
        _, firsts, counts = np.unique(self.sessions, return_index=True, return_counts=True)
        return np.repeat(self.received_ms[firsts], counts)


@dataclass(frozen=True)
class Rates:
    """How much there is of everything, and the shares of each choice."""

    seed: int
    visitors_per_day: int
    events_per_day: int
    late_fraction: float
    project_shares: np.ndarray
    opening_shares: np.ndarray  # the same in every project
    choice_shares: tuple[np.ndarray, np.ndarray, np.ndarray]  # by kind
    variants: int

    @property
    def actions_after_first(self) -> float:
        events = 1 - PAGE_VIEW_FRACTION - CLICK_FRACTION
        return self.events_per_day / (self.visitors_per_day * SESSIONS_PER_VISITOR * events)


def draw_sessions(day: date, rates: Rates) -> Sessions:
    """Those that begin on that UTC day: of the visitors' days, the later part of one and the end of the one before."""
    start = day_start_ms(day)
    drawn = _visitors_day(day - timedelta(1), rates).followed_by(_visitors_day(day, rates))
    sessions = drawn.take((drawn.starts_ms >= start) & (drawn.starts_ms < start + DAY_MS))
    return sessions.take(np.argsort(sessions.starts_ms, kind="stable"))


def _visitors_day(day: date, rates: Rates) -> Sessions:
    random = np.random.default_rng([STREAM, rates.seed, day.toordinal()])
    wanted = rates.visitors_per_day * SESSIONS_PER_VISITOR * WEEKDAY_WEIGHTS[day.weekday()]
    count = int(random.poisson(wanted / (1 - DOUBLE_BOOKED)))
    projects = random.choice(len(rates.project_shares), count, p=rates.project_shares)
    visitors = scattered(_visitor_keys(day, projects, rates, random), rates.seed)
    clock = _local_times(random.random(count)) - np.array(HOURS_FROM_UTC)[projects % len(HOURS_FROM_UTC)] * HOUR_MS
    day_begins = (visitors % np.uint64(SLOT_MS)).astype(np.int64)
    into_day = (clock - day_begins) % DAY_MS
    into_day -= np.where(into_day % SLOT_MS >= SLOT_MS // 2, SLOT_MS // 2, 0)
    # A visitor has one session in a slot.
    _, kept = np.unique(visitors ^ (into_day // SLOT_MS).astype(np.uint64), return_index=True)
    return Sessions(
        numbers=(day.toordinal() << 40) + np.arange(count, dtype=np.uint64),
        projects=projects,
        openings=projects * len(rates.opening_shares)
        + random.choice(len(rates.opening_shares), count, p=rates.opening_shares),
        visitors=visitors,
        starts_ms=day_start_ms(day) + day_begins + into_day,
    ).take(np.sort(kept))


def day_start_ms(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000


def scattered(keys: np.ndarray, seed: int) -> np.ndarray:
    """Different keys give different numbers without pattern (the finish of splitmix64 can be undone step by step)."""
    mixed = keys + np.uint64((seed * 0x9E3779B97F4A7C15) % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _visitor_keys(day: date, projects: np.ndarray, rates: Rates, random: np.random.Generator) -> np.ndarray:
    """Project, first day and number in 12, 20 and 32 bits. Most come back soon, some after months."""
    count = len(projects)
    days_ago = np.exp(random.uniform(0, np.log(OLDEST_VISIT_DAYS + 1), count)).astype(np.int64)
    days_ago[random.random(count) < FIRST_DAY_FRACTION] = 0
    newcomers = np.maximum(4, rates.visitors_per_day * rates.project_shares * FIRST_DAY_FRACTION)
    numbers = (random.random(count) ** LOYALTY * newcomers[projects]).astype(np.int64)
    return ((projects << 52) | ((day.toordinal() - days_ago) << 32) | numbers).astype(np.uint64)


def _local_times(uniform: np.ndarray) -> np.ndarray:
    """Milliseconds after midnight, as the hours' weights have it."""
    reached = np.concatenate([[0], np.cumsum(HOUR_WEIGHTS)]) / sum(HOUR_WEIGHTS)
    return (np.interp(uniform, reached, np.arange(25)) * HOUR_MS).astype(np.int64)


def draw_actions(day: date, sessions: Sessions, first: int, rates: Rates) -> Actions:
    """What is done in a chunk of sessions, beginning with the session numbered `first`; session by session."""
    starts = sessions.starts_ms[first : first + SESSIONS_PER_CHUNK]
    random = np.random.default_rng([STREAM, rates.seed, day.toordinal(), 1 + first])
    counts = np.minimum(random.geometric(1 / (1 + rates.actions_after_first), len(starts)), MOST_ACTIONS)
    firsts = np.cumsum(counts) - counts
    count = int(counts.sum())
    pauses = np.exp(random.normal(np.log(MEDIAN_PAUSE_MS), PAUSE_SPREAD, count))
    elapsed = np.cumsum(np.minimum(pauses, LONGEST_PAUSE_MS).astype(np.int64))
    elapsed -= np.repeat(elapsed[firsts], counts)
    times = np.repeat(starts, counts) + np.minimum(elapsed, LONGEST_SESSION_MS - 1)
    kinds = random.choice(
        [PAGE_VIEW, CLICK, EVENT],
        count,
        p=[PAGE_VIEW_FRACTION, CLICK_FRACTION, 1 - PAGE_VIEW_FRACTION - CLICK_FRACTION],
    )
    kinds[firsts] = PAGE_VIEW
    choices = np.empty(count, dtype=np.int64)
    for kind, shares in enumerate(rates.choice_shares):
        of_kind = kinds == kind
        choices[of_kind] = random.choice(len(shares), int(of_kind.sum()), p=shares)
    return Actions(
        sessions=np.repeat(np.arange(first, first + len(starts)), counts),
        kinds=kinds,
        times_ms=times,
        received_ms=times + _delays(random, count, rates.late_fraction),
        choices=choices,
        variants=random.integers(0, rates.variants, count),
        random_high=random.integers(0, 2**12, count, dtype=np.uint64),
        random_low=random.integers(0, 2**62, count, dtype=np.uint64),
    )


def _delays(random: np.random.Generator, count: int, late_fraction: float) -> np.ndarray:
    """Late ones by minutes, hours or days, each about as often."""
    delays = random.integers(*ONLINE_MS, count)
    late = random.random(count) < late_fraction
    shortest, longest = np.log(LATE_MS)
    delays[late] = np.exp(random.uniform(shortest, longest, int(late.sum()))).astype(np.int64)
    return delays


def chunks(day: date, sessions: Sessions, rates: Rates) -> Iterator[Actions]:
    """All actions of the day's sessions, session by session."""
    for first in range(0, len(sessions), SESSIONS_PER_CHUNK):
        yield draw_actions(day, sessions, first, rates)


def in_order(sessions: Sessions, drawn: Iterable[Actions]) -> Iterator[Actions]:
    """The same actions in the order of time: what lies behind the start of the next chunk waits for it."""
    waiting: Actions | None = None
    for number, chunk in enumerate(drawn, start=1):
        known = chunk if waiting is None else waiting.followed_by(chunk)
        known = known.take(np.argsort(known.times_ms, kind="stable"))
        following = sessions.starts_ms[number * SESSIONS_PER_CHUNK :]
        ready = int(np.searchsorted(known.times_ms, following[0])) if len(following) else len(known)
        yield known.take(slice(0, ready))
        waiting = known.take(slice(ready, None))
