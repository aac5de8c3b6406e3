"""A backfill launched as a person does it: webserver, daemon and code server as processes, a click by HTTP."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from mixpanel_pipeline.dagster_project.instance import dagster_instance, prepare_dagster_home
from mixpanel_pipeline.dagster_project.launch import LOCATION_NAME, launch_days
from mixpanel_pipeline.lake.calendar import days_between
from mixpanel_pipeline.settings import load_settings
from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.dagster.loaded_definitions import forget_definitions
from mixpanel_pipeline_tests.workbench import (
    PROJECT_ID,
    SECRET,
    USERNAME,
    expected_totals,
    exported_lines,
    stored_totals,
)

pytestmark = pytest.mark.slow

LOOPBACK = "127.0.0.1"
ASSETS = ["mixpanel_raw_events", "subscriber_daily_contributions", "subscribers_insights_v2", "sync_watermarks"]

# The backfill daemon looks every 30 s and no setting changes that; a test need not wait so long.
IMPATIENT_DAEMON = (
    "import dagster._daemon.controller as controller; controller.DEFAULT_DAEMON_INTERVAL_SECONDS = 2; "
    "from dagster._daemon.cli import main; main()"
)

LAUNCH = """
mutation Launch($parameters: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $parameters) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }
"""
BACKFILL = """
query Backfill($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill {
  status runs { id status tags { key value } } } } }
"""
PARTITIONS = """
{ assetNodes { assetKey { path } partitionStats { numMaterialized numFailed } } }
"""
LOCATIONS = """
{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename } } } } }
"""
RUN = """
query Run($id: ID!) { runOrError(runId: $id) { ... on Run {
  status repositoryOrigin { repositoryLocationName } } } }
"""


class WebServer:
    """The UI's own interface."""

    def __init__(self, port: int) -> None:
        self.url = f"http://{LOOPBACK}:{port}/graphql"

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        answer = requests.post(self.url, json={"query": query, "variables": variables}, timeout=30)
        answer.raise_for_status()
        assert "errors" not in answer.json(), answer.text
        return answer.json()["data"]

    def is_up(self) -> bool:
        try:
            entries = self.ask(LOCATIONS)["workspaceOrError"]["locationEntries"]
        except requests.RequestException:
            return False
        return [entry["locationOrLoadError"]["__typename"] for entry in entries] == ["RepositoryLocation"]

    def materialized(self) -> dict[str, int]:
        """Of the four assets of a day: how many partitions are green."""
        nodes = {node["assetKey"]["path"][0]: node["partitionStats"] for node in self.ask(PARTITIONS)["assetNodes"]}
        return {asset: nodes[asset]["numMaterialized"] for asset in ASSETS}


def free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as server:
        return server.getsockname()[1]


def accepts_connections(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=5).close()
    except OSError:
        return False
    return True


def wait_until(true: Callable[[], Any], seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := true():
            return found
        time.sleep(0.5)
    raise TimeoutError(f"not within {seconds} s")


def _listen_to_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def process(name: str, command: list[str], environment: dict[str, str], logs: Path) -> Iterator[None]:
    """A server for the length of the block, ended by its process id, and its children with it."""
    with (logs / f"{name}.log").open("wb") as log:
        # A shell that starts tests in the background ignores SIGINT, and Dagster's servers then inherit that and
        # survive SIGTERM too (reference/dagster.md 0.10).
        started = subprocess.Popen(
            [sys.executable, *command], env=environment, cwd=logs, stdout=log, stderr=subprocess.STDOUT,
            start_new_session=True, preexec_fn=_listen_to_interrupts,  # noqa: PLW1509 - it only sets a signal
        )  # fmt: skip
    try:
        yield
    finally:
        started.send_signal(signal.SIGTERM)
        try:
            started.wait(20)
        except subprocess.TimeoutExpired:
            started.kill()
        with suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
        started.wait(10)


@pytest.fixture
def yesterday() -> date:
    return datetime.now(UTC).date() - timedelta(days=1)


@pytest.fixture
def mixpanel(yesterday: date) -> Iterator[SimulatorServer]:
    project = Project(events_per_day=2000, people=200, first_day=yesterday - timedelta(days=20))
    with SimulatorServer(project) as server:
        yield server


@pytest.fixture
def environment(
    mixpanel: SimulatorServer, database_url: str, tmp_path: Path, yesterday: date, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    variables = {
        "PIPELINE_HOME": str(tmp_path / "home"),
        "MIXPANEL_DATA_URL": mixpanel.url,
        "MIXPANEL_QUERY_URL": mixpanel.url,
        "MIXPANEL_PROJECT_ID": str(PROJECT_ID),
        "MIXPANEL_USERNAME": USERNAME,
        "MIXPANEL_SECRET": SECRET,
        "MIXPANEL_START_DATE": str(yesterday - timedelta(days=15)),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    forget_definitions(monkeypatch)
    return {**variables, **prepare_dagster_home(load_settings(), database_url)}


@pytest.fixture
def web(environment: dict[str, str], tmp_path: Path) -> Iterator[WebServer]:
    code_port, web_port = free_port(), free_port()
    workspace = tmp_path / "workspace.yaml"
    location = f"{{host: {LOOPBACK}, port: {code_port}, location_name: {LOCATION_NAME}}}"
    workspace.write_text(f"load_from:\n  - grpc_server: {location}\n")
    processes = {
        "code": ["-m", "dagster", "code-server", "start", "-h", LOOPBACK, "-p", str(code_port),
                 "-m", "mixpanel_pipeline.definitions", "--location-name", LOCATION_NAME],
        "daemon": ["-c", IMPATIENT_DAEMON, "run", "-w", str(workspace)],
        "web": ["-m", "dagster_webserver", "-h", LOOPBACK, "-p", str(web_port), "-w", str(workspace)],
    }  # fmt: skip
    with ExitStack() as stack:
        for name, command in processes.items():
            stack.enter_context(process(name, command, {**os.environ, **environment}, tmp_path))
            if name == "code":  # the others load the location once, and then only now and again
                wait_until(lambda: accepts_connections(code_port), 60)
        server = WebServer(web_port)
        wait_until(server.is_up, 120)
        yield server


def test_a_range_backfill_is_one_run_and_the_totals_are_mixpanels(
    web: WebServer, warehouse: Warehouse, environment: dict[str, str], yesterday: date
):
    first = yesterday - timedelta(days=9)
    days = days_between(first, yesterday)
    answer = web.ask(
        LAUNCH,
        parameters={
            "assetSelection": [{"path": [asset]} for asset in ASSETS],
            "partitionNames": [str(day) for day in days],
        },
    )
    backfill_id = answer["launchPartitionBackfill"]["backfillId"]

    def ended() -> dict[str, Any] | None:
        backfill = web.ask(BACKFILL, id=backfill_id)["partitionBackfillOrError"]
        return backfill if backfill["status"] not in ("REQUESTED", "FAILING", "CANCELING") else None

    backfill = wait_until(ended, 180)
    assert backfill["status"] == "COMPLETED_SUCCESS"
    assert [run["status"] for run in backfill["runs"]] == ["SUCCESS"]
    assert web.materialized() == dict.fromkeys(ASSETS, len(days))
    expected = expected_totals({day: exported_lines(environment["MIXPANEL_DATA_URL"], day) for day in days})
    assert len(expected) > 100
    assert stored_totals(warehouse) == expected

    # What the command line launches shows beside it, and the UI finds its code.
    with dagster_instance(environment) as instance:
        result = launch_days(instance, first - timedelta(days=1), first - timedelta(days=1))
    assert result.success, result.error
    run = web.ask(RUN, id=result.run_id)["runOrError"]
    assert run == {"status": "SUCCESS", "repositoryOrigin": {"repositoryLocationName": LOCATION_NAME}}
    assert web.materialized() == dict.fromkeys(ASSETS, len(days) + 1)
