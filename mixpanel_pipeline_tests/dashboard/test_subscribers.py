"""The subscribers pages: everybody once, in the order asked for, as plain Python would find them."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.rows import dict_row

from mixpanel_pipeline import catalog_sql
from mixpanel_pipeline.dashboard import subscribers
from mixpanel_pipeline.dashboard.subscriber_columns import Column, title_of
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql
from mixpanel_pipeline_tests.dashboard.conftest import PEOPLE, RunningDashboard, Serve

NOW = datetime.now(UTC).replace(microsecond=123456)
ODD_IDS = ["'; drop table subscribers_insights_v2; --", "a/b?c=d&e#f", "<b>bold</b>", "=cmd()", "Ünïcode %s {x}", " "]
ANN = {"$name": "Ann Lee", "$email": "ann@example.com", "plan": ["ñ <u>", 1], "note": "<i>"}


def made_people() -> list[dict[str, Any]]:
    """120, some alike in what they are sorted by, some without a value."""
    people = []
    for number in range(120):
        seen = NOW - timedelta(days=number % 50, hours=1) if number % 7 else None
        people.append(
            {
                "distinct_id": ODD_IDS[number] if number < len(ODD_IDS) else f"person-{number:03}",
                "total_copies": number % 5,
                "events_processed": number * 3,
                "linked_bank_account": number % 3 == 0,
                "income": None if number % 4 == 0 else f"{number % 6}0k",
                "buying_power": None if number % 5 == 0 else Decimal(number % 11) / 4,
                "first_event_time": seen - timedelta(days=20) if seen else None,
                "last_event_time": seen,
            }
        )
    return people


@pytest.fixture
def people(warehouse: Warehouse) -> list[dict[str, Any]]:
    made = made_people()
    columns = list(made[0])
    with warehouse.connect() as connection:
        connection.execute("insert into admin_users values (%s)", [PEOPLE["admin"]])
        row = f"insert into subscribers_insights_v2 ({', '.join(columns)}) values ({', '.join(['%s'] * len(columns))})"
        connection.cursor().executemany(row.encode(), [list(person.values()) for person in made])
        connection.execute(
            "insert into subscriber_profiles (distinct_id, properties, first_seen_at, changed_at) "
            "values ('person-010', %s::jsonb, now(), now())", [json.dumps(ANN)],
        )  # fmt: skip
        connection.execute(
            "insert into subscriber_profile_changes (distinct_id, changed_at, change, property, old_value, new_value) "
            "values ('person-010', now(), 'changed', 'plan', '\"silver\"', '\"gold\"')"
        )
        for day, events in (("2026-03-01", 4), ("2026-03-03", 2)):
            connection.execute(
                "insert into subscriber_daily_contributions (export_day, distinct_id, total_copies, events_processed, "
                "first_event_time, last_event_time) values (%s, 'person-010', %s, %s, now(), now())",
                [day, events - 1, events],
            )
    return made


def all_pages(dashboard: RunningDashboard, **query: str) -> list[dict[str, Any]]:
    """By the addresses of next pages."""
    found: list[dict[str, Any]] = []
    following: dict[str, Any] = {}
    while True:
        answer = dashboard.json("/api/subscribers", **query, **following)
        assert len(answer["people"]) <= subscribers.PAGE
        found += answer["people"]
        if answer["next"] is None:
            return found
        following = {name: value for name, value in answer["next"].items() if value is not None}


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["distinct_id"] for row in rows]


def in_order(people: list[dict[str, Any]], column: str, order: str) -> list[str]:
    """Those without a value last, alike ones by id; texts by code point, as the tests' Postgres has them."""
    backwards = order == "desc"
    if column == "distinct_id":
        return sorted(ids(people), reverse=backwards)
    valued = sorted((each for each in people if each[column] is not None), key=lambda each: each[column])
    groups = [ids(list(alike)) for _, alike in groupby(valued, key=lambda each: each[column])]
    without = [each["distinct_id"] for each in people if each[column] is None]
    return [name for group in [*(reversed(groups) if backwards else groups), without] for name in sorted(group)]


SORTED_BY = (
    "distinct_id", "total_copies", "events_processed", "linked_bank_account", "income", "buying_power",
    "last_event_time",
)  # fmt: skip


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("column", SORTED_BY)
def test_pages_have_everybody_once_in_order(
    people: list[dict[str, Any]], dashboard: RunningDashboard, column: str, order: str
) -> None:
    assert ids(all_pages(dashboard, sort=column, order=order)) == in_order(people, column, order)


def test_figures_at_the_top(people: list[dict[str, Any]], dashboard: RunningDashboard) -> None:
    seen = [person["last_event_time"] for person in people if person["last_event_time"]]
    began = [person["first_event_time"] for person in people if person["first_event_time"]]
    totals = dashboard.json("/api/subscribers")["totals"]
    assert totals == {
        "people": 120,
        "active_in_7_days": sum(moment >= NOW - timedelta(days=7) for moment in seen),
        "active_in_30_days": sum(moment >= NOW - timedelta(days=30) for moment in seen),
        "new_in_30_days": sum(moment >= NOW - timedelta(days=30) for moment in began),
        "found": 120,
        "profiles": 1,
    }


def test_search(people: list[dict[str, Any]], dashboard: RunningDashboard) -> None:
    assert ids(all_pages(dashboard, search="person-01", sort="distinct_id")) == [f"person-0{n}" for n in range(10, 20)]
    for wanted in ("ANN@example", "ann lee", "Person-010"):
        assert ids(all_pages(dashboard, search=wanted)) == ["person-010"]
    assert all_pages(dashboard, search="100%") == []
    assert "Nobody is found" in dashboard.page("/subscribers", search="100%")
    for odd in ODD_IDS[:-1]:
        assert ids(all_pages(dashboard, search=odd)) == [odd]


def test_search_of_what_many_profiles_have(
    people: list[dict[str, Any]], dashboard: RunningDashboard, warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscribers, "MOST_BY_PROFILE", 0)
    assert ids(all_pages(dashboard, search="ann@")) == ["person-010"]


@pytest.mark.parametrize(
    ("column", "least", "most", "keeps"),
    [
        ("total_copies", "3", "", lambda person: person["total_copies"] >= 3),
        ("total_copies", "1", "2", lambda person: 1 <= person["total_copies"] <= 2),
        ("buying_power", "0.5", "1.25", lambda person: 0.5 <= (person["buying_power"] or 0) <= 1.25),
        ("income", "20k", "20k", lambda person: person["income"] == "20k"),
        ("linked_bank_account", "yes", "yes", lambda person: person["linked_bank_account"]),
        (
            "last_event_time", str((NOW - timedelta(days=9)).date()), str((NOW - timedelta(days=3)).date()),
            lambda person: person["last_event_time"] and (NOW - timedelta(days=9)).date()
            <= person["last_event_time"].date() <= (NOW - timedelta(days=3)).date(),
        ),
    ],
)  # fmt: skip
def test_only_where(
    people: list[dict[str, Any]], dashboard: RunningDashboard, column: str, least: str, most: str, keeps: Any
) -> None:
    found = all_pages(dashboard, column=column, least=least, most=most)
    expected = {person["distinct_id"] for person in people if keeps(person)}
    assert expected
    assert set(ids(found)) == expected
    assert dashboard.json("/api/subscribers", column=column, least=least, most=most)["totals"]["found"] == len(expected)
    page = dashboard.page("/subscribers", column=column, least=least, most=most)
    assert f"{len(expected)} of 120 people" in page


def test_csv_has_everybody_and_every_column(people: list[dict[str, Any]], dashboard: RunningDashboard) -> None:
    answer = dashboard.get("/csv/subscribers", table="subscribers", sort="distinct_id")
    assert answer.status_code == 200
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    shown = {"'=cmd()": "=cmd()"}
    assert [shown.get(row["distinct_id"], row["distinct_id"]) for row in rows] == in_order(people, "distinct_id", "asc")
    assert set(rows[0]) == set(catalog_sql.total_columns()) - {
        name for name in catalog_sql.total_columns() if name.endswith("_at")
    }
    assert len(list(csv.DictReader(io.StringIO(
        dashboard.get("/csv/subscribers", table="subscribers", search="person-01").text
    )))) == 10  # fmt: skip


def test_csv_is_capped(
    people: list[dict[str, Any]], dashboard: RunningDashboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscribers, "MOST_IN_CSV", 20)
    assert dashboard.get("/csv/subscribers", table="subscribers").text.count("\r\n") == 21
    assert "of the first 20" in dashboard.page("/subscribers")


@pytest.mark.parametrize(
    "query",
    [
        {"sort": "updated_at"}, {"sort": "1; drop table x"}, {"order": "sideways"}, {"column": "income_at"},
        {"column": "total_copies", "least": "many"}, {"column": "total_copies", "most": str(2**70)},
        {"column": "buying_power", "least": "NaN"}, {"column": "buying_power", "least": "1e999999"},
        {"column": "linked_bank_account", "least": "maybe"}, {"column": "last_event_time", "least": "yesterday"},
        {"sort": "last_event_time", "after": "x", "value": "noon"}, {"search": "a\0"}, {"search": "x" * 3000},
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_by_name(
    people: list[dict[str, Any]], dashboard: RunningDashboard, query: dict[str, str]
) -> None:
    for path in ("/subscribers", "/api/subscribers"):
        refused = dashboard.get(path, **query)
        assert refused.status_code == 400, refused.text
        assert any(name in refused.text for name in query)


VALUES = ("total_copies", "buying_power", "last_event_time", "distinct_id", "asc", "-1", "0001-01-01")
NAMES = ("search", "sort", "order", "column", "least", "most", "after", "value", "id", "table")


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    query=st.dictionaries(
        st.sampled_from(NAMES),
        st.one_of(
            st.sampled_from(VALUES),
            st.text(max_size=20).filter(lambda text: text.isprintable()),
        ),
    ),
    path=st.sampled_from(["/api/subscribers", "/subscribers", "/api/subscriber", "/csv/subscribers"]),
)  # fmt: skip
def test_whatever_is_asked_nothing_breaks(
    people: list[dict[str, Any]], dashboard: RunningDashboard, query: dict[str, str], path: str
) -> None:
    assert dashboard.get(path, **query).status_code in (200, 400, 404)


def test_a_person(people: list[dict[str, Any]], dashboard: RunningDashboard) -> None:
    found = dashboard.json("/api/subscriber", id="person-010")
    assert found["totals"]["events_processed"] == 30
    assert found["profile"]["properties"] == ANN
    assert [(day["export_day"], day["events_processed"], day["total_copies"]) for day in found["days"]] == [
        ("2026-03-03", 2, 1), ("2026-03-01", 4, 3),
    ]  # fmt: skip
    page = dashboard.page("/subscriber", id="person-010")
    for told in (
        "Ann Lee",
        "ann@example.com",
        "&lt;i&gt;",
        "Total copies",
        "6 events on 2 days",
        "silver",
        "[&#34;ñ &lt;u&gt;&#34;, 1]",
        "1 Mar 2026",
    ):
        assert told in page
    days = dashboard.get("/csv/subscriber", id="person-010", table="days").text
    assert days.startswith("export_day,events_processed,total_copies")
    assert "2026-03-01,4,3," in days


@pytest.mark.parametrize("odd", ODD_IDS)
def test_odd_people_are_found_by_their_link(
    people: list[dict[str, Any]], dashboard: RunningDashboard, odd: str
) -> None:
    page = dashboard.page("/subscriber", id=odd)
    assert "No day has tracked events" in page
    assert "<b>bold</b>" not in page
    assert dashboard.json("/api/subscriber", id=odd)["distinct_id"] == odd


def test_nobody(people: list[dict[str, Any]], dashboard: RunningDashboard) -> None:
    assert dashboard.get("/subscriber", id="nobody").status_code == 404
    assert dashboard.get("/subscriber").status_code == 400


def test_they_are_for_admins(people: list[dict[str, Any]], dashboard: RunningDashboard) -> None:
    for person in ("owner", "stranger"):
        for path in ("/subscribers", "/subscriber", "/api/subscribers", "/csv/subscribers", "/api/subscriber"):
            refused = dashboard.get(path, person, id="person-010", table="subscribers")
            assert refused.status_code == 403
            assert "person-0" not in refused.text
    assert dashboard.get("/api/subscribers", None).status_code == 401


def test_without_subscribers_it_says_what_to_do(warehouse: Warehouse, dashboard: RunningDashboard) -> None:
    with warehouse.connect() as connection:
        connection.execute("insert into admin_users values (%s)", [PEOPLE["admin"]])
    assert "mixpanel-pipeline sync" in dashboard.page("/subscribers")


def test_a_new_metric_shows_by_itself(
    people: list[dict[str, Any]], dashboard: RunningDashboard, warehouse: Warehouse
) -> None:
    with warehouse.connect() as connection:
        connection.execute("alter table subscribers_insights_v2 add column referral_sends bigint not null default 4")
        connection.execute("alter table subscriber_daily_contributions add column referral_sends bigint default 0")
    assert dashboard.json("/api/subscribers", sort="referral_sends")["people"][0]["referral_sends"] == 4
    assert "Referral sends" in dashboard.page("/subscriber", id="person-010")


def test_reading_the_list_sorts_without_spilling(people: list[dict[str, Any]], warehouse: Warehouse) -> None:
    """Only the fifty first are kept while the table is read, and by id the index has the order."""
    from starlette.requests import Request

    def plan(**query: str) -> str:
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [],
                 "query_string": "&".join(f"{name}={value}" for name, value in query.items()).encode()}  # fmt: skip
        with warehouse.connect() as connection:
            connection.execute(
                "insert into subscribers_insights_v2 (distinct_id) select 'p' || generate_series(1, 5000)"
            )
            connection.execute("analyze subscribers_insights_v2")
            connection.execute(read_sql("web/become_reader.sql"), {"user_id": PEOPLE["admin"]})
            question = subscribers._question(connection, Request(scope), subscribers.read_columns(connection))
            asked = question.rows_of(question.of_page, question.columns)
            with connection.cursor(row_factory=dict_row) as cursor:
                rows = cursor.execute(
                    b"explain (analyze, costs off) " + asked.as_bytes(connection), {**question.parameters, "most": 51}
                ).fetchall()
            connection.rollback()
        told = "\n".join(row["QUERY PLAN"] for row in rows)
        # Who reads is asked once for each table, not once for each row.
        assert "InitPlan" in told
        assert "analytics_is_admin" not in told
        return told

    assert "top-N heapsort" in plan(sort="total_copies")
    assert "subscribers_insights_v2_pkey" in plan(sort="distinct_id")
    assert "Sort Method: external" not in plan(sort="buying_power")


@pytest.mark.parametrize("stored", ["0.1", "-1e-300", "1.7976931348623157e308", "1" * 300])
def test_an_address_takes_the_numbers_that_the_database_holds(stored: str) -> None:
    """Else the list would end behind such a person."""
    deposits = Column("total_deposits", "Total deposits", "number")
    assert deposits.parse(deposits.written(Decimal(stored))) == Decimal(stored)


def test_titles() -> None:
    told = {"total_pdp_views": "Total PDP views", "total_ach_transfers": "Total ACH transfers", "income": "Income"}
    assert {name: title_of(name) for name in told} == told


@pytest.mark.parametrize("path", ["/subscribers", "/subscriber", "/health"])
def test_a_query_that_takes_too_long_is_given_up(
    people: list[dict[str, Any]], serve: Serve, warehouse: Warehouse, path: str
) -> None:
    dashboard = serve(statement_seconds=1)
    with psycopg.connect(warehouse.url) as other:
        other.execute("lock table subscribers_insights_v2 in access exclusive mode")
        for place in (path, f"/api{path}"):
            answer = dashboard.get(place, id="person-010")
            assert answer.status_code == 503
            assert "did not answer in time" in answer.text
    assert dashboard.get(path, id="person-010").status_code == 200
