"""The collector on loopback, on a fresh database, with a write key: in a thread, or, where it is to be ended or
measured, as a process of its own, which takes a second to start."""

import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from mixpanel_pipeline.cli.service import build_service
from mixpanel_pipeline.collector.server import listen, make_server
from mixpanel_pipeline.collector.write_keys import make_key
from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline_tests.conftest import fresh_database

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
ORIGIN = "https://cards.example"
PROJECT = "shop"
COMMAND = "from mixpanel_pipeline.cli import main; main()"
ARGUMENTS = ["collect", "--port", "0", "--json"]
PROGRAM = [sys.executable, "-c", COMMAND, *ARGUMENTS]
TIMEOUT_SECONDS = 60


@dataclass
class RunningCollector:
    """Where it answers, a key that it takes, and what it wrote."""

    url: str
    key: str
    log: Path

    def post(self, body: bytes | str, **headers: str) -> requests.Response:
        """A body as it is, from a browser unless said otherwise."""
        sent = {
            "User-Agent": BROWSER,
            "Content-Type": "text/plain",
            **{k.replace("_", "-"): v for k, v in headers.items()},
        }
        data = body.encode() if isinstance(body, str) else body
        return requests.post(f"{self.url}/v1/batch", data=data, headers=sent, timeout=TIMEOUT_SECONDS)

    def send(self, events: list[Any], **headers: str) -> requests.Response:
        """A batch of these events."""
        return self.post(json.dumps({"write_key": self.key, "events": events}), **headers)

    def stored(self, events: list[Any], **headers: str) -> dict[str, Any]:
        """The answer to a batch that is taken."""
        answer = self.send(events, **headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def get(self, path: str) -> requests.Response:
        return requests.get(self.url + path, timeout=TIMEOUT_SECONDS)

    def metric(self, name: str, **labels: str) -> float:
        """A figure of /metrics; 0 when nothing was counted yet."""
        for line in self.get("/metrics").text.splitlines():
            found, _, value = line.rpartition(" ")
            if found.partition("{")[0] == name and all(f'{key}="{label}"' in found for key, label in labels.items()):
                return float(value)
        return 0.0


@dataclass
class CollectorProcess(RunningCollector):
    """One that may be killed."""

    process: subprocess.Popen[str]


Start = Callable[..., RunningCollector]
StartProcess = Callable[..., CollectorProcess]


@contextmanager
def serving(database_url: str, directory: Path, key: str, **settings: str) -> Iterator[RunningCollector]:
    """What `collect` serves with these settings, in a thread of this process; ended with the block."""
    given = {name.lower(): value for name, value in settings.items()}
    chosen = Settings(_env_file=None, pipeline_home=directory / "home", **given)  # pyright: ignore[reportCallIssue, reportArgumentType]
    log = directory / "collector.log"
    answering = threading.Event()
    server = make_server(
        build_service(chosen, Warehouse(database_url)), chosen.collector_trusted_proxies, answering.set
    )  # fmt: skip
    handler = logging.FileHandler(log)
    logging.getLogger("mixpanel_pipeline").addHandler(handler)
    with listen("127.0.0.1", 0) as listening:
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            assert answering.wait(TIMEOUT_SECONDS), log.read_text()
            yield RunningCollector(f"http://127.0.0.1:{listening.getsockname()[1]}", key, log)
        finally:
            server.should_exit = True
            thread.join(TIMEOUT_SECONDS)
            logging.getLogger("mixpanel_pipeline").removeHandler(handler)
            handler.close()


@contextmanager
def running(
    database_url: str, directory: Path, key: str, *, first: str = "", **settings: str
) -> Iterator[CollectorProcess]:
    """A process that has said where it answers; ended with the block. `first` is Python that it runs before."""
    kept = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    environment = {**kept, "PIPELINE_HOME": str(directory / "home"), "DATABASE_URL": database_url, **settings}
    log = directory / "collector.log"
    program = [sys.executable, "-c", first + COMMAND, *ARGUMENTS]
    with log.open("a") as errors, subprocess.Popen(
        program, env=environment, cwd=directory, stdout=subprocess.PIPE, stderr=errors, text=True
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            assert said, log.read_text()
            yield CollectorProcess(json.loads(said)["url"], key, log, process)
        finally:
            process.terminate()
            try:
                process.wait(TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@pytest.fixture(scope="module")
def shared(
    postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[RunningCollector, Warehouse]]:
    """One for all tests of a module, which say nothing of what is stored but by their own ids."""
    with fresh_database(postgres) as url:
        key = make_key(Warehouse(url), PROJECT, [])
        directory = tmp_path_factory.mktemp("collector")
        with serving(url, directory, key, COLLECTOR_REQUESTS_PER_ADDRESS="9999999") as collector:
            yield collector, Warehouse(url)


@pytest.fixture
def key(warehouse: Warehouse) -> str:
    return make_key(warehouse, PROJECT, [ORIGIN])


@pytest.fixture
def start(database_url: str, key: str, tmp_path: Path) -> Iterator[Start]:
    """Starts a collector with settings of the test's own."""
    with ExitStack() as open_ones:
        yield lambda **settings: open_ones.enter_context(serving(database_url, tmp_path, key, **settings))


@pytest.fixture
def start_process(database_url: str, key: str, tmp_path: Path) -> Iterator[StartProcess]:
    """The same as a process of its own."""
    with ExitStack() as open_ones:
        yield lambda **settings: open_ones.enter_context(running(database_url, tmp_path, key, **settings))


@pytest.fixture
def collector(start: Start) -> RunningCollector:
    """One with the default settings, but for how many requests one address may make."""
    return start(COLLECTOR_REQUESTS_PER_ADDRESS="100000")
