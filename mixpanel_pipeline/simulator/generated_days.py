"""Days of events made up from a seed: the same seed and day give the same bytes.

A million events take seconds because nothing is serialised one by one: what belongs to a person and what
belongs to a kind of event is rendered once (fragments.py), numpy draws who did what when, and a line is a few
fragments put together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
from isal import isal_zlib

from mixpanel_pipeline.simulator.fragments import EVENT_NAMES, EVENT_WEIGHTS, Fragments, fragments_for
from mixpanel_pipeline.simulator.project_clock import ProjectClock

DUPLICATE_FRACTION = 0.01
LATE_FRACTION = 0.005
ANONYMOUS_FRACTION = 0.03
IMPORT_FRACTION_OF_LATE = 0.2
LINES_PER_BLOCK = 2_000
QUARTER_HOUR = 900
HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
GZIP_WINDOW_BITS = 31  # a gzip header and trailer; zlib writes mtime 0 into it, so equal days are equal bytes

FIRST_LINE_PART = b'%b%d%b%b,"$insert_id":"%016x","$mp_api_timestamp_ms":%d,"mp_processing_time_ms":%d%b'


@dataclass(frozen=True)
class DayShape:
    """How much there is of a generated day, and from which seed."""

    events: int
    people: int
    seed: int
    properties: int = 30


@dataclass(frozen=True)
class DayRows:
    """The rows of a day as columns, in the order in which Mixpanel processed them.

    That order makes what is visible at any moment a prefix, and what arrived in a span of time a slice.
    """

    names: np.ndarray
    persons: np.ndarray
    variants: np.ndarray
    times: np.ndarray
    insert_ids: np.ndarray
    received_ms: np.ndarray
    processed_ms: np.ndarray
    imported: np.ndarray

    def take(self, rows: np.ndarray) -> "DayRows":
        return DayRows(*(getattr(self, column)[rows] for column in self.__dataclass_fields__))


def draw_day(day: date, shape: DayShape, clock: ProjectClock) -> DayRows:
    """Who did what when on that day, with about 1 % duplicates and a few late arrivals."""
    random = np.random.default_rng([shape.seed, day.toordinal()])
    count = shape.events
    fragments = fragments_for(shape.people, shape.seed, shape.properties)
    start, end = clock.bounds(day)
    seconds = np.sort(random.integers(start, end, count))
    # Squaring makes a few people very active and most of them rarely so, as in real projects.
    persons = (random.random(count) ** 2 * shape.people).astype(np.int64)
    anonymous = random.random(count) < ANONYMOUS_FRACTION
    persons[anonymous] = random.integers(shape.people, len(fragments.persons), int(anonymous.sum()))
    received_ms = seconds * 1000 + random.integers(50, 3_000, count)
    late = random.random(count) < LATE_FRACTION
    imported = late & (random.random(count) < IMPORT_FRACTION_OF_LATE)
    # Phones come back online within five days; imports may take weeks (reference A1.8).
    received_ms[late] += random.integers(HOUR_MS, 5 * DAY_MS, int(late.sum()))
    received_ms[imported] += random.integers(0, 15 * DAY_MS, int(imported.sum()))
    rows = DayRows(
        names=random.choice(len(EVENT_NAMES), count, p=EVENT_WEIGHTS),
        persons=persons,
        variants=random.integers(0, len(fragments.variants), count),
        times=seconds + _offsets(seconds, start, end, clock),
        insert_ids=random.integers(0, 2**63, count),
        received_ms=received_ms,
        processed_ms=received_ms + random.integers(100, 2_000, count),
        imported=imported.astype(np.int64),
    )
    _duplicate(rows, random)
    return rows.take(np.argsort(rows.processed_ms, kind="stable"))


def _offsets(seconds: np.ndarray, start: int, end: int, clock: ProjectClock) -> np.ndarray:
    """Wire time less real time. Zones change their offset at whole quarters of an hour."""
    quarters = [clock.offset_seconds(second) for second in range(start, end, QUARTER_HOUR)]
    return np.array(quarters, dtype=np.int64)[(seconds - start) // QUARTER_HOUR]


def _duplicate(rows: DayRows, random: np.random.Generator) -> None:
    """Overwrites some rows with copies of others that were processed again, up to two hours later."""
    count = len(rows.names)
    copies = int(count * DUPLICATE_FRACTION)
    chosen = random.permutation(count)[: 2 * copies]
    originals, replaced = chosen[:copies], chosen[copies:]
    for column in ("names", "persons", "times", "insert_ids", "imported"):
        values = getattr(rows, column)
        values[replaced] = values[originals]
    again_ms = random.integers(1_000, 2 * HOUR_MS, copies)
    rows.received_ms[replaced] = rows.received_ms[originals] + again_ms
    rows.processed_ms[replaced] = rows.processed_ms[originals] + again_ms


def render(rows: DayRows, fragments: Fragments, time_factor: int = 1) -> Iterator[bytes]:
    """The lines of those rows, in blocks of whole lines; `time_factor` 1000 writes milliseconds."""
    for first in range(0, len(rows.names), LINES_PER_BLOCK):
        block = slice(first, first + LINES_PER_BLOCK)
        yield b"".join(
            [
                FIRST_LINE_PART
                % (
                    fragments.heads[name],
                    time * time_factor,
                    fragments.persons[person],
                    fragments.variants[variant],
                    insert_id,
                    received_ms,
                    processed_ms,
                    fragments.tails[imported],
                )
                for name, time, person, variant, insert_id, received_ms, processed_ms, imported in zip(
                    rows.names[block].tolist(),
                    rows.times[block].tolist(),
                    rows.persons[block].tolist(),
                    rows.variants[block].tolist(),
                    rows.insert_ids[block].tolist(),
                    rows.received_ms[block].tolist(),
                    rows.processed_ms[block].tolist(),
                    rows.imported[block].tolist(),
                    strict=True,
                )
            ]
        )


def compress(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The blocks as one gzip stream: real servers send one member, and not every client reads more."""
    compressor = isal_zlib.compressobj(level=1, wbits=GZIP_WINDOW_BITS)
    for block in blocks:
        compressed = compressor.compress(block)
        if compressed:
            yield compressed
    yield compressor.flush()


def write_day(path: Path, day: date, events: int, people: int, seed: int, *, properties: int = 30) -> None:
    """Writes a whole generated UTC day as `.jsonl.gz`, for benchmarks and `Project.serve_file`."""
    rows = draw_day(day, DayShape(events, people, seed, properties), ProjectClock("UTC", "utc"))
    blocks = render(rows, fragments_for(people, seed, properties))
    with path.open("wb") as file:
        file.writelines(compress(blocks))
