"""What the lake says of subscribers, computed by DuckDB and copied into Postgres without a Python object a row."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import duckdb
import psycopg
from psycopg.sql import SQL, Identifier

from mixpanel_pipeline import catalog, catalog_sql
from mixpanel_pipeline.lake.engine import NOT_OF_THE_FILE, open_engine, set_variables
from mixpanel_pipeline.lake.manifest import RawPartition
from mixpanel_pipeline.lake.storage import LakeStorage
from mixpanel_pipeline.warehouse.sql_files import read_sql

COPY_BYTES = 1 << 20
DAYS_NAMED = 3
# What reading a damaged file may end in. Some flipped bytes are only noticed by Postgres, which takes no NUL and no
# broken JSON, where what was landed has neither; and DuckDB's message may quote bytes that are no text.
UNREADABLE = (duckdb.Error, psycopg.DataError, UnicodeDecodeError)


class LakeReadError(Exception):
    """The lake and the manifest do not fit; says which day and what to do."""


def copy_contributions(
    connection: psycopg.Connection, table: str, engine: duckdb.DuckDBPyConnection, scratch: Path
) -> int:
    """Copies the contributions of all days in the engine's view partition_events into `table`; returns how many
    rows."""
    columns = catalog_sql.contribution_columns()
    return copy_query(connection, table, columns, engine, "subscribers/lake_contributions.sql", scratch)


def copy_totals(
    connection: psycopg.Connection, table: str, storage: LakeStorage, partitions: Sequence[RawPartition], scratch: Path
) -> int:
    """Copies every subscriber's totals, computed from all `partitions` at once, into `table`."""
    if not partitions:
        return 0
    columns = catalog_sql.total_columns()
    with stored_partitions(storage, partitions, scratch) as engine:
        return copy_query(connection, table, columns, engine, "subscribers/lake_totals.sql", scratch)


@contextmanager
def stored_partitions(
    storage: LakeStorage, partitions: Sequence[RawPartition], scratch: Path
) -> Iterator[duckdb.DuckDBPyConnection]:
    """An engine whose view partition_events is the rows of these partitions, of which there is one at least.

    Raises:
        LakeReadError: a file is damaged, or see `readable_files`.
    """
    files = readable_files(storage, partitions)
    try:
        with _opened(storage, files, scratch) as engine:
            yield engine
    except UNREADABLE as error:
        damaged = [partition for partition in partitions if _is_damaged(storage, partition, scratch)]
        if not damaged and isinstance(error, NOT_OF_THE_FILE):
            raise
        named = ", ".join(f"{partition.export_day} ({partition.file})" for partition in damaged[:DAYS_NAMED])
        more = f" and {len(damaged) - DAYS_NAMED} more" if len(damaged) > DAYS_NAMED else ""
        raise LakeReadError(
            f"the raw partition of {named or 'a day'}{more} in the lake cannot be read ({_first_line(error)}): "
            "run `mixpanel-pipeline sync --full`, which lands every day of the window again"
        ) from error


@contextmanager
def _opened(storage: LakeStorage, files: list[str], scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    with open_engine(scratch, storage.engine_filesystem()) as engine:
        set_variables(engine, {"files": files})
        engine.execute(f"create view partition_events as {read_sql('lake/stored_events.sql')}")
        yield engine


def _is_damaged(storage: LakeStorage, partition: RawPartition, scratch: Path) -> bool:
    """Whether its file, read alone and whole, cannot be read: DuckDB's errors do not always name the file, and a file
    with other column names looks like a wrong statement."""
    try:
        with _opened(storage, [storage.address(partition.file)], scratch) as engine:
            engine.execute(read_sql("lake/every_value.sql")).fetchall()
    except duckdb.OutOfMemoryException:
        return False
    except UNREADABLE:
        return True
    return False


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


def readable_files(storage: LakeStorage, partitions: Sequence[RawPartition]) -> list[str]:
    """Addresses of the partitions' files, each made with today's catalog.

    Raises:
        LakeReadError: a file is missing, or was extracted with another catalog.
    """
    for partition in partitions:
        if not storage.holds(partition.file, partition.bytes):
            raise LakeReadError(
                f"the raw partition of {partition.export_day} is missing in the lake or cut ({partition.file}): "
                f"run `mixpanel-pipeline sync --from {partition.export_day} --to {partition.export_day}`"
            )
    old = [
        str(partition.export_day) for partition in partitions if not partition.recipe.startswith(catalog.fingerprint())
    ]
    if old:
        raise LakeReadError(
            f"{len(old)} days were landed with another catalog, the first {old[0]}, the last {old[-1]}: "
            f"run `mixpanel-pipeline sync --from {old[0]} --to {old[-1]}`"
        )
    return [storage.address(partition.file) for partition in partitions]


def copy_query(
    connection: psycopg.Connection,
    table: str,
    columns: Sequence[str],
    engine: duckdb.DuckDBPyConnection,
    query: str,
    scratch: Path,
) -> int:
    """Copies the rows of a DuckDB query (a file under sql/) into `table`; returns how many.

    Raises:
        LakeReadError: not all rows arrived.
    """
    rows_file = scratch / f"{table}.csv"
    quoted = str(rows_file).replace("'", "''")
    written = engine.execute(f"copy ({read_sql(query)}\n) to '{quoted}' (format csv, header false)").fetchone()
    statement = SQL("copy {} ({}) from stdin (format csv)").format(
        Identifier(table), SQL(", ").join(map(Identifier, columns))
    )
    with connection.cursor() as cursor:
        with cursor.copy(statement) as copy, rows_file.open("rb") as rows:
            while chunk := rows.read(COPY_BYTES):
                copy.write(chunk)
        copied = cursor.rowcount
    rows_file.unlink()
    if written is None or copied != written[0]:
        # Before Postgres 18 a line of just \. inside a quoted text ends a CSV copy early.
        raise LakeReadError(f"{written and written[0]} rows were computed but {copied} copied into {table}")
    return copied
