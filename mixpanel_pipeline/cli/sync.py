"""`sync`: the late sweep, then a Dagster run for each range of days."""

from dataclasses import asdict
from datetime import date
from typing import TYPE_CHECKING

import click

from mixpanel_pipeline.cli.credentials import require_credentials
from mixpanel_pipeline.cli.days import Day, both_or_none, require_closed_days
from mixpanel_pipeline.cli.group import FAILED
from mixpanel_pipeline.cli.output import give, json_option
from mixpanel_pipeline.cli.postgres import ready_warehouse
from mixpanel_pipeline.settings import Settings, load_settings
from mixpanel_pipeline.subscribers.build import build_calendar
from mixpanel_pipeline.warehouse.connection import Warehouse

if TYPE_CHECKING:  # importing Dagster takes a second that a usage error need not wait for
    from mixpanel_pipeline.cli.sync_report import SyncReport


@click.command()
@click.option("--from", "from_day", type=Day(), help="Backfill: the first day.")
@click.option("--to", "to_day", type=Day(), help="Backfill: the last day.")
@click.option("--full", is_flag=True, help="Fetch the whole window again, then compute all totals from the lake.")
@json_option
@click.pass_context
def sync(context: click.Context, from_day: date | None, to_day: date | None, full: bool, as_json: bool) -> None:
    """Bring the database up to date with Mixpanel, as runs on the Dagster instance that the UI shows.

    Without options: from the watermark less the overlap to yesterday, plus every day that late events touched; the
    first time the last SYNC_WINDOW_DAYS days.
    """
    days = both_or_none(from_day, to_day)
    if days and full:
        raise click.UsageError("--full is the whole window; give either it or --from and --to")
    settings = load_settings()
    if days:
        require_closed_days(settings, build_calendar(settings), days)
    require_credentials(settings)
    with ready_warehouse(settings) as warehouse:
        report = _run(settings, warehouse, days, full)
    give({"succeeded": report.succeeded, **asdict(report)}, as_json, report.show)
    if not report.succeeded:
        context.exit(FAILED)


def _run(settings: Settings, warehouse: Warehouse, days: tuple[date, date] | None, full: bool) -> "SyncReport":
    from mixpanel_pipeline.cli.sync_runs import opened_runs

    with opened_runs(settings, warehouse) as runs:
        if days:
            return runs.backfill(*days)
        return runs.full() if full else runs.incremental()
