"""What tests do to a project, and what the export then shows (reference A1.8, A1.9)."""

import gzip
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mixpanel_pipeline.simulator import Project, SimulatorServer, write_day
from mixpanel_pipeline_tests.simulator.client import DAY, NOON, TODAY, Client, add_events


def distinct_ids(client: Client) -> list[str]:
    return [row["properties"]["distinct_id"] for row in client.rows()]


def test_merge_rewrites_stored_rows(project: Project, client: Client) -> None:
    event = project.add("a", "$device:1", NOON)
    project.add("a", "other", NOON)
    project.merge("$device:1", "user-1")
    project.add("a", "$device:1", NOON)
    assert distinct_ids(client) == ["user-1", "other", "$device:1"]
    assert client.rows()[0]["properties"]["$distinct_id_before_identity"] == "$device:1"
    assert event.distinct_id == "user-1"


def test_a_merge_can_be_partial(project: Project, client: Client) -> None:
    for number in range(200):
        project.add("a", "old", NOON, f"id-{number}")
    project.merge("old", "new", fraction=0.5)
    moved = distinct_ids(client).count("new")
    assert 70 < moved < 130
    project.merge("old", "new")
    assert set(distinct_ids(client)) == {"new"}


def test_delete_by_person_predicate_event_and_number(project: Project, client: Client) -> None:
    add_events(project, 6)
    one = project.add("b", "user-x", NOON)
    other = project.add("c", "user-y", NOON)
    project.delete(distinct_id="user-0")
    project.delete(lambda event: event.insert_id == "id-1")
    project.delete(events=[one, other.number])
    assert distinct_ids(client) == ["user-2", "user-3", "user-4", "user-5"]


def test_a_soft_deleted_event_is_still_exported(project: Project, client: Client) -> None:
    add_events(project, 2)
    project.delete(distinct_id="user-0", soft=True)
    assert distinct_ids(client) == ["user-0", "user-1"]
    project.delete(lambda event: event.soft_deleted)
    assert distinct_ids(client) == ["user-1"]


def test_duplicates_share_the_key_and_are_processed_later(project: Project, client: Client) -> None:
    event = project.add("a", "user", NOON, properties={"plan": "old"})
    project.duplicate(event, properties={"plan": "new"})
    project.duplicate(event, processed_ms=event.processed_ms + 5, time_seconds=NOON + 1)
    first, second, third = (row["properties"] for row in client.rows())
    assert first["$insert_id"] == second["$insert_id"] == third["$insert_id"]
    assert (first["plan"], second["plan"], third["plan"]) == ("old", "new", "old")
    assert second["mp_processing_time_ms"] > first["mp_processing_time_ms"]
    assert (first["time"], third["time"]) == (NOON, NOON + 1)


def test_late_events_show_once_they_are_processed(server: SimulatorServer, client: Client) -> None:
    now = [datetime(2026, 3, 12, tzinfo=UTC)]
    server.project = Project(today=lambda: now[0])
    arrival = datetime(2026, 3, 14, 7, tzinfo=UTC)
    server.project.add("late", "user", NOON, processed_ms=int(arrival.timestamp() * 1000))
    assert client.names() == []
    now[0] = arrival - timedelta(milliseconds=1)
    assert client.names() == []
    now[0] = arrival
    assert client.names() == ["late"]


@pytest.fixture
def generated(server: SimulatorServer) -> Project:
    server.project = Project(events_per_day=300, people=20, today=lambda: TODAY)
    return server.project


def test_explicit_events_join_a_generated_day(generated: Project, client: Client) -> None:
    before = client.rows()
    generated.add("mine", "user", NOON)
    after = client.rows()
    assert after[:-1] == before
    assert after[-1]["event"] == "mine"
    assert client.names(event='["mine"]') == ["mine"]
    assert client.names(where='properties["distinct_id"] == "user"') == ["mine"]


def test_generated_rows_can_be_merged_and_deleted(generated: Project, client: Client) -> None:
    before = distinct_ids(client)
    merged, deleted = list(dict.fromkeys(before))[:2]
    generated.merge(merged, "somebody")
    generated.delete(distinct_id=deleted)
    generated.delete(lambda event: event.event == "App Opened")
    rows = client.rows(time_in_ms="true")
    ids = [row["properties"]["distinct_id"] for row in rows]
    assert merged not in ids
    assert deleted not in ids
    assert "App Opened" not in [row["event"] for row in rows]
    moved = [row["properties"] for row in rows if row["properties"]["distinct_id"] == "somebody"]
    assert {properties["$distinct_id_before_identity"] for properties in moved} == {merged}
    assert all(properties["time"] > 10**12 for properties in moved)


def test_a_given_file_is_served_as_it_is(project: Project, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl.gz"
    write_day(path, DAY, 500, 20, 7)
    project.serve_file(DAY, path)
    assert client.export(stream=True).raw.read(decode_content=False) == path.read_bytes()
    lines = gzip.decompress(path.read_bytes()).splitlines()
    assert client.rows() == [json.loads(line) for line in lines]
    paywall = [json.loads(line) for line in lines if b'"Viewed Creator Paywall"' in line]
    assert client.rows(event='["Viewed Creator Paywall"]') == paywall
    assert client.rows(time_in_ms="1")[0]["properties"]["time"] > 10**12


def test_a_plain_file_is_served_too(project: Project, client: Client, tmp_path: Path) -> None:
    path = tmp_path / "day.jsonl"
    path.write_text('{"event": "a", "properties": {"time": 1}}\n{"properties": {"time": 1}, "event": "b"}\n')
    project.serve_file(DAY, path)
    assert client.names() == ["a", "b"]
    assert client.names(event='["b"]') == ["b"]
