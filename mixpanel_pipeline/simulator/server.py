"""Runs the simulator: in a thread for tests, in the foreground for people."""

import contextlib
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import TracebackType

import uvicorn
from starlette.applications import Starlette

from mixpanel_pipeline.simulator.application import build_application
from mixpanel_pipeline.simulator.connections import DroppableProtocol
from mixpanel_pipeline.simulator.project import Project

LOOPBACK = "127.0.0.1"
START_TIMEOUT_SECONDS = 30
STOP_TIMEOUT_SECONDS = 1


class SimulatorServer:
    """A simulator on a loopback port, for the length of a `with` block.

    `project` may be replaced while it runs: a property test then needs one server for all its projects.
    """

    def __init__(self, project: Project, port: int = 0) -> None:
        self.project = project
        self._socket = socket.create_server((LOOPBACK, port))
        self.url = f"http://{LOOPBACK}:{self._socket.getsockname()[1]}"
        self._started = threading.Event()
        self._server = _server(lambda: self.project, self._started.set)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="simulator", daemon=True
        )

    def __enter__(self) -> "SimulatorServer":
        self._thread.start()
        if not self._started.wait(START_TIMEOUT_SECONDS):
            raise TimeoutError(f"the simulator did not start within {START_TIMEOUT_SECONDS} s")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


def serve(
    project: Project,
    *,
    port: int = 0,
    url_file: Path | None = None,
    announce: Callable[[str], None] = print,
) -> None:
    """Serves until SIGINT or SIGTERM; says the address, and writes it to `url_file` once it answers."""
    with socket.create_server((LOOPBACK, port)) as listening:
        url = f"http://{LOOPBACK}:{listening.getsockname()[1]}"

        def on_start() -> None:
            if url_file is not None:
                unfinished = url_file.with_name(f".{url_file.name}.new")
                unfinished.write_text(url)
                unfinished.replace(url_file)
            announce(url)

        with _orderly_end():
            _server(lambda: project, on_start).run(sockets=[listening])


@contextlib.contextmanager
def _orderly_end():
    """After a graceful stop uvicorn raises the signal again; this lets the process end by itself then."""

    def ignore(_number: int, _frame: object) -> None:
        return

    stopping = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, ignore) for number in stopping}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _server(current_project: Callable[[], Project], on_start: Callable[[], None]) -> uvicorn.Server:
    @contextlib.asynccontextmanager
    async def lifespan(_application: Starlette) -> AsyncIterator[None]:
        on_start()
        yield

    config = uvicorn.Config(
        build_application(current_project, lifespan=lifespan),
        http=DroppableProtocol,
        loop="asyncio",
        ws="none",
        lifespan="on",
        proxy_headers=False,
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=STOP_TIMEOUT_SECONDS,
    )
    return uvicorn.Server(config)
