"""Migrations go up, down and up again, and their tables follow the catalog."""

from pathlib import Path

import psycopg
import pytest

from mixpanel_pipeline import catalog_sql
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.migrations import (
    Migration,
    MigrationError,
    available_migrations,
    migrate,
    newest_applied,
    pending_migrations,
    rollback,
)


def columns_of(warehouse: Warehouse, table: str) -> list[str]:
    with warehouse.connect() as connection:
        rows = connection.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped "
            "order by attnum",
            [table],
        ).fetchall()
    return [name for (name,) in rows]


def test_tables_have_the_catalogs_columns(warehouse: Warehouse) -> None:
    assert set(columns_of(warehouse, "subscriber_daily_contributions")) == set(catalog_sql.contribution_columns())
    assert set(columns_of(warehouse, "subscribers_insights_v2")) == {
        *catalog_sql.total_columns(),
        "updated_at",
    }


def test_generated_sql_files_are_current() -> None:
    stale = [str(path) for path, text in catalog_sql.rendered_files().items() if path.read_text() != text]
    assert not stale, f"run `make sql`: {stale}"


def test_every_migration_goes_down_and_up_with_data_in_place(warehouse: Warehouse) -> None:
    names = [migration.name for migration in available_migrations()]
    with warehouse.connect() as connection:
        connection.execute("insert into sync_watermarks (source, total_events_synced) values ('kept?', 5)")
        connection.execute("insert into subscribers_insights_v2 (distinct_id, total_copies) values ('a', 1)")
    assert pending_migrations(warehouse) == []
    assert rollback(warehouse, to="0000") == list(reversed(names))
    assert newest_applied(warehouse) is None
    with warehouse.connect() as connection:
        left = connection.execute(
            "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'S') "
            "and relname not like 'schema_migrations%%'"
        ).fetchall()
    assert left == []
    assert migrate(warehouse) == names


def test_rollback_takes_back_the_newest_only(warehouse: Warehouse) -> None:
    names = [migration.name for migration in available_migrations()]
    assert rollback(warehouse) == names[-1:]
    assert newest_applied(warehouse) == names[-2]


def test_what_was_taken_back_comes_again_only_when_asked_for(warehouse: Warehouse) -> None:
    names = [migration.name for migration in available_migrations()]
    rollback(warehouse)
    with pytest.raises(MigrationError, match=f"`rollback` took back {names[-1]} "):
        pending_migrations(warehouse)
    for migrations in (None, [*available_migrations(), Migration("9999_newer", "create table newer ()", "")]):
        with pytest.raises(MigrationError, match=f"`rollback` took back {names[-1]} "):
            migrate(warehouse, migrations, asked_for=False)
    assert newest_applied(warehouse) == names[-2]
    assert migrate(warehouse) == names[-1:]
    assert pending_migrations(warehouse) == []
    assert migrate(warehouse, asked_for=False) == []


def test_the_version_before_works_with_what_is_left(warehouse: Warehouse) -> None:
    """It does not know of the migration that was taken back, and may migrate."""
    before = available_migrations()[:-1]
    rollback(warehouse)
    assert migrate(warehouse, before, asked_for=False) == []
    newer = Migration("9999_another_way", "create table another ()", "drop table another")
    assert migrate(warehouse, [*before, newer], asked_for=False) == ["9999_another_way"]


def test_a_failing_migration_leaves_nothing_and_is_named(warehouse: Warehouse) -> None:
    broken = Migration("9999_broken", "create table half_made (); select nonsense;", "select 1")
    with pytest.raises(MigrationError, match="applying 9999_broken failed and left nothing"):
        migrate(warehouse, [*available_migrations(), broken])
    with warehouse.connect() as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("select * from half_made")


def test_an_edited_migration_is_refused(warehouse: Warehouse) -> None:
    first, *rest = available_migrations()
    edited = Migration(first.name, first.up + "-- edited\n", first.down)
    with pytest.raises(MigrationError, match=f"{first.name} was changed after it was applied"):
        migrate(warehouse, [edited, *rest])


def test_a_rollback_to_an_unknown_migration_is_refused(warehouse: Warehouse) -> None:
    with pytest.raises(MigrationError, match="0777 is not applied"):
        rollback(warehouse, to="0777")


def test_a_migration_without_its_way_back_is_refused(tmp_path: Path) -> None:
    (tmp_path / "0001_only_up.sql").write_text("select 1")
    with pytest.raises(MigrationError, match=r"0001_only_up.sql has no 0001_only_up.rollback.sql"):
        available_migrations(tmp_path)
