"""How a request reaches Mixpanel: sessions, credentials, and what is wrong with an answer before it is read.

Shared by exports and queries. An answer that comes out of `answer` has status 200, an encoding that was asked
for, and an end that HTTP can tell from a cut; reading it to that end inside the block is part of the promise.
"""

import base64
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import HTTPBasicAuth
from requests.structures import CaseInsensitiveDict

from mixpanel_pipeline.mixpanel.errors import ConnectionFailure, RateLimited, ServerFailure
from mixpanel_pipeline.mixpanel.refusals import refusal

LONGEST_REFUSAL_BYTES = 16 * 1024


class Budget(Protocol):
    """Says when a request may be sent: rate_limit.RequestBudget."""

    def acquire(self) -> None: ...

    def settle(self, *, sent: bool) -> None: ...

    def block_for(self, seconds: float) -> None: ...


class Connection:
    """One of Mixpanel's addresses, as one project may use it. Threads may share it, each with its session."""

    def __init__(
        self,
        url: str,
        project_id: int,
        username: str | None,
        secret: str,
        budget: Budget,
        *,
        connect_timeout: float,
        read_timeout: float,
    ) -> None:
        """Without `username`, `secret` is the project's."""
        self.project_id = project_id
        self.budget = budget
        self._url = url
        self._username = username
        self._secret = secret
        self._timeout = (connect_timeout, read_timeout)

    @property
    def host(self) -> str:
        return urlsplit(self._url).hostname or ""

    def project_parameters(self) -> dict[str, str]:
        """A project secret says which project it is of, a service account has to."""
        return {"project_id": str(self.project_id)} if self._username else {}

    def session(self) -> requests.Session:
        session = requests.Session()
        session.mount("http://", KeepAliveAdapter())
        session.mount("https://", KeepAliveAdapter())
        return session

    @contextmanager
    def answer(
        self,
        session: requests.Session,
        place: str,
        *,
        parameters: Mapping[str, str],
        form: Mapping[str, str] | None = None,
    ) -> Iterator[requests.Response]:
        """The answer to a GET, or to a POST if there is a `form`; nothing of its body is read yet.

        Raises:
            MixpanelError: the typed reason; a 429's wait is then known to all runs of the project.
        """
        with self._connection_failures(place), self._counted(session, parameters, form) as response:
            self._refuse(response, place)
            yield response

    def without_secret(self, text: str) -> str:
        """An answer may repeat what it was asked with: the secret in the plain, in an address, or as Basic auth."""
        user = self._username or ""
        pairs = (f"{user}:{self._secret}", f"{self._secret}:", self._secret)
        encoded = (base64.b64encode(pair.encode()).decode() for pair in pairs)
        for secret in (*encoded, quote(self._secret, safe=""), self._secret, self._secret.encode().decode("latin-1")):
            text = text.replace(secret, "***")
        return text

    def _counted(
        self, session: requests.Session, parameters: Mapping[str, str], form: Mapping[str, str] | None
    ) -> requests.Response:
        """Sends it. Whatever may have reached Mixpanel counts; without a connection nothing did."""
        sent = True
        try:
            return self._send(session, parameters, form)
        except requests.ConnectionError as error:
            sent = not _without_connection(error)
            raise
        finally:
            self.budget.settle(sent=sent)

    def _send(
        self, session: requests.Session, parameters: Mapping[str, str], form: Mapping[str, str] | None
    ) -> requests.Response:
        # As bytes, because requests encodes text credentials as Latin-1.
        user, password = (self._username, self._secret) if self._username else (self._secret, "")
        return session.request(
            "GET" if form is None else "POST",
            self._url,
            params=parameters,
            data=form,
            auth=HTTPBasicAuth(user.encode(), password.encode()),
            headers={"Accept-Encoding": "gzip", "User-Agent": "mixpanel-pipeline"},
            stream=True,
            timeout=self._timeout,
            allow_redirects=False,
        )

    def _refuse(self, response: requests.Response, place: str) -> None:
        """Raises unless the answer is a body that can be data and whose end can be told from a cut."""
        if response.status_code != 200:
            # Latin-1 gives every byte a character, so that what is no text passes unharmed.
            body = response.raw.read(LONGEST_REFUSAL_BYTES, decode_content=True).decode("latin-1")
            headers = CaseInsensitiveDict({name: self.without_secret(text) for name, text in response.headers.items()})
            error = refusal(response.status_code, headers, self.without_secret(body).encode("latin-1"), place)
            if isinstance(error, RateLimited) and error.wait_seconds is not None:
                self.budget.block_for(error.wait_seconds)
            raise error
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise ServerFailure(place, f"{self.host} answered with a web page instead of data")
        if encoding_of(response) not in ("gzip", "identity"):
            raise ServerFailure(place, f"{self.host} sent Content-Encoding {encoding_of(response)!r}, unasked")
        if not response.raw.chunked and response.raw.length_remaining is None:
            # Happens when the connection is cut among the headers: it would pass for an empty day.
            raise ConnectionFailure(place, "the answer has neither chunks nor Content-Length, so it may be cut")

    @contextmanager
    def _connection_failures(self, place: str) -> Iterator[None]:
        """Whatever the network does wrong, before the answer (requests) or in it (urllib3), is one error."""
        try:
            yield
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise ConnectionFailure(place, f"{self.host}: {_cause(error)}") from error


class KeepAliveAdapter(HTTPAdapter):
    """Keeps a silent connection alive while Mixpanel prepares a large export: load balancers and NATs forget
    idle ones after 4 to 6 minutes (AWS: 350 s), and the wait would then end only at the read timeout."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        options = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1), (socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        idle = getattr(socket, "TCP_KEEPIDLE", None) or getattr(socket, "TCP_KEEPALIVE", None)  # Linux, macOS
        if idle is not None:
            options += [(socket.IPPROTO_TCP, idle, 60), (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 60)]
        super().init_poolmanager(*args, socket_options=options, **kwargs)


def encoding_of(response: requests.Response) -> str:
    return response.headers.get("Content-Encoding", "identity").strip().lower() or "identity"


def _without_connection(error: requests.ConnectionError) -> bool:
    """No address, no route, refused, or nobody answered; with keep-alive it is a new connection that failed."""
    wrapped = error.args[0] if error.args else None
    reason = getattr(wrapped, "reason", None)
    if isinstance(reason, urllib3.exceptions.ProxyError):
        reason = reason.original_error
    return isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def _cause(error: Exception) -> str:
    """What went wrong, without the layers (`Max retries exceeded with url …`) that requests wraps it in."""
    while error.args and isinstance(error.args[0], Exception):
        error = error.args[0]
    error = getattr(error, "reason", None) or error
    texts = [argument for argument in error.args if isinstance(argument, str)]
    return texts[0] if texts else str(error) or type(error).__name__
