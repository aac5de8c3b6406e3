"""Ctrl-C and SIGTERM during a run.

Dagster turns both into an error of the step, and gives the step another attempt if its retry policy has one: the run
would go on half a minute later. A command that is told to end has to end.
"""

import contextlib
import signal
import socket

import dagster as dg
from dagster_shared.error import SerializableErrorInfo

INTERRUPTS = {"DagsterExecutionInterruptedError", "KeyboardInterrupt"}


class Interruption:
    """Notices that a run was interrupted."""

    def __init__(self) -> None:
        self._noticed = False
        # Between steps Dagster takes the signal and may forget it. What Python writes here it cannot take away.
        self._signals, self._written = socket.socketpair()
        self._signals.setblocking(False)
        self._written.setblocking(False)
        with contextlib.suppress(ValueError):  # called from another thread than the main one, as tests may
            signal.set_wakeup_fd(self._written.fileno(), warn_on_full_buffer=False)

    def watch(self, entry: dg.EventLogEntry) -> None:
        """For every event of a run. Raises KeyboardInterrupt, which ends the run, instead of another attempt."""
        event = entry.dagster_event
        if event is None:
            return
        if event.is_step_failure:
            self._noticed |= _is_interrupt(event.step_failure_data.error)
        elif event.is_step_up_for_retry and _is_interrupt(event.step_retry_data.error):
            self._noticed = True
            raise KeyboardInterrupt

    def end_if_noticed(self) -> None:
        """For when a run has ended. Raises KeyboardInterrupt: what was to come after it does not begin."""
        with contextlib.suppress(BlockingIOError):
            self._noticed |= any(number in (signal.SIGINT, signal.SIGTERM) for number in self._signals.recv(64))
        if self._noticed:
            raise KeyboardInterrupt


def _is_interrupt(error: SerializableErrorInfo | None) -> bool:
    while error is not None:
        if error.cls_name in INTERRUPTS:
            return True
        error = error.cause or error.context
    return False
