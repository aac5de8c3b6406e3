"""The simulator as a process of its own, driven over HTTP by whoever runs it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from mixpanel_pipeline.simulator import FAULTS, Project
from mixpanel_pipeline_tests.simulator.client import NOON, Client, add_events

COMMAND = [sys.executable, "-m", "mixpanel_pipeline.simulator"]
CREDENTIALS = ("demo-account", "demo-secret")


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the address that it prints when it answers; it may end before the block does."""
    with subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_a_signal(tmp_path: Path, number: signal.Signals) -> None:
    url_file = tmp_path / "url"
    with running("--url-file", str(url_file), "--days", "3", "--events-per-day", "50") as (process, url):
        assert url_file.read_text() == url
        today = requests.get(f"{url}/simulator/requests", timeout=30)
        assert today.json() == []
        process.send_signal(number)
        assert process.wait(timeout=30) == 0


def test_it_has_limits_and_the_faults_asked_for() -> None:
    params = {"project_id": "12345", "from_date": "2020-01-01", "to_date": "2020-01-01"}
    statuses: list[int] = []
    with running("--fault", "unavailable_503:2") as (_process, url):
        # However slow the machine is, the 61st request of the hour is one too many.
        while 429 not in statuses and len(statuses) <= 61:
            response = requests.get(f"{url}/api/2.0/export", params=params, auth=CREDENTIALS, timeout=30)
            statuses.append(response.status_code)
    assert statuses[:3] == [503, 503, 200]
    assert statuses[-1] == 429


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--fault", "earthquake"), "no fault is called 'earthquake'"), (("--time-mode", "lunar"), "lunar")],
)
def test_bad_usage_is_said_in_a_line(arguments: tuple[str, ...], message: str) -> None:
    finished = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert message in finished.stderr


def test_help_lists_every_fault() -> None:
    finished = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
    assert all(name in finished.stdout for name in FAULTS)


def test_faults_over_http(project: Project, client: Client) -> None:
    address = f"{client.server.url}/simulator/faults"
    listed = requests.get(address, timeout=30).json()
    assert set(listed["available"]) == set(FAULTS)
    assert listed["active"] == []
    fault = {"name": "terminated_early", "times": None, "day": "2026-03-10", "after_rows": 2}
    assert requests.post(address, json=fault, timeout=30).json()["active"] == [fault]
    add_events(project, 5)
    assert client.export().content.endswith(b"terminated early\n")
    assert requests.delete(address, params={"name": "cut_line"}, timeout=30).json()["active"] == [fault]
    assert requests.delete(address, timeout=30).json()["active"] == []
    assert len(client.rows()) == 5


def test_events_over_http(project: Project, client: Client) -> None:
    address = f"{client.server.url}/simulator"
    event = {"event_name": "a", "distinct_id": "old", "time_seconds": NOON, "properties": {"plan": 1}}
    first = requests.post(f"{address}/events", json=event, timeout=30).json()["numbers"]
    second = requests.post(f"{address}/events", json=[event, event], timeout=30).json()["numbers"]
    requests.post(f"{address}/merge", json={"old_id": "old", "new_id": "new"}, timeout=30)
    assert [row["properties"]["distinct_id"] for row in client.rows()] == ["new"] * 3
    requests.post(f"{address}/delete", json={"events": [*first, second[0]]}, timeout=30)
    assert len(client.rows()) == 1
    requests.post(f"{address}/delete", json={"distinct_id": "new"}, timeout=30)
    assert client.rows() == []
    recorded = requests.get(f"{address}/requests", timeout=30).json()
    assert [entry["status"] for entry in recorded] == [200] * 3
    assert len(project.requests) == 3


def test_profiles_over_http(project: Project, client: Client) -> None:
    address = f"{client.server.url}/simulator"
    requests.post(f"{address}/profiles", json={"distinct_id": "a", "properties": {"plan": 1}}, timeout=30)
    requests.post(f"{address}/profiles", json=[{"distinct_id": n, "properties": {}} for n in ("b", 3)], timeout=30)
    requests.post(f"{address}/delete_profile", json={"distinct_id": "b"}, timeout=30)
    fault = {"name": "short_page", "times": 1, "day": None, "page": 0, "rows": 2}
    assert requests.post(f"{address}/faults", json=fault, timeout=30).json()["active"] == [fault]
    assert client.engage()["results"] == []
    assert client.people() == [
        {"$distinct_id": "a", "$properties": {"plan": 1}},
        {"$distinct_id": 3, "$properties": {}},
    ]
    [first, *_] = requests.get(f"{address}/requests", timeout=30).json()
    assert (first["method"], first["path"]) == ("POST", "/api/query/engage")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("faults", '{"name": "earthquake"}'),
        ("faults", "not json"),
        ("events", '{"event": "a"}'),
        ("events", "1"),
        ("merge", '{"old": "a"}'),
        ("delete", '{"predicate": "all"}'),
        ("profiles", '{"id": "a"}'),
        ("faults", '{"name": "cut_gzip", "api": "engage"}'),
    ],
)
def test_bad_control_requests_say_what_is_wrong(client: Client, path: str, body: str) -> None:
    response = requests.post(f"{client.server.url}/simulator/{path}", data=body, timeout=30)
    assert response.status_code == 400
    assert response.json()["error"]
