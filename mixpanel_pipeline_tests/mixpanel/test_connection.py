"""What counts against Mixpanel's hourly limit: every request that may have reached it, and no other."""

import socket
from pathlib import Path
from typing import NoReturn

import psycopg
import pytest

from mixpanel_pipeline.mixpanel.engage import EngageClient
from mixpanel_pipeline.mixpanel.errors import ConnectionFailure, ServerFailure
from mixpanel_pipeline.mixpanel.export import ExportClient
from mixpanel_pipeline.mixpanel.rate_limit import RequestBudget
from mixpanel_pipeline.mixpanel.retry import RetryPolicy
from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline_tests.mixpanel.conftest import DAY, SECRET, Waits


@pytest.fixture
def shared_budget(waits: Waits) -> RequestBudget:
    return RequestBudget(lambda: psycopg.connect(waits.url), 12345, sleep=waits, log=lambda _message: None)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


def test_attempts_without_a_connection_do_not_count(shared_budget: RequestBudget, tmp_path: Path) -> None:
    client = ExportClient(f"http://127.0.0.1:{closed_port()}", 12345, "account", SECRET, shared_budget)
    for _ in range(5):
        with pytest.raises(ConnectionFailure, match="Connection refused"):
            client.download(DAY, DAY, tmp_path / "body", events=None)
    assert shared_budget.used_in_last_hour() == 0


def test_nor_do_those_without_an_address(
    shared_budget: RequestBudget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_resolver(*_arguments: object, **_options: object) -> NoReturn:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_resolver)
    client = ExportClient("http://mixpanel.invalid", 12345, "account", SECRET, shared_budget)
    with pytest.raises(ConnectionFailure, match="Failed to resolve"):
        client.download(DAY, DAY, tmp_path / "body", events=None)
    assert shared_budget.used_in_last_hour() == 0


def test_nor_does_one_whose_proxy_is_gone(
    shared_budget: RequestBudget, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    client = ExportClient("http://mixpanel.invalid", 12345, "account", SECRET, shared_budget)
    with pytest.raises(ConnectionFailure):
        client.download(DAY, DAY, tmp_path / "body", events=None)
    assert shared_budget.used_in_last_hour() == 0


def test_nor_one_that_nobody_answers(shared_budget: RequestBudget, tmp_path: Path) -> None:
    """A queue of connections that is full drops more of them, as a firewall does."""
    with socket.socket() as deaf, socket.socket() as first:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        first.connect(deaf.getsockname())
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        client = ExportClient(url, 12345, "account", SECRET, shared_budget, connect_timeout=0.2)
        with pytest.raises(ConnectionFailure, match="timed out"):
            client.download(DAY, DAY, tmp_path / "body", events=None)
    assert shared_budget.used_in_last_hour() == 0


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 503 Unavailable\r\nContent-Length: 0\r\n\r\n"], ids=["reset", "503"]
)
def test_what_may_have_reached_mixpanel_counts(
    serve_bytes, shared_budget: RequestBudget, tmp_path: Path, answer: bytes
) -> None:
    client = ExportClient(serve_bytes(answer), 12345, "account", SECRET, shared_budget)
    with pytest.raises((ConnectionFailure, ServerFailure)):
        client.download(DAY, DAY, tmp_path / "body", events=None)
    assert shared_budget.used_in_last_hour() == 1


def test_the_uncounted_pages_of_a_session_have_nothing_to_give_back(shared_budget: RequestBudget) -> None:
    project = Project(project_id=12345, username="account", secret=SECRET)
    for number in range(3):
        project.set_profile(f"person-{number}", {})
    with SimulatorServer(project) as server:
        client = EngageClient(
            server.url, 12345, "account", SECRET, shared_budget,
            policy=RetryPolicy(attempts=1), sleep=lambda _seconds: None, log=lambda _message: None,
        )  # fmt: skip
        pages = client.pages(page_size=1)
        next(pages)
    with pytest.raises(ConnectionFailure):
        next(pages)
    assert shared_budget.used_in_last_hour() == 1
