"""The watermark moves, syncs stay small, no day is missing."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta

import psycopg

from mixpanel_pipeline.checks.verdict import ROWS_SHOWN, Verdict
from mixpanel_pipeline.lake.calendar import ExportCalendar
from mixpanel_pipeline.subscribers.status import failed_days, missing_days
from mixpanel_pipeline.subscribers.sync_log import SOURCE
from mixpanel_pipeline.warehouse.connection import Warehouse


def watermark_advances(
    warehouse: Warehouse, calendar: ExportCalendar, now: datetime, hours: int, *, has_account: bool = True
) -> Verdict:
    """The newest closed day was synchronized within `hours` of its end.

    The watermark is the newest event's time; a day without events moves the time of the last sync only.
    """
    with warehouse.connect() as connection:
        return judge_watermark(connection, calendar, now, hours, has_account=has_account)


def judge_watermark(
    connection: psycopg.Connection, calendar: ExportCalendar, now: datetime, hours: int, *, has_account: bool
) -> Verdict:
    """What watermark_advances finds, on a connection that is there."""
    name = "watermark_advances"
    row = connection.execute(
        "select last_event_time, last_synced_at from sync_watermarks where source = %s", [SOURCE]
    ).fetchone()
    newest = connection.execute("select max(export_day) from raw_partitions").fetchone()
    if row is None or newest is None or newest[0] is None:
        if not has_account:
            return Verdict(name, True, "no Mixpanel account is set, and nothing was ever synchronized")
        return Verdict(name, False, "nothing was ever synchronized", fix="Run `mixpanel-pipeline sync`.")
    last_event, last_synced = row
    due = calendar.last_closed_day(now - timedelta(hours=hours))
    figures = {"newest_day": str(newest[0]), "last_event_time": str(last_event), "last_synced_at": str(last_synced)}
    if newest[0] >= due:
        return Verdict(name, True, f"{newest[0]} is loaded, last event {last_event}", figures=figures)
    return Verdict(
        name,
        False,
        f"{due} ended more than {hours} hours ago, but the newest day loaded is {newest[0]} "
        f"(last event {last_event}, last sync {last_synced})",
        fix="See the last failed run in Dagster, or run `mixpanel-pipeline sync`.",
        figures=figures,
    )


def sync_is_incremental(warehouse: Warehouse, most_events: int, most_seconds: int) -> Verdict:
    """The newest incremental sync of a day brought no more new events, and took no longer, than it should."""
    with warehouse.connect() as connection:
        return judge_newest_sync(connection, most_events, most_seconds)


def judge_newest_sync(connection: psycopg.Connection, most_events: int, most_seconds: int) -> Verdict:
    """What sync_is_incremental finds, on a connection that is there."""
    name = "sync_is_incremental"
    row = connection.execute(
        "select sync_metadata ->> 'export_day', coalesce((sync_metadata ->> 'new_events')::bigint, 0), "
        "extract(epoch from completed_at - created_at)::float8 from sync_logs "
        "where source = %s and mode = 'incremental' and status = 'completed' order by id desc limit 1",
        [SOURCE],
    ).fetchone()
    if row is None:
        return Verdict(name, True, "no incremental sync yet", "warning")
    day, events, seconds = row
    figures = {"export_day": day, "new_events": events, "seconds": round(seconds, 1)}
    if events <= most_events and seconds <= most_seconds:
        return Verdict(name, True, f"{day}: {events} new events in {seconds:.1f} s", "warning", figures=figures)
    return Verdict(
        name,
        False,
        f"{day}: {events} new events in {seconds:.1f} s; expected at most {most_events} events and {most_seconds} s",
        "warning",
        fix="If the project grew, raise SYNC_EVENTS_WARNING or SYNC_SECONDS_WARNING; else see what was sent that day.",
        figures=figures,
    )


def no_missing_partitions(warehouse: Warehouse, calendar: ExportCalendar, now: datetime) -> Verdict:
    """Every closed day since the first fetched one has its partition, and none failed last."""
    with warehouse.connect() as connection:
        return judge_days(missing_days(connection, calendar, now), failed_days(connection))


def judge_days(missing: Sequence[date], failed: Sequence[date]) -> Verdict:
    """What no_missing_partitions finds, of days that are known."""
    name = "no_missing_partitions"
    if not missing and not failed:
        return Verdict(name, True, "no day is missing and none failed last", "warning")
    bad = sorted({*missing, *failed})
    return Verdict(
        name,
        False,
        f"{len(missing)} days are missing and {len(failed)} failed last, first {bad[0]}, last {bad[-1]}",
        "warning",
        rows=[{"export_day": day, "missing": day in missing, "failed": day in failed} for day in bad[:ROWS_SHOWN]],
        fix=f"Run `mixpanel-pipeline sync --from {bad[0]} --to {bad[-1]}`, or let the missing-partition sensor do it.",
        figures={"missing": len(missing), "failed": len(failed)},
    )
