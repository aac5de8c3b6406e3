"""Small looks into a day or a snapshot, for the pages of its materializations."""

from collections import Counter
from datetime import date, datetime
from typing import Any

import dagster as dg
import psycopg
from psycopg.rows import dict_row

from mixpanel_pipeline.dagster_project.resources import Pipeline
from mixpanel_pipeline.lake.engine import open_engine, set_variables
from mixpanel_pipeline.lake.manifest import RawPartition
from mixpanel_pipeline.warehouse.sql_files import read_sql

ROWS_SHOWN = 10
CHANGES_SHOWN = 20
BAR_WIDTH = 40


def event_counts(pipeline: Pipeline, partition: RawPartition) -> dict[tuple[str, int], int]:
    """Events of a partition's file by name and hour (UTC)."""
    storage = pipeline.storage
    with storage.scratch_directory() as scratch, open_engine(scratch, storage.engine_filesystem()) as engine:
        set_variables(engine, {"file": storage.address(partition.file)})
        rows = engine.execute(
            "select coalesce(event, ''), hour(time), count(*) from read_parquet(getvariable('file')) group by all"
        ).fetchall()
    return {(event, hour): count for event, hour, count in rows}


def events_by_name(counts: dict[tuple[str, int], int]) -> dg.TableMetadataValue:
    """The most frequent events, as a table."""
    by_name: Counter[str] = Counter()
    for (event, _), count in counts.items():
        by_name[event] += count
    return table([{"event": event, "events": count} for event, count in by_name.most_common(ROWS_SHOWN)])


def events_by_hour(counts: dict[tuple[str, int], int]) -> dg.MarkdownMetadataValue:
    """A bar an hour, as text: a day that breaks off or lies in another zone is seen at a glance."""
    by_hour: Counter[int] = Counter()
    for (_, hour), count in counts.items():
        by_hour[hour] += count
    highest = max(by_hour.values(), default=0) or 1
    bars = [f"{hour:02}:00 {'█' * round(BAR_WIDTH * by_hour[hour] / highest)} {by_hour[hour]:,}" for hour in range(24)]
    return dg.MetadataValue.md("```\n" + "\n".join(bars) + "\n```\nUTC")


def busiest_people(connection: psycopg.Connection, day: date) -> dg.TableMetadataValue:
    """Those with the most tracked events of the day."""
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(
            "select distinct_id, events_processed, app_sessions, total_pdp_views, total_copies, total_subscriptions, "
            "first_event_time, last_event_time from subscriber_daily_contributions where export_day = %s "
            "order by events_processed desc, distinct_id limit %s",
            [day, ROWS_SHOWN],
        ).fetchall()
    return table(rows)


def profile_changes(connection: psycopg.Connection, taken_at: datetime) -> list[dict[str, Any]]:
    """The first of what a snapshot changed: of whom, from, to."""
    with connection.cursor(row_factory=dict_row) as cursor:
        parameters = {"taken_at": taken_at, "most": CHANGES_SHOWN}
        return cursor.execute(read_sql("subscribers/newest_profile_changes.sql"), parameters).fetchall()


def table(rows: list[dict[str, Any]]) -> dg.TableMetadataValue:
    """Rows as a metadata table; what it cannot hold becomes text."""
    records = [
        dg.TableRecord({name: value if isinstance(value, int | float | str | None) else str(value)
                        for name, value in row.items()})
        for row in rows
    ]  # fmt: skip
    names = list(rows[0]) if rows else []
    schema = dg.TableSchema([dg.TableColumn(name, _kind(rows[0][name])) for name in names])
    return dg.MetadataValue.table(records, schema)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    return {int: "int", float: "float"}.get(type(value), "string")
