"""The days that exist before anybody adds an event: generated from a seed, or served from given files."""

import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import BinaryIO

import numpy as np
from isal import igzip

from mixpanel_pipeline.simulator.fragments import EVENT_NAMES, Fragments, fragments_for
from mixpanel_pipeline.simulator.generated_days import DayRows, DayShape, draw_day, render
from mixpanel_pipeline.simulator.gzip_cache import GzipCache
from mixpanel_pipeline.simulator.project_clock import ProjectClock
from mixpanel_pipeline.simulator.where import processed_bounds
from mixpanel_pipeline.simulator.where_syntax import Expression

DEFAULT_HISTORY_DAYS = 90
EVENT_NAME = re.compile(rb'\{"event":\s?("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True)
class Selection:
    """What of a day a request asks for, and the moment at which it asks."""

    now_ms: int
    names: frozenset[str] | None = None
    where: Expression | None = None
    time_in_ms: bool = False
    lag_ms: int = 0

    @property
    def visible_ms(self) -> int:
        return self.now_ms - self.lag_ms


class BaseDays:
    """Generated and served days, as compressed streams or as lines."""

    def __init__(
        self,
        shape: DayShape,
        clock: ProjectClock,
        first_day: date | None = None,
        last_day: date | None = None,
        cache_directory: Path | None = None,
    ) -> None:
        self.shape = shape
        self.clock = clock
        self.first_day = first_day
        self.last_day = last_day
        self._served: dict[date, Path] = {}
        self._cache = GzipCache(cache_directory)
        self._identity = _digest(f"{shape} {clock.time_mode} {clock.zone.key}")

    def serve_file(self, day: date, path: Path) -> None:
        self._served[day] = path

    def is_served(self, day: date) -> bool:
        return day in self._served

    def has(self, day: date) -> bool:
        if day in self._served:
            return True
        today = self.clock.today()
        first = self.first_day or today - timedelta(days=DEFAULT_HISTORY_DAYS)
        return self.shape.events > 0 and first <= day <= (self.last_day or today)

    def drawn(self, day: date, selection: Selection) -> Iterator[tuple[str, int, int, int]]:
        """Of a generated day what a report needs (event, time, person, insert id), without rendering it."""
        rows = draw_day(day, self.shape, self.clock)
        visible = slice(0, int(np.searchsorted(rows.processed_ms, selection.visible_ms, side="right")))
        columns = (rows.times, rows.persons, rows.insert_ids)
        for name, *values in zip(rows.names[visible].tolist(), *(c[visible].tolist() for c in columns), strict=True):
            if selection.names is None or EVENT_NAMES[name] in selection.names:
                yield EVENT_NAMES[name], *values

    def stream(self, day: date, selection: Selection) -> BinaryIO:
        """The day as gzip, without regard to `where`: the same bytes as long as nothing new is visible."""
        if day in self._served:
            return self._served_stream(self._served[day], selection)
        names = _generated_names(selection.names)
        processed_ms = self._processed_ms(day)
        visible = int(np.searchsorted(processed_ms, selection.visible_ms, side="right"))
        kind = _digest(f"{names and sorted(names)} {selection.time_in_ms}")
        return self._cache.open(
            f"{self._identity}-{day}-{kind}",
            visible,
            lambda: self._render(day, slice(0, visible), replace(selection, names=names)),
        )

    def lines(self, day: date, selection: Selection) -> Iterator[bytes]:
        """The same, line by line; of generated days only what the bounds in `where` can match."""
        if day not in self._served and selection.where is not None:
            low, high = processed_bounds(selection.where)
            if (low, high) != (-math.inf, math.inf):
                yield from self._lines_between(day, selection, low, high)
                return
        with self.stream(day, selection) as stream, igzip.IGzipFile(fileobj=stream, mode="rb") as file:
            yield from file

    def _lines_between(self, day: date, selection: Selection, low: float, high: float) -> Iterator[bytes]:
        processed_ms = self._processed_ms(day)
        first = int(np.searchsorted(processed_ms, low, side="left"))
        end = int(np.searchsorted(processed_ms, min(high, selection.visible_ms), side="right"))
        if first < end:
            for block in self._render(day, slice(first, end), selection):
                yield from block.splitlines(keepends=True)

    def _render(self, day: date, span: slice, selection: Selection) -> Iterator[bytes]:
        rows = _span(draw_day(day, self.shape, self.clock), span)
        if selection.names is not None:
            wanted = [index for index, name in enumerate(EVENT_NAMES) if name in selection.names]
            rows = rows.take(np.isin(rows.names, wanted))
        return render(rows, self._fragments(), 1000 if selection.time_in_ms else 1)

    def _fragments(self) -> Fragments:
        return fragments_for(self.shape.people, self.shape.seed, self.shape.properties)

    def _processed_ms(self, day: date) -> np.ndarray:
        return self._cache.array(f"{self._identity}-{day}", lambda: draw_day(day, self.shape, self.clock).processed_ms)

    def _served_stream(self, path: Path, selection: Selection) -> BinaryIO:
        if selection.names is None and not selection.time_in_ms and path.suffix == ".gz":
            return path.open("rb")
        changed = path.stat().st_mtime_ns
        names = selection.names and sorted(selection.names)
        kind = _digest(f"{path.resolve()} {names} {selection.time_in_ms}")
        return self._cache.open(f"served-{kind}", changed, lambda: _selected_lines(path, selection))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _span(rows: DayRows, span: slice) -> DayRows:
    return rows.take(np.arange(span.start, span.stop))


def _generated_names(names: frozenset[str] | None) -> frozenset[str] | None:
    """None if the filter lets every generated event through, so that it shares the unfiltered file."""
    if names is None or names.issuperset(EVENT_NAMES):
        return None
    return names.intersection(EVENT_NAMES)


def _selected_lines(path: Path, selection: Selection) -> Iterator[bytes]:
    with path.open("rb") as file:
        lines = igzip.IGzipFile(fileobj=file, mode="rb") if path.suffix == ".gz" else file
        for line in lines:
            if selection.names is not None and _event_name(line) not in selection.names:
                continue
            yield _in_milliseconds(line) if selection.time_in_ms else line


def _event_name(line: bytes) -> str:
    """The name without parsing the whole line, if `event` comes first in it, as it does on the wire."""
    found = EVENT_NAME.match(line)
    return json.loads(found[1]) if found else json.loads(line)["event"]


def _in_milliseconds(line: bytes) -> bytes:
    row = json.loads(line)
    row["properties"]["time"] *= 1000
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
