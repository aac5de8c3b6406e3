"""Mixpanel's profiles: all pages of one frozen result, proven to be one whole, for one counted query.

The first page freezes the result and opens a session; the pages that follow name it and are free of the
hourly limit (mixpanel-headless, pacer.py). So a page that fails is asked for again in its session, and only
when that session is lost does everything begin anew.
"""

import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
from isal import igzip

from mixpanel_pipeline.mixpanel.connection import Budget
from mixpanel_pipeline.mixpanel.errors import IncompleteAnswer, IncompleteSnapshot
from mixpanel_pipeline.mixpanel.profile_pages import Person, ProvenPages
from mixpanel_pipeline.mixpanel.query import QueryApi
from mixpanel_pipeline.mixpanel.retry import RetryPolicy, retrying

ENGAGE_PATH = "/engage"
# Mixpanel gives 1,000 unless asked; Estuary's connector asks for 50,000. Whatever comes back is what counts.
PAGE_SIZE = 5_000
# Each costs a counted query, of which a project has 60 an hour.
SNAPSHOT_ATTEMPTS = 3
DEFAULT_POLICY = RetryPolicy()
NEVER = datetime.min.replace(tzinfo=UTC)

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Snapshot:
    """All profiles as they were just after `taken_at` (this machine's clock, when the first page was asked for).

    One JSON object a line, gzip: `$distinct_id` (text) and `$properties` with everything as Mixpanel sent it, NUL and
    lone surrogates as escapes; numbers beyond all limits and what is nested beyond them as text. Who has somebody
    else's id has a line too, with the reason as `$refused`.

    `unidentified` of the `people` have no usable id: their lines are there for whoever names them.
    Equal `content_sha256` means equal lines in equal order. `queries` counts against the hourly limit.
    """

    path: Path
    taken_at: datetime
    people: int
    unidentified: int
    pages: int
    page_size: int
    total: int | None
    session_id: str | None
    queries: int
    wire_bytes: int
    content_sha256: str


@dataclass
class _Usage:
    """What reading cost: whatever came, pages that were no good included."""

    queries: int = 0
    wire_bytes: int = 0
    first_page_at: datetime = NEVER


class EngageClient:
    """Reads the profiles of one project. Threads may share it: every reading has its own connection."""

    def __init__(
        self,
        query_url: str,
        project_id: int,
        username: str | None,
        secret: str,
        budget: Budget,
        *,
        policy: RetryPolicy = DEFAULT_POLICY,
        snapshot_attempts: int = SNAPSHOT_ATTEMPTS,
        sleep: Callable[[float], None] = time.sleep,
        log: Callable[[str], None] = logger.info,
        connect_timeout: float = 10,
        read_timeout: float = 500,
    ) -> None:
        """`query_url` is a base, https://mixpanel.com. Without `username`, `secret` is the project's."""
        self.project_id = project_id
        self._api = QueryApi(
            query_url,
            ENGAGE_PATH,
            project_id,
            username,
            secret,
            budget,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
        )
        self._policy = policy
        self._snapshot_attempts = snapshot_attempts
        self._sleep = sleep
        self._log = log

    def __repr__(self) -> str:
        return f"EngageClient(project {self.project_id} at {self._api.host})"

    def pages(
        self,
        *,
        page_size: int = PAGE_SIZE,
        where: str | None = None,
        output_properties: Sequence[str] | None = None,
    ) -> Iterator[list[Person]]:
        """The people of each page. Only when this ends without an error were they everybody.

        Raises:
            MixpanelError: a page failed as often as the policy allows; SessionLost as soon as it is.
        """
        yield from self._read(self._proof(page_size), _Usage(), _query(where, output_properties))

    def download_snapshot(self, destination: Path, *, page_size: int = PAGE_SIZE) -> Snapshot:
        """All profiles to `destination`; what cannot be read as one whole is read anew from the first page.

        Raises:
            MixpanelError: the typed reason of the last attempt.
            OSError: `destination` cannot be written (a full disk). No part of it stays after any error.
        """
        usage = _Usage()
        for attempt in range(1, self._snapshot_attempts + 1):
            try:
                return self._download(destination, page_size, usage)
            except (IncompleteSnapshot, IncompleteAnswer) as error:
                if attempt == self._snapshot_attempts:
                    raise
                self._log(f"reading all profiles anew, after attempt {attempt} of {self._snapshot_attempts}: {error}")
        raise ValueError(f"snapshot_attempts is {self._snapshot_attempts}; it takes 1 or more")

    def _proof(self, page_size: int) -> ProvenPages:
        return ProvenPages(f"project {self.project_id}, profiles", page_size)

    def _download(self, destination: Path, page_size: int, usage: _Usage) -> Snapshot:
        proof = self._proof(page_size)
        digest = hashlib.sha256()
        try:
            with igzip.IGzipFile(destination, "wb", compresslevel=1) as file:
                for people in self._read(proof, usage, {}):
                    lines = b"".join(map(_line, people))
                    file.write(lines)
                    digest.update(lines)
        except BaseException:
            destination.unlink(missing_ok=True)
            raise
        return Snapshot(
            path=destination,
            taken_at=usage.first_page_at,
            people=proof.people,
            unidentified=proof.unidentified,
            pages=proof.pages,
            page_size=proof.page_size,
            total=proof.total,
            session_id=proof.session_id,
            queries=usage.queries,
            wire_bytes=usage.wire_bytes,
            content_sha256=digest.hexdigest(),
        )

    def _read(self, proof: ProvenPages, usage: _Usage, query: Mapping[str, str]) -> Iterator[list[Person]]:
        with self._api.session() as session:
            while not proof.finished:
                yield retrying(
                    lambda: self._page(session, proof, usage, query),
                    policy=self._policy,
                    sleep=self._sleep,
                    log=self._log,
                    unless=(IncompleteSnapshot,),
                )

    def _page(
        self, session: requests.Session, proof: ProvenPages, usage: _Usage, query: Mapping[str, str]
    ) -> list[Person]:
        """The next page, in one attempt. The first names no session, and is what counts."""
        form = {**query, "page_size": str(proof.asked_page_size)}
        if proof.pages:
            form |= {"page": str(proof.pages), "session_id": str(proof.session_id)}
        else:
            usage.queries += 1
        answer = self._api.ask(session, proof.place, form=form, counted=proof.pages == 0)
        usage.wire_bytes += answer.wire_bytes
        if not proof.pages:
            usage.first_page_at = answer.asked_at
        with self._api.judging():
            return proof.add(answer.document)


def _query(where: str | None, output_properties: Sequence[str] | None) -> dict[str, str]:
    query = {} if where is None else {"where": where}
    if output_properties is not None:
        query["output_properties"] = json.dumps(list(output_properties))
    return query


def _line(person: dict[str, Any]) -> bytes:
    """As UTF-8 rather than escapes; a lone surrogate exists only as an escape."""
    try:
        return json.dumps(person, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(person, separators=(",", ":")).encode() + b"\n"
