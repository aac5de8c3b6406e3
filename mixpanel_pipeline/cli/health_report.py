"""What the dashboard's health page shows, found by the rooms that know, on the reader's connection."""

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg

from mixpanel_pipeline.checks.freshness import judge_days, judge_newest_sync, judge_watermark
from mixpanel_pipeline.checks.profiles import SYNCS_IN_A_ROW, judge_snapshots
from mixpanel_pipeline.checks.verdict import Verdict
from mixpanel_pipeline.checks.verdict_log import LoggedVerdict, read_verdicts
from mixpanel_pipeline.checks.web import (
    DASHBOARD_MILLISECONDS,
    LATE_HOURS_ERROR,
    LATE_HOURS_WARNING,
    STALE_HOURS_ERROR,
    STALE_HOURS_WARNING,
    days_reached,
    judge_days_aggregated,
    judge_freshness,
)
from mixpanel_pipeline.cli.dagster_pages import ASSET_OF_CHECK, DagsterPages
from mixpanel_pipeline.cli.status import seconds_of, what_and_result
from mixpanel_pipeline.dashboard.health import (
    CheckState,
    DayState,
    ExportDay,
    HealthReport,
    Profiles,
    ReadHealth,
    Signal,
    State,
    Sync,
    Watermark,
)
from mixpanel_pipeline.dashboard.wording import day as day_text
from mixpanel_pipeline.lake.calendar import ExportCalendar, days_between, utc_now
from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.subscribers.build import build_calendar
from mixpanel_pipeline.subscribers.status import SyncStatus, read_status
from mixpanel_pipeline.web.progress import Progress, progress_of

WEEKS_SHOWN = 13
# reconciliation_job asks every check each night.
CHECKS_EVERY = timedelta(hours=36)
HOUR = timedelta(hours=1)


def build_health(settings: Settings, *, now: Callable[[], datetime] = utc_now) -> ReadHealth:
    """What reads the report, by these settings."""
    pages, calendar = DagsterPages(settings.dagster_url), build_calendar(settings)

    def read(connection: psycopg.Connection) -> HealthReport:
        moment = now()
        status = read_status(connection, calendar, moment)
        progress = progress_of(connection)
        logged = read_verdicts(connection)
        return HealthReport(
            read_at=moment,
            signals=_signals(connection, settings, pages, moment, status, progress, logged),
            checks=_checks(logged, pages),
            watermarks=[Watermark(**row) for row in status.watermarks],
            syncs=[_sync(row) for row in status.last_syncs],
            zone=calendar.zone.key,
            days=_days(status, calendar, moment),
            missing_days=status.missing_days,
            failed_days=status.failed_days,
            late_days={str(day): events for day, events in status.late_days.items()},
            subscribers=status.subscribers,
            profiles=Profiles(
                status.profiles.live, status.profiles.deleted, status.profiles.last_snapshot, status.profiles.error
            ),
            web=progress,
            dagster=pages.everywhere(),
        )

    return read


def _signals(
    connection: psycopg.Connection, settings: Settings, pages: DagsterPages, now: datetime, status: SyncStatus,
    progress: Progress, logged: list[LoggedVerdict],
) -> list[Signal]:  # fmt: skip
    """The thresholds of spec and settings. What is cheap to ask is asked now; how quick the dashboard's queries are,
    and what the other checks find, is as they said last."""
    calendar, hours = build_calendar(settings), settings.watermark_hours_warning
    syncs = settings.uses_mixpanel or bool(status.partitions)

    def of(title: str, verdict: Verdict, value: str, expected: str) -> Signal:
        # Where nothing was synchronized yet nothing is broken.
        state = _state(verdict.passed, verdict.severity if status.partitions or progress.in_use else "warning")
        fix = "" if verdict.passed else verdict.fix
        link = pages.check(verdict.check)
        return Signal(verdict.check, title, value, expected, state, verdict.summary, fix, link)

    watermark = judge_watermark(connection, calendar, now, hours, has_account=settings.uses_mixpanel)
    newest_sync = judge_newest_sync(connection, settings.sync_events_warning, settings.sync_seconds_warning)
    days = judge_days(status.missing_days, status.failed_days)
    hourly = judge_freshness(progress, now)
    return [
        of("Newest day", watermark, _overdue(status, calendar, now) if syncs else "no Mixpanel account",
           f"loaded at most {hours} h after its end"),
        of("Days", days, _tally(status), "none missing, none failed"),
        of("Newest sync", newest_sync, _of_newest_sync(newest_sync),
           f"at most {settings.sync_events_warning:,} new events and {settings.sync_seconds_warning} s a day"),
        _snapshots(status, of("Unchanged profiles", (snapshots := judge_snapshots(connection)), _skipped(snapshots),
           f"some skipped in one of {SYNCS_IN_A_ROW} snapshots")),
        of("Hourly aggregates", hourly, _behind(progress, hourly),
           f"at most {STALE_HOURS_WARNING} h behind; above {STALE_HOURS_ERROR} h is broken"),
        of("Daily aggregates", judge_days_aggregated(progress, now), _days_until(progress),
           f"a day's at most {LATE_HOURS_WARNING} h after its end; above {LATE_HOURS_ERROR} h is broken"),
        _dashboard(logged, pages),
        _recent(logged, now, pages),
    ]  # fmt: skip


def _overdue(status: SyncStatus, calendar: ExportCalendar, now: datetime) -> str:
    if status.last_day is None:
        return "nothing loaded yet"
    if status.last_day >= calendar.last_closed_day(now):
        return f"{day_text(status.last_day)} is loaded"
    ended = datetime.combine(status.last_day + timedelta(days=2), time(), calendar.zone)
    return f"{day_text(status.last_day + timedelta(days=1))} not loaded, ended {(now - ended) / HOUR:.1f} h ago"


def _tally(status: SyncStatus) -> str:
    told = [f"{len(days):,} {name}" for name, days in
            (("missing", status.missing_days), ("failed", status.failed_days)) if days]  # fmt: skip
    return ", ".join(told) if told else f"{status.partitions:,} fetched" if status.partitions else "none fetched yet"


def _of_newest_sync(verdict: Verdict) -> str:
    if "new_events" not in verdict.figures:
        return "none yet"
    return f"{verdict.figures['new_events']:,} new events in {verdict.figures['seconds']} s"


def _skipped(verdict: Verdict) -> str:
    if "people" not in verdict.figures:
        return "no snapshot yet"
    return f"{verdict.figures['unchanged']:,} of {verdict.figures['people']:,} skipped"


def _snapshots(status: SyncStatus, signal: Signal) -> Signal:
    """That the newest snapshot failed counts for more than how many it skipped."""
    error = status.profiles.error
    if error is None or signal.state == "broken":
        return signal
    return Signal(
        signal.name, "Profiles", "the newest snapshot failed", signal.expected, "attention", error,
        "Mend what the message says, then run `mixpanel-pipeline profiles`.", signal.link,
    )  # fmt: skip


def _behind(progress: Progress, verdict: Verdict) -> str:
    if not progress.in_use and not progress.marks_waiting:
        return "no web events yet"
    if "hours_behind" not in verdict.figures:
        return "nothing waits"
    return f"{max(0.0, float(verdict.figures['hours_behind'])):.1f} h behind"


def _days_until(progress: Progress) -> str:
    reached = days_reached(progress)
    if reached is None:
        return "no day waits"
    return f"until the end of {day_text(reached.astimezone(UTC) - timedelta(microseconds=1))}"


def _dashboard(logged: list[LoggedVerdict], pages: DagsterPages) -> Signal:
    name, title, expected = "dashboard_is_fast", "Dashboard queries", f"at most {DASHBOARD_MILLISECONDS} ms"
    said = next((verdict for verdict in logged if verdict.check == name), None)
    link = pages.check(name)
    if said is None:
        return Signal(name, title, "not measured yet", expected, "well", "the check has not run yet", link=link)
    slowest = max((float(taken) for taken in said.figures.values()), default=None)
    value = "no web events yet" if slowest is None else f"{slowest:,.0f} ms"
    state, fix = _state(said.passed, said.severity), "" if said.passed else said.fix
    return Signal(name, title, value, expected, state, said.summary, fix, link)


def _recent(logged: list[LoggedVerdict], now: datetime, pages: DagsterPages) -> Signal:
    ran = {verdict.check: verdict.looked_last_at for verdict in logged}
    old = sorted(name for name in ASSET_OF_CHECK if name in ran and now - ran[name] > CHECKS_EVERY)
    never = sorted(ASSET_OF_CHECK.keys() - ran.keys())
    told = [f"{len(names)} {words}" for names, words in ((never, "never ran"), (old, "ran long ago")) if names]
    value = ", ".join(told) or f"all {len(ASSET_OF_CHECK)} ran"
    names = ", ".join(name.replace("_", " ") for name in (*never, *old)) if logged else "any of them"
    return Signal(
        "checks_run", "Checks", value if logged else "none ran yet",
        f"each ran within {CHECKS_EVERY // HOUR} h", "attention" if told else "well",
        f"not run of late: {names}" if told else "every check ran of late",
        "Run `mixpanel-pipeline verify`, and see that reconciliation_job runs nightly in Dagster." if told else "",
        pages.everywhere().get("schedules and sensors"),
    )  # fmt: skip


def _checks(logged: list[LoggedVerdict], pages: DagsterPages) -> list[CheckState]:
    """Every check there is, those that fail first."""
    said = {verdict.check: verdict for verdict in logged}
    found = [
        _check(said[name], pages)
        if name in said
        else CheckState(name, "unknown", None, None, "has not run yet", link=pages.check(name))
        for name in ASSET_OF_CHECK
    ]
    return sorted(found, key=lambda check: ("broken", "attention", "unknown", "well").index(check.state))


def _check(said: LoggedVerdict, pages: DagsterPages) -> CheckState:
    could_not_look = not said.conclusive and said.severity == "warning"
    days, fix = ("", "") if said.passed else (_standing(said), said.fix)
    return CheckState(
        said.check, "unknown" if could_not_look else _state(said.passed, said.severity), said.checked_at,
        said.looked_last_at, said.summary, days, fix, pages.check(said.check),
    )  # fmt: skip


def _standing(said: LoggedVerdict) -> str:
    """Which days: none where it is of all."""
    if said.stands_from is None or said.stands_until is None:
        return ""
    first, last = said.stands_from.astimezone(UTC), said.stands_until.astimezone(UTC) - timedelta(seconds=1)
    if said.stands_until - said.stands_from <= HOUR:
        return f"{day_text(first)}, {first:%H:%M} UTC"
    return day_text(first) if first.date() == last.date() else f"{day_text(first)} to {day_text(last)}"


def _state(passed: bool, severity: str) -> State:
    if passed:
        return "well"
    return "broken" if severity == "error" else "attention"


def _sync(row: dict[str, Any]) -> Sync:
    what, result = what_and_result(row)
    return Sync(what, row["mode"], row["status"], row["created_at"], seconds_of(row), result, row["error"])


def _days(status: SyncStatus, calendar: ExportCalendar, now: datetime) -> list[ExportDay]:
    """The newest weeks that are over, from the first day fetched on, and days that failed before it."""
    last = calendar.last_closed_day(now)
    known = [day for day in (status.first_day, *status.failed_days) if day is not None]
    if not known:
        return []
    monday = last - timedelta(days=last.weekday())
    first = max(min(known), monday - timedelta(weeks=WEEKS_SHOWN - 1))
    states: dict[date, DayState] = dict.fromkeys(status.late_days, "late")
    states |= dict.fromkeys(status.missing_days, "missing")
    states |= dict.fromkeys(status.failed_days, "failed")
    before = status.first_day or last + timedelta(days=1)
    return [
        ExportDay(day, states.get(day, "fetched" if day >= before else "unknown")) for day in days_between(first, last)
    ]
