"""Profiles as a client of Engage meets them (reference A2): pages, sessions, parameters, filters, limits."""

import json
from typing import Any

import pytest

from mixpanel_pipeline.simulator import Limits, Project
from mixpanel_pipeline_tests.simulator.client import TODAY, Client


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def five(project: Project) -> Project:
    for number in range(5):
        project.set_profile(f"user-{number}", {"$last_seen": f"2026-01-0{number + 1}T10:00:00", "plan": number})
    return project


def ids(people: list[dict[str, Any]]) -> list[Any]:
    return [person["$distinct_id"] for person in people]


@pytest.mark.usefixtures("five")
def test_a_page_looks_as_documented(client: Client) -> None:
    response = client.query("query/engage", data={"page_size": 2})
    page = response.json()
    assert response.headers["Content-Type"] == "application/json"
    assert list(page) == ["page", "page_size", "results", "session_id", "status", "total"]
    assert (page["page"], page["page_size"], page["status"], page["total"]) == (0, 2, "ok", 5)
    assert page["results"][0] == {
        "$distinct_id": "user-0",
        "$properties": {"$last_seen": "2026-01-01T10:00:00", "plan": 0},
    }


@pytest.mark.usefixtures("five")
def test_total_is_on_the_first_page_only(client: Client) -> None:
    session_id = client.engage(page_size=2)["session_id"]
    second = client.engage(page_size=2, page=1, session_id=session_id)
    assert "total" not in second
    assert second["session_id"] == session_id
    assert ids(second["results"]) == ["user-2", "user-3"]


@pytest.mark.parametrize(("page_size", "pages"), [(1, 6), (2, 3), (5, 2), (6, 1), (1000, 1)])
def test_an_exact_multiple_has_one_more_empty_page(five: Project, client: Client, page_size: int, pages: int) -> None:
    assert len(client.people(page_size=page_size)) == 5
    assert len(five.requests) == pages


def test_nobody_is_one_empty_page(project: Project, client: Client) -> None:
    page = client.engage()
    assert (page["results"], page["total"], page["page_size"]) == ([], 0, 1000)


@pytest.mark.parametrize("path", ["query/engage", "query/engage/", "2.0/engage", "2.0/engage/"])
@pytest.mark.parametrize("sent", ["URL", "form", "JSON", "POST with URL"])
def test_parameters_may_stand_anywhere(five: Project, client: Client, path: str, sent: str) -> None:
    asked = {"page_size": 2, "distinct_ids": '["user-3","user-1","nobody"]'}
    ways: dict[str, dict[str, Any]] = {
        "URL": {"method": "GET", "params": asked},
        "POST with URL": {"params": asked},
        "form": {"data": asked},
        "JSON": {"json": {"page_size": 2, "distinct_ids": ["user-3", "user-1", "nobody"]}},
    }
    page = client.query(path, **ways[sent]).json()
    assert ids(page["results"]) == ["user-3", "user-1"]
    assert page["page_size"] == 2
    assert five.requests[0].method == ("GET" if sent == "URL" else "POST")


@pytest.mark.usefixtures("five")
def test_the_body_wins_over_the_url(client: Client) -> None:
    assert client.query("query/engage", params={"page_size": 2}, data={"page_size": 3}).json()["page_size"] == 3
    assert client.query("query/engage", params={"page_size": 2}, json={"page_size": 4}).json()["page_size"] == 4


def test_the_first_page_freezes_the_result(five: Project, client: Client) -> None:
    session_id = client.engage(page_size=2)["session_id"]
    five.set_profile("user-2", {"plan": "changed"})
    five.delete_profile("user-3")
    five.set_profile("user-9", {})
    frozen = client.engage(page_size=2, page=1, session_id=session_id)["results"]
    assert [(person["$distinct_id"], person["$properties"]["plan"]) for person in frozen] == [
        ("user-2", 2),
        ("user-3", 3),
    ]
    assert client.engage(page_size=2, page=0, session_id=session_id)["total"] == 5
    assert ids(client.people()) == ["user-0", "user-1", "user-2", "user-4", "user-9"]


def uncached(client: Client, **params: Any) -> bool:
    response = client.query("query/engage", data=params)
    return response.status_code == 400 and "request for page in uncached query" in response.json()["error"]


def test_a_page_needs_a_living_session_of_the_same_query(five: Project, client: Client) -> None:
    clock = five.engage_sessions.clock = Clock()
    session_id = client.engage(page_size=2)["session_id"]
    assert uncached(client, page=1, page_size=2)
    assert uncached(client, page=1, page_size=2, session_id="1234567890-EXAMPL")
    assert uncached(client, page=1, page_size=2, session_id=session_id, where='properties["plan"] > 1')
    clock.now += 599
    assert client.engage(page=1, page_size=2, session_id=session_id)["results"]
    clock.now += 601
    assert uncached(client, page=1, page_size=2, session_id=session_id)


WHERE = [
    ('properties["$last_seen"] >= "2026-01-04T00:00:00"', ["user-3", "user-4"]),
    ('user["plan"] == 1', ["user-1"]),
    ('properties["$distinct_id"] in ["user-2", "x"]', ["user-2"]),
    ('datetime(properties["$last_seen"]) < datetime("2026-01-02T00:00:00")', ["user-0"]),
    ('defined(properties["email"])', []),
]


@pytest.mark.usefixtures("five")
@pytest.mark.parametrize(("where", "found"), WHERE)
def test_where(client: Client, where: str, found: list[str]) -> None:
    page = client.engage(where=where)
    assert ids(page["results"]) == found
    assert page["total"] == len(found)


@pytest.mark.usefixtures("five")
def test_output_properties_and_one_person(client: Client) -> None:
    page = client.engage(distinct_id="user-3", output_properties=json.dumps(["plan", "absent"]))
    assert page["results"] == [{"$distinct_id": "user-3", "$properties": {"plan": 3}}]


@pytest.mark.usefixtures("five")
@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"where": "properties["}, "Error in where"),
        ({"where": '1 and properties["plan"]'}, "Error in where"),
        ({"page": "-1"}, "page must be an integer"),
        ({"page_size": "0"}, "page_size must be an integer from 1"),
        ({"distinct_ids": "user-1"}, "distinct_ids must be a JSON array"),
        ({"distinct_id": "a", "distinct_ids": '["a"]'}, "exclude each other"),
        ({"filter_by_cohort": '{"id":1}'}, "not simulated"),
    ],
)
def test_bad_requests_are_json(client: Client, params: dict[str, str], error: str) -> None:
    response = client.query("query/engage", data=params)
    assert response.status_code == 400
    assert response.json()["status"] == "error"
    assert error in response.json()["error"]


@pytest.mark.parametrize("body", [b'{"page": ', b'["page"]'])
def test_a_body_that_is_no_object_is_refused(project: Project, client: Client, body: bytes) -> None:
    assert client.query("query/engage", data=body).status_code == 400


def test_credentials_may_stand_in_the_body_s_project(five: Project, client: Client) -> None:
    assert client.query("query/engage", data={"project_id": "999"}).status_code == 403
    assert client.query("query/engage", params={"project_id": ""}, json={"project_id": 12345}).status_code == 200


def test_only_first_pages_count_and_all_take_a_place(five: Project, client: Client) -> None:
    five.query_limits = Limits(per_hour=1, concurrent=5, clock=Clock())
    session_id = client.engage(page_size=1)["session_id"]
    for page in range(1, 6):
        client.engage(page_size=1, page=page, session_id=session_id)
    refused = client.query("query/engage", data={"page_size": 1})
    assert refused.status_code == 429
    assert refused.headers["Retry-After"] == "3600"
    assert refused.headers["RateLimit-Policy"].endswith('"project-concurrency";q=5;qu="concurrent-requests"')
    assert client.export().status_code == 200, "exports have a limit of their own"
    five.query_limits.running = 5
    crowded = client.query("query/engage", data={"page_size": 1, "page": 1, "session_id": session_id})
    assert crowded.status_code == 429
    assert "(6/5 queries running concurrently)" in crowded.json()["error"]


def test_places_are_freed_and_the_published_limits() -> None:
    limits = Limits.of_queries()
    assert (limits.per_hour, limits.per_second, limits.concurrent) == (60, None, 5)


class TestProfiles:
    def test_ids_may_be_integers(self, project: Project, client: Client) -> None:
        project.set_profile(123, {"a": 1})
        assert ids(client.people()) == [123]
        project.set_profile("123", {"a": 2})
        assert client.people() == [{"$distinct_id": "123", "$properties": {"a": 2}}]

    def test_update_merge_and_delete(self, five: Project, client: Client) -> None:
        five.profiles.update("user-0", {"plan": "gold", "city": "Zürich"})
        five.merge("user-1", "user-2")
        five.set_profile("$device:1", {"campaign": "x"})
        five.merge("$device:1", "user-3")
        five.delete_profile("user-4")
        assert five.profiles.ids() == ["user-0", "user-2", "user-3"]
        zero, two, three = (person["$properties"] for person in client.people())
        assert (zero["plan"], zero["city"], two["plan"]) == ("gold", "Zürich", 2)
        assert "campaign" not in three

    def test_a_profile_is_its_own_copy(self, project: Project, client: Client) -> None:
        properties: dict[str, Any] = {"list": [1]}
        project.set_profile("a", properties)
        properties["list"].append(2)
        assert client.people()[0]["$properties"] == {"list": [1]}


class TestGenerated:
    def test_the_same_seed_gives_the_same_people(self, server, client: Client) -> None:
        server.project = Project(profiles=300, people=100, seed=3, today=lambda: TODAY)
        people = client.people(page_size=70)
        assert len(set(ids(people))) == 300
        server.project = Project(profiles=300, people=100, seed=3, today=lambda: TODAY)
        assert client.people() == people
        server.project = Project(profiles=300, people=100, seed=4, today=lambda: TODAY)
        assert not set(ids(client.people())) & set(ids(people))

    def test_they_are_the_people_of_the_generated_days(self, server, client: Client) -> None:
        server.project = Project(events_per_day=500, people=30, profiles=30, today=lambda: TODAY)
        known = {row["properties"]["distinct_id"] for row in client.rows()}
        assert {person for person in known if not person.startswith("$device:")} <= set(ids(client.people()))

    def test_they_can_be_changed(self, server, client: Client) -> None:
        server.project = project = Project(profiles=3, today=lambda: TODAY)
        first, second, third = project.profiles.ids()
        project.profiles.update(first, {"income": "new"})
        project.delete_profile(second)
        project.set_profile(third, {})
        people = client.people()
        assert ids(people) == [first, third]
        assert people[0]["$properties"]["income"] == "new"
        assert people[0]["$properties"]["$email"] == "person-0@example.com"
        project.set_profile(second, {"back": True})
        assert ids(client.people()) == [first, second, third]

    def test_some_have_no_last_seen_and_values_are_odd(self, server, client: Client) -> None:
        server.project = Project(profiles=2_000, today=lambda: TODAY)
        people = [person["$properties"] for person in client.people()]
        assert 1 <= sum("$last_seen" not in properties for properties in people) < 100
        kinds = {type(properties.get("totalDeposits")) for properties in people}
        assert {int, float, str, type(None)} <= kinds
