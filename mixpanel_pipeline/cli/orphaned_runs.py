"""Runs of commands that were killed: ended at the next command.

A run that a command executes has no launcher that would notice its death. It would stay STARTED for a day, keep its
place in the pool of exports, and have sensors believe that its days are under way. So each command keeps a locked
file per run; the lock goes with the process, and what is not locked belongs to nobody.
"""

import fcntl
from pathlib import Path
from typing import IO

import dagster as dg


class RunClaims:
    """The runs of this process, for the length of a `with` block."""

    def __init__(self, instance: dg.DagsterInstance, dagster_home: Path) -> None:
        self._instance = instance
        self._directory = dagster_home / "runs-of-commands"
        self._files: dict[str, IO[str]] = {}

    def __enter__(self) -> "RunClaims":
        self._directory.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        interrupted = kind is not None and issubclass(kind, KeyboardInterrupt)
        for run_id, file in self._files.items():
            with file:
                self._end(run_id, interrupted=interrupted)  # an interrupted run keeps its place in the pool otherwise

    def claim(self, run_id: str) -> None:
        """This process executes the run, which need not be created yet."""
        if run_id not in self._files:
            file = (self._directory / run_id).open("w")
            fcntl.flock(file, fcntl.LOCK_EX)
            self._files[run_id] = file

    def end_orphans(self) -> list[str]:
        """Ends the runs whose process is gone; returns their ids."""
        orphans = []
        for path in list(self._directory.iterdir()):
            with path.open("r") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                if self._end(path.name):
                    orphans.append(path.name)
        return orphans

    def _end(self, run_id: str, *, interrupted: bool = False) -> bool:
        """Frees what the run held, and marks it as failed, or as canceled, if nothing did yet."""
        run = self._instance.get_run_by_id(run_id)
        unfinished = run is not None and not run.is_finished
        if run is not None and unfinished:
            report = self._instance.report_run_canceled if interrupted else self._instance.report_run_failed
            report(run, "The command that executed this run was ended.")
        self._instance.event_log_storage.free_concurrency_slots_for_run(run_id)
        (self._directory / run_id).unlink(missing_ok=True)
        return unfinished
