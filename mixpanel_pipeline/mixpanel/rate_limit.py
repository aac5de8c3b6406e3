"""Mixpanel's request limits, shared by all runs of a project through Postgres.

The rule itself is SQL, `mixpanel_take_request` in sql/migrations/0002_mixpanel_requests.sql; here is only the
waiting. Time is Postgres' clock throughout, so machines need not agree on theirs.
"""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import psycopg

from mixpanel_pipeline.mixpanel.errors import RateLimited

REASONS = {
    "hour": "Mixpanel's hourly limit ({used} of {per_hour} used)",
    "second": "Mixpanel's limit of {per_second} requests a second",
    "blocked": "the end of the pause that Mixpanel asked for (429)",
}


class RequestBudget:
    """The requests that a project may send to one API of Mixpanel."""

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[psycopg.Connection]],
        project_id: int,
        api: str = "export",
        *,
        per_hour: int = 60,
        per_second: int = 3,
        longest_wait: float = 4000.0,
        sleep: Callable[[float], None] = time.sleep,
        log: Callable[[str], None],
    ) -> None:
        """The block of a connection from `connect` commits at its end. `longest_wait`: an hour and a bit."""
        self._connect = connect
        self._project_id = project_id
        self._api = api
        self._per_hour = per_hour
        self._per_second = per_second
        self._longest_wait = longest_wait
        self._sleep = sleep
        self._log = log
        # Threads may share a budget; a request is acquired and sent by the same one.
        self._unsettled = threading.local()

    def acquire(self) -> None:
        """Returns when one request may be sent, and counts it. No connection is held while waiting.

        Raises:
            RateLimited: that would take longer than `longest_wait`.
        """
        waited = 0.0
        while True:
            seconds, reason = self._take()
            if seconds == 0:
                return
            why = self._explain(reason)
            if waited + seconds > self._longest_wait:
                raise RateLimited(f"project {self._project_id}", why, seconds)
            if reason != "second":
                self._log(f"waiting {seconds:.0f} s for {why}")
            self._sleep(seconds)
            waited += seconds

    def settle(self, *, sent: bool) -> None:
        """Says what became of the request that this thread acquired last, if it has not said so yet. What was never
        sent does not count: Mixpanel cannot have counted it, and an outage must not use up the hour after it."""
        taken = getattr(self._unsettled, "id", None)
        self._unsettled.id = None
        if taken is not None and not sent:
            with self._connect() as connection:
                connection.execute("delete from mixpanel_requests where id = %s", [taken])

    def block_for(self, seconds: float) -> None:
        """Mixpanel asked to wait (a 429): all runs of the project do, whatever they have left."""
        with self._connect() as connection:
            connection.execute("select mixpanel_block_requests(%s, %s, %s)", (self._project_id, self._api, seconds))

    def used_in_last_hour(self) -> int:
        """How many requests count against the hourly limit now."""
        with self._connect() as connection:
            row = connection.execute(
                "select count(*) from mixpanel_requests "
                "where project_id = %s and api = %s and requested_at > now() - interval '1 hour'",
                (self._project_id, self._api),
            ).fetchone()
        return row[0] if row else 0

    def _take(self) -> tuple[float, str]:
        with self._connect() as connection:
            row = connection.execute(
                "select wait_seconds, reason from mixpanel_take_request(%s, %s, %s, %s)",
                (self._project_id, self._api, self._per_hour, self._per_second),
            ).fetchone()
            seconds, reason = row if row else (0.0, "")
            if seconds == 0:
                # The identity of the row that the function has just inserted.
                taken = connection.execute("select lastval()").fetchone()
                self._unsettled.id = taken[0] if taken else None
        return seconds, reason

    def _explain(self, reason: str) -> str:
        used = self.used_in_last_hour() if reason == "hour" else 0
        return REASONS[reason].format(used=used, per_hour=self._per_hour, per_second=self._per_second)
