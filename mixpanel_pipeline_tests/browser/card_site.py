"""A site whose pages have the batcher: /, /profile and any other path are pages of a card."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[2] / "clients" / "analytics-batcher"
MODULE, SCRIPT = "analytics-batcher.js", "analytics-batcher.script.js"

PAGE = """<!doctype html>
<title>A card</title>
<a id="next" href="/profile">Profile</a>
<button id="mail" onclick="made.push(batcher.trackClick('contact', 'mail'))">Mail</button>
<script src="/analytics-batcher.script.js"></script>
<script>
  var made = [], problems = [];
  var batcher = AnalyticsBatcher.createBatcher({{...{settings}, onProblem: (problem) => problems.push(problem)}});
  {script}
</script>
"""


class CardSite(ThreadingHTTPServer):
    """Its pages make their batcher with `settings`, and then run `script`."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Pages)
        self.settings: dict[str, Any] = {}
        self.script = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        site = self.server
        assert isinstance(site, CardSite)
        if self.path.removeprefix("/") in (MODULE, SCRIPT):
            kind, body = "text/javascript", built(self.path.removeprefix("/"))
        else:
            kind, body = "text/html", PAGE.format(settings=json.dumps(site.settings), script=site.script)
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


def built(name: str) -> str:
    """A file of the batcher as it is built; without it the test fails."""
    file = PACKAGE / "dist" / name
    if not file.is_file():
        pytest.fail(f"no {name} found in {file.parent}: build it with `make client`")
    return file.read_text()
