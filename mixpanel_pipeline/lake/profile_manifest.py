"""Which file of the lake holds which snapshot of profiles (table profile_snapshots)."""

from dataclasses import asdict, dataclass, fields
from datetime import datetime

import psycopg
from psycopg.rows import class_row
from psycopg.sql import SQL, Identifier, Placeholder

# Of older ones the figures stay: what changed since is in subscriber_profile_changes.
SNAPSHOTS_KEPT = 7


@dataclass(frozen=True)
class ProfileSnapshot:
    """One row of the manifest; `bytes` of the Parquet file, `taken_at` by Postgres' clock."""

    taken_at: datetime
    file: str | None
    refused_file: str | None
    bytes: int
    content_sha256: str
    recipe: str
    people: int
    anonymous: int
    refused: int
    unidentified: int
    bad_values: int
    pages: int
    queries: int
    wire_bytes: int


_COLUMNS = [field.name for field in fields(ProfileSnapshot)]
_COLUMN_LIST = SQL(", ").join(map(Identifier, _COLUMNS))


def newest_snapshot(connection: psycopg.Connection) -> ProfileSnapshot | None:
    """The last snapshot that was committed."""
    with connection.cursor(row_factory=class_row(ProfileSnapshot)) as cursor:
        return cursor.execute(
            SQL("select {} from profile_snapshots order by id desc limit 1").format(_COLUMN_LIST)
        ).fetchone()


def write_snapshot(connection: psycopg.Connection, snapshot: ProfileSnapshot) -> None:
    """Adds a row, and lets go of the files of those that are old, in the caller's transaction."""
    statement = SQL("insert into profile_snapshots ({}) values ({})").format(
        _COLUMN_LIST, SQL(", ").join(map(Placeholder, _COLUMNS))
    )
    connection.execute(statement, asdict(snapshot))
    connection.execute(
        "update profile_snapshots set file = null, refused_file = null where file is not null and id not in "
        "(select id from profile_snapshots order by id desc limit %s)",
        [SNAPSHOTS_KEPT],
    )
