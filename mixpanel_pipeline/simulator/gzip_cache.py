"""Compressed days on disk, so that asking again for an unchanged day costs only sending bytes."""

import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mixpanel_pipeline.simulator.generated_days import compress


class GzipCache:
    """A directory of gzip files and arrays; if none is given, a temporary one that dies with the process."""

    def __init__(self, directory: Path | None = None) -> None:
        self._given = directory
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._lock = threading.RLock()

    @property
    def directory(self) -> Path:
        """Made at first use: most projects of a property test never generate anything."""
        with self._lock:
            if self._given is not None:
                self._given.mkdir(parents=True, exist_ok=True)
                return self._given
            if self._temporary is None:
                self._temporary = tempfile.TemporaryDirectory(prefix="mixpanel-simulator-")
            return Path(self._temporary.name)

    def open(self, key: str, version: int, blocks: Callable[[], Iterator[bytes]]) -> BinaryIO:
        """The gzip file of that key and version; it is written first if need be, older versions go away.

        An open file stays readable after its name is gone, so nobody is cut off by a newer version.
        """
        path = self.directory / f"{key}.v{version}.jsonl.gz"
        with self._lock:
            if not path.exists():
                for older in self.directory.glob(f"{key}.v*.jsonl.gz"):
                    older.unlink()
                with _replacing(path).open("wb") as file:
                    file.writelines(compress(blocks()))
                _replacing(path).replace(path)
            return path.open("rb")

    def array(self, key: str, make: Callable[[], np.ndarray]) -> np.ndarray:
        path = self.directory / f"{key}.npy"
        with self._lock:
            if not path.exists():
                with _replacing(path).open("wb") as file:
                    np.save(file, make())
                _replacing(path).replace(path)
            return np.load(path, mmap_mode="r")


def _replacing(path: Path) -> Path:
    """Where the file grows before it gets its name, apart for each process that shares the directory."""
    return path.with_name(f".{path.name}.{os.getpid()}")
