"""The three servers of Dagster: a code server, the web page, and the daemon of schedules, sensors and the queue.

The code server is a process of its own: one that the daemon starts for itself ends itself after twenty seconds
without a heartbeat on a busy machine, and the run that was about to start fails.
"""

import socket
from pathlib import Path

import requests

from mixpanel_pipeline.cli.ports import free_port
from mixpanel_pipeline.cli.servers import ANSWER_SECONDS, LOOPBACK, Servers, answers, local_address

DEFINITIONS = "mixpanel_pipeline.definitions"
LOCATION = "mixpanel_pipeline"

LOCATION_QUERY = """
{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError {
    __typename ... on PythonError { message } } } } } }
"""
DAEMON_QUERY = "{ instance { daemonHealth { allDaemonStatuses { daemonType required healthy } } } }"


class DefinitionsError(Exception):
    """The code server runs, but the definitions could not be loaded; carries the reason."""


def start_dagster(servers: Servers, home: Path, host: str, port: int) -> str:
    """Starts the three and waits until each answers; returns the web page's address.

    Raises:
        ServerError: one ended or did not come up.
        DefinitionsError: the definitions cannot be loaded.
    """
    code_port = free_port(LOOPBACK)
    workspace = _write_workspace(home, code_port)
    code = servers.start(
        "code server",
        [
            "-m", "dagster", "code-server", "start", "-h", LOOPBACK, "-p", str(code_port), "-m", DEFINITIONS,
            "--location-name", LOCATION, "--use-python-environment-entry-point",
        ],
    )  # fmt: skip
    servers.wait_until(lambda: _accepts_connections(code_port), code)
    page = servers.start(
        "webserver", ["-m", "dagster_webserver", "-h", host, "-p", str(port), "-w", str(workspace)]
    )  # fmt: skip
    daemon = servers.start("daemon", ["-m", "dagster._daemon", "run", "-w", str(workspace)])
    local = local_address(host, port)
    servers.wait_until(lambda: answers(f"{local}/server_info"), page)
    servers.wait_until(lambda: _location_is_loaded(local), page)
    servers.wait_until(lambda: _daemon_is_healthy(local), daemon)
    return local


def _write_workspace(home: Path, code_port: int) -> Path:
    path = home / "workspace-of-up.yaml"
    path.write_text(
        "# Written by `mixpanel-pipeline up`: where its code server listens.\n"
        "load_from:\n"
        f"  - grpc_server: {{host: {LOOPBACK}, port: {code_port}, location_name: {LOCATION}}}\n",
        encoding="utf-8",
    )
    return path


def _accepts_connections(port: int) -> bool:
    try:
        with socket.create_connection((LOOPBACK, port), timeout=ANSWER_SECONDS):
            return True
    except OSError:
        return False


def _location_is_loaded(url: str) -> bool:
    entries = _ask(url, LOCATION_QUERY)["workspaceOrError"].get("locationEntries") or []
    for entry in entries:
        loaded = entry["locationOrLoadError"] or {}
        if loaded.get("__typename") == "PythonError":
            raise DefinitionsError(f"the definitions of {entry['name']} cannot be loaded: {loaded['message'].strip()}")
        if loaded.get("__typename") == "RepositoryLocation":
            return True
    return False


def _daemon_is_healthy(url: str) -> bool:
    statuses = _ask(url, DAEMON_QUERY)["instance"]["daemonHealth"]["allDaemonStatuses"]
    return all(status["healthy"] for status in statuses if status["required"])


def _ask(url: str, query: str) -> dict:
    answer = requests.post(f"{url}/graphql", json={"query": query}, timeout=ANSWER_SECONDS * 6)
    answer.raise_for_status()
    return answer.json()["data"]
