"""One row of sync_logs for every sync: running, then completed with what it commits, or failed."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from mixpanel_pipeline.lake.engine import is_interruption
from mixpanel_pipeline.warehouse.connection import Warehouse, WarehouseError

SOURCE = "mixpanel_user_events"
LONGEST_ERROR = 2000
INTERRUPTED = "it was interrupted: by Ctrl-C, or its run was terminated"
# How long a Postgres that was lost may take to come back before a failure goes unwritten.
RESTART_SECONDS = 15


@contextmanager
def logged_sync(
    warehouse: Warehouse, connection: psycopg.Connection, source: str, mode: str, place: Mapping[str, str]
) -> Iterator[int]:
    """Begins a row and yields its id; an exception completes it as failed. `place` says of what part of the source
    (export_day); the caller holds its lock, so a row of it that is still running belongs to a process that died."""
    connection.execute(
        "update sync_logs set status = 'failed', completed_at = clock_timestamp(), error = 'the process died' "
        "where source = %s and status = 'running' and sync_metadata @> %s::jsonb",
        [source, json.dumps(place)],
    )
    row = connection.execute(
        "insert into sync_logs (source, mode, status, sync_metadata) values (%s, %s, 'running', %s) returning id",
        [source, mode, json.dumps(place)],
    ).fetchone()
    log_id = row[0] if row else 0
    try:
        yield log_id
    except BaseException as error:
        _fail(warehouse, log_id, error)
        raise


def complete_sync(connection: psycopg.Connection, log_id: int, metadata: dict[str, Any]) -> None:
    """Completes the row in the caller's transaction."""
    connection.execute(
        "update sync_logs set status = 'completed', completed_at = clock_timestamp(), "
        "sync_metadata = sync_metadata || %s::jsonb where id = %s",
        [json.dumps(metadata), log_id],
    )


def _fail(warehouse: Warehouse, log_id: int, error: BaseException) -> None:
    """On a connection of its own, for the sync's may be what broke; a Postgres that restarts is waited for. When
    there is none the row stays running, and the day's next run completes it."""
    # KeyboardInterrupt, and what Dagster raises when a run is terminated, say nothing themselves.
    unsaid = type(error).__name__ if isinstance(error, Exception) else INTERRUPTED
    said = INTERRUPTED if is_interruption(error) else str(error) or unsaid
    # What Mixpanel answered may be in it, with characters that Postgres has none of.
    message = said.replace("\0", "\ufffd").encode("utf-8", errors="replace").decode()[:LONGEST_ERROR]
    patience = Retrying(
        retry=retry_if_exception_type((WarehouseError, psycopg.OperationalError)),
        stop=stop_after_delay(RESTART_SECONDS),
        wait=wait_fixed(1),
        reraise=True,
    )
    try:
        patience(_write_failure, warehouse, log_id, message)
    except Exception as unreachable:  # the sync's own error matters more, and is raised
        error.add_note(f"sync_logs could not be written either: {unreachable}")


def _write_failure(warehouse: Warehouse, log_id: int, message: str) -> None:
    with warehouse.connect(autocommit=True) as connection:
        connection.execute(
            "update sync_logs set status = 'failed', completed_at = clock_timestamp(), error = %s "
            "where id = %s and status = 'running'",
            [message, log_id],
        )
