"""Who may call the SQL API and read the tables, what it touches, and how it comes and goes by migrations."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from mixpanel_pipeline import catalog_sql
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline.warehouse.migrations import available_migrations, migrate, rollback
from mixpanel_pipeline_tests.postgres.test_sql_api import EXAMPLE, UPSERTS, call, value

SQL_API = catalog_sql.SQL_API.read_bytes()
WATERMARK = "select upsert_sync_watermark('mine', '2025-11-13T01:00:00Z', 5, 'note')"
ROLES = "create role anybody; create role reader; grant select on all tables in schema public to reader"
# Web analytics have tables and functions of their own (web/test_access.py).
WEB = "^(analytics_|collector_|account$|account_collaborator$|admin_users$|card_owner$|project$)"
FUNCTIONS = (
    "pg_proc where pronamespace = 'public'::regnamespace and proname !~ 'analytics|aggregates|raw_events|collected'"
)
# What may be tried on each table, sequence and function that the migrations made, and what a refusal calls it.
ATTEMPTS = f"""
    select 'table', format(attempt, relname, attname)
    from pg_class join pg_attribute on attrelid = pg_class.oid and attnum = 2, unnest(array[
        'select from %1$I', 'insert into %1$I default values', 'update %1$I set %2$I = %2$I', 'delete from %1$I',
        'truncate %1$I'
    ]) as attempt
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f') and relname !~ '{WEB}'
    union all
    select 'sequence', format('select nextval(%L)', relname)
    from pg_class where relnamespace = 'public'::regnamespace and relkind = 'S' and relname !~ '{WEB}'
    union all
    select 'function', format('select %I(%s)', proname,
        (select string_agg(format('null::%s', type::regtype), ', ') from unnest(proargtypes) as type))
    from {FUNCTIONS}
"""
# What a database gives to whatever is made in it, as Supabase's do.
DEFAULT_PRIVILEGES = "; ".join(
    f"alter default privileges in schema public grant all on {kind} to anon, authenticated, service_role"
    for kind in ("tables", "sequences", "functions")
)
MIXPANEL_HALF = [migration for migration in available_migrations() if migration.name < "0006"]
BEFORE_PROFILES = [migration for migration in available_migrations() if migration.name < "0005"]


@pytest.fixture
def open_warehouse(postgres: EmbeddedPostgres) -> Iterator[Warehouse]:
    """A database that is open to a web API's roles before anything is made in it. Roles are the whole server's."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        # Web analytics' migration makes the first two where they are missing, as the template's did.
        missing = [role for role in ("anon", "authenticated", "bi") if not role_exists(connection, role)]
        for role in missing:
            connection.execute(SQL("create role {}").format(Identifier(role)))
        connection.execute("create database open_to_strangers")
        try:
            warehouse = Warehouse(postgres.url("open_to_strangers"))
            with warehouse.connect() as own:
                own.execute(DEFAULT_PRIVILEGES)
            yield warehouse
        finally:
            connection.execute("drop database open_to_strangers with (force)")
            connection.execute(SQL("drop role {}").format(SQL(", ").join(map(Identifier, missing))))


def role_exists(connection: psycopg.Connection, role: str) -> bool:
    return connection.execute("select from pg_roles where rolname = %s", [role]).fetchone() is not None


def allowed(warehouse: Warehouse, role: str) -> set[tuple[str, str]]:
    """Those attempts that do not end for want of a right on the thing itself. Nothing of them stays."""
    answer = set()
    with warehouse.connect() as connection:
        attempts = connection.execute(ATTEMPTS).fetchall()
        connection.execute(SQL("set local role {}").format(Identifier(role)))
        for kind, attempt in attempts:
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(attempt)
            except psycopg.Error as error:
                if f"permission denied for {kind} " in str(error):
                    continue
            answer.add((kind, attempt))
        connection.rollback()
    return answer


def api_functions(connection: psycopg.Connection) -> dict[str, str]:
    """Names of the API's functions, not of the pipeline's own, and their definitions."""
    rows = connection.execute(
        f"select oid::regprocedure::text, pg_get_functiondef(oid) from {FUNCTIONS} "
        "and proname !~ '^mixpanel_' and prokind = 'f'"
    ).fetchall()
    return dict(rows)


def test_only_the_service_role_may_call(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute(ROLES)
        functions = api_functions(connection)
        assert len(functions) == 11
        for role, may in (("service_role", True), ("anybody", False), ("reader", False)):
            for function in functions:
                row = connection.execute(
                    "select has_function_privilege(%s, %s, 'execute')", [role, function]
                ).fetchone()
                assert row == (may,), (role, function)
        connection.rollback()


def test_of_all_that_is_there_the_service_role_has_the_api_two_tables_and_what_checks_found(
    warehouse: Warehouse,
) -> None:
    may = allowed(warehouse, "service_role")
    assert len(may) == 11 + 2 * 3 + 1
    api = r"select (upsert_|profile_|read_subscriber_profiles|refuse_profile|unknown_profile_keys)"
    tables = r"(select from|insert into|update) (subscribers_insights_v2|sync_watermarks)\b|select from check_verdicts"
    assert [attempt for _, attempt in may if not re.match(f"{api}|{tables}", attempt)] == []


def test_default_privileges_open_nothing_to_strangers(open_warehouse: Warehouse) -> None:
    migrate(open_warehouse, BEFORE_PROFILES)
    everything = allowed(open_warehouse, "service_role")
    assert allowed(open_warehouse, "anon") == everything
    with open_warehouse.connect() as connection:
        connection.execute(
            "grant select on all tables in schema public to bi; grant select on sync_logs to public, bi;"
            "grant select (distinct_id), update (income) on subscribers_insights_v2 to anon;"
            "grant select on late_days to anon with grant option; set local role anon; grant select on late_days to bi"
        )
    granted_before = allowed(open_warehouse, "bi")
    assert granted_before == {each for each in everything if each[1].startswith("select from ")}

    assert migrate(open_warehouse, MIXPANEL_HALF) == [migration.name for migration in MIXPANEL_HALF[4:]]
    assert allowed(open_warehouse, "anon") == allowed(open_warehouse, "authenticated") == set()
    assert allowed(open_warehouse, "bi") == granted_before
    assert allowed(open_warehouse, "service_role") > everything
    assert call(open_warehouse, UPSERTS[0], [EXAMPLE])["inserted"] == 1

    with open_warehouse.connect() as connection:
        connection.execute(SQL_API)
    assert allowed(open_warehouse, "anon") == set()


def test_tables_stay_closed_when_profiles_go_and_come(open_warehouse: Warehouse) -> None:
    migrate(open_warehouse, MIXPANEL_HALF)
    rollback(open_warehouse, to="0004")
    # The API of 0004 may be called again, to no effect: it has its caller's rights on tables.
    assert {kind for kind, _ in allowed(open_warehouse, "anon")} == {"function"}
    with open_warehouse.connect() as connection:
        connection.execute("set local role anon")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="table subscribers_insights_v2"):
            connection.execute('select upsert_subscribers_incremental(\'[{"distinct_id": "a"}]\')')
    for lowest in ("0004", "0000"):
        rollback(open_warehouse, to=lowest)
        migrate(open_warehouse, MIXPANEL_HALF)
        assert allowed(open_warehouse, "anon") == allowed(open_warehouse, "authenticated") == set()


@pytest.mark.parametrize("statement", [f"select * from {function}('[]')" for function in UPSERTS] + [WATERMARK])
@pytest.mark.parametrize(("role", "may"), [("service_role", True), ("anybody", False), ("reader", False)])
def test_calls_by_role(warehouse: Warehouse, statement: str, role: str, may: bool) -> None:
    with warehouse.connect() as connection:
        connection.execute(ROLES)
        connection.execute(f"set local role {role}".encode())
        if may:
            connection.execute(statement.encode())
        else:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement.encode())
        connection.rollback()


def test_the_service_role_writes_with_its_own_rights(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("set local role service_role")
        for function in UPSERTS:
            connection.execute(
                f"select * from {function}(%s)",  # pyright: ignore[reportArgumentType]
                ['[{"distinct_id": "a", "total_copies": 3, "income": "x", "last_event_time": "2025-11-13 01:00+00"}]'],
            )
        connection.execute("reset role; revoke insert on subscribers_insights_v2 from service_role")
        connection.execute("set local role service_role")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="subscribers_insights_v2"):
            connection.execute('select upsert_subscribers_incremental(\'[{"distinct_id": "b"}]\')')


def test_tables_of_the_session_are_not_mistaken_for_ours(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute(
            "create temporary table subscribers_insights_v2 (like public.subscribers_insights_v2 including all);"
            "create temporary table sync_watermarks (like public.sync_watermarks including all);"
            "set local search_path = pg_temp, public"
        )
        connection.execute('select public.upsert_subscribers_incremental(\'[{"distinct_id": "a"}]\')')
        connection.execute(WATERMARK.replace("upsert", "public.upsert").encode())
        counts = connection.execute(
            "select (select count(*) from pg_temp.subscribers_insights_v2), "
            "(select count(*) from pg_temp.sync_watermarks), "
            "(select count(*) from public.subscribers_insights_v2), (select count(*) from public.sync_watermarks)"
        ).fetchone()
    assert counts == (0, 0, 1, 1)


def test_no_function_runs_with_its_owners_rights(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        rows = connection.execute(
            f"select prosecdef, proconfig from {FUNCTIONS} and proname !~ '^mixpanel_'"
        ).fetchall()
    assert not any(definer for definer, _ in rows)
    assert all("search_path=pg_catalog, public, pg_temp" in config for _, config in rows)


def test_an_existing_service_role_is_left_as_it_is(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("alter role service_role bypassrls createdb")
        connection.execute(SQL_API)
        row = connection.execute(
            "select rolbypassrls, rolcreatedb, rolcanlogin from pg_roles where rolname = 'service_role'"
        ).fetchone()
        assert row == (True, True, False)
        connection.rollback()


@pytest.mark.parametrize(("attribute", "created"), [("createrole", True), ("nocreaterole", False)])
def test_a_missing_service_role_is_created_or_said_to_be_missing(
    warehouse: Warehouse, attribute: str, created: bool
) -> None:
    """As on a managed Postgres, where the migrating role is no superuser."""
    notices: list[str] = []
    with warehouse.connect() as connection:
        connection.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
        connection.execute("alter role service_role rename to was_service_role")
        connection.execute(f"create role manager {attribute}".encode())
        connection.execute("grant usage, create on schema public to manager")
        for function in api_functions(connection):
            connection.execute(f"drop function {function}".encode())
        connection.execute("alter table subscribers_insights_v2 owner to manager")
        connection.execute("alter table sync_watermarks owner to manager; set local role manager")
        connection.execute(SQL_API)
        row = connection.execute("select exists (select from pg_roles where rolname = 'service_role')").fetchone()
        assert row == (created,)
        said = [notice for notice in notices if "only manager may call the SQL API" in notice]
        assert bool(said) is not created
        assert connection.execute("select inserted from upsert_subscribers_incremental('[]')").fetchone() == (0,)
        connection.execute("reset role; create role anybody; set local role anybody")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select inserted from upsert_subscribers_incremental('[]')")
        connection.rollback()


def test_the_watermark_never_moves_back(warehouse: Warehouse) -> None:
    def move(time: str | None, events: int | None, notes: str | None = None) -> tuple:
        with warehouse.connect() as connection:
            row = connection.execute(
                "select last_event_time = '2025-11-13T01:00:00Z', total_events_synced, notes "
                "from upsert_sync_watermark(p_source => 'mine', p_last_event_time => %s, p_events_count => %s, "
                "p_notes => %s)",
                [time, events, notes],
            ).fetchone()
        assert row
        return row

    assert move(None, 0) == (None, 0, None)
    assert move("2025-11-13T01:00:00Z", 5, "first") == (True, 5, "first")
    assert move("2025-11-12T01:00:00Z", 2, "older") == (True, 7, "older")
    assert move(None, None, "nothing new") == (True, 7, "nothing new")
    for time, events, message in (
        ("infinity", 1, "p_last_event_time: expected a time"),
        ("2025-11-14T01:00:00Z", -1, "p_events_count: expected a whole number, 0 or more, got -1"),
    ):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match=message):
            move(time, events)
    with warehouse.connect() as connection, pytest.raises(psycopg.errors.InvalidParameterValue, match="p_source"):
        connection.execute("select upsert_sync_watermark('', now(), 1)")
    assert move("2025-11-13T01:00:00Z", 0) == (True, 7, None)


def test_the_api_goes_and_comes_with_data_in_place(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        before = api_functions(connection)
    call(warehouse, UPSERTS[0], [EXAMPLE])
    rollback(warehouse, to="0002")
    with warehouse.connect() as connection:
        assert api_functions(connection) == {}
    assert value(warehouse, "total_copies") == 5
    migrate(warehouse)
    with warehouse.connect() as connection:
        assert api_functions(connection) == before
    assert call(warehouse, UPSERTS[1], [EXAMPLE])["updated"] == 1
    assert value(warehouse, "total_copies") == 10


def test_the_file_is_what_the_migrations_leave_and_may_be_run_again(warehouse: Warehouse) -> None:
    hint = "run `python -m mixpanel_pipeline.catalog_sql NNNN_what` for the newest migration, or a new one"
    assert catalog_sql.api_of_migrations() == catalog_sql.current_api(), hint
    with warehouse.connect() as connection:
        before = api_functions(connection)
        connection.execute(SQL_API)
        assert api_functions(connection) == before
        connection.rollback()


def test_a_later_migration_carries_the_api_and_the_way_back(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/adding-a-metric.md says: columns by hand, the functions by the command, however often."""
    directory = Path(shutil.copytree(catalog_sql.MIGRATIONS, tmp_path / "migrations"))
    old = catalog_sql.current_api()
    new = old.replace("'text of 1 to 2000 bytes'", "'an identity'")
    up, down = directory / "9000_shares.sql", directory / "9000_shares.rollback.sql"
    up.write_text("alter table subscribers_insights_v2 add column shares bigint not null default 0;\n")
    down.write_text("alter table subscribers_insights_v2 drop column shares;\n")
    monkeypatch.setattr(catalog_sql, "current_api", lambda: new)
    catalog_sql.write_api_migration("9000_shares", directory)
    once = up.read_text(), down.read_text()
    catalog_sql.write_api_migration("9000_shares", directory)
    assert (up.read_text(), down.read_text()) == once
    assert catalog_sql.api_of_migrations(migrations=directory) == new
    assert catalog_sql.api_of_migrations("9000_shares", directory) == old
    migrations = available_migrations(directory)
    with warehouse.connect() as connection:
        before = api_functions(connection)
    assert migrate(warehouse, migrations) == ["9000_shares"]
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="expected an identity"):
        call(warehouse, UPSERTS[0], [{}])
    rollback(warehouse, migrations=migrations)
    with warehouse.connect() as connection:
        assert api_functions(connection) == before
    assert call(warehouse, UPSERTS[0], [EXAMPLE])["inserted"] == 1
