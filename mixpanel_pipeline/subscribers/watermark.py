"""How far a source is synchronized (table sync_watermarks)."""

from datetime import datetime

import psycopg

from mixpanel_pipeline.subscribers.sync_log import SOURCE
from mixpanel_pipeline.warehouse.sql_files import read_sql


def advance_watermark(
    connection: psycopg.Connection, last_event_time: datetime | None, new_events: int, notes: str
) -> None:
    """Moves the watermark to `last_event_time` if that is later, in the caller's transaction."""
    connection.execute(
        read_sql("subscribers/write_watermark.sql"),
        {"source": SOURCE, "last_event_time": last_event_time, "new_events": new_events, "notes": notes},
    )


def read_watermark(connection: psycopg.Connection) -> datetime | None:
    """The newest event's time (UTC) that was ever loaded, or None before the first."""
    row = connection.execute("select last_event_time from sync_watermarks where source = %s", [SOURCE]).fetchone()
    return row[0] if row else None
