"""REPLACE: contributions and totals computed from the lake alone; the proof of ADD, and its repair."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import psycopg

from mixpanel_pipeline.lake.manifest import RawPartition, read_partitions
from mixpanel_pipeline.lake.storage import LakeStorage
from mixpanel_pipeline.subscribers.lake_queries import copy_contributions, copy_totals, stored_partitions
from mixpanel_pipeline.subscribers.locks import lock_totals, lock_totals_for_reading
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql


@dataclass(frozen=True)
class ReplaceResult:
    """How many rows REPLACE had to write or remove; all zero when ADD kept them right."""

    days: int
    people: int
    contributions_changed: int
    totals_changed: int


def replace_from_lake(warehouse: Warehouse, storage: LakeStorage) -> ReplaceResult:
    """Makes all contributions and totals what the lake says, in one transaction; writes only what differs.

    Raises:
        LakeReadError: a partition's file is missing or was landed with another catalog.
    """
    with warehouse.connect() as connection, storage.scratch_directory() as scratch:
        lock_totals(connection)
        partitions = read_partitions(connection)
        with lake_contributions(connection, storage, partitions, scratch):
            changed = connection.execute(read_sql("subscribers/replace_contributions.sql")).fetchone()
        with lake_totals(connection, storage, partitions, scratch) as people:
            totals = connection.execute(read_sql("subscribers/replace_totals.sql")).fetchone()
        return ReplaceResult(len(partitions), people, changed[0] if changed else 0, totals[0] if totals else 0)


@dataclass(frozen=True)
class TotalDifference:
    """One total that ADD and REPLACE do not agree on; values as text. REPLACE's may be a profile's."""

    distinct_id: str
    column: str
    stored_value: str | None
    replace_value: str | None


def totals_that_differ(warehouse: Warehouse, storage: LakeStorage) -> list[TotalDifference]:
    """Every person and column in which the totals kept by ADD are not what the lake says."""
    with warehouse.connect() as connection, storage.scratch_directory() as scratch:
        lock_totals_for_reading(connection)
        with lake_totals(connection, storage, read_partitions(connection), scratch):
            rows = connection.execute(read_sql("subscribers/totals_that_differ.sql")).fetchall()
        return [TotalDifference(*row) for row in rows]


@dataclass(frozen=True)
class ContributionDifference:
    """One person's day that Postgres and the lake do not agree on."""

    export_day: date
    distinct_id: str
    difference: str


def contributions_that_differ(
    warehouse: Warehouse, storage: LakeStorage, from_day: date | None = None, to_day: date | None = None
) -> list[ContributionDifference]:
    """Stored contributions that are not what their day's partition gives, of some days or all."""
    with warehouse.connect() as connection, storage.scratch_directory() as scratch:
        lock_totals_for_reading(connection)
        connection.execute(
            "select set_config('pipeline.from_day', %s, true), set_config('pipeline.to_day', %s, true)",
            [str(from_day or "-infinity"), str(to_day or "infinity")],
        )
        partitions = read_partitions(connection, from_day, to_day)
        with lake_contributions(connection, storage, partitions, scratch):
            rows = connection.execute(read_sql("subscribers/contributions_that_differ.sql")).fetchall()
        return [ContributionDifference(*row) for row in rows]


@contextmanager
def lake_contributions(
    connection: psycopg.Connection, storage: LakeStorage, partitions: Sequence[RawPartition], scratch: Path
) -> Iterator[int]:
    """Temporary table lake_contributions holding what the partitions add; yields its rows."""
    connection.execute("create temporary table lake_contributions (like subscriber_daily_contributions) on commit drop")
    rows = 0
    # Day by day: memory then does not grow with the number of days.
    for partition in partitions:
        with stored_partitions(storage, [partition], scratch) as engine:
            rows += copy_contributions(connection, "lake_contributions", engine, scratch)
    connection.execute("analyze lake_contributions")
    yield rows


@contextmanager
def lake_totals(
    connection: psycopg.Connection, storage: LakeStorage, partitions: Sequence[RawPartition], scratch: Path
) -> Iterator[int]:
    """Temporary table lake_totals holding every person's totals by REPLACE, the lake's events merged with profiles;
    yields how many people."""
    connection.execute(
        "create temporary table lake_totals (like subscribers_insights_v2 including defaults) on commit drop"
    )
    people = copy_totals(connection, "lake_totals", storage, partitions, scratch)
    connection.execute("analyze lake_totals")
    merged = connection.execute(read_sql("subscribers/merge_profiles.sql"))
    merged.nextset()
    people += merged.rowcount
    yield people
