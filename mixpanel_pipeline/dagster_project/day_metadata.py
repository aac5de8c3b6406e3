"""What a finished day tells on the pages of its four assets."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import duckdb

from mixpanel_pipeline.dagster_project.asset_specs import CONTRIBUTIONS, RAW_EVENTS, TOTALS, WATERMARKS
from mixpanel_pipeline.dagster_project.previews import busiest_people, event_counts, events_by_hour, events_by_name
from mixpanel_pipeline.dagster_project.resources import Pipeline
from mixpanel_pipeline.lake.manifest import RawPartition
from mixpanel_pipeline.subscribers.event_sync import DayResult
from mixpanel_pipeline.subscribers.sync_log import SOURCE

Metadata = dict[str, Any]


def day_metadata(pipeline: Pipeline, result: DayResult, log: Callable[[str], None]) -> dict[dg.AssetKey, Metadata]:
    """Metadata of each asset. Numbers are drawn over partitions by the UI, so they stay numbers."""
    shared = {"unchanged": result.unchanged, "new_events": result.new_events, "changed_people": result.changed_people}
    database = _database_metadata(pipeline, result.partition)
    return {
        RAW_EVENTS: {
            **shared,
            **_counts(result),
            **_seconds(result),
            **_raw_previews(pipeline, result.partition, log),
        },
        CONTRIBUTIONS: {**shared, **database[CONTRIBUTIONS]},
        TOTALS: {**shared, **database[TOTALS]},
        WATERMARKS: {**shared, **database[WATERMARKS]},
    }


def _counts(result: DayResult) -> Metadata:
    partition = result.partition
    return {
        "dagster/partition_row_count": partition.rows,
        "rows": partition.rows,
        "users": partition.users,
        "duplicates": partition.duplicates,
        "quarantined": partition.quarantined,
        "repaired": partition.repaired,
        "bad_values": partition.bad_values,
        "outside_day": partition.outside_day,
        "ambiguous_times": partition.ambiguous_times,
        "shifted_times": partition.shifted_times,
        "bytes": partition.bytes,
        "content_hash": partition.content_hash,
        "fetched_at": dg.MetadataValue.timestamp(partition.fetched_at),
        **_moment("first_event_time", partition.first_event_time),
        **_moment("last_event_time", partition.last_event_time),
    }


def _seconds(result: DayResult) -> Metadata:
    total = sum(result.seconds.values())
    stages = {f"seconds_{stage}": round(seconds, 3) for stage, seconds in result.seconds.items()}
    rate = round(result.partition.rows / total, 1) if total else 0.0
    return {"seconds": round(total, 3), **stages, "events_per_second": rate}


def _raw_previews(pipeline: Pipeline, partition: RawPartition, log: Callable[[str], None]) -> Metadata:
    metadata: Metadata = {"file": dg.MetadataValue.path(pipeline.storage.address(partition.file))}
    if partition.quarantine_file:
        metadata["quarantine_file"] = dg.MetadataValue.path(pipeline.storage.address(partition.quarantine_file))
    try:
        counts = event_counts(pipeline, partition)
    except (duckdb.Error, OSError) as error:
        # The day is committed and right; a picture of it is not worth its failure.
        log(f"no preview of {partition.export_day}: {str(error).splitlines()[0]}")
        return metadata
    return {**metadata, "events": events_by_name(counts), "events_by_hour": events_by_hour(counts)}


def _database_metadata(pipeline: Pipeline, partition: RawPartition) -> dict[dg.AssetKey, Metadata]:
    with pipeline.warehouse.connect() as connection:
        people = connection.execute(
            "select count(*) from subscriber_daily_contributions where export_day = %s", [partition.export_day]
        ).fetchone()
        subscribers = connection.execute("select count(*) from subscribers_insights_v2").fetchone()
        watermark = connection.execute(
            "select last_event_time, total_events_synced from sync_watermarks where source = %s", [SOURCE]
        ).fetchone()
        busiest = busiest_people(connection, partition.export_day)
    last_event_time, total_events = watermark or (None, 0)
    return {
        CONTRIBUTIONS: {"dagster/partition_row_count": people[0] if people else 0, "people": busiest},
        TOTALS: {"dagster/row_count": subscribers[0] if subscribers else 0},
        WATERMARKS: {**_moment("watermark", last_event_time), "total_events_synced": total_events},
    }


def _moment(name: str, value: Any) -> Metadata:
    """Timestamps cannot be null in metadata: a day without events has none."""
    return {name: dg.MetadataValue.timestamp(value)} if value else {}
