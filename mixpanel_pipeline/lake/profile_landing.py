"""Turns a snapshot of profiles into the lake's Parquet file: mended, typed, counted; who cannot be kept is told."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from mixpanel_pipeline.lake.engine import open_engine, set_variables
from mixpanel_pipeline.lake.landing import LandingError, copy_to_parquet, landing_error
from mixpanel_pipeline.lake.repair import SURROGATES, filled_lines
from mixpanel_pipeline.mixpanel.engage import Snapshot
from mixpanel_pipeline.warehouse.sql_files import read_sql

# What DuckDB reads as one object unless told otherwise; Mixpanel takes 1 MB a profile.
USUAL_LINE_BYTES = 16 << 20
# Lines near that size do not fit half a gigabyte with the copies that sorting makes of them.
LARGE_LINE_BYTES = 2 << 20
NUL_ESCAPE = re.compile(r"\\\\|(?P<nul>\\u0000)")


@dataclass(frozen=True)
class ProfileStatistics:
    """People of one snapshot: those kept, those that count for nobody, those refused (of whom some without any id);
    and values refused."""

    lines: int
    people: int
    anonymous: int
    refused: int
    unidentified: int
    bad_values: int


@dataclass(frozen=True)
class StagedProfiles:
    """A snapshot on scratch disk. `engine` can run sql/lake/kept_profiles.sql; `refusals` is JSON lines, or None."""

    engine: duckdb.DuckDBPyConnection
    file: Path
    statistics: ProfileStatistics
    refusals: Path | None
    examples: list[dict[str, str | None]]


@contextmanager
def staged_profiles(snapshot: Snapshot, scratch: Path, place: str, examples: int = 20) -> Iterator[StagedProfiles]:
    """Parses a snapshot; `place` names it in errors, `examples` is how many refusals to hold at most.

    Raises:
        LandingError: the disk is full, or profiles are too large for 2 GB of memory.
    """
    try:
        with open_engine(scratch) as engine:
            source, longest = _mend(snapshot, scratch, place)
            set_variables(engine, {"source": str(source), "longest_line": max(longest + 1, USUAL_LINE_BYTES)})
            staged = scratch / "profiles.parquet"
            copy_to_parquet(engine, read_sql("lake/exported_profiles.sql"), staged)
            source.unlink()
            if longest > LARGE_LINE_BYTES:
                engine.execute("set threads = 1; set memory_limit = '2GB'")
            set_variables(engine, {"staged": str(staged)})
            statistics = _statistics(engine)
            if statistics.lines != snapshot.people:
                raise LandingError(
                    f"{place}: {snapshot.people} people came, {statistics.lines} were read; this is a bug, please "
                    "report it. What was stored before is kept."
                )
            refusals = _write_refusals(engine, scratch / "refused.jsonl")
            yield StagedProfiles(engine, staged, statistics, refusals, _first(refusals, examples))
    except (duckdb.IOException, duckdb.OutOfMemoryException, duckdb.InvalidInputException, OSError) as error:
        raise landing_error(place, error) from error


def _mend(snapshot: Snapshot, scratch: Path, place: str) -> tuple[Path, int]:
    """The lines as DuckDB and Postgres can take them, and the longest one's bytes. Few need a second look."""
    target, longest = scratch / "profiles.jsonl", 0
    with target.open("wb") as file:
        for line in filled_lines(snapshot.path, "gzip", place):
            mended = _mended(line) if b"\\u" in line else line
            file.write(mended + b"\n")
            longest = max(longest, len(mended))
    return target, longest


def _mended(line: bytes) -> bytes:
    """Half surrogates become U+FFFD. NUL, which JSON has and Postgres has not, stays in the lake; what Postgres gets
    instead stands beside it."""
    text = SURROGATES.sub(lambda found: r"\ufffd" if found["lone"] else found[0], line.decode())
    if r"\u0000" not in text:
        return text.encode()
    person = json.loads(text)
    properties = json.dumps(person["$properties"], ensure_ascii=False)
    storable = NUL_ESCAPE.sub(lambda found: r"\ufffd" if found["nul"] else found[0], properties)
    if storable != properties:
        person["$storable"] = json.loads(storable)
    return json.dumps(person, ensure_ascii=False, separators=(",", ":")).encode()


def _statistics(engine: duckdb.DuckDBPyConnection) -> ProfileStatistics:
    row = engine.execute(read_sql("lake/profile_statistics.sql")).fetchone()
    return ProfileStatistics(*(row or ()))


def _write_refusals(engine: duckdb.DuckDBPyConnection, target: Path) -> Path | None:
    path = str(target).replace("'", "''")
    written = engine.execute(f"copy ({read_sql('lake/profile_refusals.sql')}\n) to '{path}' (format json)").fetchone()
    return target if written and written[0] else None


def _first(refusals: Path | None, number: int) -> list[dict[str, str | None]]:
    if refusals is None:
        return []
    with refusals.open(encoding="utf-8") as lines:
        found: list[Mapping[str, str]] = [json.loads(line) for line, _ in zip(lines, range(number), strict=False)]
    return [{name: refusal.get(name) for name in ("distinct_id", "field", "reason")} for refusal in found]
