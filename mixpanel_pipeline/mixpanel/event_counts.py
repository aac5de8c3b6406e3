"""How often events happened, by day, as Mixpanel's own reports count (reference/mixpanel.md A3)."""

import json
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

from mixpanel_pipeline.mixpanel.connection import Budget
from mixpanel_pipeline.mixpanel.errors import IncompleteAnswer, place_of
from mixpanel_pipeline.mixpanel.query import QueryApi

EVENTS_PATH = "/events"


class EventCountsClient:
    """Asks `/api/query/events`, which only some plans have (PlanWithoutExport, NoAccess otherwise)."""

    def __init__(
        self,
        query_url: str,
        project_id: int,
        username: str | None,
        secret: str,
        budget: Budget,
        *,
        connect_timeout: float = 10,
        read_timeout: float = 500,
    ) -> None:
        """`query_url` is a base, https://mixpanel.com. Without `username`, `secret` is the project's."""
        self.project_id = project_id
        self._api = QueryApi(
            query_url,
            EVENTS_PATH,
            project_id,
            username,
            secret,
            budget,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
        )

    def __repr__(self) -> str:
        return f"EventCountsClient(project {self.project_id} at {self._api.host})"

    def event_counts(self, events: Sequence[str], from_day: date, to_day: date) -> dict[tuple[str, date], int]:
        """The count of each event on each day, zero included, in one attempt that costs one query.

        Days are the project's by its time zone, whatever days its exports have; duplicates count once.

        Raises:
            MixpanelError: the typed reason.
        """
        place = place_of(self.project_id, from_day, to_day)
        parameters = {
            "event": json.dumps(list(events)),
            "type": "general",
            "unit": "day",
            "from_date": from_day.isoformat(),
            "to_date": to_day.isoformat(),
        }
        with self._api.session() as session:
            document = self._api.ask(session, place, parameters=parameters).document
        days = [from_day + timedelta(days=number) for number in range((to_day - from_day).days + 1)]
        with self._api.judging():
            values = _values(document, place)
            return {(event, day): _count(values, event, day, place) for event in events for day in days}


def _values(document: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    data = document.get("data")
    values = data.get("values") if isinstance(data, dict) else None
    if not isinstance(values, dict):
        raise IncompleteAnswer(place, "no counts (`data.values`) in it")
    return values


def _count(values: Mapping[str, Any], event: str, day: date, place: str) -> int:
    """Days without the event are left out, and so may be events that never happened."""
    by_day = values.get(event, {})
    count = by_day.get(day.isoformat(), 0) if isinstance(by_day, dict) else None
    if not isinstance(count, int) or isinstance(count, bool):
        raise IncompleteAnswer(place, f"the count of {event!r} on {day} is {count!r}")
    return count
