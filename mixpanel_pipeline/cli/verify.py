"""`verify`: every equivalence, as a table."""

import logging
from collections.abc import Callable
from dataclasses import asdict
from datetime import date, timedelta

import click
from rich.console import Console
from rich.text import Text

from mixpanel_pipeline.checks.equivalence import (
    add_equals_replace,
    contributions_equal_lake,
    events_lie_within_their_day,
    no_quarantined_events,
    partitions_follow_settings,
)
from mixpanel_pipeline.checks.freshness import no_missing_partitions, sync_is_incremental, watermark_advances
from mixpanel_pipeline.checks.matches_mixpanel import LONGEST_WAIT, PATIENCE, matches_mixpanel, not_compared
from mixpanel_pipeline.checks.profiles import profiles_equal_snapshot, profiles_skip_unchanged
from mixpanel_pipeline.checks.set_based import set_based_equals_loop
from mixpanel_pipeline.checks.verdict import Verdict
from mixpanel_pipeline.checks.verdict_log import record_verdict, window_of_days
from mixpanel_pipeline.checks.web import (
    daily_equals_raw,
    dashboard_is_fast,
    hourly_equals_raw,
    hourly_is_fresh,
    normalized_equals_legacy,
)
from mixpanel_pipeline.cli.days import Day, both_or_none
from mixpanel_pipeline.cli.group import EXPLAINED, FAILED
from mixpanel_pipeline.cli.output import give, json_option, progress_console, table
from mixpanel_pipeline.cli.postgres import ready_warehouse
from mixpanel_pipeline.lake.calendar import utc_now
from mixpanel_pipeline.lake.engine import is_interruption
from mixpanel_pipeline.settings import Settings, SettingsError, load_settings
from mixpanel_pipeline.subscribers.build import (
    build_calendar,
    build_event_counts,
    build_event_sync,
    build_recipe,
    build_storage,
)
from mixpanel_pipeline.warehouse.connection import Warehouse, WarehouseError
from mixpanel_pipeline.web.marks import start_of

logger = logging.getLogger(__name__)


@click.command()
@click.option("--from", "from_day", type=Day(), help="First day; without days: all, and freshness too.")
@click.option("--to", "to_day", type=Day(), help="Last day.")
@json_option
@click.pass_context
def verify(context: click.Context, from_day: date | None, to_day: date | None, as_json: bool) -> None:
    """Check that every total equals its recomputation, from the lake or from raw web rows; exit 1 on any difference,
    with the rows."""
    days = both_or_none(from_day, to_day)
    settings = load_settings()
    with ready_warehouse(settings) as warehouse:
        verdicts = run_checks(settings, warehouse, days)
    result = {"passed": all_good(verdicts), "checks": [asdict(verdict) for verdict in verdicts]}
    give(result, as_json, lambda console: show_verdicts(console, verdicts))
    if not result["passed"]:
        context.exit(FAILED)


def run_checks(settings: Settings, warehouse: Warehouse, days: tuple[date, date] | None = None) -> list[Verdict]:
    """The equivalences of all days, or of some; freshness is asked for only when all days are."""
    storage, calendar, now = build_storage(settings), build_calendar(settings), utc_now()
    first, last = days or (None, None)
    start, end = (start_of(days[0]), start_of(days[1] + timedelta(days=1))) if days else (None, None)
    checks: dict[Callable[..., Verdict], Callable[[], Verdict]] = {
        add_equals_replace: lambda: add_equals_replace(warehouse, storage),
        contributions_equal_lake: lambda: contributions_equal_lake(warehouse, storage, first, last),
        no_quarantined_events: lambda: no_quarantined_events(warehouse, first, last),
        events_lie_within_their_day: lambda: events_lie_within_their_day(warehouse, first, last),
        matches_mixpanel: lambda: _matches_mixpanel(settings, warehouse, first, last),
        hourly_equals_raw: lambda: hourly_equals_raw(warehouse, start, end),
        daily_equals_raw: lambda: daily_equals_raw(warehouse, first, last),
        normalized_equals_legacy: lambda: normalized_equals_legacy(warehouse, first, last),
    }
    if days is None:
        checks |= {
            profiles_equal_snapshot: lambda: profiles_equal_snapshot(warehouse, storage),
            profiles_skip_unchanged: lambda: profiles_skip_unchanged(warehouse),
            set_based_equals_loop: lambda: set_based_equals_loop(warehouse),
            partitions_follow_settings: lambda: partitions_follow_settings(warehouse, build_recipe(settings)),
            no_missing_partitions: lambda: no_missing_partitions(warehouse, calendar, now),
            watermark_advances: lambda: watermark_advances(
                warehouse, calendar, now, settings.watermark_hours_warning, has_account=settings.uses_mixpanel
            ),
            sync_is_incremental: lambda: sync_is_incremental(
                warehouse, settings.sync_events_warning, settings.sync_seconds_warning
            ),
            hourly_is_fresh: lambda: hourly_is_fresh(warehouse, now),
            dashboard_is_fast: lambda: dashboard_is_fast(warehouse),
        }
    with progress_console().status("checking totals against the lake, and web aggregates against raw rows ..."):
        verdicts = [_verdict(check.__name__, ask) for check, ask in checks.items()]
    for verdict in verdicts:
        record_verdict(warehouse, verdict, window_of_days(first, last))
    return verdicts


def _verdict(name: str, ask: Callable[[], Verdict]) -> Verdict:
    """What the check found; one that breaks down has not passed, and the others are asked all the same."""
    try:
        return ask()
    except WarehouseError:
        raise  # no check can do without Postgres
    except Exception as error:
        if is_interruption(error):
            raise KeyboardInterrupt from error
        if not isinstance(error, EXPLAINED):
            logger.warning("%s could not be run", name, exc_info=True)
        said = " ".join(f"{type(error).__name__}: {error}".split())
        fix = "Mend what the message says, then verify again."
        return Verdict(name, False, f"could not be run: {said}", fix=fix, conclusive=False)


def _matches_mixpanel(settings: Settings, warehouse: Warehouse, first: date | None, last: date | None) -> Verdict:
    """Whoever waits at a terminal waits a minute for Mixpanel's limits at most."""
    try:
        sync = build_event_sync(settings, warehouse, policy=PATIENCE, longest_wait=LONGEST_WAIT)
        reports = build_event_counts(settings, warehouse, longest_wait=LONGEST_WAIT)
    except SettingsError as error:
        return not_compared(error)
    return matches_mixpanel(sync, reports, first, last)


def all_good(verdicts: list[Verdict]) -> bool:
    """Whether nothing failed that is more than a warning."""
    return all(verdict.passed for verdict in verdicts if verdict.severity == "error")


def show_verdicts(console: Console, verdicts: list[Verdict]) -> None:
    """One line a check; then, of those that failed, the rows that differ and what to do."""
    console.print(table(("check", "", "what it found"), [(v.check, _mark(v), v.summary) for v in verdicts]))
    for verdict in verdicts:
        if verdict.passed:
            continue
        if verdict.rows:
            columns = list(verdict.rows[0])
            console.print()
            console.print(table(columns, [[row[name] for name in columns] for row in verdict.rows], verdict.check))
        console.print(f"{verdict.check}: {verdict.fix}", soft_wrap=True, markup=False)


def _mark(verdict: Verdict) -> Text:
    if verdict.passed:
        return Text("ok", "green")
    return Text("FAILED", "red") if verdict.severity == "error" else Text("warning", "yellow")
