"""A request's body: whole, unpacked, and no larger than it may be."""

import asyncio
import zlib
from datetime import datetime

from starlette.requests import ClientDisconnect, Request

# Whoever sends slower than this holds a connection for nothing.
BODY_SECONDS = 20
TAKEN_TYPES = ("application/json", "text/plain")
GZIP_WINDOW = 31


class RefusedError(Exception):
    """The request is refused whole: a status, what was expected and what came, and when to come again; of 409 what
    the time is."""

    def __init__(
        self, status: int, message: str, retry_after: int | None = None, server_time: datetime | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.retry_after, self.server_time = status, message, retry_after, server_time


async def read_body(request: Request, most_bytes: int) -> bytes:
    """The body, unpacked when it was sent packed.

    Raises:
        RefusedError: its type or encoding is none that is taken (415), it is too large, packed or not (413), it comes
            too slowly (408), or is no whole gzip (400).
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in TAKEN_TYPES:
        raise RefusedError(415, f"expected Content-Type {' or '.join(TAKEN_TYPES)}, got {kind[:80] or 'none'}")
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip"):
        raise RefusedError(415, f"expected Content-Encoding gzip or none, got {encoding[:80]}")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            body = await _received(request, most_bytes)
    except TimeoutError:
        raise RefusedError(408, f"expected the body within {BODY_SECONDS} seconds") from None
    except ClientDisconnect:
        raise RefusedError(400, "expected a whole body; the sender went away") from None
    return _unpacked(body, most_bytes) if encoding == "gzip" else body


async def _received(request: Request, most_bytes: int) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most_bytes:
        raise _too_large(most_bytes)
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > most_bytes:
            raise _too_large(most_bytes)
    return bytes(body)


def _unpacked(body: bytes, most_bytes: int) -> bytes:
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
    return text


def _too_large(most_bytes: int) -> RefusedError:
    return RefusedError(413, f"expected at most {most_bytes} bytes, unpacked too: send the events in two batches")
