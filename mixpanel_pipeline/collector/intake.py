"""One batch from its body to its answer."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

import psycopg
from starlette.requests import Request

from mixpanel_pipeline.collector.batches import (
    Batch,
    Refusal,
    SentEvent,
    TooManyEventsError,
    UnusableBodyError,
    read_batch,
    read_events,
)
from mixpanel_pipeline.collector.group_commit import GroupCommit, QueueFullError
from mixpanel_pipeline.collector.metrics import Metrics
from mixpanel_pipeline.collector.options import Options
from mixpanel_pipeline.collector.rate_limit import RateLimit
from mixpanel_pipeline.collector.requests import RETRY_SECONDS, RefusedError, Room, read_body
from mixpanel_pipeline.collector.rules import Rules
from mixpanel_pipeline.collector.store import Outcome, StoreError
from mixpanel_pipeline.collector.visitors import Visitor, completed, is_address, sender_of
from mixpanel_pipeline.collector.write_keys import WriteKey, WriteKeys
from mixpanel_pipeline.warehouse.connection import WarehouseError

# More than a group's own limit (store.MOST_SECONDS) and the wait for a connection together.
ANSWER_SECONDS = 40

# The worst body takes a microsecond a byte: above this the others are not made to wait for it.
READ_AT_ONCE_BYTES = 32_768

Given = TypeVar("Given")
Read = TypeVar("Read")

BOT = Refusal(None, "expected a browser, got the user agent of a crawler or program, or none", "bot")


@dataclass(frozen=True)
class Judged:
    """A request's events: those that are refused, by their places; of the others the places, and the texts to store."""

    refused: dict[int, Refusal]
    places: list[int]
    texts: list[bytes]


@dataclass
class Intake:
    """What all requests share."""

    rules: Rules
    options: Options
    keys: WriteKeys
    group: GroupCommit
    metrics: Metrics

    def __post_init__(self) -> None:
        self._of_address = RateLimit(self.options.requests_per_address)
        self._of_key = RateLimit(self.options.requests_per_key)
        self._room = Room(self.options.queue_bytes)
        self.metrics.watch_reading(lambda: self._room.held_bytes)

    async def take(self, request: Request) -> dict[str, Any]:
        """The answer to a batch, once its events are committed.

        Raises:
            RefusedError: the batch is refused whole, and nothing of it is stored; or, with 503, nothing is known to be.
        """
        address = request.client.host if request.client else None
        _require_rate(self._of_address, sender_of(address), "from this address")
        # Room for the body is kept until its events are the queue's, which has a bound of its own.
        with self._room.share() as share:
            body = await read_body(request, self.options.body_bytes, share)
            aside = len(body) > READ_AT_ONCE_BYTES
            batch = await _read(read_batch, body, self.rules.limits.most_events, aside)
            key = await self._key(batch, request.headers.get("origin"))
            _require_rate(self._of_key, key.identity, "with this write key")
            self._require_clock(batch.sent_at)
            sent = await _read(read_events, batch.events, self.rules.limits.most_levels, aside)
            self.metrics.batch(len(sent))
            judged = self._judged(sent, key, Visitor(address, self._user_agent(request)))
            del body, batch, sent  # while it waits a request keeps nothing but its events' texts
            outcome = self._submitted(judged.texts)
        return self._answer(judged, await _awaited(outcome))

    async def _key(self, batch: Batch, origin: str | None) -> WriteKey:
        if batch.write_key is None:
            raise RefusedError(401, "expected a write key in write_key, got none")
        try:
            key = await self.keys.find(batch.write_key)
        except (WarehouseError, psycopg.Error):
            self.metrics.database_error("connection")
            raise away() from None
        if key is None:
            raise RefusedError(401, "expected a write key that is known and not ended, got another text")
        if origin is not None and origin not in key.origins:
            raise RefusedError(403, f"expected an origin that this write key is for, got {origin[:200]}")
        return key

    def _require_clock(self, sent_at: datetime | None) -> None:
        """A sender whose clock is wrong corrects it itself, before anything is stored: were times corrected here, a
        retry could come with another correction, and its events at another time."""
        now = datetime.now(UTC)
        if sent_at is not None and abs(now - sent_at) > self.rules.limits.ahead:
            minutes = self.rules.limits.ahead.total_seconds() / 60
            raise RefusedError(
                409, f"sent_at: expected a clock within {minutes:g} minutes of server_time, got {sent_at.isoformat()}: "
                "shift the times of these events, and send them again", server_time=now,
            )  # fmt: skip

    def _user_agent(self, request: Request) -> str:
        said = request.headers.get("user-agent", "")
        if not said.isprintable():
            said = "".join(filter(str.isprintable, said))
        return said.encode()[: self.rules.most("user_agent")].decode(errors="ignore").strip()

    def _refusal(self, sent: SentEvent, key: WriteKey, visitor: Visitor) -> Refusal | None:
        if self.options.bots == "refuse" and visitor.is_bot:
            return BOT
        if sent.refusal is not None:
            return sent.refusal
        project = sent.value.get("project_id") if _is(sent, "event") else None
        if isinstance(project, str) and project not in ("", key.project_id):
            said = json.dumps(project[:60], ensure_ascii=False)
            return Refusal("project_id", f"expected the write key's own project, got {said}", "project_id")
        address = sent.value.get("ip_address") if _is(sent, "session") else None
        if isinstance(address, str) and address and not is_address(address):
            # Postgres might read it as one, and keep all of it.
            said = json.dumps(address[:60], ensure_ascii=False)
            return Refusal("ip_address", f"expected an IP address, got {said}", "ip_address")
        return None

    def _judged(self, sent: list[SentEvent], key: WriteKey, visitor: Visitor) -> Judged:
        refused = {place: why for place, event in enumerate(sent) if (why := self._refusal(event, key, visitor))}
        places = [place for place in range(len(sent)) if place not in refused]
        return Judged(refused, places, [self._text(sent[place], visitor) for place in places])

    def _text(self, sent: SentEvent, visitor: Visitor) -> bytes:
        if _is(sent, "session"):
            return completed(sent.text, sent.value, visitor, self.options.ip_addresses)
        return sent.text

    def _submitted(self, events: list[bytes]) -> asyncio.Future[Outcome]:
        if not events:
            nothing = asyncio.get_running_loop().create_future()
            nothing.set_result(Outcome(set(), {}))
            return nothing
        try:
            return self.group.submit(events)
        except QueueFullError:
            raise away() from None

    def _answer(self, judged: Judged, outcome: Outcome) -> dict[str, Any]:
        rejected: dict[int, tuple[str | None, str, str | None]] = {
            place: (why.field, why.problem, why.reason) for place, why in judged.refused.items()
        }
        for number, why in outcome.rejected.items():
            rejected[judged.places[number]] = (why.field, why.problem, why.field)
        for _field, _problem, reason in rejected.values():
            self.metrics.rejected(reason)
        accepted = len(outcome.accepted)
        duplicates = len(judged.places) - accepted - len(outcome.rejected)
        self.metrics.stored(accepted, duplicates)
        return {
            "accepted": accepted,
            "duplicates": duplicates,
            "rejected": [
                {"index": place, "field": field, "error": f"events[{place}]{f'.{field}' if field else ''}: {problem}"}
                for place, (field, problem, _reason) in sorted(rejected.items())
            ],
        }


async def _read(reader: Callable[[Given, int], Read], given: Given, most: int, aside: bool) -> Read:
    try:
        return await asyncio.to_thread(reader, given, most) if aside else reader(given, most)
    except UnusableBodyError as error:
        raise RefusedError(400, str(error)) from None
    except TooManyEventsError as error:
        raise RefusedError(413, str(error)) from None


async def _awaited(outcome: asyncio.Future[Outcome]) -> Outcome:
    try:
        # Shielded: a sender that goes away takes nothing back.
        return await asyncio.wait_for(asyncio.shield(outcome), ANSWER_SECONDS)
    except (StoreError, TimeoutError):
        raise away() from None


def _is(sent: SentEvent, kind: str) -> bool:
    return isinstance(sent.value, dict) and sent.value.get("type") == kind


def _require_rate(limit: RateLimit, who: object, whose: str) -> None:
    wait = limit.wait(who)
    if wait:
        raise RefusedError(429, f"expected fewer requests {whose}: come again in {wait} seconds", retry_after=wait)


def away() -> RefusedError:
    """Nothing is known to be stored; the same again may be."""
    return RefusedError(
        503, "the events cannot be stored now: send them again, with the same ids", retry_after=RETRY_SECONDS
    )
