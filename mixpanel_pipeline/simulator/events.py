"""One stored event, and the line it becomes on the wire."""

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from mixpanel_pipeline.simulator.project_clock import ProjectClock


class Absent(Enum):
    """Stands for a key that the line does not have at all, which is not the same as null."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT


@dataclass
class Event:
    """A stored row; merges change it in place, so whoever added it sees what Mixpanel now holds.

    `time_seconds` is real UTC whatever the project's time mode. `properties` win over the fields of the same
    name on the wire, so any odd shape can be stored.
    """

    number: int
    event: str
    distinct_id: str | None
    time_seconds: int
    insert_id: str | Absent
    processed_ms: int
    properties: dict[str, Any] = field(default_factory=dict)
    soft_deleted: bool = False

    def row(self, clock: ProjectClock) -> dict[str, Any]:
        """The object of the wire line: `event` and `properties`, nothing else (openapi/export)."""
        properties: dict[str, Any] = {"time": clock.wire_seconds(self.time_seconds)}
        if self.distinct_id is not None:
            properties["distinct_id"] = self.distinct_id
        if self.insert_id is not ABSENT:
            properties["$insert_id"] = self.insert_id
        properties["mp_processing_time_ms"] = self.processed_ms
        properties.update(self.properties)
        return {
            "event": self.event,
            "properties": {key: value for key, value in properties.items() if value is not ABSENT},
        }


def event_of_row(row: dict[str, Any], clock: ProjectClock) -> Event:
    """A generated or served line as an event, for predicates that decide over both kinds."""
    properties = dict(row["properties"])
    wire_time = properties.get("time")
    return Event(
        number=-1,
        event=row["event"],
        distinct_id=properties.get("distinct_id"),
        time_seconds=clock.utc_seconds(wire_time) if isinstance(wire_time, int) else 0,
        insert_id=properties.get("$insert_id", ABSENT),
        processed_ms=properties.get("mp_processing_time_ms", 0),
        properties=properties,
    )


def encode_row(row: dict[str, Any]) -> bytes:
    """One line of an export."""
    return encode_json(row) + b"\n"


def encode_json(value: Any) -> bytes:
    """As UTF-8 rather than escapes; a lone surrogate exists only as an escape."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()
