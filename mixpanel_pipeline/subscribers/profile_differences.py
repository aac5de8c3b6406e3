"""Stored profiles held against the newest snapshot in the lake, and against their history."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import psycopg
from psycopg.rows import class_row

from mixpanel_pipeline import catalog, catalog_sql
from mixpanel_pipeline.lake.engine import open_engine, set_variables
from mixpanel_pipeline.lake.profile_manifest import ProfileSnapshot, newest_snapshot
from mixpanel_pipeline.lake.storage import LakeStorage
from mixpanel_pipeline.subscribers.lake_queries import UNREADABLE, LakeReadError, copy_query
from mixpanel_pipeline.subscribers.locks import lock_totals_for_reading
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql


@dataclass(frozen=True)
class ProfileDifference:
    """One person, or one value of theirs, that Postgres and the snapshot do not agree on; values as text."""

    distinct_id: str
    difference: str
    stored_value: str | None
    snapshot_value: str | None


@dataclass(frozen=True)
class ProfileComparison:
    """The newest snapshot, None before the first; everything in which the stored profiles are not what it says; and
    their times that are not what their history says, which are the times of snapshots too."""

    snapshot: ProfileSnapshot | None
    differences: list[ProfileDifference]
    times: list[ProfileDifference] = field(default_factory=list)


def compare_with_snapshot(warehouse: Warehouse, storage: LakeStorage) -> ProfileComparison:
    """Compares by a synchronization's rules, not by its statements: null, missing and the empty string are one.

    Raises:
        LakeReadError: the snapshot's file is missing, damaged, or was made with another catalog.
    """
    with warehouse.connect() as connection, storage.scratch_directory() as scratch:
        # A snapshot is committed under this lock too.
        lock_totals_for_reading(connection)
        snapshot = newest_snapshot(connection)
        if snapshot is None:
            return ProfileComparison(None, _differences(connection, "subscribers/profiles_without_snapshot.sql"))
        _copy_snapshot(connection, storage, snapshot, scratch)
        all_identified = {"all_identified": not snapshot.unidentified}
        return ProfileComparison(
            snapshot,
            _differences(connection, "subscribers/profiles_that_differ.sql", all_identified),
            _differences(connection, "subscribers/profile_times_that_differ.sql"),
        )


def _differences(
    connection: psycopg.Connection, query: str, parameters: Mapping[str, bool] | None = None
) -> list[ProfileDifference]:
    with connection.cursor(row_factory=class_row(ProfileDifference)) as cursor:
        return cursor.execute(read_sql(query), parameters).fetchall()


def _copy_snapshot(
    connection: psycopg.Connection, storage: LakeStorage, snapshot: ProfileSnapshot, scratch: Path
) -> None:
    """Temporary table new_profiles, as a synchronization has it."""
    file = _readable_file(storage, snapshot)
    connection.execute(read_sql("subscribers/new_profiles.sql"))
    try:
        with open_engine(scratch, storage.engine_filesystem()) as engine:
            set_variables(engine, {"staged": file})
            columns = catalog_sql.profile_columns()
            copy_query(connection, "new_profiles", columns, engine, "lake/kept_profiles.sql", scratch)
    except duckdb.OutOfMemoryException:
        raise
    except UNREADABLE as error:
        raise LakeReadError(
            f"the profile snapshot of {snapshot.taken_at} cannot be read ({str(error).splitlines()[0]})"
        ) from error
    connection.execute("analyze new_profiles")


def _readable_file(storage: LakeStorage, snapshot: ProfileSnapshot) -> str:
    if snapshot.file is None or not storage.holds(snapshot.file, snapshot.bytes):
        raise LakeReadError(
            f"the profile snapshot of {snapshot.taken_at} is missing in the lake or cut ({snapshot.file})"
        )
    if snapshot.recipe != catalog.fingerprint():
        raise LakeReadError(f"the profile snapshot of {snapshot.taken_at} was made with another catalog")
    return storage.address(snapshot.file)
