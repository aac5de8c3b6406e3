"""Ctrl-C and SIGTERM during a run.

Dagster turns both into an error of the step; between steps it takes the signal and may forget it. A command that is
told to end has to end, and not begin what was to come after that run.
"""

import contextlib
import signal
import socket
from collections.abc import Iterator


class Interruption:
    """Tells whether a signal to end arrived, whoever handled it."""

    def __init__(self, numbers: socket.socket) -> None:
        self._numbers = numbers
        self._noticed = False

    def noticed(self) -> bool:
        """Whether one arrived and no KeyboardInterrupt followed it yet."""
        with contextlib.suppress(BlockingIOError):
            self._noticed = self._noticed or bool({signal.SIGINT, signal.SIGTERM} & set(self._numbers.recv(64)))
        return self._noticed

    def end_if_noticed(self) -> None:
        """For when a run has ended. Raises KeyboardInterrupt: what was to come after it does not begin."""
        if self.noticed():
            self._noticed = False
            raise KeyboardInterrupt


@contextlib.contextmanager
def noticed_interruption() -> Iterator[Interruption]:
    """For the length of the block Python writes the number of each signal into a socket, where nobody else takes it."""
    numbers, written = socket.socketpair()
    with numbers, written:
        numbers.setblocking(False)
        written.setblocking(False)
        try:
            before = signal.set_wakeup_fd(written.fileno(), warn_on_full_buffer=False)
        except ValueError:  # called from another thread than the main one, as tests may: signals do not come here
            yield Interruption(numbers)
            return
        try:
            yield Interruption(numbers)
        finally:
            # Before the sockets close: a later signal must not be written to whatever gets their number then.
            signal.set_wakeup_fd(before)
