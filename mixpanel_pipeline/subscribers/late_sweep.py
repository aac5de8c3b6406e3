"""Finds past days that received events since they were fetched, whatever their age, at the price of one query.

Mixpanel stamps every event with the time it processed it, and exports can be filtered by that
(reference/mixpanel.md A1.8). Peers look back a few days and lose what comes later.
"""

from datetime import date, timedelta

import duckdb
import psycopg

from mixpanel_pipeline.lake.engine import set_variables
from mixpanel_pipeline.lake.fetch import ExportRequest, fetched_export
from mixpanel_pipeline.lake.landing import StagedDay
from mixpanel_pipeline.lake.manifest import RawPartition, read_partitions
from mixpanel_pipeline.lake.wall_clock import UTC_CLOCK
from mixpanel_pipeline.mixpanel.errors import DateRangeNotAllowed
from mixpanel_pipeline.mixpanel.where import processed_between
from mixpanel_pipeline.subscribers.event_sync import EventSync
from mixpanel_pipeline.subscribers.locks import lock_totals_for_reading, sweep_lock
from mixpanel_pipeline.subscribers.sync_log import SOURCE
from mixpanel_pipeline.warehouse.sql_files import read_sql

# An event can show up in exports later than its processing time says: 45 minutes were seen, 24 hours is what
# Mixpanel allows itself (reference/mixpanel.md A1.8). Asking that far back again costs nothing, for an event that
# its partition has already marks no day.
MATERIALIZATION_LAG = timedelta(hours=24)

# Mixpanel takes 100 days a query at most (A1.8, not documented); a longer history takes several.
LONGEST_RANGE_DAYS = 90


def sweep_late_events(sync: EventSync) -> dict[date, int]:
    """Marks the fetched days that Mixpanel has events of which their partitions lack; returns {day: events}.

    Marks stay (table late_days) until the day is materialized again, so a crash loses none. The very first sweep
    asks for all that was processed since the first of the days was fetched.
    """
    with sync.warehouse.connect(autocommit=True) as connection, sweep_lock(connection, sync.log):
        swept_until = _swept_until(connection)
        now_ms = int(sync.now().timestamp() * 1000)
        partitions = read_partitions(connection)
        found: dict[date, int] = {}
        if partitions:
            if swept_until is None:
                swept_until = int(min(partition.fetched_at for partition in partitions).timestamp() * 1000)
            since_ms = swept_until - int(MATERIALIZATION_LAG.total_seconds() * 1000)
            for part in _ranges(partitions):
                found |= _sweep_range(sync, connection, part, processed_between(since_ms, now_ms))
        with connection.transaction():
            for day, events in found.items():
                connection.execute(
                    "insert into late_days (export_day, events) values (%s, %s) on conflict (export_day) "
                    "do update set events = excluded.events, found_at = excluded.found_at",
                    [day, events],
                )
            connection.execute(
                "insert into late_sweeps (source, swept_until_ms) values (%s, %s) on conflict (source) "
                "do update set swept_until_ms = excluded.swept_until_ms, swept_at = now()",
                [SOURCE, now_ms],
            )
    return found


def marked_late_days(connection: psycopg.Connection) -> dict[date, int]:
    """Days waiting to be materialized again, with how many late events were seen."""
    return dict(connection.execute("select export_day, events from late_days order by export_day").fetchall())


def _swept_until(connection: psycopg.Connection) -> int | None:
    row = connection.execute("select swept_until_ms from late_sweeps where source = %s", [SOURCE]).fetchone()
    return row[0] if row else None


def _ranges(partitions: list[RawPartition]) -> list[tuple[date, date]]:
    first, last = partitions[0].export_day, partitions[-1].export_day
    ranges = []
    while first <= last:
        end = min(last, first + timedelta(days=LONGEST_RANGE_DAYS - 1))
        ranges.append((first, end))
        first = end + timedelta(days=1)
    return ranges


def _sweep_range(
    sync: EventSync, connection: psycopg.Connection, part: tuple[date, date], where: str
) -> dict[date, int]:
    try:
        return _sweep_allowed_range(sync, connection, part, where)
    except DateRangeNotAllowed as error:
        # Older than the plan exports: Mixpanel shows no late events of those days to anybody.
        sync.log(f"no late events can be asked for from {part[0]} to {part[1]}: {error}")
        return {}


def _sweep_allowed_range(
    sync: EventSync, connection: psycopg.Connection, part: tuple[date, date], where: str
) -> dict[date, int]:
    request = ExportRequest(part[0], part[1], sync.events, where)
    with (
        sync.storage.scratch_directory() as scratch,
        # Times are compared with the partitions' after conversion, day by day below; here only days matter.
        fetched_export(
            sync.client, request, UTC_CLOCK, scratch,
            known_sha256=None, policy=sync.policy, sleep=sync.sleep, log=sync.log,
        ) as fetched,
    ):  # fmt: skip
        if fetched.staged is None or fetched.staged.statistics.rows == 0:
            return {}
        return _missing_from_partitions(sync, connection, fetched.staged)


def _missing_from_partitions(sync: EventSync, connection: psycopg.Connection, staged: StagedDay) -> dict[date, int]:
    engine = staged.engine
    filesystem = sync.storage.engine_filesystem()
    if filesystem is not None:
        engine.register_filesystem(filesystem)
    swept_days = engine.execute(
        "select distinct date '1970-01-01' + floor(wall_seconds / 86400)::int "
        "from read_parquet(getvariable('staged')) where usable"
    ).fetchall()
    days = {day for (day,) in swept_days}
    with connection.transaction():
        # The manifest stands still while its files are read.
        lock_totals_for_reading(connection)
        neighbours = {day + timedelta(days=step) for day in days for step in (-1, 0, 1)}
        partitions = [partition for partition in read_partitions(connection) if partition.export_day in neighbours]
        stored = [partition for partition in partitions if sync.storage.holds(partition.file, partition.bytes)]
        # A day whose file is lost has to be fetched again whatever came late.
        lost = {day.export_day: 0 for day in partitions if day not in stored and day.export_day in days}
        if not stored:
            return lost
        _write_day_clocks(sync, engine, [partition for partition in stored if partition.export_day in days])
        set_variables(engine, {"files": [sync.storage.address(partition.file) for partition in stored]})
        return lost | dict(engine.execute(read_sql("lake/late_events.sql")).fetchall())


def _write_day_clocks(sync: EventSync, engine: duckdb.DuckDBPyConnection, partitions: list[RawPartition]) -> None:
    engine.execute(
        "create temporary table day_clocks "
        "(export_day date, boundary double, offset_before double, offset_after double)"
    )
    for partition in partitions:
        clock = sync.calendar.wall_clock(partition.export_day)
        engine.execute(
            "insert into day_clocks values ($day, $boundary, $before, $after)",
            {
                "day": partition.export_day,
                "boundary": clock.boundary,
                "before": clock.offset_before,
                "after": clock.offset_after,
            },
        )
