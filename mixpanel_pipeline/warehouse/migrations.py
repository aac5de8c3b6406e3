"""Applies `sql/migrations/NNNN_what.sql` in order, and takes them back by `NNNN_what.rollback.sql`.

Own code because the kept tools split files into statements themselves (yoyo by sqlparse), which breaks function
bodies, or want Python revisions (alembic). Here a file goes to Postgres whole, as psql would send it.

What was taken back is remembered (schema_migrations_taken_back), so that only who asks for it brings it back.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import LiteralString, cast

import psycopg

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import SQL_DIRECTORY

# Any number does, as long as everybody who migrates takes the same one.
MIGRATION_LOCK = 7_241_001


class MigrationError(Exception):
    """A migration cannot be applied or taken back; names the file."""


@dataclass(frozen=True)
class Migration:
    """One file with its rollback. `checksum` tells whether an applied file was edited afterwards."""

    name: str
    up: LiteralString
    down: LiteralString

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.up.encode()).hexdigest()


def available_migrations(directory: Path = SQL_DIRECTORY / "migrations") -> list[Migration]:
    """All migrations in order.

    Raises:
        MigrationError: one has no rollback file.
    """
    migrations = []
    for path in sorted(directory.glob("[0-9][0-9][0-9][0-9]_*.sql")):
        if path.name.endswith(".rollback.sql"):
            continue
        rollback = path.with_suffix(".rollback.sql")
        if not rollback.exists():
            raise MigrationError(f"{path.name} has no {rollback.name}; every migration needs its way back")
        migrations.append(
            Migration(path.stem, cast(LiteralString, path.read_text()), cast(LiteralString, rollback.read_text()))
        )
    return migrations


def migrate(warehouse: Warehouse, migrations: list[Migration] | None = None, *, asked_for: bool = True) -> list[str]:
    """Applies what is missing, one transaction a file, and returns the names applied. A command that nobody ran in
    order to migrate (`asked_for` false) leaves taken back what was taken back.

    Raises:
        MigrationError: a file fails (nothing of it stays), an applied file was changed since, or what is missing was
            taken back and nobody asked for it.
    """
    migrations = available_migrations() if migrations is None else migrations
    done = []
    with warehouse.connect(autocommit=True) as connection:
        _lock_and_prepare(connection)
        applied = _applied(connection)
        if not asked_for:
            _refuse_taken_back(connection, [each.name for each in migrations if each.name not in applied])
        for migration in migrations:
            if migration.name in applied:
                if applied[migration.name] != migration.checksum:
                    raise MigrationError(
                        f"{migration.name} was changed after it was applied: restore the file and write the "
                        "change as a new migration"
                    )
                continue
            _run(connection, migration.name, migration.up)
            done.append(migration.name)
    return done


def rollback(warehouse: Warehouse, to: str | None = None, migrations: list[Migration] | None = None) -> list[str]:
    """Takes back the newest migration, or, with `to`, all that came after the one of that number or name
    (`0000`: all). Returns the names taken back.

    Raises:
        MigrationError: `to` names no applied migration, a file fails, or its rollback file is gone.
    """
    by_name = {migration.name: migration for migration in (migrations or available_migrations())}
    done = []
    with warehouse.connect(autocommit=True) as connection:
        _lock_and_prepare(connection)
        applied = sorted(_applied(connection))
        for name in reversed(_after(applied, to)):
            if name not in by_name:
                raise MigrationError(f"{name} is applied, but its file is gone: check out the version that has it")
            _run(connection, name, by_name[name].down, forget=True)
            done.append(name)
    return done


def pending_migrations(warehouse: Warehouse) -> list[str]:
    """Names of the files that are not applied yet.

    Raises:
        MigrationError: one of them was taken back.
    """
    with warehouse.connect(autocommit=True) as connection:
        applied = _applied(connection) if _exists(connection, "schema_migrations") else {}
        pending = [migration.name for migration in available_migrations() if migration.name not in applied]
        if _exists(connection, "schema_migrations_taken_back"):
            _refuse_taken_back(connection, pending)
    return pending


def newest_applied(warehouse: Warehouse) -> str | None:
    """The migration that the database is at; None: at none."""
    with warehouse.connect(autocommit=True) as connection:
        return max(_applied(connection), default=None) if _exists(connection, "schema_migrations") else None


def _after(applied: list[str], to: str | None) -> list[str]:
    if to is None:
        return applied[-1:]
    number = to.split("_")[0]
    if number != "0000" and not any(name.split("_")[0] == number for name in applied):
        raise MigrationError(f"{to} is not applied; applied are: {', '.join(applied) or 'none'}")
    return [name for name in applied if name.split("_")[0] > number]


def _lock_and_prepare(connection: psycopg.Connection) -> None:
    connection.execute("select pg_advisory_lock(%s)", [MIGRATION_LOCK])
    connection.execute(
        "create table if not exists schema_migrations ("
        "name text primary key, checksum text not null, applied_at timestamptz not null default now())"
    )
    connection.execute(
        "create table if not exists schema_migrations_taken_back ("
        "name text primary key, taken_back_at timestamptz not null default now())"
    )


def _exists(connection: psycopg.Connection, table: str) -> bool:
    row = connection.execute("select to_regclass(%s) is not null", [table]).fetchone()
    return bool(row and row[0])


def _refuse_taken_back(connection: psycopg.Connection, pending: list[str]) -> None:
    taken_back = connection.execute(
        "select name, taken_back_at from schema_migrations_taken_back where name = any(%s) order by name",
        [pending],
    ).fetchall()
    if taken_back:
        (first, moment), *more = taken_back
        raise MigrationError(
            f"`rollback` took back {first}{' and what came after it' if more else ''} ({moment:%Y-%m-%d %H:%M} UTC), "
            f"which this version needs. {ways_out(first)}"
        )


def ways_out(first_taken_back: str) -> str:
    """What somebody may do now, after `rollback`."""
    return (
        f'Run the version before {first_taken_back} (docs/operations.md, "Taking one thing back"), or '
        "`mixpanel-pipeline migrate` to have all again."
    )


def _applied(connection: psycopg.Connection) -> dict[str, str]:
    return dict(connection.execute("select name, checksum from schema_migrations").fetchall())


def _run(connection: psycopg.Connection, name: str, text: LiteralString, *, forget: bool = False) -> None:
    try:
        with connection.transaction():
            connection.execute(text)
            if forget:
                connection.execute("delete from schema_migrations where name = %s", [name])
                connection.execute(
                    "insert into schema_migrations_taken_back (name) values (%s) "
                    "on conflict (name) do update set taken_back_at = excluded.taken_back_at",
                    [name],
                )
            else:
                connection.execute("delete from schema_migrations_taken_back where name = %s", [name])
                connection.execute(
                    "insert into schema_migrations (name, checksum) values (%s, %s)",
                    [name, hashlib.sha256(text.encode()).hexdigest()],
                )
    except psycopg.Error as error:
        action = "taking back" if forget else "applying"
        raise MigrationError(f"{action} {name} failed and left nothing behind: {error}") from error
