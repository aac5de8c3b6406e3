"""How the pipeline is: one sentence, then thresholds, days, checks, syncs and what web analytics wait for."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Literal

import psycopg
from starlette.requests import Request

from mixpanel_pipeline.dashboard.view import Page, Table, View
from mixpanel_pipeline.dashboard.wording import day as day_text
from mixpanel_pipeline.web.progress import Progress

State = Literal["well", "attention", "broken"]
DayState = Literal["fetched", "late", "missing", "failed", "unknown"]

WORST_FIRST: tuple[State, ...] = ("broken", "attention", "well")
IN_WORDS: dict[State, str] = {"well": "All is well", "attention": "Needs attention", "broken": "Broken"}
REASONS_NAMED = 3


@dataclass(frozen=True)
class Signal:
    """A threshold: what is so now (`value` in short, `summary` in a sentence), what is expected, and what to do."""

    name: str
    title: str
    value: str
    expected: str
    state: State
    summary: str
    fix: str = ""
    link: str | None = None


@dataclass(frozen=True)
class CheckState:
    """What a check says: `checked_at` when it said so, `days` of what; None where it never ran. `ran_last_at` is later
    where it looked at other days since. It is unknown what it never looked at, or could not: Mixpanel did not answer,
    say."""

    name: str
    state: State | Literal["unknown"]
    checked_at: datetime | None
    ran_last_at: datetime | None
    summary: str
    days: str = ""
    fix: str = ""
    link: str | None = None


@dataclass(frozen=True)
class Watermark:
    source: str
    last_event_time: datetime | None
    last_synced_at: datetime
    total_events_synced: int
    notes: str | None


@dataclass(frozen=True)
class Sync:
    """A row of the sync log, newest first. `seconds` is None while it runs."""

    what: str | None
    mode: str
    status: str
    started_at: datetime
    seconds: float | None
    result: str
    error: str | None


@dataclass(frozen=True)
class ExportDay:
    day: date
    state: DayState


@dataclass(frozen=True)
class Profiles:
    live: int
    deleted: int
    last_snapshot: datetime | None
    error: str | None


@dataclass(frozen=True)
class HealthReport:
    """Everything that the page shows, as of `read_at`. `days` are the newest closed ones, without a gap, of `zone`."""

    read_at: datetime
    signals: list[Signal]
    checks: list[CheckState]
    watermarks: list[Watermark]
    syncs: list[Sync]
    zone: str
    days: list[ExportDay]
    missing_days: list[date]
    failed_days: list[date]
    late_days: dict[str, int]
    subscribers: int
    profiles: Profiles
    web: Progress
    dagster: dict[str, str]


ReadHealth = Callable[[psycopg.Connection], HealthReport]


def health_page(read_health: ReadHealth) -> Page:
    """The page of what `read_health` finds on the reader's connection, and so with the reader's rights."""

    def read(connection: psycopg.Connection, _request: Request) -> View:
        report = read_health(connection)
        state = state_of(report)
        return View(
            "health.html",
            {"state": state, "headline": headline_of(report), **asdict(report)},
            _tables(report),
            {
                "report": report,
                "in_words": IN_WORDS[state],
                "reasons": reasons_of(report),
                "weeks": weeks_of(report.days),
                "tally": _tally(report),
                "ago": lambda moment: ago(report.read_at, moment),
                "ranges": ranges_in_words,
            },
        )

    return read


def state_of(report: HealthReport) -> State:
    """The worst of all."""
    states = {each.state for each in (*report.signals, *_judged_by_the_log(report))}
    return next(state for state in WORST_FIRST if state in states or state == "well")


def headline_of(report: HealthReport) -> str:
    """Well, needs attention or broken, and over what."""
    reasons = reasons_of(report)
    if not reasons:
        return f"{IN_WORDS['well']}."
    more = f"; {len(reasons) - REASONS_NAMED} more" if len(reasons) > REASONS_NAMED else ""
    return f"{IN_WORDS[state_of(report)]}. {'; '.join(reasons[:REASONS_NAMED])}{more}."


def reasons_of(report: HealthReport) -> list[str]:
    """Why it is not well, the worst first."""
    found = [(signal.state, f"{signal.title}: {signal.value}") for signal in report.signals]
    found += [
        (check.state, f"Check {check.name.replace('_', ' ')} does not pass") for check in _judged_by_the_log(report)
    ]
    return [words for state in WORST_FIRST[:-1] for of, words in found if of == state]


def _judged_by_the_log(report: HealthReport) -> list[CheckState]:
    """Checks that are not among the thresholds, for those say what is so now."""
    now = {signal.name for signal in report.signals}
    return [check for check in report.checks if check.name not in now]


def weeks_of(days: list[ExportDay]) -> list[list[ExportDay | None]]:
    """Days from Monday to Sunday; None before the first and after the last."""
    if not days:
        return []
    padded: list[ExportDay | None] = [*[None] * days[0].day.weekday(), *days]
    padded += [None] * (-len(padded) % 7)
    return [padded[start : start + 7] for start in range(0, len(padded), 7)]


def ago(now: datetime, moment: datetime) -> str:
    """3 hours ago."""
    seconds = round((now - moment).total_seconds())
    for unit, length in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:,} {unit}s ago"
    return "a moment ago" if seconds < 60 else "a minute ago"


def ranges_in_words(days: list[date]) -> str:
    """1 Jan 2026 to 5 Jan 2026, 9 Jan 2026."""
    parts: list[list[date]] = []
    for day in days:
        if parts and day - parts[-1][-1] == timedelta(days=1):
            parts[-1].append(day)
        else:
            parts.append([day])
    return ", ".join(
        f"{day_text(part[0])} to {day_text(part[-1])}" if len(part) > 1 else day_text(part[0]) for part in parts
    )


def _tally(report: HealthReport) -> str:
    """What the strip of days shows, in a sentence."""
    if not report.days:
        return "No day was fetched yet."
    number = len(report.days)
    fetched = sum(each.state in ("fetched", "late") for each in report.days)
    first, last = report.days[0].day, report.days[-1].day
    told = f"{fetched} of {number} days from {day_text(first)} to {day_text(last)} are fetched"
    others = [
        f"{count} {state}"
        for state in ("missing", "failed", "late")
        if (count := sum(each.state == state for each in report.days))
    ]
    return f"{told}; {', '.join(others)}." if others else f"{told}."


def _tables(report: HealthReport) -> dict[str, Table]:
    """As CSV has them."""
    of = {
        "thresholds": (report.signals, ("name", "state", "value", "expected", "summary", "fix")),
        "checks": (report.checks, ("name", "state", "checked_at", "ran_last_at", "summary", "days", "fix")),
        "syncs": (report.syncs, ("what", "mode", "status", "started_at", "seconds", "result", "error")),
        "days": (report.days, ("day", "state")),
    }
    return {
        name: Table(columns, [[getattr(row, column) for column in columns] for row in rows])
        for name, (rows, columns) in of.items()
    }
