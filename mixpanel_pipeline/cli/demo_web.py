"""The demo's web half: traffic with late rows, aggregated by Dagster runs."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from mixpanel_pipeline.cli.demo_readers import demo_readers, let_them_read
from mixpanel_pipeline.cli.output import count, say
from mixpanel_pipeline.cli.sync_runs import SyncRuns
from mixpanel_pipeline.cli.web_runs import AggregationReport, WebRuns
from mixpanel_pipeline.dagster_project.web_specs import DAILY, HOURLY, USERS
from mixpanel_pipeline.dashboard.options import Reader
from mixpanel_pipeline.simulator import WebTraffic
from mixpanel_pipeline.simulator.web_traffic import COLUMN_TYPES, TABLES
from mixpanel_pipeline.web.marks import start_of

SEED = 2026
MOST_DAYS = 30
LATE_FRACTION = 0.01
# Rows that come later than this after the end of their day are kept back, and sent when the day was aggregated.
ON_TIME = timedelta(hours=2)


@dataclass(frozen=True)
class WebStory:
    """What happened: figures by name (demo.py says them in words), and who may see the sites."""

    figures: dict[str, Any]
    reports: list[AggregationReport]
    readers: list[Reader]


def tell_web_story(runs: SyncRuns) -> WebStory:
    """Some days of traffic are aggregated; then the rows come that were late, and their hours and days are again."""
    days = _days(runs)
    traffic = web_traffic(days[0])
    web = WebRuns(runs)
    say(f"web analytics: {count(len(days), 'day')} of traffic on three sites, and today's so far ...")
    with runs.warehouse.connect() as connection:
        let_them_read(connection, traffic)
        rows = sum(_load(connection, traffic, day, None, start_of(day) + timedelta(days=1) + ON_TIME) for day in days)
        rows += _load(connection, traffic, days[-1] + timedelta(days=1), None, datetime.now(UTC))
    first = web.due()
    say("rows that browsers sent late ...")
    with runs.warehouse.connect() as connection:
        now = datetime.now(UTC)
        late = sum(_load(connection, traffic, day, start_of(day) + timedelta(days=1) + ON_TIME, now) for day in days)
    second = web.due()
    return WebStory(
        {
            "web_days": len(days),
            "web_rows": rows,
            "web_aggregate_rows": sum(outcome.rows for outcome in first.assets),
            "web_seconds": round(first.seconds, 1),
            "web_late_rows": late,
            "web_late_hours": _late(second, HOURLY.to_user_string()),
            "web_late_days": _late(second, DAILY.to_user_string()),
            # An op's figure: of the five tables of cards that one transaction writes, one tells it.
            "web_late_rows_written": sum(
                second.outcome(asset.to_user_string()).rows_written for asset in (HOURLY, DAILY, USERS)
            ),
            "web_late_seconds": round(second.seconds, 1),
        },
        [first, second],
        demo_readers(traffic),
    )


def web_traffic(first_day: date) -> WebTraffic:
    """The three sites of the demo, from that day on."""
    return WebTraffic(
        SEED, projects=3, cards_per_project=5, visitors_per_day=250, events_per_day=2_000, first_day=first_day,
        late_fraction=LATE_FRACTION,
    )  # fmt: skip


def _days(runs: SyncRuns) -> list[date]:
    """The last ones that are over and have partitions."""
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    number = min((yesterday - runs.settings.web_first_day).days + 1, MOST_DAYS)
    return [yesterday - timedelta(days=back) for back in reversed(range(number))]


def _load(
    connection: psycopg.Connection, traffic: WebTraffic, day: date, received: datetime | None, before: datetime
) -> int:
    """Copies a day's rows that were received in that time; returns how many."""
    loaded = 0
    for table in TABLES:
        columns = SQL(", ").join(map(Identifier, COLUMN_TYPES[table]))
        statement = SQL("copy {} ({}) from stdin (format binary)").format(Identifier(table), columns)
        blocks: Iterator[bytes] = traffic.copy(table, day, received_from=received, received_before=before)
        with connection.cursor() as cursor:
            with cursor.copy(statement) as copy:
                for block in blocks:
                    copy.write(block)
            loaded += cursor.rowcount
    return loaded


def _late(report: AggregationReport, asset: str) -> int:
    return report.outcome(asset).late_partitions
