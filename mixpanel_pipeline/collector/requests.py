"""A request's body: whole, unpacked, and no larger than it may be."""

import asyncio
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from starlette.requests import ClientDisconnect, Request

# Whoever sends slower than this holds a connection for nothing.
BODY_SECONDS = 20
# After which whoever was sent away is to come again.
RETRY_SECONDS = 5
TAKEN_TYPES = ("application/json", "text/plain")
GZIP_WINDOW = 31


class RefusedError(Exception):
    """The request is refused whole: a status, and what was expected and what came. `retry_after` is when to come again,
    `server_time` what the time is; `hangs_up`: a body that may never end is not waited for."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        retry_after: int | None = None,
        server_time: datetime | None = None,
        hangs_up: bool = False,
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.hangs_up = status, message, hangs_up
        self.retry_after, self.server_time = retry_after, server_time


class Room:
    """How many bytes requests may hold that are being read, all together: many large bodies that come slowly would
    otherwise take what memory there is."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self.held_bytes = 0

    @contextmanager
    def share(self) -> Iterator["Share"]:
        """What one request takes of it, for the length of the block."""
        share = Share(self)
        try:
            yield share
        finally:
            self.held_bytes -= share.held_bytes

    def has(self, more: int, of_which_own: int) -> bool:
        """Whether so much more fits. Whoever is alone has room for whatever one body may have."""
        return self.held_bytes == of_which_own or self.held_bytes + more <= self._most_bytes


class Share:
    """Of a Room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.held_bytes = 0

    def take(self, more: int) -> None:
        """Holds more bytes.

        Raises:
            RefusedError: there is no room for them (503).
        """
        if not self._room.has(more, self.held_bytes):
            raise RefusedError(
                503, "too much is being received now: send the events again, with the same ids",
                retry_after=RETRY_SECONDS,
            )  # fmt: skip
        self.held_bytes += more
        self._room.held_bytes += more


async def read_body(request: Request, most_bytes: int, share: Share) -> bytes:
    """The body, unpacked when it was sent packed.

    Raises:
        RefusedError: its type or encoding is none that is taken (415), it is too large, packed or not (413), it comes
            too slowly (408), is no whole gzip (400), or others take all the room (503).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in TAKEN_TYPES:
        raise RefusedError(415, f"expected Content-Type {' or '.join(TAKEN_TYPES)}, got {kind[:80] or 'none'}")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise RefusedError(415, f"expected Content-Encoding gzip or none, got {encoding[:80]}")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _received(request, most_bytes, share)
    except TimeoutError:
        raise RefusedError(408, f"expected the body within {BODY_SECONDS} seconds", hangs_up=True) from None
    except ClientDisconnect:
        raise RefusedError(400, "expected a whole body; the sender went away") from None
    return _unpacked(body, most_bytes, share) if encoding == "gzip" else body


async def _received(request: Request, most_bytes: int, share: Share) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most_bytes:
        raise _too_large(most_bytes)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most_bytes:
            raise _too_large(most_bytes, hangs_up=True)
        share.take(len(part))
    return bytes(body)


def _unpacked(body: bytes, most_bytes: int, share: Share) -> bytes:
    """A bomb is unpacked no further than one byte beyond the limit."""
    unpacking = zlib.decompressobj(GZIP_WINDOW)
    try:
        text = unpacking.decompress(body, most_bytes + 1)
    except zlib.error:
        raise RefusedError(400, "expected gzip, got bytes that are none") from None
    if len(text) > most_bytes:
        raise _too_large(most_bytes)
    if not unpacking.eof or unpacking.unused_data:
        raise RefusedError(400, "expected one whole gzip, got part of one or more than one")
    share.take(len(text))
    return text


def _too_large(most_bytes: int, *, hangs_up: bool = False) -> RefusedError:
    message = f"expected at most {most_bytes} bytes, unpacked too: send the events in two batches"
    return RefusedError(413, message, hangs_up=hangs_up)
