"""Which error an answer other than 200 is, or a 200 that bears one (reference/mixpanel.md A1.6, A1.7).

The status alone does not tell: expired accounts get 400 as well as 401, a missing plan 402 or another 4xx.
The export API answers errors as plain text, others of Mixpanel's APIs as JSON with `error`; both are read.
"""

import json
import re
from collections.abc import Mapping

from mixpanel_pipeline.mixpanel.errors import (
    BadRequest,
    DateInTheFuture,
    DateRangeNotAllowed,
    MixpanelError,
    NoAccess,
    NotFound,
    PlanWithoutExport,
    RateLimited,
    ServerFailure,
    SessionLost,
    WrongCredentials,
)

# Enough to read the reason; a load balancer's page may be longer.
# Windows are an hour long; a proxy that asks for a year shall not stop the project for one.
LONGEST_WAIT = 86_400.0
LONGEST_REASON = 300

# What a client error's text says, in the order of precedence over its status.
TEXTS: tuple[tuple[str, type[MixpanelError]], ...] = (
    ("unable to authenticate", WrongCredentials),  # 400: Airbyte's experience with expired accounts
    ("cannot be later than today", DateInTheFuture),
    ("plan does not support", PlanWithoutExport),
    (
        "date range",
        DateRangeNotAllowed,
    ),  # 403 "Date range exceeds 90 days into the past", 400 beyond 100 days
)
STATUSES: dict[int, type[MixpanelError]] = {
    401: WrongCredentials,
    402: PlanWithoutExport,
    403: NoAccess,
    404: NotFound,
    408: ServerFailure,
}

# The session of a profile query has expired (engage-query.mdx); with which status is not known.
UNCACHED = "uncached query"

# One entry of the RateLimit header: "project";r=0;t=3600 (nothing remains, for 3600 seconds).
EXHAUSTED = re.compile(r"^(?=.*;\s*r=0(?:;|$)).*;\s*t=(\d+(?:\.\d+)?)")
HOURLY_LIMIT = re.compile(r"(\d+)/(\d+) queries running in the last hour")
SECONDS = re.compile(r"\d+(?:\.\d+)?")


def refusal(status: int, headers: Mapping[str, str], body: bytes, place: str) -> MixpanelError:
    """The error that this answer is. `headers` are looked up whatever their case, as requests' are."""
    reason = _reason(body)
    detail = f"HTTP {status}: {reason}" if reason else f"HTTP {status}"
    if UNCACHED in reason.lower():
        return SessionLost(place, detail)
    if status == 429:
        return RateLimited(place, detail, _wait_seconds(headers, reason))
    if status >= 500:
        return ServerFailure(place, detail)
    if 300 <= status < 400:
        # Not followed: the credentials are meant for the address that was configured.
        return NotFound(place, f"HTTP {status}: redirected to {headers.get('Location', 'nowhere')}")
    for text, kind in TEXTS:
        if text in reason.lower():
            return kind(place, detail)
    return STATUSES.get(status, BadRequest)(place, detail)


def refusal_in_200(reason: str, place: str) -> MixpanelError:
    """The error that a 200 bears: the Query API answered errors that way (mixpanel-data-export-js PR #31).

    A text that is not known counts as a passing failure: Mixpanel would refuse what is wrong for good by a
    status of its own, and trying again costs less than a person's attention.
    """
    reason = " ".join(reason.split())[:LONGEST_REASON]
    detail = f"HTTP 200 with the error {reason!r}"
    if UNCACHED in reason.lower():
        return SessionLost(place, detail)
    if "rate limit exceeded" in reason.lower():
        return RateLimited(place, detail, _wait_seconds({}, reason))
    for text, kind in TEXTS:
        if text in reason.lower():
            return kind(place, detail)
    return ServerFailure(place, detail)


def _reason(body: bytes) -> str:
    text = body.decode("utf-8", errors="replace")
    try:
        text = str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        text = re.sub(r"<[^>]*>", " ", text)
    return " ".join(text.split())[:LONGEST_REASON]


def _wait_seconds(headers: Mapping[str, str], reason: str) -> float | None:
    """How long Mixpanel asks to wait, or None when it does not say (load shedding has no headers).

    The used-up entry of RateLimit comes first: for a trip of the concurrency limit it says 10 seconds, where
    Retry-After was seen to say 3600 with every 429.
    """
    entries = headers.get("RateLimit", "").split(",")
    waits = [float(match[1]) for entry in entries if (match := EXHAUSTED.search(entry))]
    retry_after = headers.get("Retry-After", "").strip()
    if not waits and SECONDS.fullmatch(retry_after):
        waits = [float(retry_after)]
    if waits:
        return min(max(waits), LONGEST_WAIT)
    hourly = HOURLY_LIMIT.search(reason)
    if hourly and int(hourly[1]) > int(hourly[2]):
        return 3600.0  # nobody said how long ago the oldest request was, so the whole rolling hour
    return None
