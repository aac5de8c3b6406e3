"""DuckDB as the lake's engine: bounded memory, spilling to disk, nothing fetched from the network."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

# Half a gigabyte parses, deduplicates and aggregates a day of five million events (docs/performance.md).
MEMORY_LIMIT = "512MB"
# Each thread holds a row group of a wide table: with eight, half a gigabyte did not do for an ordinary day.
THREADS = min(os.cpu_count() or 2, 2)

# What DuckDB raises over a statement or this machine. All else that it raises while it reads a file is about the file:
# over flipped bytes it raises many classes, and most often `duckdb.Error` itself ("Out of buffer"; measured).
NOT_OF_THE_FILE = (
    duckdb.BinderException,
    duckdb.CatalogException,
    duckdb.InterruptException,
    duckdb.OutOfMemoryException,
    duckdb.ParserException,
    duckdb.SyntaxException,
)


@contextmanager
def open_engine(scratch: Path, filesystem: Any | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """An empty in-memory database that spills into `scratch`; `filesystem` is an fsspec one for remote lakes."""
    settings = {
        "memory_limit": MEMORY_LIMIT,
        "threads": THREADS,
        "temp_directory": str(scratch / "spill"),
        "preserve_insertion_order": False,
        "autoinstall_known_extensions": False,
        "TimeZone": "UTC",
    }
    with duckdb.connect(":memory:", config=settings) as engine:
        if filesystem is not None:
            engine.register_filesystem(filesystem)
        yield engine


def is_interruption(error: BaseException) -> bool:
    """Whether DuckDB raised it because of a signal: whatever a signal's handler raises while DuckDB works comes out as
    a RuntimeError with these words."""
    return isinstance(error, RuntimeError) and str(error) == "Query interrupted"


def set_variables(engine: duckdb.DuckDBPyConnection, variables: Mapping[str, Any]) -> None:
    """Sets what the statements under sql/lake and sql/subscribers read by getvariable()."""
    for name, value in variables.items():
        engine.execute(f"set variable {name} = $value", {"value": value})
