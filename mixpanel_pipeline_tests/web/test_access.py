"""Who may do what with which table: owners, collaborators, card owners, admins, strangers, nobody, the service."""

import json
from collections.abc import Iterator, Set
from contextlib import contextmanager
from uuid import UUID, uuid5

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.migrations import migrate, rollback
from mixpanel_pipeline.web.aggregation import aggregate_all
from mixpanel_pipeline_tests.web import site

PEOPLE = {name: uuid5(UUID(int=0), name) for name in ("owner", "collaborator", "card owner", "admin", "stranger")}
RAW = ("analytics_events", "analytics_sessions", "analytics_page_views", "analytics_clicks")
PROJECT_TABLES = ("analytics_events", *site.AGGREGATES[:3])
CARD_TABLES = (*RAW[1:], *site.AGGREGATES[3:])
INTERNAL = ("analytics_retention", "analytics_dirty_hours", "analytics_dirty_days", "analytics_dirty_cards")
ACCOUNTS = ("account", "project", "account_collaborator", "admin_users", "card_owner")
VIEWS = ("analytics_summary", "analytics_table_sizes", "analytics_partitions", "analytics_legacy_actions")
TABLES = (*RAW, *site.AGGREGATES, "analytics_daily_members", "analytics_progress", *INTERNAL, *ACCOUNTS, *VIEWS)
ACTIONS = ("select", "insert", "update", "delete", "truncate", "references", "trigger")

SEEN_BY_SIGNED_IN = {
    *RAW, *site.AGGREGATES, "analytics_daily_members", "analytics_progress", "analytics_summary",
} - {"analytics_sessions"}  # fmt: skip
ALLOWED = {
    "anon": set(),
    "authenticated": {(table, "select") for table in SEEN_BY_SIGNED_IN},
    "service_role": {
        *((table, "select") for table in TABLES if table != "analytics_legacy_actions"),
        *((table, action) for table in (*RAW, *ACCOUNTS) for action in ("insert", "update", "delete")),
    },
}  # fmt: skip
# Of functions: who may call them; all others nobody but the owner.
CALLABLE = {
    "service_role": {
        "make_analytics_partitions", "aggregate_analytics_hours", "aggregate_analytics_days",
        "aggregate_analytics_cards", "aggregate_analytics_daily", "backfill_aggregates", "cleanup_old_raw_events",
        "analytics_event_totals", "analytics_card_totals",
    },
    "authenticated": {
        "analytics_is_admin", "analytics_my_projects", "analytics_my_cards", "analytics_event_totals",
        "analytics_card_totals",
    },
    "anon": set(),
}  # fmt: skip


@pytest.fixture
def peopled(warehouse: Warehouse) -> Warehouse:
    """Two projects of two accounts, two cards, traffic in all, aggregated."""
    with warehouse.connect() as connection:
        account, other = uuid5(UUID(int=1), "ours"), uuid5(UUID(int=1), "theirs")
        connection.execute(
            "insert into account values (%s, %s), (%s, %s)", [account, PEOPLE["owner"], other, UUID(int=9)]
        )
        connection.execute("insert into project values ('p', %s), ('q', %s)", [account, other])
        connection.execute("insert into account_collaborator values (%s, %s)", [account, PEOPLE["collaborator"]])
        connection.execute("insert into admin_users values (%s)", [PEOPLE["admin"]])
        connection.execute("insert into card_owner values ('c', %s), ('d', %s)", [PEOPLE["card owner"], UUID(int=9)])
        site.insert(connection, "events", [site.event(site.at(9), project_id=project) for project in "pq"])
        site.insert(connection, "page_views", [site.page_view(site.at(9), user_code=code) for code in "cd"])
        site.insert(connection, "clicks", [site.click(site.at(9), user_code=code) for code in "cd"])
        site.insert(
            connection, "sessions", [site.session_row(site.at(9), f"s-{code}", user_code=code) for code in "cd"]
        )
    aggregate_all(warehouse)
    return warehouse


@contextmanager
def as_role(warehouse: Warehouse, role: str, person: str | None = None) -> Iterator[psycopg.Connection]:
    with warehouse.connect() as connection:
        connection.execute(SQL("set local role {}").format(Identifier(role)))
        if person:
            claims = json.dumps({"sub": str(PEOPLE[person]), "role": role})
            connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
        yield connection
        connection.rollback()


def test_grants_are_these_and_no_others(warehouse: Warehouse) -> None:
    for role in ALLOWED:
        check_grants(warehouse, role)


def check_grants(warehouse: Warehouse, role: str) -> None:
    with warehouse.connect() as connection:
        found = {
            (table, action)
            for table in TABLES
            for action in ACTIONS
            if connection.execute("select has_table_privilege(%s, %s, %s)", [role, table, action]).fetchone() == (True,)
        }
        functions = connection.execute(
            "select proname, has_function_privilege(%s, oid, 'execute') from pg_proc "
            "where pronamespace = 'public'::regnamespace and proname ~ 'analytics|aggregates|raw_events'",
            [role],
        ).fetchall()
        known = connection.execute(
            "select relname from pg_class where relnamespace = 'public'::regnamespace and relname ~ '^analytics_' "
            "and relkind in ('r', 'p', 'v') and not relispartition"
        ).fetchall()
    assert {name for (name,) in known} <= set(TABLES)
    assert found == ALLOWED[role]
    assert {name for name, may in functions if may} == CALLABLE[role]


def test_each_statement_is_allowed_or_refused(peopled: Warehouse) -> None:
    """The matrix again, by doing it."""
    for role in ALLOWED:
        try_statements(peopled, role)


def try_statements(peopled: Warehouse, role: str) -> None:
    for table in (*RAW, *site.AGGREGATES, "analytics_daily_members", "analytics_progress", *INTERNAL, *ACCOUNTS):
        with peopled.connect() as connection:
            ((column, *_),) = connection.execute(
                "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and attgenerated = '' "
                "and attidentity = '' order by attnum limit 1", [table],
            ).fetchall()  # fmt: skip
        name, key = Identifier(table), Identifier(column)
        statements = {
            "select": SQL("select * from {}").format(name),
            "insert": SQL("insert into {} select * from {} where false").format(name, name),
            "update": SQL("update {} set {} = {} where false").format(name, key, key),
            "delete": SQL("delete from {} where false").format(name),
            "truncate": SQL("truncate {}").format(name),
        }
        if (table, "insert") not in ALLOWED[role]:
            statements["insert"] = SQL("insert into {} default values").format(name)
        for action, statement in statements.items():
            with as_role(peopled, role, "owner") as connection:
                if (table, action) in ALLOWED[role]:
                    connection.execute(statement)
                else:
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        connection.execute(statement)


def test_everybody_sees_their_own(peopled: Warehouse) -> None:
    check_what_is_seen(peopled, "owner", projects={"p"})
    check_what_is_seen(peopled, "collaborator", projects={"p"})
    check_what_is_seen(peopled, "card owner", cards={"c"})
    check_what_is_seen(peopled, "admin", projects={"p", "q"}, cards={"c", "d"})
    check_what_is_seen(peopled, "stranger")
    check_what_is_seen(peopled, None)


def check_what_is_seen(
    peopled: Warehouse, person: str | None, projects: Set[str] = frozenset(), cards: Set[str] = frozenset()
) -> None:
    with as_role(peopled, "authenticated", person) as connection:
        for table in PROJECT_TABLES:
            rows = connection.execute(SQL("select project_id from {}").format(Identifier(table))).fetchall()
            assert {project for (project,) in rows} == projects, table
        for table in CARD_TABLES:
            rows = connection.execute(SQL("select user_code from {}").format(Identifier(table))).fetchall()
            assert {code for (code,) in rows} == cards, table
        rows = connection.execute("select owner from analytics_daily_members").fetchall()
        assert {owner for (owner,) in rows} == projects | cards
        summary = connection.execute("select what, counted from analytics_summary").fetchall()
        assert dict(summary) == {
            "events": len(projects), "page views": len(cards), "clicks": len(cards), "sessions": len(cards)
        }  # fmt: skip
        for project in "pq":
            found = connection.execute(
                "select * from analytics_event_totals(%s, %s, %s)", [project, site.at(9).date(), site.at(10).date()]
            ).fetchall()
            assert bool(found) is (project in projects)
        for code in "cd":
            found = connection.execute(
                "select * from analytics_card_totals(%s, %s, %s)", [code, site.at(9).date(), site.at(10).date()]
            ).fetchall()
            assert bool(found) is (code in cards)


def test_where_visitors_came_from_is_not_for_card_owners(peopled: Warehouse) -> None:
    with as_role(peopled, "authenticated", "card owner") as connection:
        assert connection.execute("select session_id from analytics_sessions").fetchall() == [("s-c",)]
    for column in ("ip_address", "user_agent"):
        with (
            as_role(peopled, "authenticated", "card owner") as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute(SQL("select {} from analytics_sessions").format(Identifier(column)))


def test_the_service_role_writes_aggregates_and_retains_through_its_functions(peopled: Warehouse) -> None:
    with as_role(peopled, "service_role") as connection:
        site.insert(connection, "events", [site.event(site.at(9), "w")])
        site.insert(connection, "clicks", [site.click(site.at(9), "w")])
        connection.execute("select make_analytics_partitions(current_date, current_date + 60)")
        for call in ("aggregate_analytics_hours()", "aggregate_analytics_days()", "aggregate_analytics_cards()"):
            connection.execute(f"select {call}".encode())
        assert connection.execute(
            "select event_count from analytics_events_daily_totals where project_id = 'p' and event_type is null"
        ).fetchone() == (2,)
        connection.execute("select aggregate_analytics_daily()")
        connection.execute("select backfill_aggregates(current_date - interval '3 days', current_date)")
        connection.execute("select cleanup_old_raw_events(60)")


def test_the_service_role_copies_into_a_table_of_its_own_and_inserts_from_there(peopled: Warehouse) -> None:
    """Where the role does not pass policies by, Postgres refuses COPY into a table that has them, whatever they say."""
    rows = [site.event(site.at(9), "copied"), site.event(site.at(9), "copied")]
    assert site.value(peopled, "select rolbypassrls from pg_roles where rolname = 'service_role'") is False
    assert site.value(peopled, "select has_database_privilege('service_role', current_database(), 'temporary')") is True
    with as_role(peopled, "service_role") as connection, pytest.raises(psycopg.errors.FeatureNotSupported):
        site.copy(connection, "events", rows)
    with as_role(peopled, "service_role") as connection:
        connection.execute(
            "create temp table analytics_arrived (like analytics_events including defaults) on commit drop"
        )
        site.copy(connection, "arrived", rows)
        insert = "insert into analytics_events select * from analytics_arrived order by id on conflict do nothing"
        assert [connection.execute(insert).rowcount for _ in range(2)] == [2, 0]
        marks = connection.execute("select project_id, hour_bucket from analytics_dirty_hours").fetchall()
        assert marks == [("p", site.at(9))]
        connection.execute("select aggregate_analytics_daily(%s)", [site.at(9).date()])
        counted = "select event_count from analytics_events_daily_totals where project_id = 'p' and event_type is null"
        assert connection.execute(counted).fetchone() == (3,)


def test_nothing_is_granted_on_a_partition_even_by_default_privileges(warehouse: Warehouse) -> None:
    """As on Supabase, where a new table of the schema is given to all three roles."""
    rollback(warehouse, to="0004")
    with warehouse.connect() as connection:
        for kind in ("tables", "functions", "sequences"):
            connection.execute(
                f"alter default privileges in schema public grant all on {kind} to anon, authenticated, service_role"
            )
    migrate(warehouse)
    with warehouse.connect() as connection:
        connection.execute("select make_analytics_partitions(current_date + 60, current_date + 90)")
        leaves = connection.execute("select leaf::text from analytics_partitions").fetchall()
        assert len(leaves) > 80
        granted = connection.execute(
            "select relname, acl.* from pg_class, aclexplode(relacl) as acl "
            "where (oid in (select leaf from analytics_partitions) or relname ~ '^analytics_.*_id_seq$') "
            "and acl.grantee <> relowner"
        ).fetchall()
        assert granted == []
        unguarded = connection.execute(
            "select relname from pg_class where relnamespace = 'public'::regnamespace and relname ~ '^analytics_' "
            "and relkind in ('r', 'p') and not relrowsecurity"
        ).fetchall()
        assert unguarded == []
    for role in ALLOWED:
        check_grants(warehouse, role)
        with as_role(warehouse, role, "owner") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(SQL("insert into {} default values").format(Identifier(leaves[0][0])))


def test_no_function_with_its_owners_rights_looks_for_tables_where_the_caller_says(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        rows = connection.execute(
            "select proname, proconfig from pg_proc where pronamespace = 'public'::regnamespace and prosecdef"
        ).fetchall()
    assert len(rows) > 10
    loose = [name for name, config in rows if not any(_fixes_path(setting) for setting in config or [])]
    assert loose == []


def _fixes_path(setting: str) -> bool:
    return setting.startswith("search_path=") and setting.endswith(", pg_temp")


def test_a_policy_is_evaluated_once_a_query(peopled: Warehouse) -> None:
    for table in (*PROJECT_TABLES, *CARD_TABLES, "analytics_daily_members"):
        column = SQL("session_id" if table == "analytics_sessions" else "*")
        explain = SQL("explain (analyze, timing off, format json) select {} from {}")
        with as_role(peopled, "authenticated", "owner") as connection:
            row = connection.execute(explain.format(column, Identifier(table))).fetchone()
        plan = json.dumps(row[0] if row else None)
        assert '"Parent Relationship": "InitPlan"' in plan, table
        assert '"Parent Relationship": "SubPlan"' not in plan, table
        assert "analytics_my_" not in _filters(plan), table


def _filters(plan: str) -> str:
    """What is asked of each row."""

    def walk(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            for key, value in node.items():
                if key in ("Filter", "Index Cond", "Recheck Cond"):
                    yield value
                yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)

    return " ".join(walk(json.loads(plan)))


def test_roles_functions_and_tables_that_are_there_are_left_alone(warehouse: Warehouse) -> None:
    rollback(warehouse, to="0004")
    with warehouse.connect() as connection:
        connection.execute("create schema auth")
        connection.execute("create function auth.uid() returns uuid language sql stable as 'select null::uuid'")
        connection.execute("create table project (project_id text primary key, account_id uuid, name text)")
        connection.execute("insert into project values ('mine', null, 'kept')")
    migrate(warehouse)
    rollback(warehouse, to="0004")
    assert site.value(warehouse, "select name from project") == "kept"
    assert (
        site.value(warehouse, "select prosrc from pg_proc where oid = 'auth.uid()'::regprocedure")
        == "select null::uuid"
    )
    assert site.value(warehouse, "select to_regclass('account')") is None
    migrate(warehouse)
