"""Materializes days: Mixpanel → lake → contributions → totals, one transaction a day (spec section 5)."""

import logging
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from mixpanel_pipeline import catalog
from mixpanel_pipeline.lake.calendar import ExportCalendar, utc_now
from mixpanel_pipeline.lake.engine import set_variables
from mixpanel_pipeline.lake.fetch import ExportRequest, FetchedExport, fetched_export
from mixpanel_pipeline.lake.landing import StagedDay
from mixpanel_pipeline.lake.manifest import RawPartition, named_files, read_partition, write_partition
from mixpanel_pipeline.lake.recipe import landing_recipe
from mixpanel_pipeline.lake.storage import LakeStorage
from mixpanel_pipeline.mixpanel.export import ExportClient
from mixpanel_pipeline.mixpanel.retry import RetryPolicy
from mixpanel_pipeline.subscribers.identity import claim_database, database_id
from mixpanel_pipeline.subscribers.lake_queries import UNREADABLE, copy_contributions
from mixpanel_pipeline.subscribers.locks import day_lock, lock_totals
from mixpanel_pipeline.subscribers.sync_log import SOURCE, complete_sync, logged_sync
from mixpanel_pipeline.subscribers.watermark import advance_watermark
from mixpanel_pipeline.warehouse.connection import Warehouse, database_time
from mixpanel_pipeline.warehouse.sql_files import read_sql

logger = logging.getLogger(__name__)
DEFAULT_POLICY = RetryPolicy()


@dataclass(frozen=True)
class DayResult:
    """What materializing one day did. `changed_people` had other contributions than before; `seconds` by stage."""

    partition: RawPartition
    unchanged: bool
    new_events: int
    changed_people: int
    seconds: dict[str, float]


@dataclass(frozen=True)
class EventSync:
    """Everything that a day's materialization needs. `tracked_only`: ask for the catalog's events, not for all."""

    warehouse: Warehouse
    storage: LakeStorage
    client: ExportClient
    calendar: ExportCalendar
    tracked_only: bool = True
    policy: RetryPolicy = DEFAULT_POLICY
    sleep: Callable[[float], None] = time.sleep
    log: Callable[[str], None] = logger.info
    now: Callable[[], datetime] = utc_now

    @property
    def events(self) -> tuple[str, ...] | None:
        """What to ask Mixpanel for; None means all events."""
        return catalog.TRACKED_EVENTS if self.tracked_only else None

    @property
    def recipe(self) -> str:
        """What besides the export decides a partition's content; another recipe means landing a day again."""
        return landing_recipe(self.calendar, tracked_only=self.tracked_only)

    def materialize_day(self, day: date, mode: str = "incremental") -> DayResult:
        """Fetches a day and makes it the truth: partition, contributions, totals, watermark and log in one commit.

        Running it again adds nothing; a later, larger version of the day adds only the difference. Whatever fails
        before the commit changes nothing. In mode `full` the day is landed even when Mixpanel sends the same bytes
        again: the way to repair a partition whose file went bad.

        Raises:
            WrongProjectError: the database holds another project's totals.
            MixpanelError: no complete export could be had.
            LandingError: it cannot be kept on this machine.
            WarehouseError, psycopg.Error: Postgres is out of reach or was lost on the way.
        """
        with (
            self.warehouse.connect(autocommit=True) as connection,
            day_lock(connection, day, self.log),
            logged_sync(self.warehouse, connection, SOURCE, mode, {"export_day": str(day)}) as log_id,
            self.storage.scratch_directory() as scratch,
        ):
            owner = claim_database(connection, self.client.project_id)
            before = read_partition(connection, day)
            known = before.wire_sha256 if before and mode != "full" and self._is_current(before) else None
            fetched_at = database_time(connection)
            request = ExportRequest(day, day, self.events)
            with fetched_export(
                self.client, request, self.calendar.wall_clock(day), scratch,
                known_sha256=known, policy=self.policy, sleep=self.sleep, log=self.log,
            ) as fetched:  # fmt: skip
                commit = _DayCommit(
                    self, connection, scratch, owner, day, before, known is not None, fetched_at, log_id
                )
                return commit.run(fetched)

    def _is_current(self, partition: RawPartition) -> bool:
        """Whether the same content need not be landed again: it was by this recipe, and its file is there whole."""
        return partition.recipe == self.recipe and self.storage.holds(partition.file, partition.bytes)

    def remove_garbage(self) -> list[str]:
        """Removes lake files that no manifest row names and scratch that crashed runs left, once a day old."""
        with self.warehouse.connect() as connection:
            named = named_files(connection)
            owner = database_id(connection)
        return self.storage.remove_garbage(owner, named, self.now())


@dataclass(frozen=True)
class _DayCommit:
    """The second half of a day: from a complete export to the commit."""

    sync: EventSync
    connection: psycopg.Connection
    scratch: Path
    owner: str
    day: date
    before: RawPartition | None
    before_is_current: bool
    fetched_at: datetime
    log_id: int

    def run(self, fetched: FetchedExport) -> DayResult:
        staged, before = fetched.staged, self.before
        seconds = fetched.seconds
        same = staged is None or (before is not None and staged.statistics.content_hash == before.content_hash)
        if before and self.before_is_current and same:
            return self._commit_unchanged(fetched, before)
        if staged is None:
            raise AssertionError("an export without a staged day has the bytes of a stored partition")
        # Postgres takes one core for the totals, and leaves the others to writing the partition meanwhile. The commit
        # waits for both.
        with ThreadPoolExecutor(1, thread_name_prefix="write") as writer:
            return self._commit_changed(staged, writer.submit(self._write, fetched, staged), seconds)

    def _write(self, fetched: FetchedExport, staged: StagedDay) -> tuple[RawPartition, int]:
        """Puts the day's file into the lake; returns its manifest row and how many of its events are new."""
        started = time.monotonic()
        file = staged.write()
        new_events = self._count_new_events(staged, file)
        partition = self._publish(fetched, staged, file)
        fetched.seconds["write"] = time.monotonic() - started
        return partition, new_events

    def _commit_unchanged(self, fetched: FetchedExport, before: RawPartition) -> DayResult:
        partition = replace(before, fetched_at=self.fetched_at, wire_sha256=fetched.download.wire_sha256)
        with self.connection.transaction():
            lock_totals(self.connection)
            return self._finish(DayResult(partition, True, 0, 0, fetched.seconds))

    def _commit_changed(
        self, staged: StagedDay, written: Future[tuple[RawPartition, int]], seconds: dict[str, float]
    ) -> DayResult:
        started = time.monotonic()
        with self.connection.transaction():
            self.connection.execute(
                "create temporary table new_contributions (like subscriber_daily_contributions) on commit drop"
            )
            copy_contributions(self.connection, "new_contributions", staged.engine, self.scratch)
            seconds["contributions"] = time.monotonic() - started
            lock_totals(self.connection)
            self.connection.execute("select set_config('pipeline.export_day', %s, true)", [str(self.day)])
            self.connection.execute(read_sql("subscribers/add_day.sql"))
            changed = self.connection.execute("select count(*) from changed_contributions").fetchone()
            seconds["totals"] = time.monotonic() - started - seconds["contributions"]
            partition, new_events = written.result()
            return self._finish(DayResult(partition, False, new_events, changed[0] if changed else 0, seconds))

    def _finish(self, result: DayResult) -> DayResult:
        """Manifest, late mark, watermark and log, in the transaction that loaded the events."""
        write_partition(self.connection, result.partition)
        # A mark made while this day was being fetched may be of an event that the fetch did not see.
        self.connection.execute(
            "delete from late_days where export_day = %s and found_at < %s", [self.day, self.fetched_at]
        )
        advance_watermark(
            self.connection, result.partition.last_event_time, result.new_events, f"materialized {self.day}"
        )
        complete_sync(self.connection, self.log_id, _log_metadata(result))
        return result

    def _count_new_events(self, staged: StagedDay, file: Path) -> int:
        before = self.before
        without_comparing = max(0, staged.statistics.rows - (before.rows if before else 0))
        if before is None or not self.sync.storage.holds(before.file, before.bytes):
            return without_comparing
        filesystem = self.sync.storage.engine_filesystem()
        if filesystem is not None:
            staged.engine.register_filesystem(filesystem)
        old_file = self.sync.storage.address(before.file)
        try:
            with staged.engine.cursor() as cursor:
                set_variables(cursor, {"new_file": str(file), "old_file": old_file})
                row = cursor.execute(read_sql("lake/new_events.sql")).fetchone()
        except duckdb.OutOfMemoryException:
            raise
        except UNREADABLE as error:
            # A damaged file, most likely; whatever it is, it must not keep the new one from replacing it.
            self.sync.log(f"the stored partition of {self.day} cannot be compared with the new one: {error}")
            return without_comparing
        return row[0] if row else 0

    def _publish(self, fetched: FetchedExport, staged: StagedDay, file: Path) -> RawPartition:
        size = file.stat().st_size
        storage = self.sync.storage
        statistics: dict[str, Any] = asdict(staged.statistics)
        return RawPartition(
            export_day=self.day,
            file=storage.publish(file, self.owner, self.day),
            quarantine_file=storage.publish(staged.quarantine, self.owner, self.day) if staged.quarantine else None,
            recipe=self.sync.recipe,
            wire_sha256=fetched.download.wire_sha256,
            bytes=size,
            fetched_at=self.fetched_at,
            **statistics,
        )


def _log_metadata(result: DayResult) -> dict[str, Any]:
    partition = result.partition
    return {
        "unchanged": result.unchanged,
        "rows": partition.rows,
        "new_events": result.new_events,
        "changed_people": result.changed_people,
        "users": partition.users,
        "duplicates": partition.duplicates,
        "quarantined": partition.quarantined,
        "bad_values": partition.bad_values,
        "seconds": {stage: round(value, 3) for stage, value in result.seconds.items()},
    }
