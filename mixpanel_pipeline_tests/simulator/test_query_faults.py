"""Every fault of the Query API as a client meets it (reference A1.6, A2)."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests

from mixpanel_pipeline.simulator import FAULTS, FaultPlan, Project, fault_table
from mixpanel_pipeline_tests.simulator.client import DAY, NOON, Client

PEOPLE = 6


@pytest.fixture
def filled(project: Project) -> Project:
    for number in range(PEOPLE):
        project.set_profile(f"{number}", {"$last_seen": "2026-01-01T00:00:00", "income": "x", "buying_power": 1.5})
    return project


def pages(client: Client) -> list[dict[str, Any]]:
    first = client.engage(page_size=2)
    return [first] + [client.engage(page_size=2, page=page, session_id=first["session_id"]) for page in (1, 2, 3)]


def ids(page: dict[str, Any]) -> list[Any]:
    return [person.get("$distinct_id") for person in page["results"]]


PAGE_FAULTS: dict[str, Callable[[dict[str, Any], dict[str, Any]], bool]] = {
    "error_in_200": lambda _first, page: page == {"error": "unknown error"},
    "other_session": lambda first, page: page["session_id"] != first["session_id"],
    "status_not_ok": lambda _first, page: page["status"] == "error",
    "page_without_results": lambda _first, page: "results" not in page,
    "short_page": lambda _first, page: ids(page) == ["2"],
    "repeated_person": lambda _first, page: ids(page) == ["1", "3"],
}


@pytest.mark.parametrize("name", PAGE_FAULTS)
def test_faults_of_one_page(filled: Project, client: Client, name: str) -> None:
    filled.faults.add(name, page=1)
    first, second, *_ = pages(client)
    assert ids(first) == ["0", "1"]
    assert PAGE_FAULTS[name](first, second)
    assert [person for page in pages(client) for person in ids(page)] == [str(number) for number in range(PEOPLE)]


def test_wrong_total(filled: Project, client: Client) -> None:
    filled.faults.add("wrong_total", by=2)
    assert [client.engage()["total"] for _ in range(2)] == [PEOPLE + 2, PEOPLE]


def test_without_a_total_a_cut_page_looks_like_a_whole_one(filled: Project, client: Client) -> None:
    filled.faults.add("without_total")
    filled.faults.add("short_page", rows=5)
    first = client.engage()
    assert (ids(first), "total" in first) == (["0"], False)
    assert client.engage(page=1, session_id=first["session_id"])["results"] == []
    assert client.engage()["total"] == PEOPLE


@pytest.mark.parametrize("again", ["session_lost", "error_in_200"])
def test_session_lost(filled: Project, client: Client, again: str) -> None:
    session_id = client.engage(page_size=2)["session_id"]
    filled.faults.add("session_lost", page=1)
    for _ in range(2):
        answer = client.query("query/engage", data={"page_size": 2, "page": 1, "session_id": session_id})
        assert answer.status_code == 400
        assert "uncached query" in answer.json()["error"]


def test_cut_json_is_good_http(filled: Project, client: Client) -> None:
    filled.faults.add("cut_json")
    answer = client.query("query/engage")
    with pytest.raises(json.JSONDecodeError):
        json.loads(answer.content)
    assert client.engage()["total"] == PEOPLE


@pytest.mark.parametrize("length", [10, 100_000])
def test_dropped_json_breaks_the_connection(filled: Project, client: Client, length: int) -> None:
    filled.set_profile("long", {"text": "x" * length})
    filled.faults.add("dropped_json")
    with pytest.raises((requests.exceptions.ChunkedEncodingError, requests.exceptions.ConnectionError)):
        client.query("query/engage")
    assert client.engage()["total"] == PEOPLE + 1


Person = dict[str, Any]
CONTENTS: dict[str, Callable[[Person], bool]] = {
    "nul_character": lambda person: "\x00" in person["$properties"]["note"],
    "lone_surrogate": lambda person: person["$properties"]["note"] == "before\ud83dafter",
    "line_separator": lambda person: "\u2028" in person["$properties"]["note"],
    "big_integers": lambda person: person["$properties"]["bigger"] == 2**64 + 1,
    "case_colliding_keys": lambda person: {"userName", "username"} <= set(person["$properties"]),
    "without_last_seen": lambda person: "$last_seen" not in person["$properties"],
    "without_distinct_id": lambda person: "$distinct_id" not in person,
    "integer_distinct_ids": lambda person: person["$distinct_id"] == 0,
    "huge_property": lambda person: len(person["$properties"]["income"]) == 10_000_000,
    "list_for_text": lambda person: isinstance(person["$properties"]["income"], list),
    "number_as_text": lambda person: person["$properties"]["buying_power"] == "1234.50",
    "text_for_number": lambda person: person["$properties"]["buying_power"] == "n/a",
}


@pytest.mark.parametrize("name", CONTENTS)
def test_odd_people(filled: Project, client: Client, name: str) -> None:
    filled.faults.add(name)
    first, *others = client.engage()["results"]
    assert CONTENTS[name](first)
    if name == "integer_distinct_ids":
        assert [person["$distinct_id"] for person in others] == list(range(1, PEOPLE))
    else:
        assert not any(person.get("$distinct_id") != str(place) for place, person in enumerate(others, 1))
    assert client.engage()["results"][0]["$properties"]["income"] == "x"


def test_invalid_utf8(filled: Project, client: Client) -> None:
    filled.faults.add("invalid_utf8")
    assert b"before\xffafter" in client.query("query/engage").content


def test_the_property_and_the_rows_can_be_said(filled: Project, client: Client) -> None:
    filled.faults.add("list_for_text", property="net_worth", rows=None)
    assert all(isinstance(person["$properties"]["net_worth"], list) for person in client.engage()["results"])
    filled.faults.add("huge_property", bytes=10)
    assert client.engage()["results"][0]["$properties"]["income"] == "x" * 10


def test_an_id_that_is_no_integer_stays_text(project: Project, client: Client) -> None:
    for distinct_id in ("007", "user", "٣"):
        project.set_profile(distinct_id, {})
    project.faults.add("integer_distinct_ids")
    assert ids(client.engage()) == ["007", "user", "٣"]


@pytest.mark.parametrize("name", ["unknown_error_500", "rate_limited_hour", "plan_without_export", "wrong_region"])
def test_faults_that_answer_meet_the_query_api_too(filled: Project, client: Client, name: str) -> None:
    filled.faults.add(name)
    assert client.query("query/engage").status_code >= 400
    filled.faults.add(name)
    counts = {"event": '["a"]', "from_date": str(DAY), "to_date": str(DAY)}
    assert client.query("query/events", method="GET", params=counts).status_code >= 400
    assert client.engage()["total"] == PEOPLE


def test_a_fault_can_be_kept_to_one_api(filled: Project, client: Client) -> None:
    filled.faults.add("bad_gateway_502", api="engage")
    filled.faults.add("cut_json", api="events")
    assert client.export().status_code == 200
    assert client.query("query/engage").status_code == 502
    assert client.engage()["total"] == PEOPLE
    assert [fault.described()["api"] for fault in filled.faults.active()] == ["events"]
    with pytest.raises(ValueError, match="concerns export, not 'engage'"):
        FaultPlan().add("cut_gzip", api="engage")


def test_every_fault_of_the_query_api_has_a_test_and_a_sentence() -> None:
    tested = set(PAGE_FAULTS) | set(CONTENTS)
    tested |= {
        "wrong_total",
        "without_total",
        "session_lost",
        "cut_json",
        "dropped_json",
        "invalid_utf8",
        "counts_disagree",
    }
    special = {name for name, kind in FAULTS.items() if kind.stage not in ("answer", "delay")}
    assert tested == {name for name in special if {"engage", "events"} & set(FAULTS[name].apis)}
    assert all(name in fault_table() for name in FAULTS)


def test_counts_disagree(project: Project, client: Client) -> None:
    project.add("a", "user", NOON)
    project.add("b", "user", NOON)
    project.faults.add("counts_disagree", by=3)
    project.faults.add("counts_disagree", by=2, event="b", on="2026-03-11")
    asked = {"event": '["a","b"]', "from_date": "2026-03-10", "to_date": "2026-03-11"}

    def values() -> dict[str, dict[str, int]]:
        return client.query("query/events", method="GET", params=asked).json()["data"]["values"]

    assert values() == {"a": {"2026-03-10": 4}, "b": {"2026-03-10": 1}}
    assert values() == {"a": {"2026-03-10": 1}, "b": {"2026-03-10": 1, "2026-03-11": 2}}
    assert values() == {"a": {"2026-03-10": 1}, "b": {"2026-03-10": 1}}
