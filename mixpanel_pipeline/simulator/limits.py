"""Mixpanel's rate limits, per project: exports 60 an hour (rolling), 3 a second, 100 at a time; queries
(profiles, reports) 60 an hour and 5 at a time.

Numbers are from docs reference/rate-limits.mdx; headers and bodies are those of Query API 429s as seen by
mixpanel-headless, since export's own are not published. Whether refused calls count is not known: they do
not here.
"""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

DOCUMENTATION = (
    "For more information, please consult our documentation at https://help.mixpanel.com/hc/en-us/"
    "articles/115004602563-Rate-Limits-for-Export-API-Endpoints"
)
HOUR = 3600


@dataclass(frozen=True)
class TooMany:
    """A 429: what was exceeded, as its body says it, and its headers."""

    reason: str
    headers: dict[str, str]

    def error(self, project_id: int) -> str:
        return (
            f"Query rate limit exceeded for project_id: {project_id}. This request exceeded {self.reason}. "
            f"{DOCUMENTATION}"
        )


@dataclass
class Limits:
    """The limits of one project; None switches a limit off."""

    per_hour: int | None = None
    per_second: int | None = None
    concurrent: int | None = None
    clock: Callable[[], float] = time.monotonic
    running: int = 0
    _admitted: deque[float] = field(default_factory=deque)

    @classmethod
    def as_published(cls) -> "Limits":
        """Those of the export API."""
        return cls(per_hour=60, per_second=3, concurrent=100)

    @classmethod
    def of_queries(cls) -> "Limits":
        """Those of the Query API, which has no limit a second."""
        return cls(per_hour=60, concurrent=5)

    def admit(self, *, counted: bool = True) -> TooMany | None:
        """Counts the request in, or says why not. Whoever is admitted calls `release` at the end.

        What is not `counted` costs nothing of the hour, but still takes a place among those running.
        """
        now = self.clock()
        while self._admitted and self._admitted[0] <= now - HOUR:
            self._admitted.popleft()
        refused = self._refusal(now) if counted else self._too_many_running()
        if refused is None:
            if counted:
                self._admitted.append(now)
            self.running += 1
        return refused

    def release(self) -> None:
        self.running -= 1

    def _refusal(self, now: float) -> TooMany | None:
        count = len(self._admitted)
        if self.per_hour is not None and count >= self.per_hour:
            wait = max(1, math.ceil(self._admitted[0] + HOUR - now)) if count else HOUR
            reason = f"the rate limit ({count + 1}/{self.per_hour} queries running in the last hour)"
            return TooMany(reason, self._headers(f'"project";r=0;t={wait}', self._room(), wait))
        too_many_running = self._too_many_running()
        if too_many_running is not None:
            return too_many_running
        last_second = sum(1 for moment in self._admitted if moment > now - 1)
        if self.per_second is not None and last_second >= self.per_second:
            reason = f"the rate limit ({last_second + 1}/{self.per_second} queries running in the last second)"
            return TooMany(reason, self._headers('"project";r=0;t=1', self._room(), 1))
        return None

    def _too_many_running(self) -> TooMany | None:
        if self.concurrent is None or self.running < self.concurrent:
            return None
        reason = f"the concurrency limit ({self.running + 1}/{self.concurrent} queries running concurrently)"
        left = f'"project";r={(self.per_hour or 60) - len(self._admitted)}'
        return TooMany(reason, self._headers(left, '"project-concurrency";r=0;t=10', 10))

    def _room(self) -> str:
        return f'"project-concurrency";r={max(0, (self.concurrent or 100) - self.running)}'

    def _headers(self, project: str, concurrency: str, retry_after: int) -> dict[str, str]:
        return limit_headers(self.per_hour or 60, self.concurrent or 100, project, concurrency, retry_after)


def limit_headers(per_hour: int, concurrent: int, project: str, concurrency: str, retry_after: int) -> dict[str, str]:
    return {
        "RateLimit-Policy": (
            f'"project";q={per_hour};w={HOUR}, "project-concurrency";q={concurrent};qu="concurrent-requests"'
        ),
        "RateLimit": f"{project}, {concurrency}",
        "Retry-After": str(retry_after),
    }
