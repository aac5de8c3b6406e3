"""Counts per event and day as reports give them (reference A3), held against the export of the same project."""

import json
from collections import Counter
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mixpanel_pipeline.simulator import ABSENT, Project
from mixpanel_pipeline_tests.simulator.client import DAY, NOON, TODAY, Client


def counts(client: Client, *events: str, first: str = "2026-03-09", last: str = "2026-03-11") -> dict[str, Any]:
    asked = {"event": json.dumps(events), "from_date": first, "to_date": last, "type": "general", "unit": "day"}
    response = client.query("query/events", method="GET", params=asked)
    assert response.status_code == 200, response.text
    return response.json()


def test_zero_days_are_left_out_of_values_only(project: Project, client: Client) -> None:
    project.add("a", "user", NOON)
    assert counts(client, "a", "never") == {
        "data": {"series": ["2026-03-09", "2026-03-10", "2026-03-11"], "values": {"a": {"2026-03-10": 1}, "never": {}}},
        "legend_size": 2,
    }


def test_duplicates_count_once_and_soft_deletes_not_at_all(project: Project, client: Client) -> None:
    event = project.add("a", "user", NOON, insert_id="1")
    project.duplicate(event)
    project.add("a", "user", NOON, insert_id=ABSENT)
    project.add("a", "user", NOON, insert_id=ABSENT)
    project.add("a", "gone", NOON)
    project.add("a", "late", NOON, processed_ms=project.clock.now_ms() + 1)
    project.delete(distinct_id="gone", soft=True)
    assert len(client.rows()) == 5
    assert counts(client, "a")["data"]["values"] == {"a": {"2026-03-10": 3}}


def test_days_are_those_of_the_project_s_zone(server, client: Client) -> None:
    server.project = project = Project(timezone="America/New_York", today=lambda: TODAY)
    for hour in (3, 5):  # UTC; New York was four hours behind, since 8 March
        project.add("a", "user", int(datetime(2026, 3, 10, hour, tzinfo=UTC).timestamp()))
    assert counts(client, "a")["data"]["values"] == {"a": {"2026-03-09": 1, "2026-03-10": 1}}


def test_in_project_mode_too(server, client: Client) -> None:
    server.project = project = Project(timezone="America/New_York", time_mode="project", today=lambda: TODAY)
    for hour in (3, 5):
        project.add("a", "user", int(datetime(2026, 3, 10, hour, tzinfo=UTC).timestamp()))
    assert counts(client, "a")["data"]["values"] == {"a": {"2026-03-09": 1, "2026-03-10": 1}}


@pytest.mark.parametrize("merged", [False, True])
def test_generated_days_are_the_export_without_duplicates(server, client: Client, merged: bool) -> None:
    zone = ZoneInfo("Asia/Kolkata")
    server.project = project = Project(
        events_per_day=400, people=20, timezone=zone.key, first_day=DAY.replace(day=8), today=lambda: TODAY
    )
    if merged:  # then the lines are read, not the draws
        project.merge(client.rows()[0]["properties"]["distinct_id"], "somebody-else")
    rows = client.rows(from_date="2026-03-08", to_date="2026-03-12")
    keys = {
        (row["event"], row["properties"]["time"], row["properties"]["distinct_id"], row["properties"]["$insert_id"])
        for row in rows
    }
    assert len(keys) < len(rows)
    names = sorted({key[0] for key in keys})
    expected: Counter[tuple[str, str]] = Counter()
    for name, time, *_ in keys:
        expected[name, datetime.fromtimestamp(time, zone).date().isoformat()] += 1
    values = counts(client, *names)["data"]["values"]
    for day in ("2026-03-09", "2026-03-10", "2026-03-11"):
        assert {name: values[name].get(day, 0) for name in names} == {name: expected[name, day] for name in names}


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({}, "parameter: event"),
        ({"event": '["a"]'}, "from_date"),
        ({"event": '["a"]', "from_date": "2026-03-02", "to_date": "2026-03-01"}, "later than to_date"),
        ({"event": '["a"]', "type": "unique"}, "type=unique is not simulated"),
        ({"event": '["a"]', "unit": "hour"}, "unit=hour is not simulated"),
    ],
)
def test_bad_requests(project: Project, client: Client, params: dict[str, str], error: str) -> None:
    response = client.query("query/events/", method="GET", params=params)
    assert response.status_code == 400
    assert error in response.json()["error"]


def test_every_query_counts(project: Project, client: Client) -> None:
    project.query_limits.per_hour = 1
    counts(client, "a")
    assert client.query("query/events", method="GET", params={"event": '["a"]'} | RANGE).status_code == 429


RANGE = {"from_date": "2026-03-09", "to_date": "2026-03-11"}
