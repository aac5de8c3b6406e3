"""Where partitions' files live: a directory, or anything fsspec knows (s3://…)."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args
from uuid import uuid4

import fsspec
from fsspec.implementations.local import LocalFileSystem

# A file that no manifest row names may belong to a run under way, or to a reader that began before the row changed.
GARBAGE_AGE = timedelta(days=1)

# What the files of a folder hold.
Kind = Literal["events", "profiles"]


class LakeStorage:
    """The files of the lake, each named once and never written again."""

    def __init__(self, address: str, scratch: Path) -> None:
        self.filesystem, self.root = fsspec.core.url_to_fs(address)
        self.is_local = isinstance(self.filesystem, LocalFileSystem)
        self.scratch = scratch

    @contextmanager
    def scratch_directory(self) -> Iterator[Path]:
        """A local directory for one day's work, removed at the end; what a crash leaves is swept after a day."""
        self.scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self.scratch, prefix="day-") as directory:
            yield Path(directory)

    def publish(self, local: Path, owner: str, day: date, kind: Kind = "events") -> str:
        """Moves a finished file into the lake, durably, and returns its name there. `owner` is the database whose
        manifest will name it: several may share a lake, and each sweeps its own files only."""
        name = f"{kind}/{owner}/day={day}/{uuid4().hex}{''.join(local.suffixes)}"
        target = f"{self.root}/{name}"
        if self.is_local:
            folder = Path(target).parent
            folder.mkdir(parents=True, exist_ok=True)
            self.filesystem.mv(str(local), target)
            # From another disk this was a copy, so it is the copy that must be safe, and every folder on its way.
            for path in (Path(target), folder, folder.parent, folder.parent.parent, folder.parent.parent.parent):
                _synchronize(path)
        else:
            self.filesystem.put_file(str(local), target)
        return name

    def address(self, name: str) -> str:
        """What DuckDB opens."""
        return f"{self.root}/{name}" if self.is_local else self.filesystem.unstrip_protocol(f"{self.root}/{name}")

    def engine_filesystem(self) -> fsspec.AbstractFileSystem | None:
        """What DuckDB needs to read the lake: nothing when it is local."""
        return None if self.is_local else self.filesystem

    def holds(self, name: str, size: int) -> bool:
        """Whether the file is there and has so many bytes: a cut one is as good as lost."""
        path = f"{self.root}/{name}"
        return bool(self.filesystem.exists(path)) and self.filesystem.size(path) == size

    def remove_garbage(self, owner: str, named: set[str], now: datetime | None = None) -> list[str]:
        """Removes the owner's day-old files that are not in `named`, and day-old scratch directories; returns their
        names."""
        oldest_kept = (now or datetime.now(UTC)) - GARBAGE_AGE
        removed = []
        for kind in get_args(Kind):
            for path, details in self.filesystem.find(f"{self.root}/{kind}/{owner}", detail=True).items():
                name = path.removeprefix(f"{self.root}/")
                if name not in named and _modified(details) < oldest_kept:
                    self.filesystem.rm_file(path)
                    removed.append(name)
        for directory in self.scratch.glob("day-*"):
            if datetime.fromtimestamp(directory.stat().st_mtime, UTC) < oldest_kept:
                shutil.rmtree(directory, ignore_errors=True)
                removed.append(directory.name)
        return removed


def _modified(details: dict) -> datetime:
    moment = details.get("LastModified") or details.get("mtime") or details.get("created")
    return moment if isinstance(moment, datetime) else datetime.fromtimestamp(float(moment or 0), UTC)


def _synchronize(path: Path) -> None:
    """Forces a file or directory to disk: a manifest row must never outlive its file in a power failure."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
