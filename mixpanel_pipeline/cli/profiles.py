"""`profiles`: one snapshot of all profiles, as a Dagster run."""

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from mixpanel_pipeline.cli.credentials import require_credentials
from mixpanel_pipeline.cli.group import FAILED
from mixpanel_pipeline.cli.output import give, json_option
from mixpanel_pipeline.cli.postgres import ready_warehouse
from mixpanel_pipeline.settings import Settings, load_settings
from mixpanel_pipeline.warehouse.connection import Warehouse

if TYPE_CHECKING:  # importing Dagster takes a second that a usage error need not wait for
    from mixpanel_pipeline.cli.profile_report import ProfileReport


@click.command()
@click.option("--all-deleted", is_flag=True, help="If Mixpanel has no profiles at all any more: mark all as deleted.")
@json_option
@click.pass_context
def profiles(context: click.Context, all_deleted: bool, as_json: bool) -> None:
    """Take one snapshot of Mixpanel's profiles and write who is new, changed or gone, as a run on the Dagster
    instance that the UI shows.

    It costs one of Mixpanel's 60 queries an hour. Who did not change is not written.
    """
    settings = load_settings()
    require_credentials(settings)
    with ready_warehouse(settings) as warehouse:
        report = _run(settings, warehouse, all_deleted)
    give({"succeeded": report.succeeded, **asdict(report)}, as_json, report.show)
    if not report.succeeded:
        context.exit(FAILED)


def _run(settings: Settings, warehouse: Warehouse, all_deleted: bool) -> "ProfileReport":
    from mixpanel_pipeline.cli.sync_runs import opened_runs

    with opened_runs(settings, warehouse) as runs:
        return runs.profiles(all_deleted=all_deleted)
