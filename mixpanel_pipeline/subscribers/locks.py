"""Postgres advisory locks: what may not happen at once, across all processes.

A lock belongs to the connection that commits the work, so that losing it loses the commit too. Through PgBouncer
this needs session pooling.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date

import psycopg

# Numbers of our own for the locks' first half; the second is the day, or zero.
DAY_LOCK = 7_241_002
TOTALS_LOCK = 7_241_003
SWEEP_LOCK = 7_241_004
PROFILES_LOCK = 7_241_006


@contextmanager
def day_lock(connection: psycopg.Connection, day: date, log: Callable[[str], None]) -> Iterator[None]:
    """Held from before a day's export is asked for until it is committed: of two runs of one day the later then
    also fetched later, and the newer content stays."""
    with _session_lock(connection, DAY_LOCK, day.toordinal(), f"another run of {day}", log):
        yield


@contextmanager
def sweep_lock(connection: psycopg.Connection, log: Callable[[str], None]) -> Iterator[None]:
    """One late sweep at a time."""
    with _session_lock(connection, SWEEP_LOCK, 0, "another late sweep", log):
        yield


@contextmanager
def profiles_lock(connection: psycopg.Connection, log: Callable[[str], None]) -> Iterator[None]:
    """Held from before a snapshot is asked for until it is committed, so that the newest snapshot is also the last
    that is written."""
    with _session_lock(connection, PROFILES_LOCK, 0, "another snapshot of profiles", log):
        yield


def lock_totals(connection: psycopg.Connection) -> None:
    """Until the transaction ends nobody else changes contributions or totals. Days commit one after the other:
    recomputing a person reads all of that person's days, which must not change meanwhile."""
    connection.execute("select pg_advisory_xact_lock(%s, 0)", [TOTALS_LOCK])


def lock_totals_for_reading(connection: psycopg.Connection) -> None:
    """Until the transaction ends contributions, totals and the manifest stand still; several may read."""
    connection.execute("select pg_advisory_xact_lock_shared(%s, 0)", [TOTALS_LOCK])


@contextmanager
def _session_lock(
    connection: psycopg.Connection, kind: int, number: int, holder: str, log: Callable[[str], None]
) -> Iterator[None]:
    row = connection.execute("select pg_try_advisory_lock(%s, %s)", [kind, number]).fetchone()
    if not (row and row[0]):
        log(f"waiting for {holder} to end")
        connection.execute("select pg_advisory_lock(%s, %s)", [kind, number])
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("select pg_advisory_unlock(%s, %s)", [kind, number])
