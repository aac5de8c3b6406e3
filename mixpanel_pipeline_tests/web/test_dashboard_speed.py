"""dashboard_is_fast reads as the dashboard does: as a signed-in person who sees the project, where that can be."""

from uuid import UUID

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from mixpanel_pipeline.checks.web import dashboard_is_fast
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.aggregation import aggregate_all
from mixpanel_pipeline_tests.web import site

SOMEBODY, ACCOUNT = UUID(int=7), UUID(int=8)
SEEN_BY = {
    "owner": "insert into account values ('{account}', '{somebody}'); insert into project values ('p', '{account}')",
    "collaborator": "insert into account_collaborator values ('{account}', '{somebody}'); "
    "insert into project values ('p', '{account}')",
    "admin": "insert into admin_users values ('{somebody}')",
}


@pytest.fixture
def visited(warehouse: Warehouse) -> Warehouse:
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(90))])
    aggregate_all(warehouse)
    return warehouse


def let_see(warehouse: Warehouse, how: str) -> None:
    with warehouse.connect() as connection:
        connection.execute(SEEN_BY[how].format(account=ACCOUNT, somebody=SOMEBODY).encode())


def test_it_reads_as_somebody_who_sees_the_project(visited: Warehouse) -> None:
    verdict = dashboard_is_fast(visited)
    assert verdict.passed
    assert "for p, read past row-level security: nobody may see it" in verdict.summary
    for how in SEEN_BY:
        with visited.connect() as connection:
            connection.execute("truncate account, project, account_collaborator, admin_users")
        let_see(visited, how)
        assert "for p, read as a signed-in person" in dashboard_is_fast(visited).summary, how


def test_it_meets_what_the_dashboard_would_meet(visited: Warehouse) -> None:
    let_see(visited, "owner")
    with visited.connect() as connection:
        connection.execute("revoke select on analytics_events_daily_totals from authenticated")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="analytics_events_daily_totals"):
        dashboard_is_fast(visited)


def test_who_may_not_become_somebody_else_reads_past_the_policies_and_says_so(visited: Warehouse) -> None:
    let_see(visited, "owner")
    with visited.connect() as connection:
        connection.execute("create role checks_only login bypassrls in role pg_read_all_data")
        connection.execute("grant execute on all functions in schema public to checks_only")
    try:
        verdict = dashboard_is_fast(Warehouse(make_conninfo(visited.url, user="checks_only")))
        assert "read past row-level security: checks_only may not set role authenticated" in verdict.summary
        assert len(verdict.figures) == 4
    finally:
        with visited.connect() as connection:
            connection.execute("drop owned by checks_only")
            connection.execute("drop role checks_only")
