"""Connections that can be dropped in the middle of a chunk, and the response that does so."""

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.concurrency import iterate_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from mixpanel_pipeline.simulator.body import Body


class DroppableProtocol(H11Protocol):
    """uvicorn's protocol, which also tells the application its transport.

    ASGI has no way to break a response off; a real drop needs the socket.
    """

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class StreamedResponse(Response):
    """Streams a body, and cuts the connection after it if the body says so."""

    def __init__(self, body: Body, media_type: bytes, on_end: Callable[[], None]) -> None:
        super().__init__()
        self._body = body
        self._on_end: Callable[[], None] | None = on_end
        self.raw_headers = [(b"content-type", media_type)]
        if body.gzip:
            self.raw_headers.append((b"content-encoding", b"gzip"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._stream(scope, receive, send)
        finally:
            self._end()

    def _end(self) -> None:
        on_end, self._on_end = self._on_end, None
        if on_end is not None:
            on_end()

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        transport: asyncio.Transport = scope["state"]["transport"]
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async for chunk in iterate_in_threadpool(self._body.chunks):
            if transport.is_closing():  # nobody reads any more: no need to make the rest of a large day
                return
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        if not self._body.dropped:
            self._end()  # before the client can know of the end, and ask again
            await send({"type": "http.response.body", "body": b""})
            return
        transport.write(b'1000\r\n{"event":"cut')  # a chunk of 4096 bytes is announced, and never comes
        transport.close()
        while (await receive())["type"] != "http.disconnect":
            pass
