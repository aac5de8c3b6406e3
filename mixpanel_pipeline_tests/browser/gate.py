"""What stands between a page and the collector, and lets through what a test lets it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

TIMEOUT_SECONDS = 60
OWN_TO_A_CONNECTION = ("connection", "content-length", "date", "host", "server", "transfer-encoding")


@dataclass
class Passed:
    """A request that came, and what it was answered with; 0 when the line was cut instead."""

    body: dict[str, Any]
    status: int

    @property
    def ids(self) -> list[str]:
        """Of the events in it that have ids of their own."""
        return [event["id"] for event in self.body["events"] if event["type"] != "session"]


@dataclass
class Faults:
    """What happens to a request instead of its being passed on and answered."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b'{"error": "expected otherwise"}'
    most_events: int | None = None
    answers_are_lost: bool = False


class Gate(ThreadingHTTPServer):
    """Passes requests on to the collector at `collector_url` as they are."""

    daemon_threads = True

    def __init__(self, collector_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.collector_url = collector_url
        self.faults = Faults()
        self.passed: list[Passed] = []
        self.came = threading.Condition()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1/batch"

    def has_passed(self, count: int) -> list[Passed]:
        """Once so many requests were answered: all of them."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.passed) >= count, TIMEOUT_SECONDS), self.passed
            return list(self.passed)

    def has_brought(self, ids: list[str]) -> None:
        """Once all of these events were in a request that was answered."""

        def brought() -> bool:
            return set(ids) <= {each for passed in self.passed if passed.status == 200 for each in passed.ids}

        with self.came:
            assert self.came.wait_for(brought, TIMEOUT_SECONDS), self.passed

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that went away while it was answered is none."""


class _Passing(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        gate = self.server
        assert isinstance(gate, Gate)
        body = self.rfile.read(int(self.headers["Content-Length"]))
        faults = gate.faults
        too_many = faults.most_events is not None and len(json.loads(body)["events"]) > faults.most_events
        status, headers, said = 413 if too_many else faults.status or 0, faults.headers, faults.body
        if not status:
            kept = {name: value for name, value in self.headers.items() if name.lower() not in OWN_TO_A_CONNECTION}
            answer = requests.post(f"{gate.collector_url}/v1/batch", data=body, headers=kept, timeout=TIMEOUT_SECONDS)
            status, headers, said = answer.status_code, dict(answer.headers), answer.content
        else:
            allowed = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After"}
            headers = {**headers, **allowed}
        if faults.answers_are_lost:
            self.close_connection = True
        else:
            self._answer(status, headers, said)
        with gate.came:
            gate.passed.append(Passed(json.loads(body), 0 if faults.answers_are_lost else status))
            gate.came.notify_all()

    def _answer(self, status: int, headers: dict[str, str], said: bytes) -> None:
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in OWN_TO_A_CONNECTION:
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@contextmanager
def serving(server: ThreadingHTTPServer) -> Iterator[None]:
    """It answers for the length of the block."""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
