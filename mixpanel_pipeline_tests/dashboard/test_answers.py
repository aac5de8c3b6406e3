"""What every answer says to browsers; and answers to addresses that make no sense, and when nothing can be read."""

import hashlib
import logging
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo

from mixpanel_pipeline.dashboard import reading
from mixpanel_pipeline.dashboard.links import STATIC
from mixpanel_pipeline.dashboard.view import Table, csv_text
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline_tests.conftest import fresh_database
from mixpanel_pipeline_tests.dashboard.conftest import (
    PEOPLE,
    TIMEOUT_SECONDS,
    RunningDashboard,
    running,
    token_of,
)
from mixpanel_pipeline_tests.dashboard.pages import csv_rows
from mixpanel_pipeline_tests.dashboard.traffic import let_people_in
from mixpanel_pipeline_tests.web import site

ROUTES = [
    "/", "/project?project_id=p", "/card?user_code=c", "/subscribers", "/health", "/sign-in", "/nowhere",
    "/project?project_id=none", "/project", "/api/overview", "/api/project?project_id=p", "/api/nowhere",
    "/csv/overview?table=projects", "/csv/overview?table=none", "/static/dashboard.css", "/static/none.css",
]  # fmt: skip
PARAMETERS = {
    "/project": ("project_id", "period", "from", "to", "metric", "event_type", "event_label"),
    "/card": ("user_code", "period", "from", "to", "metric", "share_code", "contact_id"),
    "/": ("search", "sort", "card_sort"),
}
HOSTILE = [
    "'", '"', "';select pg_sleep(9)--", "' or 1=1--", "p' or 'a'='a", "%s", "%(project_id)s", "{{7*7}}", "../../etc",
    "\\",
    "<script>alert(1)</script>", "-1", "1e9", "null", "\u202e", "é" * 300, "x" * 3000, "\x00", "a\x00b", "9999-12-31",
    "0001-01-01", "2026-02-30", "20260101", "\u0662\u0660\u0662\u0666-01-01", "infinity", "\ud7ff", "😀" * 60,
]  # fmt: skip

# Those that a page would show wrongly if it did not escape them.
SHOWN = ["<script>alert(1)</script>", "';select pg_sleep(9)--"]


@pytest.fixture(scope="module")
def warehouse(postgres: EmbeddedPostgres) -> Iterator[Warehouse]:
    with fresh_database(postgres) as url:
        warehouse = Warehouse(url)
        let_people_in(warehouse)
        with warehouse.connect() as connection:
            site.insert(connection, "events", [site.event(site.at(91, 0), event_label="<b>bold</b>")])
            site.insert(connection, "page_views", [site.page_view(site.at(91, 0), share_code="<b>bold</b>")])
        yield warehouse


@pytest.fixture(scope="module")
def dashboard(warehouse: Warehouse) -> Iterator[RunningDashboard]:
    with running(warehouse) as dashboard:
        yield dashboard


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("person", ["admin", None])
def test_headers_of_every_answer(dashboard: RunningDashboard, route: str, person: str | None) -> None:
    headers = dashboard.get(route, person).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == policy["form-action"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert "Strict-Transport-Security" not in headers
    kept = route == "/static/dashboard.css"
    assert headers["Cache-Control"] == ("public, max-age=31536000, immutable" if kept else "no-store")


def test_by_https_browsers_stay_there(warehouse: Warehouse) -> None:
    """As behind a proxy that ends TLS: the cookie is for HTTPS alone."""
    with running(warehouse, behind_proxy=True) as dashboard:
        headers = {"X-Forwarded-Proto": "https", "Sec-Fetch-Site": "same-origin"}
        answer = requests.post(
            f"{dashboard.url}/sign-in", data={"token": token_of("owner")}, headers=headers, timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
        )  # fmt: skip
        assert answer.headers["Strict-Transport-Security"] == "max-age=63072000"
        assert "; Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("page", PARAMETERS)
def test_hostile_parameters(dashboard: RunningDashboard, page: str) -> None:
    """Refused by name or found nowhere; bound in any case."""
    for name in PARAMETERS[page]:
        for value in HOSTILE:
            check_answer(dashboard, page, name, value)


@settings(max_examples=60, deadline=None)
@given(
    page=st.sampled_from(sorted(PARAMETERS)), place=st.integers(0, 6),
    value=st.text(st.characters(blacklist_categories=["Cs"]), max_size=40),
)  # fmt: skip
def test_any_parameter(dashboard: RunningDashboard, page: str, place: int, value: str) -> None:
    names = PARAMETERS[page]
    check_answer(dashboard, page, names[place % len(names)], value)


def check_answer(dashboard: RunningDashboard, page: str, name: str, value: str) -> None:
    key = {"/project": {"project_id": "p"}, "/card": {"user_code": "c"}, "/": {}}[page]
    given = {**key, "from": str(site.TODAY), name: value} if name == "to" else {**key, name: value}
    if name == "event_label":
        given["event_type"] = "visible"
    path = "/api/overview" if page == "/" else f"/api{page}"
    answer = dashboard.get(path, "admin", **given)
    assert answer.status_code in (200, 400, 404), (given, answer.text)
    if answer.status_code == 400:
        assert name in answer.json()["error"] or name in ("from", "to")
    if value in SHOWN:
        shown = dashboard.get(page, "admin", **given)
        assert shown.status_code == answer.status_code
        assert value not in shown.text


def test_what_is_refused_is_named(dashboard: RunningDashboard) -> None:
    for given_, expected in (
        ({}, "project_id: it takes a text of 1 to 200 bytes."),
        ({"project_id": "p", "period": "1y"}, "period: it takes one of 24h, 7d, 30d, 90d."),
        ({"project_id": "p", "metric": "x"}, "metric: it takes one of events, unique_visitors, unique_sessions."),
        ({"project_id": "p", "event_label": "x"}, "event_label: it takes a label together with its `event_type`."),
        ({"project_id": "p", "from": "2026-01-01"}, "to: it takes a day such as 2026-01-31 when there is a `from`."),
        ({"project_id": "p", "from": "0001-01-01", "to": "0001-01-02"}, "from: it takes a day from 1970-01-01 on."),
        ({"project_id": "p", "from": "2020-01-01", "to": site.TODAY},
         "from: it takes a day at most 730 days before `to`."),
        ({"project_id": "p", "from": site.TODAY, "to": site.TODAY + timedelta(days=1)},
         f"to: it takes a day from {site.TODAY} (`from`) to {site.TODAY}, which is today (UTC)."),
    ):  # fmt: skip
        answer = dashboard.get("/api/project", **given_)
        assert (answer.status_code, answer.json()["error"]) == (400, expected)
    days = {"from": str(site.OLDEST - timedelta(days=5)), "to": str(site.TODAY)}
    answer = dashboard.get("/api/card", "admin", user_code="c", **days)
    assert answer.status_code == 400
    assert "at most 91 days for a card" in answer.text


@pytest.mark.parametrize(
    "text", ["=1+1", " =1+1", "\N{NO-BREAK SPACE}=1+1", "\v@x", "\tx", "\r", "-x", "\N{FULLWIDTH EQUALS SIGN}1+1"]
)
def test_no_cell_of_a_csv_is_run(text: str) -> None:
    [row] = csv_rows(csv_text(Table(["name", "number"], [[text, -1]])))
    assert row == {"name": f"'{text}", "number": "-1"}


def test_names_are_shown_as_text(dashboard: RunningDashboard) -> None:
    page = dashboard.page("/project", project_id="p", period="90d", event_type="visible")
    assert "<b>bold</b>" not in page
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
    card = dashboard.page("/card", user_code="c", share_code="<b>bold</b>")
    assert "<b>bold</b>" not in card
    assert "by the group “&lt;b&gt;bold&lt;/b&gt;”" in card


def test_nothing_in_a_page_is_from_another_host_or_inline(dashboard: RunningDashboard) -> None:
    for route in ("/", "/project?project_id=p", "/card?user_code=c", "/health", "/subscribers", "/sign-in"):
        page = dashboard.get(route).text
        assert not re.search(r"""(?:src|href|action)="(?:https?:)?//""", page)
        assert not re.search(r"<style|style=|\son[a-z]+=|javascript:", page)
        assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", page))
        for kept in set(re.findall(r'(?:src|href)="/dashboard(/static/[^"?]+\?v=\w+)"', page)):
            assert dashboard.get(kept, None).status_code == 200


def test_the_host_that_a_request_names_leads_nowhere(dashboard: RunningDashboard) -> None:
    for path in ("/", "/project/", "/nowhere", "/sign-in", "/static/dashboard.css"):
        for host in ("evil.example", "[", "a:b:c"):
            answer = requests.get(
                dashboard.url + path, headers={"Host": host}, timeout=TIMEOUT_SECONDS, allow_redirects=False
            )  # fmt: skip
            assert answer.status_code in (200, 303, 404)
            assert "evil" not in answer.headers.get("Location", "") + answer.text


def test_copies_are_what_their_makers_published() -> None:
    lines = (STATIC / "vendor/SHA256SUMS").read_text().splitlines()
    sums = {line.split()[1]: line.split()[0] for line in lines if not line.startswith("#")}
    files = {path.name for path in (STATIC / "vendor").iterdir()} - {"SHA256SUMS"}
    assert set(sums) == files
    for name, expected in sums.items():
        assert hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == expected


def test_a_database_that_is_away(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "WAIT_SECONDS", 0.5)
    with running(Warehouse("postgresql://reader:a-password@127.0.0.1:9/none")) as dashboard:
        page, program = dashboard.get("/"), dashboard.get("/api/overview")
    assert (page.status_code, program.status_code) == (503, 503)
    assert "The database is away" in page.text
    assert program.headers["Retry-After"] == "30"
    assert "a-password" not in page.text + program.text + caplog.text
    assert "127.0.0.1:9" not in page.text + program.text


def test_a_database_that_ends_and_comes_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that nobody migrated, to be quick: before and after, the page says so."""
    monkeypatch.setattr(reading, "WAIT_SECONDS", 1.0)
    server = EmbeddedPostgres(tmp_path / "postgres")
    url = server.start()
    try:
        with running(Warehouse(url)) as dashboard:
            assert "run `mixpanel-pipeline migrate`" in dashboard.get("/").text
            server.stop()
            assert "The database is away" in dashboard.get("/").text
            server.start()
            assert "run `mixpanel-pipeline migrate`" in dashboard.get("/").text
    finally:
        server.stop()


def test_a_login_that_may_not_become_its_readers(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute("create role dashboard_only login")
    try:
        with running(Warehouse(make_conninfo(warehouse.url, user="dashboard_only"))) as dashboard:
            answer = dashboard.get("/")
            assert answer.status_code == 503
            assert "`grant authenticated to`" in answer.text
            with warehouse.connect() as connection:
                connection.execute("grant authenticated to dashboard_only")
            assert "<h1>Overview" in dashboard.page("/", "owner")
    finally:
        with warehouse.connect() as connection:
            connection.execute("drop role dashboard_only")


def test_a_page_that_takes_too_long(warehouse: Warehouse, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with running(warehouse, statement_seconds=1) as dashboard, warehouse.connect() as connection:
        connection.execute("lock table analytics_progress in access exclusive mode")
        answer = dashboard.get("/project", project_id="p")
        connection.rollback()
        assert answer.status_code == 503
        assert "This took too long" in answer.text
        assert dashboard.get("/project", project_id="p").status_code == 200
    assert "canceling statement due to statement timeout" in caplog.text


def test_connections_that_died_are_replaced(warehouse: Warehouse) -> None:
    with running(warehouse) as dashboard:
        dashboard.page("/")
        with warehouse.connect(autocommit=True) as connection:
            connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where pid <> pg_backend_pid() and datname = current_database()"
            )
        dashboard.page("/")


def test_a_page_writes_nothing(warehouse: Warehouse) -> None:
    own = reading.Reading(warehouse, 5)
    for statement, error in (
        ("select nextval('analytics_dirty_hours_id_seq')", psycopg.errors.InsufficientPrivilege),
        ("create table kept (x integer)", psycopg.errors.ReadOnlySqlTransaction),
        ("select event_data from analytics_events", psycopg.errors.InsufficientPrivilege),
        ("select ip_address from analytics_sessions", psycopg.errors.InsufficientPrivilege),
    ):
        with pytest.raises(error), own.transaction(PEOPLE["admin"]) as connection:
            connection.execute(statement.encode())
    own.close()


def test_it_answers_at_the_root_as_well(warehouse: Warehouse) -> None:
    with running(warehouse, mounted_at="") as dashboard:
        page = dashboard.page("/", "owner")
        assert 'href="/project?project_id=p"' in page
        assert dashboard.get("/", None).headers["Location"] == "/sign-in?next=%2F"
