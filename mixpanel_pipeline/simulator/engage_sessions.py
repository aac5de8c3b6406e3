"""Result sets that the first page of an Engage query froze, for the pages that follow (reference A2)."""

import hashlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from mixpanel_pipeline.simulator.engage_request import EngageQuery
from mixpanel_pipeline.simulator.profiles import Row

# How long Mixpanel keeps a session is not known; "if pages follow promptly" is all that clients tell.
LIFETIME_SECONDS = 600.0
MOST_SESSIONS = 50


@dataclass
class EngageSession:
    session_id: str
    query: EngageQuery
    rows: list[Row]
    used: float


class EngageSessions:
    """The sessions of a project. `lifetime_seconds` counts from the last page, by `clock`."""

    def __init__(self, seed: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.lifetime_seconds = LIFETIME_SECONDS
        self.clock = clock
        self._seed = seed
        self._opened = 0
        self._sessions: dict[str, EngageSession] = {}
        self._lock = threading.Lock()  # clients read several pages at once

    def open(self, query: EngageQuery, rows: list[Row]) -> EngageSession:
        with self._lock:
            self._opened += 1
            digest = hashlib.sha256(f"session {self._seed} {self._opened}".encode()).hexdigest()
            session = EngageSession(f"{int(digest[:8], 16):010d}-{digest[8:14].upper()}", query, rows, self.clock())
            while len(self._sessions) >= MOST_SESSIONS:
                del self._sessions[next(iter(self._sessions))]
            self._sessions[session.session_id] = session
            return session

    def find(self, session_id: str | None, query: EngageQuery) -> EngageSession | None:
        """The session, if it lives and is about this query."""
        now = self.clock()
        with self._lock:
            session = self._sessions.get(session_id or "")
            if session is None or session.query != query:
                return None
            if session.used + self.lifetime_seconds < now:
                del self._sessions[session.session_id]
                return None
            session.used = now
            return session

    def forget(self, session_id: str | None = None) -> None:
        """Ends that session, or all."""
        with self._lock:
            if session_id is None:
                self._sessions.clear()
            else:
                self._sessions.pop(session_id, None)
