"""`up` and `demo` as a person runs them: servers answer, and nothing is left when they end."""

import contextlib
import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import psycopg
import pytest
import requests

from mixpanel_pipeline.cli.ports import free_port
from mixpanel_pipeline.simulator import SimulatorServer
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline_tests.cli.conftest import PROGRAM, Run
from mixpanel_pipeline_tests.cli.test_servers import wait_until_gone

pytestmark = pytest.mark.slow
END_SECONDS = 90


@contextmanager
def started(environment: dict[str, str], directory: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command, killed at the end of the block if it still runs."""
    with (
        (directory / "stderr").open("w") as errors,
        subprocess.Popen(
            [*PROGRAM, *arguments], env=environment, cwd=directory, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def free_ports() -> list[str]:
    """Options for ports that nobody has now."""
    return ["--port", str(free_port("127.0.0.1")), "--collector-port", str(free_port("127.0.0.1"))]


def first_line(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    return json.loads(process.stdout.readline())


def test_up_without_a_mixpanel_account_serves_web_analytics(environment: dict[str, str], tmp_path: Path) -> None:
    with started(environment, tmp_path, "up", *free_ports(), "--json") as process:
        told = first_line(process)
        assert requests.get(f"{told['dagster']}/server_info", timeout=30).ok
        assert requests.get(f"{told['collector']}/readyz", timeout=30).json()["ready"]
        assert told["dashboard"] is None
        process.send_signal(signal.SIGINT)
        assert process.wait(END_SECONDS) == 0
    assert "web events are aggregated, nothing is synchronized" in (tmp_path / "stderr").read_text()


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_up_serves_until_a_signal(environment: dict[str, str], tmp_path: Path, number: signal.Signals) -> None:
    environment["DASHBOARD_JWT_SECRET"] = "a secret of the tests, long enough for HS256"
    ports = free_ports()
    with started(environment, tmp_path, "up", *ports, "--json") as process:
        told = first_line(process)
        assert told["dagster"] == f"http://127.0.0.1:{ports[1]}"
        assert told["dashboard"] == f"http://127.0.0.1:{ports[3]}/dashboard"
        assert requests.get(told["dashboard"], timeout=30).url.startswith(f"{told['dashboard']}/sign-in")
        assert requests.get(f"{told['dagster']}/server_info", timeout=30).json()["dagster_version"]
        children = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
        assert set(told["pids"].values()) <= set(children)
        process.send_signal(number)
        assert process.wait(END_SECONDS) == 0
    for pid in children:
        wait_until_gone(pid)
    assert not EmbeddedPostgres(tmp_path / "home" / "postgres").is_running()


@pytest.mark.usefixtures("project")
def test_up_says_which_child_died(environment: dict[str, str], tmp_path: Path) -> None:
    with started(environment, tmp_path, "up", *free_ports(), "--json") as process:
        told = first_line(process)
        psutil.Process(told["pids"]["daemon"]).kill()
        assert process.wait(END_SECONDS) == 1
        assert process.stdout is not None
        assert process.stdout.read() == ""
    assert "daemon ended by itself (exit code -9)" in (tmp_path / "stderr").read_text()
    for pid in told["pids"].values():
        wait_until_gone(pid)


@pytest.mark.usefixtures("project")
def test_up_starts_a_killed_embedded_postgres_again(environment: dict[str, str], tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "home" / "postgres")
    with started(environment, tmp_path, "up", *free_ports(), "--json") as process:
        first_line(process)
        killed = int((server.data / "postmaster.pid").read_text().splitlines()[0])
        psutil.Process(killed).kill()
        wait_until_gone(killed)
        wait_until_answering(server, process)
        process.send_signal(signal.SIGTERM)
        assert process.wait(END_SECONDS) == 0
    assert "the embedded Postgres had ended; starting it again" in (tmp_path / "stderr").read_text()
    assert not server.is_running()


def wait_until_answering(server: EmbeddedPostgres, process: subprocess.Popen[str]) -> None:
    """Until somebody else has started the server."""
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None
        with contextlib.suppress(psycopg.OperationalError), psycopg.connect(server.url()):
            return
        time.sleep(0.5)
    raise AssertionError("the embedded Postgres was not started again")


def test_up_on_a_port_that_is_taken(run: Run, project: SimulatorServer) -> None:
    finished = run("up", "--port", project.url.rsplit(":", 1)[1])
    assert finished.returncode == 2
    assert "is taken; give another one with --port" in finished.stderr


def test_the_demo_tells_what_happened_and_can_be_repeated(run: Run, tmp_path: Path) -> None:
    for _ in range(2):
        finished = run("demo", "--once", "--days", "3", "--events-per-day", "200", "--json")
        assert finished.returncode == 0, finished.stderr
        told = json.loads(finished.stdout)
        assert told["days"] == 3
        assert told["events"] > 300
        assert told["exports_repeated"] == told["lines_repaired"] == 1
        assert told["second_sync_events_added_to_them"] == 0
        assert told["late_events_sent"] == told["late_events_found"] == told["late_events_added"] == 20
        assert (told["profiles"], told["profile_queries"], told["second_snapshot_unchanged"]) == (500, 1, 477)
        found = [told[f"second_snapshot_{name}"] for name in ("new", "changed", "deleted", "written")]
        assert found == [5, 20, 3, 28]
        assert told["web_days"] == 3
        assert told["web_rows"] > 5_000
        assert min(told[f"web_late_{what}"] for what in ("rows", "hours", "days", "rows_written")) > 0
        assert all(check["passed"] for check in told["checks"])
        assert not EmbeddedPostgres(tmp_path / "home" / "demo" / "postgres").is_running()


def test_the_demo_shows_each_reader_what_is_theirs(environment: dict[str, str], tmp_path: Path) -> None:
    with started(environment, tmp_path, "demo", "--days", "3", "--events-per-day", "100", *free_ports()) as process:
        assert process.stdout is not None
        addresses = (line.split()[1] for line in process.stdout if line.startswith("Dashboard:"))
        dashboard = next(addresses)
        seen = {}
        for place, name in enumerate(("administrator", "owner", "collaborator", "card owner", "stranger")):
            with requests.Session() as browser:
                here = {"Origin": dashboard.removesuffix("/dashboard")}
                form = {"reader": str(place)}
                browser.post(f"{dashboard}/sign-in", form, headers=here, timeout=30).raise_for_status()
                overview = browser.get(f"{dashboard}/api/overview", timeout=30).json()
                health = browser.get(f"{dashboard}/api/health", timeout=30).status_code
            seen[name] = (len(overview["projects"]), len(overview["cards"]), health)
        assert seen == {
            "administrator": (3, 15, 200), "owner": (1, 5, 403), "collaborator": (2, 0, 403), "card owner": (0, 1, 403),
            "stranger": (0, 0, 403),
        }  # fmt: skip
        process.send_signal(signal.SIGINT)
        assert process.wait(END_SECONDS) == 0
    assert not EmbeddedPostgres(tmp_path / "home" / "demo" / "postgres").is_running()


def test_the_demo_after_a_crash(run: Run, environment: dict[str, str], tmp_path: Path) -> None:
    with started(environment, tmp_path, "demo", "--days", "3", "--events-per-day", "200") as process:
        server = EmbeddedPostgres(tmp_path / "home" / "demo" / "postgres")
        while not (server.data / "postmaster.pid").exists():
            assert process.poll() is None
        refused = run("demo", "--once", "--days", "1")
        assert refused.returncode == 1
        assert "another demo is running" in refused.stderr
        process.kill()
        process.wait()
    finished = run("demo", "--once", "--days", "1", "--events-per-day", "50")
    assert finished.returncode == 0, finished.stderr
    assert re.search(r"(\d+) of \1 checks passed", finished.stdout)
