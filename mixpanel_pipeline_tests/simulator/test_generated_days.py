"""Generated days: equal for equal seeds, realistic in shape, and growing as late events arrive."""

import json
import math
from collections import Counter
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from mixpanel_pipeline.catalog import ANONYMOUS_PREFIX, PROPERTIES, TRACKED_EVENTS
from mixpanel_pipeline.simulator import Project, SimulatorServer, write_day
from mixpanel_pipeline.simulator.fragments import EVENT_NAMES, UNTRACKED_EVENTS
from mixpanel_pipeline_tests.simulator.client import DAY, TODAY, Client

EVENTS = 2_000


def generated_project(**options: Any) -> Project:
    return Project(**({"events_per_day": EVENTS, "people": 100, "today": lambda: TODAY} | options))


def raw_body(client: Client, **params: Any) -> bytes:
    return client.export(stream=True, **params).raw.read(decode_content=False)


def test_equal_seeds_give_equal_bytes(server: SimulatorServer, client: Client) -> None:
    bodies = []
    for seed in (1, 1, 2):
        server.project = generated_project(seed=seed)
        bodies.append(raw_body(client))
        assert raw_body(client) == bodies[-1]
    assert bodies[0] == bodies[1] != bodies[2]
    assert raw_body(client, from_date="2026-03-11", to_date="2026-03-11") != bodies[2]


def test_write_day_writes_the_same_bytes_again(tmp_path: Path) -> None:
    first, second, other = (tmp_path / name for name in ("first.gz", "second.gz", "other.gz"))
    for path, seed in ((first, 5), (second, 5), (other, 6)):
        write_day(path, DAY, EVENTS, 50, seed)
    assert first.read_bytes() == second.read_bytes() != other.read_bytes()


@pytest.mark.parametrize("properties", [3, 12, 20, 30, 60])
def test_lines_have_about_as_many_properties_as_asked_for(
    server: SimulatorServer, client: Client, properties: int
) -> None:
    server.project = generated_project(properties=properties)
    counts = Counter(len(row["properties"]) for row in client.rows() if "$import" not in row["properties"])
    assert counts.most_common(1)[0][0] == max(properties, 5)


def test_the_content_is_that_of_a_real_app(server: SimulatorServer, client: Client) -> None:
    server.project = generated_project()
    rows = client.rows(to_date="2026-03-14")
    names = Counter(row["event"] for row in rows)
    assert set(names) == set(EVENT_NAMES)
    assert 0 < sum(names[name] for name in UNTRACKED_EVENTS) < len(rows) / 2
    ids = {row["properties"]["distinct_id"] for row in rows}
    assert any(identity.startswith(ANONYMOUS_PREFIX) for identity in ids)
    seen = {key for row in rows for key in row["properties"]}
    assert {name for line in PROPERTIES for name in line.names} <= seen
    values = [
        row["properties"][name]
        for row in rows
        for line in PROPERTIES
        if line.kind == "number"
        for name in line.names
        if name in row["properties"]
    ]
    assert {int, float, str, type(None)} <= set(map(type, values))
    assert "" in values
    assert any("$import" in row["properties"] for row in rows)


def test_about_one_in_a_hundred_is_a_duplicate_processed_later(server: SimulatorServer, client: Client) -> None:
    server.project = generated_project()
    keys = Counter(
        (
            row["event"],
            row["properties"]["distinct_id"],
            row["properties"]["time"],
            row["properties"]["$insert_id"],
        )
        for row in client.rows()
    )
    duplicates = sum(count - 1 for count in keys.values())
    assert 0.005 < duplicates / EVENTS < 0.015


def test_events_belong_to_their_day(server: SimulatorServer, client: Client) -> None:
    server.project = generated_project()
    days = {datetime.fromtimestamp(row["properties"]["time"], UTC).date() for row in client.rows()}
    assert days == {DAY}


def test_a_filter_selects_what_a_reader_would(server: SimulatorServer, client: Client) -> None:
    server.project = generated_project()
    everything = client.rows()
    tracked = [row for row in everything if row["event"] in TRACKED_EVENTS]
    asked = json.dumps([*TRACKED_EVENTS, "never seen"])
    assert client.rows(event=asked) == tracked
    assert raw_body(client, event=asked) == raw_body(client, event=asked)
    assert raw_body(client, event=json.dumps(EVENT_NAMES)) == raw_body(client)


def test_where_on_processing_time_finds_what_arrived_then(server: SimulatorServer, client: Client) -> None:
    server.project = generated_project()
    rows = client.rows(to_date="2026-03-12")
    low, high = 1_773_230_400_000, 1_773_403_200_000
    expected = [row for row in rows if low < row["properties"]["mp_processing_time_ms"] < high]
    name = 'properties["mp_processing_time_ms"]'
    found = client.rows(to_date="2026-03-12", where=f"{name} > {low} and {name} < {high}")
    assert found == expected
    assert 0 < len(found) < len(rows)


def test_late_events_arrive_while_time_goes_by(server: SimulatorServer, client: Client) -> None:
    now = [datetime(2026, 3, 10, 12, tzinfo=UTC)]
    server.project = generated_project(today=lambda: now[0])
    sizes = []
    for day in (10, 11, 12, 20, 30):
        now[0] = datetime(2026, 3, day, 12, tzinfo=UTC)
        rows = client.rows()
        assert all(row["properties"]["mp_processing_time_ms"] <= server.project.clock.now_ms() for row in rows)
        sizes.append(len(rows))
    assert sizes == sorted(sizes)
    assert math.isclose(sizes[0], EVENTS / 2, rel_tol=0.2)
    assert sizes[1] < sizes[2] <= sizes[3] <= sizes[4] == EVENTS


def test_days_outside_the_project_are_empty(server: SimulatorServer, client: Client) -> None:
    server.project = generated_project(first_day=date(2026, 3, 9), last_day=date(2026, 3, 10))
    per_day = [len(client.rows(from_date=f"2026-03-{day:02}", to_date=f"2026-03-{day:02}")) for day in range(8, 12)]
    assert per_day[0] == per_day[3] == 0
    assert per_day[1] > 0 < per_day[2]


def test_the_cache_may_be_kept_and_is_otherwise_removed(
    server: SimulatorServer, client: Client, tmp_path: Path
) -> None:
    for _ in range(2):
        server.project = generated_project(cache_directory=tmp_path)
        client.rows()
    assert len(list(tmp_path.glob("*.jsonl.gz"))) == 1
