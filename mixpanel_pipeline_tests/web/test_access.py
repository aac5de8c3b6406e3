"""Who may do what with which table: owners, collaborators, card owners, admins, strangers, nobody, the service."""

import json
from collections.abc import Iterator, Set
from contextlib import contextmanager
from typing import Any
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
} - {"analytics_events", "analytics_sessions"}  # fmt: skip
ALLOWED = {
    "anon": set(),
    "authenticated": {(table, "select") for table in SEEN_BY_SIGNED_IN},
    "service_role": {
        *((table, "select") for table in TABLES if table != "analytics_legacy_actions"),
        *((table, action) for table in (*RAW, *ACCOUNTS) for action in ("insert", "update", "delete")),
    },
}  # fmt: skip
# Of these two tables signed-in people read columns only.
WITHHELD = {"analytics_events": {"event_data"}, "analytics_sessions": {"ip_address", "user_agent", "referrer"}}
# Of functions: who may call them; all others nobody but the owner.
CALLABLE = {
    "service_role": {
        "make_analytics_partitions", "aggregate_analytics_hours", "aggregate_analytics_days",
        "aggregate_analytics_cards", "aggregate_analytics_daily", "backfill_aggregates", "cleanup_old_raw_events",
        "analytics_event_totals", "analytics_card_totals",
        "ingest_analytics_batch", "analytics_batch_fields", "analytics_batch_limits",
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


def test_where_visitors_came_from_is_for_the_service_only(peopled: Warehouse) -> None:
    """Address, browser and referrer; the legacy form has them inside event_data."""
    for table, withheld in WITHHELD.items():
        with peopled.connect() as connection:
            rows = connection.execute(
                "select attname, has_column_privilege('authenticated', attrelid, attname, 'select') from pg_attribute "
                "where attrelid = %s::regclass and attnum > 0", [table],
            ).fetchall()  # fmt: skip
        assert {column for column, readable in rows if not readable} == withheld
        for column in withheld:
            for person in ("owner", "card owner", "admin"):
                with (
                    as_role(peopled, "authenticated", person) as connection,
                    pytest.raises(psycopg.errors.InsufficientPrivilege),
                ):
                    connection.execute(SQL("select {} from {}").format(Identifier(column), Identifier(table)))


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


def test_a_policy_asks_once_a_query_and_hashes_the_answer(peopled: Warehouse) -> None:
    """The raw tables have rows in several partitions."""
    with peopled.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(day), project_id="q") for day in (20, 30)])
        site.insert(connection, "clicks", [site.click(site.at(day), user_code="d") for day in (20, 30)])
    for table in (*PROJECT_TABLES, *CARD_TABLES, "analytics_daily_members"):
        column = "owner" if table.endswith("members") else "project_id" if table in PROJECT_TABLES else "user_code"
        explain = SQL("explain (analyze, verbose, timing off, format json) select {} from {}")
        with as_role(peopled, "authenticated", "owner") as connection:
            row = connection.execute(explain.format(Identifier(column), Identifier(table))).fetchone()
        nodes = list(_nodes(row[0] if row else None))
        asking = [node for node in nodes if "analytics_my_" in str(node.get("Output"))]
        assert asking, table
        assert {node["Parent Relationship"] for node in asking} == {"InitPlan"}, table
        assert max(node["Actual Loops"] for node in asking) == 1, table
        filters = [node["Filter"] for node in nodes if "Filter" in node]
        assert filters, table
        assert all("hashed SubPlan" in each and "analytics_my_" not in each for each in filters), table


def _nodes(plan: Any) -> Iterator[dict[str, Any]]:
    if isinstance(plan, dict):
        if "Node Type" in plan:
            yield plan
        plan = list(plan.values())
    if isinstance(plan, list):
        for value in plan:
            yield from _nodes(value)


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
