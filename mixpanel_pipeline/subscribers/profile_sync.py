"""Synchronizes profiles: Engage → lake → what changed → totals, in one transaction (spec section 5)."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from mixpanel_pipeline import catalog, catalog_sql
from mixpanel_pipeline.lake.calendar import utc_now
from mixpanel_pipeline.lake.profile_landing import ProfileStatistics, StagedProfiles, staged_profiles
from mixpanel_pipeline.lake.profile_manifest import ProfileSnapshot, write_snapshot
from mixpanel_pipeline.lake.storage import LakeStorage
from mixpanel_pipeline.mixpanel.engage import PAGE_SIZE, EngageClient, Snapshot
from mixpanel_pipeline.subscribers.identity import claim_database
from mixpanel_pipeline.subscribers.lake_queries import copy_query
from mixpanel_pipeline.subscribers.locks import lock_totals, profiles_lock
from mixpanel_pipeline.subscribers.sync_log import complete_sync, logged_sync
from mixpanel_pipeline.warehouse.connection import Warehouse, database_time
from mixpanel_pipeline.warehouse.sql_files import read_sql

logger = logging.getLogger(__name__)
SOURCE = "mixpanel_user_profiles"
Value = TypeVar("Value")

# Sorting and hashing a hundred thousand profiles in Postgres' usual 4 MB goes through the disk several times.
WORK_MEMORY = "64MB"


class EmptySnapshotError(Exception):
    """A snapshot has nobody who can be kept, where somebody is stored."""


@dataclass(frozen=True)
class ProfileResult:
    """What one snapshot did, in people. `written` rows of subscriber_profiles, `totals_changed` rows of the totals.

    `comparison_error` says why everybody was written instead of those who changed, who are not told apart then.
    `refusals` are examples of {distinct_id, field, reason}; `seconds` are by stage.
    """

    snapshot: ProfileSnapshot
    new: int
    changed: int
    unchanged: int
    deleted: int
    written: int
    totals_changed: int
    comparison_error: str | None
    refusals: list[dict[str, str | None]]
    seconds: dict[str, float]

    @property
    def refused(self) -> int:
        """People and single values that could not be kept."""
        return self.snapshot.refused + self.snapshot.bad_values

    def figures(self) -> dict[str, Any]:
        """What the sync log and the asset's page say of it."""
        skipped = 100 * self.unchanged / self.snapshot.people if self.snapshot.people else 0.0
        return {
            "people": self.snapshot.people,
            "new": self.new,
            "changed": self.changed,
            "unchanged": self.unchanged,
            "deleted": self.deleted,
            "written": self.written,
            "skipped_percent": round(skipped, 1),
            "totals_changed": self.totals_changed,
            "anonymous": self.snapshot.anonymous,
            "refused": self.snapshot.refused,
            "unidentified": self.snapshot.unidentified,
            "bad_values": self.snapshot.bad_values,
            "queries": self.snapshot.queries,
            "pages": self.snapshot.pages,
        }


@dataclass(frozen=True)
class ProfileSync:
    """Everything that a snapshot of profiles needs."""

    warehouse: Warehouse
    storage: LakeStorage
    client: EngageClient
    page_size: int = PAGE_SIZE
    log: Callable[[str], None] = logger.info

    def synchronize(self, *, all_deleted: bool = False) -> ProfileResult:
        """Makes subscriber_profiles what Mixpanel says now, and the totals what follows from it, in one commit.

        Who and what did not change is not written. Whatever fails before the commit changes nothing.
        `all_deleted`: a snapshot without anybody is true.

        Raises:
            EmptySnapshotError: nobody in the snapshot can be kept, but profiles are stored.
            WrongProjectError: the database holds another project's totals.
            MixpanelError: no complete snapshot could be had.
            LandingError: it cannot be kept on this machine.
            WarehouseError, psycopg.Error: Postgres is out of reach or was lost on the way.
        """
        with (
            self.warehouse.connect(autocommit=True) as connection,
            profiles_lock(connection, self.log),
            logged_sync(self.warehouse, connection, SOURCE, "snapshot", {}) as log_id,
            self.storage.scratch_directory() as scratch,
        ):
            owner = claim_database(connection, self.client.project_id)
            clock_difference = database_time(connection) - utc_now()
            started = time.monotonic()
            snapshot = self.client.download_snapshot(scratch / "profiles.jsonl.gz", page_size=self.page_size)
            seconds = {"fetch": time.monotonic() - started}
            taken_at = snapshot.taken_at + clock_difference
            place = f"project {self.client.project_id}, profiles"
            with staged_profiles(snapshot, scratch, place) as staged:
                seconds["land"] = time.monotonic() - started - seconds["fetch"]
                if not (staged.statistics.people or all_deleted):
                    _require_nobody_stored(connection, staged.statistics)
                if staged.statistics.unidentified:
                    self.log(
                        f"{staged.statistics.unidentified} of {staged.statistics.lines} profiles came without an id: "
                        "whoever is missing may be one of them, so nobody is marked deleted this time"
                    )
                commit = _SnapshotCommit(self, connection, scratch, owner, taken_at, snapshot, staged, log_id, seconds)
                return commit.run()


@dataclass
class _SnapshotCommit:
    """The second half of a synchronization: from a complete snapshot to the commit."""

    sync: ProfileSync
    connection: psycopg.Connection
    scratch: Path
    owner: str
    taken_at: datetime
    snapshot: Snapshot
    staged: StagedProfiles
    log_id: int
    seconds: dict[str, float]
    comparison_error: str | None = field(default=None, init=False)

    def run(self) -> ProfileResult:
        with self.connection.transaction():
            self._timed("copy", self._copy)
            self._timed("compare", self._compare)
            written = sum(self._timed("write", lambda: self._rows_of("subscribers/write_profiles.sql"))[:2])
            row = self._timed("publish", self._publish)
            # Days cannot commit from here on. What was done until now, nothing that they read depends on.
            lock_totals(self.connection)
            put, _, removed, computed = self._timed("totals", lambda: self._rows_of("subscribers/add_profiles.sql"))
            write_snapshot(self.connection, row)
            result = self._result(row, written, put + removed + computed)
            complete_sync(self.connection, self.log_id, self._log_metadata(result))
        return result

    def _log_metadata(self, result: ProfileResult) -> dict[str, Any]:
        seconds = {name: round(value, 3) for name, value in self.seconds.items()}
        said = {"refusals": result.refusals, "comparison_error": self.comparison_error}
        return {**result.figures(), "seconds": seconds, **{name: value for name, value in said.items() if value}}

    def _copy(self) -> None:
        columns = catalog_sql.profile_columns()
        self.connection.execute(
            "select set_config('work_mem', %s, true), set_config('pipeline.snapshot_taken_at', %s, true), "
            "set_config('pipeline.snapshot_unidentified', %s, true)",
            [WORK_MEMORY, self.taken_at.isoformat(), str(self.staged.statistics.unidentified)],
        )
        self.connection.execute(read_sql("subscribers/new_profiles.sql"))
        copy_query(self.connection, "new_profiles", columns, self.staged.engine, "lake/kept_profiles.sql", self.scratch)
        self.connection.execute("analyze new_profiles")

    def _compare(self) -> None:
        """Finds who changed; when that cannot be found out, everybody did."""
        try:
            with self.connection.transaction():
                self.connection.execute(read_sql("subscribers/compare_profiles.sql"))
        except psycopg.Error as error:
            if self.connection.broken:
                raise
            self.comparison_error = " ".join(str(error).split())
            self.sync.log(f"the comparison with the stored profiles failed, so all are written: {error}")
            self.connection.execute(read_sql("subscribers/do_not_compare_profiles.sql"))

    def _rows_of(self, statements: str) -> list[int]:
        """Runs a file; returns how many rows each of its statements wrote."""
        cursor = self.connection.execute(read_sql(statements))
        rows = [cursor.rowcount]
        while cursor.nextset():
            rows.append(cursor.rowcount)
        return rows

    def _publish(self) -> ProfileSnapshot:
        """Puts the snapshot into the lake and returns its manifest row. Also when the one before says the same: its
        file may have been damaged since."""
        storage, statistics, refusals = self.sync.storage, self.staged.statistics, self.staged.refusals
        day = self.taken_at.date()
        size = self.staged.file.stat().st_size
        return ProfileSnapshot(
            taken_at=self.taken_at,
            file=storage.publish(self.staged.file, self.owner, day, "profiles"),
            refused_file=storage.publish(refusals, self.owner, day, "profiles") if refusals else None,
            bytes=size, content_sha256=self.snapshot.content_sha256, recipe=catalog.fingerprint(),
            people=statistics.people, anonymous=statistics.anonymous, refused=statistics.refused,
            unidentified=statistics.unidentified, bad_values=statistics.bad_values, pages=self.snapshot.pages,
            queries=self.snapshot.queries, wire_bytes=self.snapshot.wire_bytes,
        )  # fmt: skip

    def _result(self, row: ProfileSnapshot, written: int, totals_changed: int) -> ProfileResult:
        rows = self.connection.execute("select change, count(*) from changed_profiles group by change").fetchall()
        people: dict[str, int] = dict(rows)
        changed = people.get("changed", 0) + people.get("restored", 0) + people.get("rewritten", 0)
        new = people.get("new", 0)
        return ProfileResult(
            snapshot=row, new=new, changed=changed, unchanged=row.people - new - changed,
            deleted=people.get("deleted", 0), written=written, totals_changed=totals_changed,
            comparison_error=self.comparison_error, refusals=self.staged.examples, seconds=self.seconds,
        )  # fmt: skip

    def _timed(self, stage: str, work: Callable[[], Value]) -> Value:
        started = time.monotonic()
        try:
            return work()
        finally:
            self.seconds[stage] = time.monotonic() - started


def _require_nobody_stored(connection: psycopg.Connection, statistics: ProfileStatistics) -> None:
    row = connection.execute("select count(*) from subscriber_profiles where deleted_at is null").fetchone()
    if row and row[0]:
        said = "there are no profiles at all"
        if statistics.lines:
            said = (
                f"there are {statistics.lines} profiles, of nobody who can be kept ({statistics.anonymous} anonymous, "
                f"{statistics.refused} refused)"
            )
        raise EmptySnapshotError(
            f"Mixpanel says that {said}, where {row[0]} are stored. Nothing was changed. If the service account may "
            "see all profiles (data views hide some), and they really were all deleted: "
            "`mixpanel-pipeline profiles --all-deleted`."
        )
