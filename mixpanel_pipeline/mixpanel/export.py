"""Mixpanel's raw Export API: one request, its answer on disk byte for byte, or a typed error.

A body that ends here has reached its end by HTTP's account: the last chunk came, or Content-Length bytes.
Whether it also is a complete export (gzip trailer, last line, no `terminated early`) is the lake's to prove.
"""

import base64
import hashlib
import json
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from requests.structures import CaseInsensitiveDict

from mixpanel_pipeline.mixpanel.errors import ConnectionFailure, RateLimited, ServerFailure, place_of
from mixpanel_pipeline.mixpanel.refusals import refusal

EXPORT_PATH = "/api/2.0/export"
HOSTS = {
    "us": ("https://data.mixpanel.com", "https://mixpanel.com"),
    "eu": ("https://data-eu.mixpanel.com", "https://eu.mixpanel.com"),
    "in": ("https://data-in.mixpanel.com", "https://in.mixpanel.com"),
}
READ_BYTES = 256 * 1024
LONGEST_REFUSAL_BYTES = 16 * 1024


def residency_urls(residency: str) -> tuple[str, str]:
    """The bases of the data API (exports) and the query API (profiles, reports) of `us`, `eu` or `in`."""
    return HOSTS[residency]


class Budget(Protocol):
    """Says when a request may be sent: rate_limit.RequestBudget."""

    def acquire(self) -> None: ...

    def block_for(self, seconds: float) -> None: ...


@dataclass(frozen=True)
class Download:
    """An answer on disk. `path` holds the bytes of the wire, still gzip when `encoding` is `gzip`, else
    `identity`; equal `wire_sha256` means equal bytes, so a day proven complete once needs no second proof."""

    path: Path
    encoding: str
    wire_bytes: int
    wire_sha256: str


class ExportClient:
    """Downloads exports of one project. Threads may share it: every download has its own connection."""

    def __init__(
        self,
        data_url: str,
        project_id: int,
        username: str | None,
        secret: str,
        budget: Budget,
        *,
        connect_timeout: float = 10,
        # The first byte of a large export may take minutes; Mixpanel's own mixpanel-utils waits 1200 s.
        read_timeout: float = 1200,
    ) -> None:
        """`data_url` is a base, https://data.mixpanel.com. Without `username`, `secret` is the project's."""
        self._url = data_url.rstrip("/").removesuffix(EXPORT_PATH) + EXPORT_PATH
        self.project_id = project_id
        self._username = username
        self._secret = secret
        self._budget = budget
        self._timeout = (connect_timeout, read_timeout)

    def __repr__(self) -> str:
        return f"ExportClient(project {self.project_id} at {self._host})"

    def download(
        self,
        from_day: date,
        to_day: date,
        destination: Path,
        *,
        events: Sequence[str] | None,
        where: str | None = None,
    ) -> Download:
        """Exports the days, both inclusive, to `destination`, in one attempt. `events` None means all.

        Raises:
            MixpanelError: the typed reason; a 429's wait is then known to all runs of the project.
            OSError: `destination` cannot be written (a full disk). No part of it stays after any error.
        """
        place = place_of(self.project_id, from_day, to_day)
        self._budget.acquire()
        parameters = self._parameters(from_day, to_day, events, where)
        with (
            self._connection_failures(place),
            self._session() as session,
            self._get(session, parameters) as response,
        ):
            self._refuse(response, place)
            return self._write(response, destination)

    @property
    def _host(self) -> str:
        return urlsplit(self._url).hostname or ""

    def _parameters(
        self, from_day: date, to_day: date, events: Sequence[str] | None, where: str | None
    ) -> dict[str, str]:
        parameters = {"from_date": from_day.isoformat(), "to_date": to_day.isoformat()}
        if self._username:
            parameters["project_id"] = str(self.project_id)  # a project secret says which project it is of
        if events is not None:
            parameters["event"] = json.dumps(list(events))
        if where is not None:
            parameters["where"] = where
        return parameters

    def _session(self) -> requests.Session:
        session = requests.Session()
        session.mount("http://", KeepAliveAdapter())
        session.mount("https://", KeepAliveAdapter())
        return session

    def _get(self, session: requests.Session, parameters: dict[str, str]) -> requests.Response:
        # As bytes, because requests encodes text credentials as Latin-1.
        user, password = (self._username, self._secret) if self._username else (self._secret, "")
        return session.get(
            self._url,
            params=parameters,
            auth=HTTPBasicAuth(user.encode(), password.encode()),
            headers={"Accept-Encoding": "gzip", "User-Agent": "mixpanel-pipeline"},
            stream=True,
            timeout=self._timeout,
            allow_redirects=False,
        )

    def _refuse(self, response: requests.Response, place: str) -> None:
        """Raises unless the answer is a body that can be an export and whose end can be told from a cut."""
        if response.status_code != 200:
            body = self._without_secrets(
                response.raw.read(LONGEST_REFUSAL_BYTES, decode_content=True).decode("latin-1")
            )
            headers = CaseInsensitiveDict(
                {name: self._without_secrets(text) for name, text in response.headers.items()}
            )
            error = refusal(response.status_code, headers, body.encode("latin-1"), place)
            if isinstance(error, RateLimited) and error.wait_seconds is not None:
                self._budget.block_for(error.wait_seconds)
            raise error
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise ServerFailure(place, f"{self._host} answered with a web page instead of an export")
        if _encoding(response) not in ("gzip", "identity"):
            raise ServerFailure(place, f"{self._host} sent Content-Encoding {_encoding(response)!r}, unasked")
        if not response.raw.chunked and response.raw.length_remaining is None:
            # Happens when the connection is cut among the headers: it would pass for an empty day.
            raise ConnectionFailure(place, "the answer has neither chunks nor Content-Length, so it may be cut")

    def _without_secrets(self, text: str) -> str:
        """An answer may repeat what it was asked with: the secret in the plain, in an address, or as Basic auth."""
        user = self._username or ""
        pairs = (f"{user}:{self._secret}", f"{self._secret}:", self._secret)
        encoded = (base64.b64encode(pair.encode()).decode() for pair in pairs)
        for secret in (*encoded, quote(self._secret, safe=""), self._secret.encode().decode("latin-1")):
            text = text.replace(secret, "***")
        return text

    def _write(self, response: requests.Response, destination: Path) -> Download:
        digest = hashlib.sha256()
        size = 0
        try:
            with destination.open("wb") as file:
                while block := response.raw.read(READ_BYTES, decode_content=False):
                    file.write(block)
                    digest.update(block)
                    size += len(block)
        except BaseException:
            destination.unlink(missing_ok=True)
            raise
        return Download(destination, _encoding(response), size, digest.hexdigest())

    @contextmanager
    def _connection_failures(self, place: str) -> Iterator[None]:
        """Whatever the network does wrong, before the answer (requests) or in it (urllib3), is one error."""
        try:
            yield
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise ConnectionFailure(place, f"{self._host}: {_cause(error)}") from error


class KeepAliveAdapter(HTTPAdapter):
    """Keeps a silent connection alive while Mixpanel prepares a large export: load balancers and NATs forget
    idle ones after 4 to 6 minutes (AWS: 350 s), and the wait would then end only at the read timeout."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        idle = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)  # Linux, macOS
        if idle is not None:
            options += [(socket.IPPROTO_TCP, idle, 60), (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 60)]
        super().init_poolmanager(*args, socket_options=options, **kwargs)


def _encoding(response: requests.Response) -> str:
    return response.headers.get("Content-Encoding", "identity").strip().lower() or "identity"


def _cause(error: Exception) -> str:
    """What went wrong, without the layers (`Max retries exceeded with url …`) that requests wraps it in."""
    while error.args and isinstance(error.args[0], Exception):
        error = error.args[0]
    error = getattr(error, "reason", None) or error
    return str(error.args[0]) if error.args else type(error).__name__
