"""Runs the service until it is told to end."""

import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.applications import Starlette

# Below the 30 seconds after which orchestrators kill; a group takes at most 20.
STOP_SECONDS = 25


def listen(host: str, port: int) -> socket.socket:
    """A socket that clients may connect to; port 0 is any that is free.

    Raises:
        OSError: another program has it, or the host is none of this machine's.
    """
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET, backlog=2048)


def serve(
    application: Starlette, listening: socket.socket, trusted_proxies: str | None, announce: Callable[[], None]
) -> None:
    """Serves until SIGINT or SIGTERM. Then nobody is let in any more, and whoever was is answered."""
    server = make_server(application, trusted_proxies, announce)
    with _orderly_end():
        server.run(sockets=[listening])
    if not server.started:
        raise RuntimeError("the collector did not start; its log says why")


def make_server(application: Starlette, trusted_proxies: str | None, announce: Callable[[], None]) -> uvicorn.Server:
    """What serves it, once it is run; it then announces that it answers."""
    config = uvicorn.Config(
        application,
        ws="none",
        lifespan="on",
        proxy_headers=trusted_proxies is not None,
        forwarded_allow_ips=trusted_proxies,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    return _AnnouncedServer(config, announce)


class _AnnouncedServer(uvicorn.Server):
    """Says so when it answers."""

    def __init__(self, config: uvicorn.Config, announce: Callable[[], None]) -> None:
        super().__init__(config)
        self._announce = announce

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._announce()


@contextlib.contextmanager
def _orderly_end() -> Iterator[None]:
    """After a graceful stop uvicorn raises the signal again; this lets the process end by itself then."""
    stopping = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, lambda _number, _frame: None) for number in stopping}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
