"""A simulated project on a real port, servers that answer with given bytes, and time that passes at once."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import psycopg
import pytest

from mixpanel_pipeline.mixpanel.export import Download, ExportClient
from mixpanel_pipeline.simulator.project import Project
from mixpanel_pipeline.simulator.server import SimulatorServer

SECRET = "s3cret-wörd"
DAY = date(2026, 1, 31)


def run(url: str, statement: str, *parameters: object) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement, parameters)  # pyright: ignore[reportArgumentType, reportCallIssue]


def pass_time(url: str, seconds: float) -> None:
    """What is recorded becomes older by so many seconds."""
    run(url, "update mixpanel_requests set requested_at = requested_at - make_interval(secs => %s)", seconds)
    run(url, "update mixpanel_rate_limits set blocked_until = blocked_until - make_interval(secs => %s)", seconds)


class Waits:
    """A sleep that notes how long, and makes that much time pass in the database."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seconds: list[float] = []

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        pass_time(self.url, seconds)


class RecordedBudget:
    """Allows everything and remembers what it was asked."""

    def __init__(self) -> None:
        self.acquired = 0
        self.blocked_for: list[float] = []

    def acquire(self) -> None:
        self.acquired += 1

    def settle(self, *, sent: bool) -> None: ...

    def block_for(self, seconds: float) -> None:
        self.blocked_for.append(seconds)


@pytest.fixture
def waits(database_url: str) -> Waits:
    return Waits(database_url)


@pytest.fixture
def budget() -> RecordedBudget:
    return RecordedBudget()


@pytest.fixture(scope="session")
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(Project()) as running:
        yield running


@pytest.fixture
def project(server: SimulatorServer) -> Project:
    """A project of one's own, with three events on DAY, on the shared server."""
    server.project = Project(project_id=12345, username="account", secret=SECRET, today=lambda: date(2026, 2, 3))
    for number in range(3):
        server.project.add("Viewed Discover Tab", f"person-{number}", 1769860800 + number)
    return server.project


@pytest.fixture
def client(server: SimulatorServer, project: Project, budget: RecordedBudget) -> ExportClient:
    return ExportClient(server.url, project.credentials.project_id, "account", SECRET, budget)


@pytest.fixture
def download(client: ExportClient, tmp_path: Path) -> Callable[[], Download]:
    """One attempt for DAY, all events."""
    return lambda: client.download(DAY, DAY, tmp_path / "body", events=None)


@pytest.fixture
def serve_bytes() -> Iterator[Callable[[bytes], str]]:
    """Starts a server that answers one request with exactly these bytes, then closes; returns its base URL."""
    with ExitStack() as stack:

        def serve(answer: bytes) -> str:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

            def answer_once() -> None:
                connection, _ = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

            thread = threading.Thread(target=answer_once, daemon=True)
            thread.start()
            stack.callback(thread.join, 5)
            return f"http://127.0.0.1:{listening.getsockname()[1]}"

        yield serve
