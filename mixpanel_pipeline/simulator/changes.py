"""Merges and deletes, which rewrite what was exported before (reference A1.9)."""

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from mixpanel_pipeline.simulator.events import Event, encode_row, event_of_row
from mixpanel_pipeline.simulator.project_clock import ProjectClock


@dataclass(frozen=True)
class Merge:
    """Rows of `old_id` become rows of `new_id`; a fraction below 1 leaves some behind, as Mixpanel does."""

    old_id: str
    new_id: str
    fraction: float = 1.0

    @property
    def needle(self) -> str | None:
        return self.old_id

    def apply(self, event: Event) -> Event | None:
        if event.distinct_id != self.old_id or not self._moves(event):
            return event
        event.distinct_id = self.new_id
        event.properties["$distinct_id_before_identity"] = self.old_id
        if "distinct_id" in event.properties:
            event.properties["distinct_id"] = self.new_id
        return event

    def _moves(self, event: Event) -> bool:
        share = zlib.crc32(f"{self.old_id} {event.insert_id} {event.event}".encode()) / 2**32
        return share < self.fraction


@dataclass(frozen=True)
class Deletion:
    """Rows for which the predicate holds; soft ones stay in the export until Mixpanel compacts."""

    predicate: Callable[[Event], bool]
    soft: bool = False
    needle: str | None = None

    def apply(self, event: Event) -> Event | None:
        if not self.predicate(event):
            return event
        if self.soft:
            event.soft_deleted = True
            return event
        return None


Change = Merge | Deletion


def changed_lines(lines: Iterable[bytes], changes: Sequence[Change], clock: ProjectClock) -> Iterator[bytes]:
    """The lines after all changes; a line that no change can concern keeps its bytes."""
    needles = [change.needle for change in changes]
    sought = [json.dumps(needle, ensure_ascii=False).encode() for needle in needles if needle is not None]
    everything = None in needles
    for line in lines:
        if not everything and not any(needle in line for needle in sought):
            yield line
            continue
        row = json.loads(line)
        event: Event | None = event_of_row(row, clock)
        before = dict(row["properties"])
        for change in changes:
            event = change.apply(event) if event is not None else None
        if event is not None:
            unchanged = event.properties == before
            yield line if unchanged else encode_row({"event": event.event, "properties": event.properties})
