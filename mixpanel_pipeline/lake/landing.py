"""Turns a fetched export into a day's Parquet file: parsed, repaired, deduplicated, counted, hashed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from mixpanel_pipeline.lake.completeness import CompleteExport
from mixpanel_pipeline.lake.engine import MEMORY_LIMIT, THREADS, open_engine, set_variables
from mixpanel_pipeline.lake.repair import RepairResult, filled_lines, repair_lines
from mixpanel_pipeline.lake.wall_clock import WallClock
from mixpanel_pipeline.mixpanel.export import Download
from mixpanel_pipeline.warehouse.sql_files import read_sql

# 20,000 events of a kilobyte are 20 MB: two threads hold one such group each, where DuckDB's default of 122,880
# rows takes 100 MB a thread and ran out of half a gigabyte (measured).
ROW_GROUP_ROWS = 20_000
# For days of large events (Mixpanel takes up to 1 MB each): what to do when memory does not suffice, in turn. The last
# landed 700 events of 0.9 MB; flat memory matters less there than the day.
SMALLER_STEPS = ((1, 2_048, MEMORY_LIMIT), (1, 256, "2GB"))
# Level 1 is as fast as lz4 here and a third smaller (measured).
COMPRESSION = "zstd, compression_level 1"
# A dictionary is tried for every column; giving up early on ids and properties saves a tenth of writing.
DICTIONARY_ENTRIES = 1_000


class LandingError(Exception):
    """An export could not be turned into a partition; says why. What was stored before is untouched."""


@dataclass(frozen=True)
class DayStatistics:
    """Counts and times of one day's events after deduplication; `content_hash` is of the set of events."""

    rows: int
    users: int
    bad_values: int
    outside_day: int
    ambiguous_times: int
    shifted_times: int
    newest_processing_ms: int | None
    first_event_time: datetime | None
    last_event_time: datetime | None
    content_hash: str
    duplicates: int
    repaired: int
    quarantined: int


@dataclass(frozen=True)
class StagedDay:
    """A parsed day on scratch disk; `write` makes its final files."""

    engine: duckdb.DuckDBPyConnection
    directory: Path
    statistics: DayStatistics
    quarantine: Path | None
    staged_files: list[str]

    def write(self) -> Path:
        """Writes the deduplicated Parquet file and returns where it lies on scratch disk. On a cursor of its own, so
        that another thread may query the view partition_events meanwhile."""
        target = self.directory / "events.parquet"
        with self.engine.cursor() as cursor:
            set_variables(cursor, {"staged": self.staged_files})
            copy_to_parquet(cursor, read_sql("lake/kept_rows.sql"), target)
        return target


@contextmanager
def staged_day(
    download: Download,
    proof: Callable[[], CompleteExport],
    day: date,
    clock: WallClock,
    scratch: Path,
    place: str,
) -> Iterator[StagedDay]:
    """Parses an export and yields it once `proof` (see `prove_complete`) says that it is complete. `place` names
    project and day in errors.

    Raises:
        IncompleteExport: the proof failed, or a line says that the export ended early.
        LandingError: the disk is full, or a line is longer than 16 MB (Mixpanel takes 1 MB).
    """
    try:
        with open_engine(scratch) as engine:
            set_variables(engine, _clock_variables(day, clock))
            staging = _Staging(engine, download, scratch, place)
            repair = staging.stage(proof)
            duplicates = _mark_duplicates(engine, staging.files)
            statistics = _statistics(engine, duplicates, repair)
            quarantine = staging.quarantine if repair.quarantined else None
            engine.execute(f"create view partition_events as {read_sql('lake/kept_rows.sql')}")
            yield StagedDay(engine, scratch, statistics, quarantine, [str(path) for path in staging.files])
    except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.InvalidInputException, OSError) as error:
        proof()  # what DuckDB stumbled over may be that the export is cut
        raise landing_error(place, error) from error


def landing_error(place: str, error: Exception) -> LandingError:
    """What to tell when files of a day cannot be written or read."""
    said = str(error).splitlines()[0]
    advice = (
        "Free disk space where PIPELINE_HOME and LAKE_URL lie (a day needs a few times its compressed size while it "
        "lands)"
    )
    if isinstance(error, duckdb.OutOfMemoryException):
        advice = "Its events are too large for 2 GB of memory"
    elif "maximum_object_size" in said:
        advice = "One of its lines is longer than 16 MB, where Mixpanel takes 1 MB an event"
    return LandingError(
        f"{place}: the export could not be kept on this machine: {said}. {advice}; run the day again after that. "
        "What was stored before is kept."
    )


class _Staging:
    """Rows of one export in Parquet files on scratch disk: as fetched, then those that repair saved."""

    def __init__(self, engine: duckdb.DuckDBPyConnection, download: Download, scratch: Path, place: str) -> None:
        self.engine = engine
        self.download = download
        self.place = place
        self.scratch = scratch
        self.quarantine = scratch / "quarantine.jsonl"
        self.files: list[Path] = []

    def stage(self, proof: Callable[[], CompleteExport]) -> RepairResult:
        source = self.download.path
        if self.download.encoding == "gzip":
            # DuckDB recognizes gzip by the name.
            source = self.scratch / "export.jsonl.gz"
            source.unlink(missing_ok=True)
            source.hardlink_to(self.download.path)
        rows, unusable = self._stage_file(source)
        if rows != proof().lines:
            self._require_all_lines(source, rows)
        if not unusable:
            return RepairResult()
        mended = self.scratch / "mended.jsonl"
        result = repair_lines(
            source, self.download.encoding, self.place, self._unusable_lines(source), mended, self.quarantine
        )
        if result.repaired:
            self._stage_mended(mended, result)
        return result

    def _stage_mended(self, mended: Path, result: RepairResult) -> None:
        """Mended lines that are still no usable event go to quarantine too."""
        _, unusable = self._stage_file(mended)
        if not unusable:
            return
        numbers = set(self._unusable_lines(mended))
        with mended.open(encoding="utf-8", newline="\n") as lines, self.quarantine.open("a", encoding="utf-8") as bad:
            for number, line in enumerate(lines, start=1):
                if number in numbers:
                    result.quarantine(bad, number, "mended, it is still no usable event", line.rstrip("\n"))
        result.repaired -= unusable

    def _stage_file(self, source: Path) -> tuple[int, int]:
        """Adds a file's rows; returns how many there are and how many are unusable."""
        target = self.scratch / f"staged-{len(self.files)}.parquet"
        self._read(source)
        copy_to_parquet(self.engine, "from exported_events", target)
        self.files.append(target)
        set_variables(self.engine, {"staged": [str(path) for path in self.files]})
        return _row(
            self.engine,
            "select count(*), count(*) filter (where not usable) from read_parquet($file)",
            file=str(target),
        )

    def _unusable_lines(self, source: Path) -> list[int]:
        self._read(source)
        self.engine.execute("set preserve_insertion_order = true")
        numbers = self.engine.execute(read_sql("lake/unusable_lines.sql")).fetchall()
        self.engine.execute("set preserve_insertion_order = false")
        return [number for (number,) in numbers]

    def _read(self, source: Path) -> None:
        set_variables(self.engine, {"source": str(source)})
        self.engine.execute(
            f"create or replace temporary view exported_events as {read_sql('lake/exported_events.sql')}"
        )

    def _require_all_lines(self, source: Path, rows: int) -> None:
        """Blank lines are no rows; any other difference would be a lost event."""
        filled = sum(1 for _ in filled_lines(source, self.download.encoding, self.place))
        if rows != filled:
            raise LandingError(f"{self.place}: {filled} lines came, {rows} were read; this is a bug, please report it")


def copy_to_parquet(engine: duckdb.DuckDBPyConnection, query: str, target: Path) -> None:
    """Writes a query's rows to a Parquet file, in smaller steps when they are too large for memory."""
    path = str(target).replace("'", "''")
    for threads, rows, memory in ((THREADS, ROW_GROUP_ROWS, MEMORY_LIMIT), *SMALLER_STEPS):
        engine.execute(f"set threads = {threads}; set memory_limit = '{memory}'")
        try:
            engine.execute(
                f"copy ({query}\n) to '{path}' (format parquet, compression {COMPRESSION}, row_group_size {rows}, "
                f"dictionary_size_limit {DICTIONARY_ENTRIES})"
            )
        except duckdb.OutOfMemoryException:
            if (threads, rows, memory) == SMALLER_STEPS[-1]:
                raise
        else:
            return
        finally:
            engine.execute(f"set threads = {THREADS}; set memory_limit = '{MEMORY_LIMIT}'")


def _clock_variables(day: date, clock: WallClock) -> dict[str, Any]:
    return {
        "export_day": day,
        "boundary": clock.boundary,
        "offset_before": clock.offset_before,
        "offset_after": clock.offset_after,
        "twice_from": clock.twice[0],
        "twice_to": clock.twice[1],
        "never_from": clock.never[0],
        "never_to": clock.never[1],
    }


def _mark_duplicates(engine: duckdb.DuckDBPyConnection, staged: list[Path]) -> int:
    set_variables(engine, {"staged": [str(path) for path in staged]})
    engine.execute(f"create or replace table duplicate_rows as {read_sql('lake/duplicate_rows.sql')}")
    return _row(engine, "select count(*) from duplicate_rows")[0]


def _statistics(engine: duckdb.DuckDBPyConnection, duplicates: int, repair: RepairResult) -> DayStatistics:
    cursor = engine.execute(read_sql("lake/partition_statistics.sql"))
    names = [column[0] for column in cursor.description or []]
    values = dict(zip(names, cursor.fetchone() or (), strict=True))
    if repair.quarantined:
        # Other bad lines beside the same events are another content: their file has to be kept.
        values["content_hash"] += f"-{repair.quarantine_hash:x}"
    return DayStatistics(duplicates=duplicates, repaired=repair.repaired, quarantined=repair.quarantined, **values)


def _row(engine: duckdb.DuckDBPyConnection, query: str, **parameters: Any) -> tuple[Any, ...]:
    row = engine.execute(query, parameters).fetchone()
    return row or ()
