"""What batches of web events leave, computed plainly: no SQL of ours, no module of ours.

Events are as senders make them, but for `refused`, which the tests put into those that must be."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

Event = dict[str, Any]

KINDS = {"page_view": "page_views", "click": "clicks", "event": "events"}
OPTIONAL = {
    "page_view": ("share_code", "contact_id"),
    "click": ("share_code", "contact_id", "click_target"),
    "event": ("event_label",),
}
DESCRIBES_A_SESSION = ("user_code", "share_code", "contact_id", "ip_address", "user_agent", "referrer")


@dataclass
class Store:
    """Rows by id, sessions by session_id."""

    page_views: dict[UUID, Event] = field(default_factory=dict)
    clicks: dict[UUID, Event] = field(default_factory=dict)
    events: dict[UUID, Event] = field(default_factory=dict)
    sessions: dict[str, Event] = field(default_factory=dict)

    def ingest(self, batch: list[Event]) -> tuple[int, int, list[tuple[int, str]]]:
        """Accepted, duplicates, and of the refused their places and fields."""
        refused = [(place, event["refused"]) for place, event in enumerate(batch) if "refused" in event]
        good = [event for event in batch if "refused" not in event]
        accepted = 0
        for event in good:
            if event["type"] != "session":
                rows = getattr(self, KINDS[event["type"]])
                accepted += UUID(event["id"]) not in rows
                rows.setdefault(UUID(event["id"]), stored_row(event))
        told = []
        for event in good:
            if event["type"] == "session" and (row := session_row(event)) not in told:
                told.append(row)
        before = dict(self.sessions)
        for row in told:
            known = before.get(row["session_id"])
            accepted += known is None or merged(known, row) != known
            now = self.sessions.get(row["session_id"])
            self.sessions[row["session_id"]] = merged(now, row) if now else row
        return accepted, len(good) - accepted, refused


def stored_row(event: Event) -> Event:
    row = {name: value for name, value in event.items() if name != "type"}
    row["id"] = UUID(row["id"])
    row |= {name: row.get(name) or None for name in OPTIONAL[event["type"]]}
    row |= {name: datetime.fromisoformat(value) for name, value in row.items() if name.endswith("_at")}
    if event["type"] == "event":
        row["event_data"] = row.get("event_data") or {}
    return row


def session_row(event: Event) -> Event:
    first_seen = datetime.fromisoformat(event["first_seen"])
    last_seen = event.get("last_seen")
    return {
        "session_id": event["session_id"],
        "first_seen": first_seen,
        "last_seen": datetime.fromisoformat(last_seen) if last_seen else first_seen,
        "page_views": event.get("page_views") or 0,
        "clicks": event.get("clicks") or 0,
        **{name: event.get(name) or None for name in DESCRIBES_A_SESSION},
    }


def merged(one: Event, other: Event) -> Event:
    """The row of a session of which two events tell."""
    row = {
        "session_id": one["session_id"],
        "first_seen": min(one["first_seen"], other["first_seen"]),
        **{name: max(one[name], other[name]) for name in ("last_seen", "page_views", "clicks")},
    }
    began = [each for each in (one, other) if each["first_seen"] == row["first_seen"]]
    for name in DESCRIBES_A_SESSION:
        row[name] = min((each[name] for each in began if each[name] is not None), default=None)
    return row
