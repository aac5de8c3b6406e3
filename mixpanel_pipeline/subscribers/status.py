"""What is synchronized, and what is missing (command `status`)."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from mixpanel_pipeline.lake.calendar import ExportCalendar, days_between
from mixpanel_pipeline.lake.manifest import read_partitions
from mixpanel_pipeline.subscribers.late_sweep import marked_late_days
from mixpanel_pipeline.subscribers.locks import DAY_LOCK, PROFILES_LOCK
from mixpanel_pipeline.subscribers.profile_sync import SOURCE as PROFILES_SOURCE
from mixpanel_pipeline.warehouse.sql_files import read_sql


@dataclass(frozen=True)
class ProfileStatus:
    """How many profiles there are, and when Mixpanel was last asked. `last_sync` is what the sync log says of the last
    snapshot, `error` why the newest one failed, if it did."""

    live: int
    deleted: int
    last_snapshot: datetime | None
    last_sync: dict[str, Any] | None
    error: str | None


@dataclass(frozen=True)
class SyncStatus:
    """Watermarks and newest log rows as they are stored; days without a partition, and why."""

    watermarks: list[dict[str, Any]]
    last_syncs: list[dict[str, Any]]
    partitions: int
    first_day: date | None
    last_day: date | None
    missing_days: list[date]
    failed_days: list[date]
    late_days: dict[date, int]
    subscribers: int
    profiles: ProfileStatus


def read_status(connection: psycopg.Connection, calendar: ExportCalendar, now: datetime) -> SyncStatus:
    """Everything `status` shows, from one connection."""
    stored = [partition.export_day for partition in read_partitions(connection)]
    with connection.cursor(row_factory=dict_row) as cursor:
        watermarks = cursor.execute("select * from sync_watermarks order by source").fetchall()
        logs = cursor.execute(
            "select source, mode, status, created_at, completed_at, error, sync_metadata from sync_logs "
            "order by created_at desc, id desc limit 10"
        ).fetchall()
    subscribers = connection.execute("select count(*) from subscribers_insights_v2").fetchone()
    return SyncStatus(
        watermarks=watermarks,
        last_syncs=logs,
        partitions=len(stored),
        first_day=stored[0] if stored else None,
        last_day=stored[-1] if stored else None,
        missing_days=missing_days(connection, calendar, now),
        failed_days=failed_days(connection),
        late_days=marked_late_days(connection),
        subscribers=subscribers[0] if subscribers else 0,
        profiles=profile_status(connection),
    )


def profile_status(connection: psycopg.Connection) -> ProfileStatus:
    """How profiles stand."""
    with connection.cursor(row_factory=class_row(ProfileStatus)) as cursor:
        row = cursor.execute(
            read_sql("subscribers/profile_status.sql"), {"source": PROFILES_SOURCE, "profiles_lock": PROFILES_LOCK}
        ).fetchone()
    if row is None:
        raise AssertionError("counting returns one row")
    return row


def missing_days(connection: psycopg.Connection, calendar: ExportCalendar, now: datetime) -> list[date]:
    """Closed days after the first fetched one that have no partition: gaps that the watermark may have passed."""
    stored = [partition.export_day for partition in read_partitions(connection)]
    expected = days_between(stored[0], calendar.last_closed_day(now)) if stored else []
    return sorted(set(expected) - set(stored))


def failed_days(connection: psycopg.Connection) -> list[date]:
    """Days whose newest sync failed, or whose process died: it runs by the log, but nobody holds the day's lock."""
    rows = connection.execute(read_sql("subscribers/failed_days.sql"), {"day_lock": DAY_LOCK}).fetchall()
    return [day for (day,) in rows]
