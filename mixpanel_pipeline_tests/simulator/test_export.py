"""Parameters, compression and the shape of the body (reference A1.1, A1.3 to A1.5, A1.8)."""

import gzip
import json
from typing import Any

import pytest
import requests

from mixpanel_pipeline.simulator import ABSENT, Project, SimulatorServer
from mixpanel_pipeline_tests.simulator.client import DAY, NOON, TODAY, Client, add_events

DAY_SECONDS = 86_400


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"from_date": None}, "missing required parameter: from_date"),
        ({"to_date": None}, "missing required parameter: to_date"),
        ({"from_date": "10.03.2026"}, "Error in from_date: invalid date"),
        ({"from_date": "2026-02-30"}, "Error in from_date: invalid date"),
        ({"from_date": "1999-12-31"}, "Error in from_date: invalid date, bad year"),
        ({"to_date": "2026-03-21"}, "to_date cannot be later than today"),
        ({"from_date": "2026-03-11"}, "from_date cannot be later than to_date"),
        ({"from_date": "2025-11-30"}, "date range of 101 days exceeds the maximum of 100 days"),
        ({"event": "signup"}, "event must be a JSON array"),
        ({"event": '"signup"'}, "event must be a JSON array"),
        ({"event": "[1]"}, "event must be a JSON array"),
        ({"limit": "many"}, "limit must be an integer"),
        ({"limit": "100001"}, "limit must be an integer"),
        ({"time_in_ms": "perhaps"}, "time_in_ms must be true or false"),
        ({"where": 'properties["a" =='}, "Error in where: expected ']'"),
        ({"where": '1 and properties["a"]'}, "Error in where: 'and' takes booleans"),
    ],
)
def test_bad_parameters_are_answered_400_in_plain_text(
    project: Project, client: Client, params: dict[str, Any], message: str
) -> None:
    add_events(project, 1)
    response = client.export(**params)
    assert response.status_code == 400
    assert response.headers["Content-Type"].startswith("text/plain")
    assert message in response.text


def test_both_dates_are_inclusive(project: Project, client: Client) -> None:
    for offset, name in enumerate(("before", "first", "middle", "last", "after")):
        project.add(name, "user", NOON + (offset - 1) * DAY_SECONDS)
    assert client.names(to_date="2026-03-12") == ["first", "middle", "last"]


def test_today_may_be_asked_for(project: Project, client: Client) -> None:
    project.add("today", "user", NOON + 10 * DAY_SECONDS)
    assert client.names(to_date=str(TODAY)) == ["today"]


@pytest.mark.parametrize(("first_day", "status"), [("2026-03-09", 200), ("2026-03-08", 400)])
def test_the_longest_range_can_be_configured(
    server: SimulatorServer, client: Client, first_day: str, status: int
) -> None:
    server.project = Project(today=lambda: TODAY, maximum_range_days=2)
    assert client.export(from_date=first_day).status_code == status


def test_a_line_has_event_and_properties(project: Project, client: Client) -> None:
    project.add("Name", "user", NOON, "id-1", NOON * 1000 + 5, properties={"plan": "β", "deep": {"a": [1, None]}})
    assert client.rows() == [
        {
            "event": "Name",
            "properties": {
                "time": NOON,
                "distinct_id": "user",
                "$insert_id": "id-1",
                "mp_processing_time_ms": NOON * 1000 + 5,
                "plan": "β",
                "deep": {"a": [1, None]},
            },
        }
    ]


def test_keys_can_be_absent_and_properties_win(project: Project, client: Client) -> None:
    project.add("Name", None, NOON, ABSENT, properties={"time": "2026-03-10T12:00:00"})
    (row,) = client.rows()
    assert set(row["properties"]) == {"time", "mp_processing_time_ms"}
    assert row["properties"]["time"] == "2026-03-10T12:00:00"


def test_an_event_without_insert_id_gets_one_of_its_own(project: Project, client: Client) -> None:
    project.add("Name", "user", NOON)
    project.add("Name", "user", NOON)
    assert len({row["properties"]["$insert_id"] for row in client.rows()}) == 2


def test_event_filter_limit_and_milliseconds(project: Project, client: Client) -> None:
    for name in ("a", "b", "c", "a"):
        project.add(name, "user", NOON)
    assert client.names(event=json.dumps(["a", "c", "never seen"])) == ["a", "c", "a"]
    assert client.names(limit="3") == ["a", "b", "c"]
    assert client.rows(time_in_ms="true", limit="1")[0]["properties"]["time"] == NOON * 1000
    assert client.rows(time_in_ms="false", limit="1")[0]["properties"]["time"] == NOON


@pytest.mark.usefixtures("project")
def test_an_empty_day_is_200_without_a_body(client: Client) -> None:
    response = client.export()
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["Content-Type"] == "text/plain"


def test_the_trailing_slash_is_accepted(project: Project, client: Client) -> None:
    add_events(project, 1)
    response = requests.get(
        f"{client.server.url}/api/2.0/export/",
        params={"project_id": "12345", "from_date": str(DAY), "to_date": str(DAY)},
        auth=("demo-account", "demo-secret"),
        timeout=30,
        allow_redirects=False,
    )
    assert len(response.text.splitlines()) == 1


@pytest.mark.parametrize(("size", "compressed"), [(1_400, False), (1_401, True)])
def test_gzip_is_for_bodies_above_1400_bytes(project: Project, client: Client, size: int, compressed: bool) -> None:
    event = project.add("Name", "user", NOON, properties={"padding": ""})
    plain = client.export(headers={"Accept-Encoding": "identity"})
    event.properties["padding"] = "x" * (size - len(plain.content))
    response = client.export(headers={"Accept-Encoding": "deflate, gzip;q=0.5"}, stream=True)
    assert response.headers.get("Content-Encoding") == ("gzip" if compressed else None)
    raw = response.raw.read(decode_content=False)
    assert len(gzip.decompress(raw) if compressed else raw) == size


@pytest.mark.parametrize("accepted", ["identity", "gzip;q=0", "br"])
def test_no_gzip_unless_asked_for(project: Project, client: Client, accepted: str) -> None:
    add_events(project, 100)
    response = client.export(headers={"Accept-Encoding": accepted})
    assert "Content-Encoding" not in response.headers
    assert len(response.content.splitlines()) == 100


def test_requests_are_recorded(project: Project, client: Client) -> None:
    client.export()
    client.export(to_date="2027-01-01")
    assert [(entry.path, entry.status) for entry in project.requests] == [
        ("/api/2.0/export", 200),
        ("/api/2.0/export", 400),
    ]
    assert project.requests[0].params["from_date"] == str(DAY)
