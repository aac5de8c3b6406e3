"""Mixpanel's Query API: one request, its JSON proven whole, or a typed error."""

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import requests
from isal import igzip

from mixpanel_pipeline.mixpanel.connection import Budget, Connection, encoding_of
from mixpanel_pipeline.mixpanel.deep_json import flattened
from mixpanel_pipeline.mixpanel.errors import IncompleteAnswer, RateLimited
from mixpanel_pipeline.mixpanel.refusals import refusal_in_200

QUERY_PATH = "/api/query"
# Python reads at least this many whatever it is set to, and not much more; Postgres' numeric holds 131,072.
MOST_DIGITS = 640
LONGEST_DETAIL = 200


class Answer(NamedTuple):
    """`asked_at` by this machine's clock, after all waiting for the limits."""

    document: dict[str, Any]
    wire_bytes: int
    asked_at: datetime


class QueryApi:
    """One path under /api/query of one project. Threads may share it, each with its session."""

    def __init__(
        self,
        query_url: str,
        path: str,
        project_id: int,
        username: str | None,
        secret: str,
        budget: Budget,
        *,
        connect_timeout: float = 10,
        # Mixpanel itself gives up on a query after 488 s (mixpanel-headless).
        read_timeout: float = 500,
    ) -> None:
        """`query_url` is a base, https://mixpanel.com. Without `username`, `secret` is the project's."""
        base = query_url.rstrip("/").removesuffix(path).removesuffix(QUERY_PATH)
        self._connection = Connection(
            f"{base}{QUERY_PATH}{path}",
            project_id,
            username,
            secret,
            budget,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
        )

    @property
    def host(self) -> str:
        return self._connection.host

    def session(self) -> requests.Session:
        """Keeps its connection for all requests of one piece of work."""
        return self._connection.session()

    def ask(
        self,
        session: requests.Session,
        place: str,
        *,
        parameters: Mapping[str, str] | None = None,
        form: Mapping[str, str] | None = None,
        counted: bool = True,
    ) -> Answer:
        """One attempt. What is `counted` against Mixpanel's hourly limit waits for its turn first.

        Raises:
            MixpanelError: the typed reason; a 429's wait is then known to all runs of the project.
        """
        if counted:
            self._connection.budget.acquire()
        asked_at = datetime.now(UTC)
        parameters = {**(parameters or {}), **self._connection.project_parameters()}
        with self._connection.answer(session, place, parameters=parameters, form=form) as response:
            body = response.raw.read(decode_content=False)
        with self.judging():
            document = _document(body, encoding_of(response), place)
        if document.get("error"):
            self._refuse(str(document["error"]), place)
        return Answer(document, len(body), asked_at)

    @contextmanager
    def judging(self) -> Iterator[None]:
        """For whoever says in it what is wrong with an answer, in the answer's words: they may repeat the secret, or
        be of any length, and errors are logged and stored."""
        try:
            yield
        except IncompleteAnswer as error:
            detail = self._connection.without_secret(error.detail)
            cut = detail if len(detail) <= LONGEST_DETAIL else f"{detail[: LONGEST_DETAIL - 1]}…"
            # Without the error that it was: a log shows that one too.
            raise IncompleteAnswer(error.place, cut) from None

    def _refuse(self, reason: str, place: str) -> None:
        error = refusal_in_200(self._connection.without_secret(reason), place)
        if isinstance(error, RateLimited) and error.wait_seconds is not None:
            self._connection.budget.block_for(error.wait_seconds)
        raise error


def _document(body: bytes, encoding: str, place: str) -> dict[str, Any]:
    """The JSON object. One odd value must not cost all the others: bytes that are no UTF-8 become U+FFFD; numbers that
    are too large, and what is nested too deeply, become text."""
    try:
        body = flattened(igzip.decompress(body) if encoding == "gzip" else body)
        text = body.decode("utf-8", errors="replace")
        document = json.loads(text, parse_int=_integer, parse_float=_number, parse_constant=str)
    except (EOFError, OSError, ValueError) as error:
        raise IncompleteAnswer(place, f"{len(body)} bytes that are no whole JSON: {error}") from error
    if not isinstance(document, dict):
        raise IncompleteAnswer(place, f"a JSON {type(document).__name__} where an object belongs")
    return document


def _integer(text: str) -> int | str:
    return int(text) if len(text) <= MOST_DIGITS else text


def _number(text: str) -> float | str:
    """A number too large for a double stays what it was, as text: infinity has no place in JSON."""
    number = float(text)
    return number if math.isfinite(number) else text
