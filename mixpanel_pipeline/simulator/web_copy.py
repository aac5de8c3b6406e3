"""COPY's binary format: the columns of the web tables, fields as bytes, and streams read back as Python values."""

import ipaddress
import json
import struct
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
TRAILER = struct.pack(">h", -1)
NULL = struct.pack(">i", -1)
JSONB_VERSION = b"\x01"
FAMILY_IPV4, FAMILY_IPV6 = 2, 3  # Postgres' own numbers
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
EPOCH_MS = int(EPOCH.timestamp()) * 1000

_CARD = {"session_id": "text", "user_code": "text", "share_code": "text", "contact_id": "text"}
_EVENT = {
    "id": "uuid",
    "project_id": "text",
    "visitor_id": "text",
    "session_id": "text",
    "event_type": "text",
    "event_label": "text",
    "event_data": "jsonb",
    "created_at": "timestamptz",
    "received_at": "timestamptz",
}
COLUMN_TYPES = {
    "analytics_sessions": {
        **_CARD,
        "first_seen": "timestamptz",
        "last_seen": "timestamptz",
        "page_views": "int4",
        "clicks": "int4",
        "ip_address": "inet",
        "user_agent": "text",
        "referrer": "text",
    },
    "analytics_page_views": {"id": "uuid", **_CARD, "page_type": "text", "viewed_at": "timestamptz"},
    "analytics_clicks": {
        "id": "uuid",
        **_CARD,
        "click_target": "text",
        "click_category": "text",
        "clicked_at": "timestamptz",
    },
    "analytics_events": _EVENT,
    "analytics_events_legacy": _EVENT,
}


def field(content: bytes | None) -> bytes:
    return NULL if content is None else struct.pack(">i", len(content)) + content


def text(value: str | None) -> bytes:
    return field(None if value is None else value.encode())


def jsonb(value: Any) -> bytes:
    return field(JSONB_VERSION + compact_json(value))


def compact_json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def inet(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bytes:
    family = FAMILY_IPV4 if address.version == 4 else FAMILY_IPV6
    return field(bytes((family, address.max_prefixlen, 0, len(address.packed))) + address.packed)


_READERS: dict[str, Callable[[bytes], Any]] = {
    "uuid": lambda content: UUID(bytes=content),
    "text": bytes.decode,
    "jsonb": lambda content: json.loads(content.removeprefix(JSONB_VERSION)),
    "timestamptz": lambda content: EPOCH + timedelta(microseconds=int.from_bytes(content, signed=True)),
    "int4": lambda content: int.from_bytes(content, signed=True),
    "inet": lambda content: ipaddress.ip_address(content[4:]),
}


def read_rows(table: str, stream: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    """The rows of a stream whose blocks end where rows end, as this simulator's do."""
    readers = [(name, _READERS[kind]) for name, kind in COLUMN_TYPES[table].items()]
    for block in stream:
        position = len(HEADER) if block.startswith(HEADER) else 0
        while position < len(block) and not block.startswith(TRAILER, position):
            position += 2
            row: dict[str, Any] = {}
            for name, read in readers:
                length = int.from_bytes(block[position : position + 4], signed=True)
                position += 4
                row[name] = None if length < 0 else read(block[position : position + length])
                position += max(0, length)
            yield row
