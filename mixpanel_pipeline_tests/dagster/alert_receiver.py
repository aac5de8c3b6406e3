"""A webhook on loopback: keeps what Apprise's json:// sends to it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Part of every address; must be in no alert and no log.
TOKEN = "token-of-the-receiver"


class AlertReceiver(ThreadingHTTPServer):
    """Answers with `status`, which a test may change; `bodies` are all that came and was answered with 200."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), _Answer)
        self.status = 200
        self.bodies: list[dict[str, str]] = []

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.server_address[1]}/{TOKEN}"

    @property
    def titles(self) -> list[str]:
        return [body["title"] for body in self.bodies]


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        server = self.server
        assert isinstance(server, AlertReceiver)
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if server.status == 200:
            server.bodies.append(body)
        self.send_response(server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args) -> None:
        """Says nothing."""


@contextmanager
def alert_receiver() -> Iterator[AlertReceiver]:
    """Runs for the length of the block."""
    with AlertReceiver() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
