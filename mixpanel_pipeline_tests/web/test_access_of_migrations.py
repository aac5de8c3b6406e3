"""Web analytics are closed at every step on the way up and down, and leave alone what is not theirs."""

from collections.abc import Iterator

import psycopg
import pytest

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.migrations import (
    MigrationError,
    available_migrations,
    migrate,
    newest_applied,
    rollback,
)
from mixpanel_pipeline_tests.web import site

OPEN_BY_DEFAULT = "; ".join(
    f"alter default privileges in schema public grant all on {kind} to anon, authenticated, service_role"
    for kind in ("tables", "functions", "sequences")
)
# What is open to whom: nothing and to nobody, but what 0012 grants.
STRANGERS = ("anon", "authenticated", "service_role", "public")
RIGHTS = "select, insert, update, delete, truncate, references, trigger"


@pytest.fixture
def before_web(warehouse: Warehouse) -> Warehouse:
    """A database that has all but web analytics."""
    rollback(warehouse, to="0005")
    return warehouse


def run(warehouse: Warehouse, statement: str) -> list[tuple]:
    with warehouse.connect() as connection:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


def things(warehouse: Warehouse) -> dict[str, tuple]:
    """Every relation and function of the schema, with what guards it and who else has rights on it."""
    rows = run(
        warehouse,
        """
        select relname, relkind not in ('r', 'p') or relrowsecurity, array(
            select distinct coalesce(role.rolname, 'public') from aclexplode(relacl) as acl
            left join pg_roles as role on role.oid = acl.grantee where acl.grantee <> relowner
        ) || array(
            select distinct role.rolname from pg_attribute
            cross join aclexplode(attacl) as acl join pg_roles as role on role.oid = acl.grantee
            where attrelid = pg_class.oid
        )
        from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'S')
        union all
        select
            pg_proc.oid::regprocedure::text,
            not (prosecdef or lanname = 'plpgsql') or proconfig::text ~ 'search_path=public, pg_temp',
            array(
                select distinct coalesce(role.rolname, 'public')
                from aclexplode(coalesce(proacl, acldefault('f', proowner))) as acl
                left join pg_roles as role on role.oid = acl.grantee where acl.grantee <> proowner
            )
        from pg_proc join pg_language on pg_language.oid = prolang
        where pronamespace = 'public'::regnamespace
        """,
    )
    return {name: (guarded, frozenset(grantees)) for name, guarded, grantees in rows}


@pytest.mark.parametrize("defaults", ["", OPEN_BY_DEFAULT], ids=["plain", "open by default"])
def test_nothing_is_open_between_two_migrations(before_web: Warehouse, defaults: str) -> None:
    """Each is a transaction of its own: the next may fail, and the database stay where it is."""
    if defaults:
        run(before_web, defaults)
    others = set(things(before_web))
    migrations = available_migrations()
    for count, migration in enumerate(migrations, 1):
        if migration.name < "0006":
            continue
        assert migrate(before_web, migrations[:count]) == [migration.name]
        check_closed(before_web, others, migration.name)
    for migration in reversed(migrations[5:]):
        assert rollback(before_web, migrations=migrations) == [migration.name]
        check_closed(before_web, others, newest_applied(before_web) or "")
    assert set(things(before_web)) == others


def check_closed(warehouse: Warehouse, others: set[str], migration: str) -> None:
    allowed = {"authenticated", "service_role"} if migration >= "0012" else set()
    ours = {name: found for name, found in things(warehouse).items() if name not in others}
    unguarded = [name for name, (guarded, _) in ours.items() if not guarded]
    assert unguarded == [], migration
    granted = {name: grantees - allowed for name, (_, grantees) in ours.items() if grantees - allowed}
    assert granted == {}, migration


def test_the_first_migration_looks_for_every_name_that_is_made(warehouse: Warehouse) -> None:
    """Partitions aside, and what the application may have."""
    made = run(
        warehouse,
        """
        select relname::text from pg_class
        where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'v', 'm') and not relispartition
            and relname ~ 'analytics|collector'
        union
        select typname from pg_type
        where typnamespace = 'public'::regnamespace and typname ~ '^analytics' and typtype in ('c', 'e')
            and typname !~ '_[0-9]{8}$'
        union
        select proname from pg_proc
        where pronamespace = 'public'::regnamespace and proname ~ 'analytics|aggregates|raw_events|collected'
        """,
    )
    assert len(made) > 50
    first = next(each.up for each in available_migrations() if each.name == "0006_web_raw")
    assert [name for (name,) in made if f"'{name}'" not in first] == []


def test_a_migration_that_fails_half_way_leaves_the_raw_tables_closed(before_web: Warehouse) -> None:
    """As it did when 0012 met a table of accounts that it could not use."""
    run(before_web, OPEN_BY_DEFAULT)
    migrate(before_web, [each for each in available_migrations() if each.name < "0012"])
    for role in ("anon", "authenticated"):
        for statement in (
            "select * from analytics_events", "truncate analytics_events", "delete from analytics_clicks",
            "insert into analytics_dirty_hours (project_id, hour_bucket) values ('p', now())",
            "select cleanup_old_raw_events(1)", "select aggregate_analytics_hours()", "select * from analytics_summary",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                run(before_web, f"set local role {role}; {statement}")


def of_the_application() -> Iterator[str]:
    yield "create table analytics_settings (user_id uuid, secret text)"
    yield "alter table analytics_settings enable row level security"
    for policy in ("service", "own_projects"):
        yield f"create policy {policy} on analytics_settings using (user_id is not null)"
    yield "create table analytics_events_legacy (id uuid primary key, event_data jsonb)"
    yield "create view analytics_report as select 1 as figure"
    yield "create function get_analytics_report() returns int language sql as 'select 1'"
    yield "create function analytics_report(day date) returns int language sql as 'select 1'"
    yield f"grant {RIGHTS} on analytics_settings, analytics_events_legacy, analytics_report to authenticated, anon"


def test_what_the_application_has_is_left_alone(before_web: Warehouse) -> None:
    """Whatever its name looks like, on the way up and on the way down."""
    for statement in of_the_application():
        run(before_web, statement)

    def theirs() -> list[tuple]:
        relations = run(
            before_web,
            "select relname, relrowsecurity, relacl::text, "
            "array(select polname::text from pg_policy where polrelid = pg_class.oid order by 1) from pg_class "
            "where relname in ('analytics_settings', 'analytics_events_legacy', 'analytics_report') order by 1",
        )
        return relations + run(
            before_web, "select oid::regprocedure::text, proacl::text, proconfig from pg_proc where proname ~ 'report$'"
        )

    before = theirs()
    assert len(before) == 5
    migrate(before_web)
    assert theirs() == before
    rollback(before_web, to="0005")
    assert theirs() == before


@pytest.mark.parametrize(
    ("made", "message"),
    [
        ("create table analytics_events (id int)", r"already, .* names: analytics_events \(table\)"),
        ("create table analytics_events_hourly_agg (id int)", r"names: analytics_events_hourly_agg \(table\)"),
        ("create view analytics_summary as select 1 as x", r"names: analytics_summary \(view\)"),
        ("create type analytics_day as enum ()", r"names: analytics_day \(type\)"),
        (
            "create function backfill_aggregates(a date, b date) returns int language sql as 'select 1'",
            r"names: backfill_aggregates\(date,date\) \(function\)(.|\n)*"
            r"alter function backfill_aggregates\(date,date\) rename to backfill_aggregates_legacy",
        ),
        (
            "create table analytics_sessions (id int); create table analytics_clicks (id int)",
            r"names: analytics_clicks \(table\), analytics_sessions \(table\)(.|\n)*"
            r"alter table analytics_clicks rename to analytics_clicks_legacy; alter table analytics_sessions rename",
        ),
        ("create table account (id uuid, owner_id uuid)", r"account.user_id is missing(.|\n)*account \(id, user_id "),
        ("create table account (id text, user_id text)", "account.user_id is text, and uuid was expected"),
        ("create table project (id uuid, account_id uuid)", "project.project_id is missing"),
        (
            "create table account (id int, user_id uuid); create table project (project_id text, account_id uuid)",
            "project.account_id is uuid, and a number was expected",
        ),
        ("create view card_owner as select 1 as user_code", "card_owner.user_id is missing"),
        (
            "create schema auth; create function auth.uid() returns text language sql as 'select null'",
            r"auth.uid\(\) returns text, and uuid was expected",
        ),
    ],
)  # fmt: skip
def test_what_is_in_the_way_is_said_before_anything_is_made(before_web: Warehouse, made: str, message: str) -> None:
    run(before_web, made)
    with pytest.raises(MigrationError, match=message) as raised:
        migrate(before_web)
    assert "0006" in str(raised.value)
    assert "migrate again" in str(raised.value)
    assert (newest_applied(before_web) or "").startswith("0005")


def test_accounts_with_keys_of_another_kind_will_do(before_web: Warehouse) -> None:
    run(before_web, "create table account (id bigint primary key, user_id uuid)")
    run(before_web, "create table project (project_id uuid primary key, account_id integer)")
    run(before_web, "create table account_collaborator (account_id bigint, user_id uuid)")
    migrate(before_web)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("alter role anon rename to somebody", "role anon is missing, and migrator may not create it"),
        (
            "revoke create on database {database} from migrator",
            r"auth.uid\(\) is missing, and migrator may not create a schema for it",
        ),
        ("create table account (id uuid, user_id uuid)", "migrator may not read account"),
    ],
)
def test_what_the_migrating_role_may_not_do_is_said_too(before_web: Warehouse, missing: str, message: str) -> None:
    """All in one transaction that is not kept: roles are the whole server's."""
    with before_web.connect() as connection:
        database = connection.info.dbname
        connection.execute("create role migrator; grant create on schema public to migrator")
        connection.execute(f"grant create on database {database} to migrator".encode())
        connection.execute(missing.format(database=database).encode())
        connection.execute("set local role migrator")
        with pytest.raises(psycopg.Error, match=message):
            connection.execute(available_migrations()[5].up)
        connection.rollback()


def test_rollback_keeps_accounts_that_somebody_filled(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("insert into account (user_id) values (gen_random_uuid())")
        connection.execute("insert into card_owner values ('c', gen_random_uuid())")
    rollback(warehouse, to="0011")
    assert site.value(warehouse, "select count(*) from account") == 1
    assert site.value(warehouse, "select to_regclass('project')") is None
    found = things(warehouse)
    assert {found[name] for name in ("account", "card_owner")} == {(True, frozenset())}
    rollback(warehouse, to="0005")
    migrate(warehouse)
    assert site.value(warehouse, "select user_code from card_owner") == "c"
    with warehouse.connect() as connection:
        connection.execute("set local role service_role")
        connection.execute("insert into card_owner values ('d', gen_random_uuid())")
        assert connection.execute("select count(*) from account").fetchone() == (1,)
