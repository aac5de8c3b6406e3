"""Servers as children of this process: started, waited for, watched, and ended each by its own pid."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

LOOPBACK = "127.0.0.1"
CHILD = Path(__file__).with_name("child.py")
# Importing Dagster takes seconds, on a busy machine with two cores tens of them.
START_TIMEOUT_SECONDS = 180
# Beyond this a server that was told to end is killed. The collector may take 25 to answer what it took.
STOP_TIMEOUT_SECONDS = 30
POLL_SECONDS = 0.2
ANSWER_SECONDS = 5
LOG_TAIL_CHARACTERS = 2000


class ServerError(Exception):
    """A server did not come up, or ended by itself; names it, with the end of its log."""


@dataclass
class Server:
    """One child. It leads a session of its own: Ctrl-C reaches only us, and we end the children in order."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def failure(self, what: str) -> ServerError:
        tail = self.log.read_text(errors="replace")[-LOG_TAIL_CHARACTERS:].strip()
        return ServerError(f"{self.name} {what}; the end of {self.log}:\n{tail}")


@dataclass
class Servers:
    """The children, in the order of their start. Their output goes to a file each in `log_directory`."""

    log_directory: Path
    environment: Mapping[str, str]
    running: list[Server] = field(default_factory=list)

    def start(self, name: str, arguments: list[str], environment: Mapping[str, str] | None = None) -> Server:
        """Starts `python ARGUMENTS`, with more of an environment if given, and does not wait for it."""
        self.log_directory.mkdir(parents=True, exist_ok=True)
        path = self.log_directory / f"{name.replace(' ', '-')}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, str(CHILD), sys.executable, *arguments],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
                env={**os.environ, **self.environment, **(environment or {})},
            )  # fmt: skip
        server = Server(name, process, path)
        self.running.append(server)
        return server

    def wait_until(self, ready: Callable[[], bool], server: Server) -> None:
        """Returns when the server is ready.

        Raises:
            ServerError: it, or another one, ended, or it took too long.
        """
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not ready():
            self.require_all_alive()
            if time.monotonic() > deadline:
                raise server.failure(f"did not answer within {START_TIMEOUT_SECONDS} s")
            time.sleep(POLL_SECONDS)

    def require_all_alive(self) -> None:
        """Raises:
        ServerError: one of them ended by itself.
        """
        for server in self.running:
            code = server.process.poll()
            if code is not None:
                raise server.failure(f"ended by itself (exit code {code})")

    def stop(self) -> None:
        """Ends all, the last one first; then whatever they left running in their sessions."""
        for server in reversed(self.running):
            if server.process.poll() is None:
                server.process.send_signal(signal.SIGTERM)
        for server in reversed(self.running):
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.process.wait(STOP_TIMEOUT_SECONDS)
            # The session is the child's own, so its number names nobody else's processes.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.process.pid, signal.SIGKILL)
            server.process.wait()
        self.running.clear()


@contextmanager
def running_servers(log_directory: Path, environment: Mapping[str, str]) -> Iterator[Servers]:
    """Servers that end with the block, whatever ends it."""
    servers = Servers(log_directory, environment)
    try:
        yield servers
    finally:
        servers.stop()


def local_address(host: str, port: int) -> str:
    """Where this machine reaches a server that listens there."""
    shown = LOOPBACK if host == "0.0.0.0" else "::1" if host == "::" else host  # noqa: S104 - compared, not bound
    return f"http://[{shown}]:{port}" if ":" in shown else f"http://{shown}:{port}"


def answers(url: str) -> bool:
    """Whether a server answers there with success."""
    try:
        return requests.get(url, timeout=ANSWER_SECONDS).ok
    except requests.RequestException:
        return False
