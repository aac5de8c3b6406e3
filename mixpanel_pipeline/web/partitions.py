"""Weekly partitions of the raw tables: made ahead, emptied by retention, dropped when empty."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import psycopg
from psycopg.sql import SQL, Identifier
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random_exponential

from mixpanel_pipeline.warehouse.connection import Warehouse

WEEKS_AHEAD = 4
PATIENCE = timedelta(minutes=2)


def make_partitions_ahead(warehouse: Warehouse, today: date, weeks: int = WEEKS_AHEAD) -> int:
    """Makes the partitions from today until so many weeks ahead; returns how many were missing."""
    return make_partitions(warehouse, today, today + timedelta(weeks=weeks))


def make_partitions(warehouse: Warehouse, first: date, last: date) -> int:
    """Makes the partitions that hold these days, as an import of old events needs; returns how many were missing.
    Weeks behind the raw floor are not made."""
    with warehouse.connect() as connection:
        row = connection.execute("select make_analytics_partitions(%s, %s)", [first, last]).fetchone()
    return row[0] if row else 0


@dataclass(frozen=True)
class Retained:
    """What retention left and did. `rows_refused` came late into partitions that were emptied already."""

    raw_floor: datetime | None
    partitions_emptied: int
    partitions_dropped: int
    rows_refused: int


# Who reads or writes is let by: an attempt waits less than a second for the tables, and then lets go of all of them.
_while_in_use = retry(
    retry=retry_if_exception_type((psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)),
    stop=stop_after_delay(PATIENCE), wait=wait_random_exponential(multiplier=0.5, max=10), reraise=True,
)  # fmt: skip


@_while_in_use
def _raise_floor(warehouse: Warehouse, days: int) -> int:
    with warehouse.connect() as connection:
        # Committed first, so that what is left to count while tables are locked came in the last moments.
        connection.execute("select take_analytics_marks_before(analytics_floor_keeping(%s))", [days])
    with warehouse.connect() as connection:
        row = connection.execute("select cleanup_old_raw_events(%s)", [days]).fetchone()
    return row[0]["partitions_emptied"] if row else 0


def apply_retention(warehouse: Warehouse, days: int) -> Retained:
    """Removes raw rows older than so many days, by whole weeks; aggregates stay. May be ended anywhere and run again.
    It waits for an aggregation that runs, however long that takes.

    Raises:
        psycopg.errors.LockNotAvailable: an old partition was in use through all attempts, the error says by whom;
            its rows were counted, and nothing was removed.
    """
    emptied = _raise_floor(warehouse, days)
    dropped = refused = 0
    # DETACH CONCURRENTLY waits for readers and stops no writer, but must stand outside a transaction.
    with warehouse.connect(autocommit=True) as connection:
        behind = connection.execute(
            "select raw_table, leaf::text, detach_pending from analytics_partitions, analytics_retention "
            "where week_end <= raw_floor order by leaf::text"
        ).fetchall()
        for parent, leaf, pending in behind:
            how = SQL("finalize") if pending else SQL("concurrently")
            connection.execute(
                SQL("alter table {} detach partition {} {}").format(Identifier(parent), Identifier(leaf), how)
            )
        for leaf in _detached(connection):
            refused += _drop(connection, leaf)
            dropped += 1
        floor = connection.execute("select nullif(raw_floor, '-infinity') from analytics_retention").fetchone()
    return Retained(floor[0].astimezone(UTC) if floor and floor[0] else None, emptied, dropped, refused)


def _detached(connection: psycopg.Connection) -> list[str]:
    """Partitions cut off by this run, or by one that ended before it could drop them. They are known by the comment
    that came with their emptying, not by their names: somebody may have cut off a week to keep it."""
    rows = connection.execute(
        "select relname from pg_class where relkind = 'r' and not relispartition "
        "and obj_description(oid, 'pg_class') = 'Emptied by retention, to be dropped.' "
        "and relnamespace = (select relnamespace from pg_class where oid = 'analytics_events'::regclass) "
        "order by relname"
    ).fetchall()
    return [name for (name,) in rows]


def _drop(connection: psycopg.Connection, leaf: str) -> int:
    """Drops a partition that was cut off; rows that came late into it are counted as refused."""
    kind = "hours" if leaf.startswith("analytics_events_") else "cards"
    with connection.transaction():
        connection.execute(SQL("lock table {} in access exclusive mode").format(Identifier(leaf)))
        row = connection.execute(SQL("select count(*) from {}").format(Identifier(leaf))).fetchone()
        late = row[0] if row else 0
        connection.execute(
            "update analytics_progress set refused_rows = refused_rows + %s where aggregate = %s", [late, kind]
        )
        connection.execute(SQL("drop table {}").format(Identifier(leaf)))
    return late
