"""`demo`: the whole pipeline on this machine alone, against the Mixpanel simulator."""

from dataclasses import asdict
from typing import Any

import click
from rich.console import Console

from mixpanel_pipeline.cli.demo_project import demo_home, demo_project, demo_settings, lift_limits
from mixpanel_pipeline.cli.demo_readers import write_readers
from mixpanel_pipeline.cli.group import FAILED
from mixpanel_pipeline.cli.output import count, give, json_option, table
from mixpanel_pipeline.cli.ports import require_ports, usual_port
from mixpanel_pipeline.cli.postgres import used_warehouse
from mixpanel_pipeline.cli.servers import LOOPBACK
from mixpanel_pipeline.cli.verify import show_verdicts
from mixpanel_pipeline.settings import load_settings

MOST_DAYS = 365
DAGSTER_PORT, COLLECTOR_PORT = 3000, 8080
PORT = click.IntRange(1, 65535)


@click.command()
@click.option("--days", default=30, show_default=True, type=click.IntRange(1, MOST_DAYS), help="Days of history.")
@click.option("--events-per-day", default=2_000, show_default=True, type=click.IntRange(10, 1_000_000))
@click.option("--once", is_flag=True, help="End when everything was shown, instead of serving the pages.")
@click.option("--port", type=PORT, help="Of Dagster's page; 3000, or a free one if that is taken.")
@click.option("--collector-port", type=PORT, help="Of the collector and dashboard; 8080, or a free one.")
@json_option
@click.pass_context
def demo(
    context: click.Context,
    days: int,
    events_per_day: int,
    once: bool,
    port: int | None,
    collector_port: int | None,
    as_json: bool,
) -> None:
    """Show the pipeline at work on nothing but this machine: no account, no database, no network.

    Each time from nothing, in a directory of its own: a Postgres, a simulated Mixpanel project with duplicates, late
    events and a broken export, a backfill, a second sync, profiles, web traffic with late rows, and all checks. Then
    Dagster's page and the dashboard, until Ctrl-C; there you sign in as somebody of the demo, without a password.
    """
    given_ports = {"--port": port, "--collector-port": collector_port}
    require_ports({option: (LOOPBACK, number) for option, number in given_ports.items() if number is not None})
    given = load_settings()
    given.make_home()
    with demo_home(given.pipeline_home / "demo") as home, demo_project(days, events_per_day) as project:
        settings = demo_settings(home, project, days)
        with used_warehouse(settings) as warehouse:
            from mixpanel_pipeline.cli.demo_story import tell_story

            story = tell_story(settings, warehouse, project)
            result = {**story.figures, "succeeded": story.succeeded, "checks": [asdict(v) for v in story.verdicts]}
            give(result, as_json, lambda console: _show(console, story.figures, story.verdicts))
            if not once:
                from mixpanel_pipeline.cli.up import Addresses, serve

                lift_limits(warehouse, project, "for whoever tries things on Dagster's page")
                port = port or usual_port(LOOPBACK, DAGSTER_PORT, collector_port)
                collector_port = collector_port or usual_port(LOOPBACK, COLLECTOR_PORT, port)
                addresses = Addresses(LOOPBACK, port, LOOPBACK, collector_port)
                readers = write_readers(home / "readers.json", story.readers)
                serve(settings, warehouse.url, addresses, as_json=False, quiet=as_json, readers=readers)
    if not story.succeeded:
        context.exit(FAILED)


def _show(console: Console, figures: dict[str, Any], verdicts: list[Any]) -> None:
    console.print()
    console.print(table(("what happened", "figure"), [(FIGURES[name], figures[name]) for name in FIGURES]))
    console.print()
    show_verdicts(console, verdicts)
    passed = sum(verdict.passed for verdict in verdicts)
    console.print(f"\n{passed} of {count(len(verdicts), 'check')} passed.")


FIGURES = {
    "days": "days fetched",
    "events": "events in the lake",
    "duplicates": "duplicates removed",
    "requests": "requests for them to the simulated Mixpanel",
    "exports_repeated": "exports that broke off and were fetched again",
    "lines_repaired": "lines that were no valid JSON, repaired",
    "subscribers": "subscribers",
    "seconds": "seconds for the backfill",
    "events_per_second": "events a second (Mixpanel allows three requests a second)",
    "second_sync_unchanged_days": "second sync: days fetched again and found unchanged",
    "second_sync_events_added_to_them": "second sync: events that those days added",
    "late_events_sent": "late events then sent for past days",
    "late_events_found": "late events that the sweep found",
    "late_events_added": "late events added to the totals",
    "profiles": "profiles in the first snapshot",
    "profile_queries": "queries that counts as (Mixpanel allows 60 an hour)",
    "profile_bad_values": "values in them that were no numbers, and left out",
    "second_snapshot_new": "second snapshot: people who are new",
    "second_snapshot_changed": "second snapshot: people who changed",
    "second_snapshot_deleted": "second snapshot: people who were deleted",
    "second_snapshot_unchanged": "second snapshot: people who had not changed and were not written",
    "second_snapshot_seconds": "seconds for the second snapshot",
    "web_days": "days of web traffic",
    "web_rows": "web events, page views, clicks and sessions in them",
    "web_aggregate_rows": "rows of the aggregates of events and of cards",
    "web_seconds": "seconds to aggregate them, in two runs",
    "web_late_rows": "web rows that then came late",
    "web_late_hours": "hours that were aggregated again because of them",
    "web_late_days": "days that were",
    "web_late_rows_written": "rows of the aggregates that changed",
    "web_late_seconds": "seconds for that",
}
