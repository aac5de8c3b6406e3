"""Mixpanel's rate limits of the export API: per project 60 an hour (rolling), 3 a second, 100 at a time.

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
        return cls(per_hour=60, per_second=3, concurrent=100)

    def admit(self) -> TooMany | None:
        """Counts the request in, or says why not. Whoever is admitted calls `release` at the end."""
        now = self.clock()
        while self._admitted and self._admitted[0] <= now - HOUR:
            self._admitted.popleft()
        refused = self._refusal(now)
        if refused is None:
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
        if self.concurrent is not None and self.running >= self.concurrent:
            reason = f"the concurrency limit ({self.running + 1}/{self.concurrent} queries running concurrently)"
            return TooMany(reason, self._headers(self._left(count), '"project-concurrency";r=0;t=10', 10))
        last_second = sum(1 for moment in self._admitted if moment > now - 1)
        if self.per_second is not None and last_second >= self.per_second:
            reason = f"the rate limit ({last_second + 1}/{self.per_second} queries running in the last second)"
            return TooMany(reason, self._headers('"project";r=0;t=1', self._room(), 1))
        return None

    def _left(self, count: int) -> str:
        return f'"project";r={(self.per_hour or 60) - count}'

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
