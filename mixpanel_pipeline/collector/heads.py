"""A request's head, and whatever else is not its body: no larger, and no longer waited for, than it may be.

uvicorn bounds neither: one sender without a key could take all the memory there is.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Whoever sends slower than this holds a connection for nothing.
HEAD_SECONDS = 20
# Of a request aside from its body: its head, what stands around chunks, trailers. Browsers' heads have two kilobytes.
MOST_BYTES = 65_536


class BoundedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._bytes_aside = 0
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._await_no_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._bytes_aside += len(data)
        super().data_received(data)
        if self._bytes_aside > MOST_BYTES and not self.transport.is_closing():
            self.send_400_response("Too much beside the body.")
        if self.cycle is None or self.cycle.response_complete:
            self._await_head()

    def on_message_begin(self) -> None:
        self._bytes_aside = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._await_no_head()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._bytes_aside = max(0, self._bytes_aside - len(body))
        super().on_body(body)

    def _await_head(self) -> None:
        if self._patience is None and not self.transport.is_closing():
            self._patience = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _await_no_head(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
