"""The manifest: which file is a day's partition, and what is known of it (table raw_partitions)."""

from dataclasses import asdict, dataclass, fields
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier, Placeholder


@dataclass(frozen=True)
class RawPartition:
    """One row of the manifest; times in UTC, `bytes` of the Parquet file."""

    export_day: date
    file: str
    quarantine_file: str | None
    recipe: str
    wire_sha256: str
    content_hash: str
    rows: int
    users: int
    duplicates: int
    quarantined: int
    repaired: int
    bad_values: int
    outside_day: int
    ambiguous_times: int
    shifted_times: int
    bytes: int
    newest_processing_ms: int | None
    first_event_time: datetime | None
    last_event_time: datetime | None
    fetched_at: datetime


_COLUMNS = [field.name for field in fields(RawPartition)]


def read_partition(connection: psycopg.Connection, day: date) -> RawPartition | None:
    """The day's row, or None when the day was never fetched."""
    with connection.cursor(row_factory=class_row(RawPartition)) as cursor:
        return cursor.execute("select * from raw_partitions where export_day = %s", [day]).fetchone()


def read_partitions(
    connection: psycopg.Connection, from_day: date | None = None, to_day: date | None = None
) -> list[RawPartition]:
    """Rows of all days, or of those from `from_day` to `to_day`, both included, oldest first."""
    with connection.cursor(row_factory=class_row(RawPartition)) as cursor:
        return cursor.execute(
            "select * from raw_partitions where export_day between coalesce(%s, '-infinity'::date) "
            "and coalesce(%s, 'infinity'::date) order by export_day",
            [from_day, to_day],
        ).fetchall()


def write_partition(connection: psycopg.Connection, partition: RawPartition) -> None:
    """Makes this the day's row, in the caller's transaction."""
    updates = SQL(", ").join(SQL("{0} = excluded.{0}").format(Identifier(name)) for name in _COLUMNS[1:])
    statement = SQL("insert into raw_partitions ({}) values ({}) on conflict (export_day) do update set {}").format(
        SQL(", ").join(map(Identifier, _COLUMNS)), SQL(", ").join(map(Placeholder, _COLUMNS)), updates
    )
    connection.execute(statement, asdict(partition))


def named_files(connection: psycopg.Connection) -> set[str]:
    """Every file that some row names."""
    rows = connection.execute(
        "select file from raw_partitions union all "
        "select quarantine_file from raw_partitions where quarantine_file is not null union all "
        "select file from profile_snapshots where file is not null union all "
        "select refused_file from profile_snapshots where refused_file is not null"
    ).fetchall()
    return {name for (name,) in rows}
