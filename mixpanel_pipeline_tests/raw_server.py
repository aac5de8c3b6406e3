"""An HTTP server that answers exports with exactly the bytes a test gives it: what no simulator would send."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class RawServer(ThreadingHTTPServer):
    """Answers every request with `body`, `status` and `headers`, which a test may change while it runs."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.body = b""
        self.status = 200
        self.headers: dict[str, str] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, RawServer)
        self.send_response(server.status)
        for name, value in {"Content-Type": "text/plain", **server.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        self.wfile.write(server.body)

    def log_message(self, format: str, *args) -> None:
        """Says nothing."""


@contextmanager
def raw_server() -> Iterator[RawServer]:
    """Runs for the length of the block."""
    with RawServer() as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
