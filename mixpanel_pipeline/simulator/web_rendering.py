"""Puts web rows together: a row is a few fragments, and between them fields of fixed width that numpy writes."""

from collections.abc import Callable
from typing import Any

import numpy as np

from mixpanel_pipeline.simulator.web_copy import COLUMN_TYPES, EPOCH_MS
from mixpanel_pipeline.simulator.web_fragments import MISSING_FORMS, WebFragments, column
from mixpanel_pipeline.simulator.web_visits import CLICK, EVENT, PAGE_VIEW, Actions, Sessions, scattered
from mixpanel_pipeline.simulator.web_words import REFERRERS, USER_AGENTS

HEXADECIMAL = np.array([b"%02x" % byte for byte in range(256)])
UUID7_VERSION, UUID_VARIANT = np.uint64(7 << 12), np.uint64(2 << 62)

Piece = tuple[str, Any]  # a numpy type, and a value or an array of them


class DayRendering:
    """Renders the rows of a day's sessions."""

    def __init__(self, sessions: Sessions, seed: int, fragments: WebFragments) -> None:
        self._sessions = sessions
        self._fragments = fragments
        self._session_ids = scattered(sessions.numbers, seed)
        self._agents = _part(sessions.visitors, 8, len(USER_AGENTS))
        self._addresses = _part(sessions.visitors, 16, len(fragments.addresses))
        self._referrers = _part(self._session_ids, 8, len(REFERRERS))
        self._missing_forms = _part(self._session_ids, 16, MISSING_FORMS)

    def sessions(self, actions: Actions) -> bytes:
        """A row a session; the actions are all of these sessions', session by session."""
        seen = actions.take(actions.kinds != EVENT)
        rows, firsts, counts = np.unique(seen.sessions, return_index=True, return_counts=True)
        clicks = np.add.reduceat(seen.kinds == CLICK, firsts, dtype=np.int64)
        first_seen, last_seen = seen.times_ms[firsts], np.maximum.reduceat(seen.times_ms, firsts)
        return _joined(
            _fixed(len(rows), _column_count("analytics_sessions")),
            self._of_sessions(rows, self._card_fields),
            _fixed(
                len(rows),
                *_timestamp(first_seen),
                *_timestamp(last_seen),
                *_field(">i4", counts - clicks),
                *_field(">i4", clicks),
            ),
            self._fragments.addresses[self._addresses[rows]].tolist(),
            self._fragments.user_agents[self._agents[rows]].tolist(),
            self._fragments.referrers[self._referrers[rows]].tolist(),
        )

    def page_views(self, actions: Actions) -> bytes:
        return _joined(
            _starts("analytics_page_views", actions),
            self._of_sessions(actions.sessions, self._card_fields),
            self._fragments.pages[actions.choices].tolist(),
            _fixed(len(actions), *_timestamp(actions.times_ms)),
        )

    def clicks(self, actions: Actions) -> bytes:
        return _joined(
            _starts("analytics_clicks", actions),
            self._of_sessions(actions.sessions, self._card_fields),
            self._fragments.clicks[actions.choices].tolist(),
            _fixed(len(actions), *_timestamp(actions.times_ms)),
        )

    def events(self, actions: Actions) -> bytes:
        return _joined(
            _starts("analytics_events", actions),
            self._of_sessions(actions.sessions, self._visit_fields),
            self._fragments.events[actions.choices].tolist(),
            self._fragments.event_data[actions.variants].tolist(),
            _fixed(len(actions), *_timestamp(actions.times_ms), *_timestamp(actions.received_ms)),
        )

    def legacy(self, actions: Actions) -> bytes:
        """Page views and clicks as events, with the card and what was seen or clicked inside event_data."""
        fragments, rows = self._fragments, actions.sessions
        pages = actions.kinds == PAGE_VIEW
        page_numbers = (actions.choices * len(USER_AGENTS) + self._agents[rows]) * len(REFERRERS) + self._referrers[
            rows
        ]
        cards = fragments.legacy_openings[self._sessions.openings[rows] * MISSING_FORMS + self._missing_forms[rows]]
        visitors, details = (np.full(len(actions), b"", dtype=object) for _ in range(2))
        visitors[pages] = fragments.legacy_addresses[self._addresses[rows][pages]]
        details[pages] = fragments.legacy_pages[page_numbers[pages]]
        details[~pages] = fragments.legacy_clicks[actions.choices[~pages]]
        return _joined(
            _starts("analytics_events_legacy", actions),
            self._of_sessions(rows, self._visit_fields),
            fragments.legacy_types[actions.kinds].tolist(),
            _fixed(len(actions), (">i4", _lengths(cards) + _lengths(visitors) + _lengths(details))),
            cards.tolist(),
            visitors.tolist(),
            details.tolist(),
            _fixed(len(actions), *_timestamp(actions.times_ms), *_timestamp(actions.received_ms)),
        )

    def _of_sessions(self, rows: np.ndarray, fields: Callable[[slice], np.ndarray]) -> list[bytes]:
        """Those fields of each row's session; neighbours in time are neighbours in number, so few are rendered."""
        if not len(rows):
            return []
        first = int(rows.min())
        return fields(slice(first, int(rows.max()) + 1))[rows - first].tolist()

    def _card_fields(self, rows: slice) -> np.ndarray:
        cards = self._fragments.openings[self._sessions.openings[rows]]
        ids = _identifiers(b"s-", self._session_ids[rows])
        return column(session + card for session, card in zip(ids, cards.tolist(), strict=True))

    def _visit_fields(self, rows: slice) -> np.ndarray:
        projects = self._fragments.projects[self._sessions.projects[rows]].tolist()
        visitors = _identifiers(b"v-", self._sessions.visitors[rows])
        ids = _identifiers(b"s-", self._session_ids[rows])
        return column(map(b"".join, zip(projects, visitors, ids, strict=True)))


def _part(numbers: np.ndarray, shift: int, count: int) -> np.ndarray:
    """One of `count` things, by bits of a number that is as good as random."""
    return ((numbers >> np.uint64(shift)) % np.uint64(count)).astype(np.int64)


def _lengths(fragments: np.ndarray) -> np.ndarray:
    return np.fromiter(map(len, fragments), dtype=np.int64, count=len(fragments))


def _joined(*columns: list[bytes]) -> bytes:
    parts: list[bytes] = [b""] * (len(columns[0]) * len(columns))
    for number, values in enumerate(columns):
        parts[number :: len(columns)] = values
    return b"".join(parts)


def _fixed(count: int, *pieces: Piece) -> list[bytes]:
    rows = np.empty(count, dtype=[(str(number), kind) for number, (kind, _) in enumerate(pieces)])
    for number, (_, values) in enumerate(pieces):
        rows[str(number)] = values
    return rows.view(f"V{rows.itemsize}").tolist()


def _field(kind: str, values: np.ndarray) -> list[Piece]:
    return [(">i4", np.dtype(kind).itemsize), (kind, values)]


def _timestamp(times_ms: np.ndarray) -> list[Piece]:
    return _field(">i8", (times_ms - EPOCH_MS) * 1000)


def _column_count(table: str) -> Piece:
    return (">i2", len(COLUMN_TYPES[table]))


def _starts(table: str, actions: Actions) -> list[bytes]:
    """Where rows begin: the number of columns, and a UUIDv7 whose time is the action's."""
    high = (actions.times_ms.astype(np.uint64) << np.uint64(16)) | UUID7_VERSION | actions.random_high
    low = UUID_VARIANT | actions.random_low
    return _fixed(len(actions), _column_count(table), (">i4", 16), (">u8", high), (">u8", low))


def _identifiers(prefix: bytes, numbers: np.ndarray) -> list[bytes]:
    """Text fields: the prefix and 16 hexadecimal digits."""
    digits = HEXADECIMAL[numbers.astype(">u8").view(np.uint8)].view("S16")
    return _fixed(len(numbers), (">i4", len(prefix) + 16), (f"S{len(prefix)}", prefix), ("S16", digits))
