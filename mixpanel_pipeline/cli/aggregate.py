"""`aggregate`: hours and days of web events once more, as Dagster runs."""

from dataclasses import asdict
from datetime import UTC, date
from typing import TYPE_CHECKING

import click

from mixpanel_pipeline.cli.days import Day, both_or_none
from mixpanel_pipeline.cli.group import FAILED
from mixpanel_pipeline.cli.output import give, json_option, say
from mixpanel_pipeline.cli.postgres import ready_warehouse
from mixpanel_pipeline.lake.calendar import utc_now
from mixpanel_pipeline.settings import Settings, load_settings
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.progress import read_progress

if TYPE_CHECKING:  # importing Dagster takes a second that a usage error need not wait for
    from mixpanel_pipeline.cli.web_runs import AggregationReport


@click.command()
@click.option("--hourly", is_flag=True, help="The hours only.")
@click.option("--daily", is_flag=True, help="The days only, of events and of cards.")
@click.option("--from", "from_day", type=Day(), help="Compute everything again from this UTC day on.")
@click.option("--to", "to_day", type=Day(), help="The last day.")
@json_option
@click.pass_context
def aggregate(
    context: click.Context, hourly: bool, daily: bool, from_day: date | None, to_day: date | None, as_json: bool
) -> None:
    """Aggregate web events, as runs on the Dagster instance that the UI shows: hours and days, or one of them.

    Without days: what schedules would do now, hours and days that no run has reached, and whatever was written to
    since. With days: all that there is in them, from the raw rows; what did not change is not written.
    """
    days = both_or_none(from_day, to_day)
    settings = load_settings()
    if days:
        _require_partitions(settings, days, daily=daily or not hourly)
    with ready_warehouse(settings) as warehouse:
        if days:
            _require_raw_rows(warehouse, days)
        report = _run(settings, warehouse, days, hourly=hourly or not daily, daily=daily or not hourly)
    give({"succeeded": report.succeeded, **asdict(report)}, as_json, report.show)
    if not report.succeeded:
        context.exit(FAILED)


def _require_partitions(settings: Settings, days: tuple[date, date], *, daily: bool) -> None:
    today = utc_now().astimezone(UTC).date()
    if days[1] > today or (daily and days[1] == today):
        hint = ", or only the hours that are over, with --hourly" if days[1] == today else ""
        raise click.UsageError(f"--to {days[1]} is not over yet; give an earlier day{hint}")
    start = settings.web_start_date or settings.expected_start_date
    if days[0] < start:
        raise click.UsageError(
            f"--from {days[0]} lies before the first partition, {start}; for earlier days set WEB_START_DATE"
        )


def _require_raw_rows(warehouse: Warehouse, days: tuple[date, date]) -> None:
    """Where they are gone, aggregates stay as they are."""
    floor = read_progress(warehouse).raw_floor
    first_day = floor.astimezone(UTC).date() if floor else days[0]
    if days[1] < first_day:
        raise click.UsageError(
            f"--to {days[1]} lies before {first_day}, where raw rows are gone (WEB_RETENTION_DAYS): nothing can be "
            "computed there, and aggregates stay as they are; give a later day"
        )
    if days[0] < first_day:
        say(f"raw rows from before {first_day} are gone: aggregates of the days before it stay as they are")


def _run(
    settings: Settings, warehouse: Warehouse, days: tuple[date, date] | None, *, hourly: bool, daily: bool
) -> "AggregationReport":
    from mixpanel_pipeline.cli.sync_runs import opened_runs
    from mixpanel_pipeline.cli.web_runs import WebRuns

    with opened_runs(settings, warehouse) as runs:
        web = WebRuns(runs)
        return web.again(*days, hourly=hourly, daily=daily) if days else web.due(hourly=hourly, daily=daily)
