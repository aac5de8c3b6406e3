"""A Mixpanel project as its read APIs show it: generated days and profiles, and what tests store in it."""

import hashlib
import json
import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from mixpanel_pipeline.simulator.authentication import Credentials
from mixpanel_pipeline.simulator.base_days import BaseDays, Selection
from mixpanel_pipeline.simulator.changes import Change, Deletion, Merge, changed_lines
from mixpanel_pipeline.simulator.engage_sessions import EngageSessions
from mixpanel_pipeline.simulator.events import ABSENT, Absent, Event, encode_row
from mixpanel_pipeline.simulator.faults import FaultPlan
from mixpanel_pipeline.simulator.generated_days import DayShape
from mixpanel_pipeline.simulator.generated_profiles import GeneratedProfiles
from mixpanel_pipeline.simulator.limits import Limits
from mixpanel_pipeline.simulator.profiles import Profiles
from mixpanel_pipeline.simulator.project_clock import ProjectClock, TimeMode
from mixpanel_pipeline.simulator.where import matches

PROCESSING_DELAY_MS = 1_500
MAXIMUM_RANGE_DAYS = 100  # mixpanel-headless: "limits requests to 100 days maximum"


class ReceivedRequest(NamedTuple):
    path: str
    params: dict[str, str]
    status: int
    time: datetime
    method: str = "GET"


class Occurrence(NamedTuple):
    """An event as a report sees it: equal ones are duplicates. `time` is the wire's, in seconds."""

    event: str
    time: int
    distinct_id: Hashable
    insert_id: Hashable


class Project:
    """What a project holds, who may read it, and what goes wrong with it.

    Generated days lie between `first_day` (90 days ago) and `last_day` (today) if `events_per_day` is above
    zero. An event shows in the export once its processing time is not after the project's now. `profiles` is
    how many generated ones there are; the first belong to the `people` of the generated days.
    """

    def __init__(
        self,
        *,
        project_id: int = 12345,
        username: str = "demo-account",
        secret: str = "demo-secret",  # noqa: S107 - a simulator's secret guards nothing
        timezone: str = "UTC",
        time_mode: TimeMode = "utc",
        seed: int = 1,
        events_per_day: int = 0,
        people: int = 100,
        profiles: int = 0,
        first_day: date | None = None,
        last_day: date | None = None,
        today: Callable[[], date | datetime] | None = None,
        project_secret: str | None = None,
        properties: int = 30,
        limits: Limits | None = None,
        query_limits: Limits | None = None,
        maximum_range_days: int = MAXIMUM_RANGE_DAYS,
        cache_directory: Path | None = None,
    ) -> None:
        self.credentials = Credentials(project_id, username, secret, project_secret or secret)
        self.clock = ProjectClock(timezone, time_mode, today)
        self.limits = limits or Limits()
        self.query_limits = query_limits or Limits()
        self.faults = FaultPlan()
        self.requests: list[ReceivedRequest] = []
        self.maximum_range_days = maximum_range_days
        self.seed = seed
        shape = DayShape(events_per_day, people, seed, properties)
        self.profiles = Profiles(GeneratedProfiles(profiles, shape))
        self.engage_sessions = EngageSessions(seed)
        self._base = BaseDays(shape, self.clock, first_day, last_day, cache_directory)
        self._events: defaultdict[date, list[Event]] = defaultdict(list)
        self._event_count = 0
        self._base_changes: list[Change] = []
        self._lock = threading.RLock()

    def add(
        self,
        event_name: str,
        distinct_id: str | None,
        time_seconds: int,
        insert_id: str | Absent | None = None,
        processed_ms: int | None = None,
        *,
        properties: dict[str, Any] | None = None,
    ) -> Event:
        """Stores an event. `time_seconds` is real UTC; without an insert id Mixpanel makes one up."""
        with self._lock:
            self._event_count += 1
            event = Event(
                number=self._event_count,
                event=event_name,
                distinct_id=distinct_id,
                time_seconds=time_seconds,
                insert_id=self._made_up_insert_id() if insert_id is None else insert_id,
                processed_ms=time_seconds * 1000 + PROCESSING_DELAY_MS if processed_ms is None else processed_ms,
                properties=dict(properties or {}),
            )
            self._events[self.clock.day_of(time_seconds)].append(event)
            return event

    def duplicate(self, event: Event, processed_ms: int | None = None, **changes: Any) -> Event:
        """Stores the event again, processed later (by a second if not said), with some fields changed."""
        later = event.processed_ms + 1_000 if processed_ms is None else processed_ms
        copy = replace(event, processed_ms=later, **changes)
        return self.add(
            copy.event,
            copy.distinct_id,
            copy.time_seconds,
            copy.insert_id,
            copy.processed_ms,
            properties=copy.properties,
        )

    def merge(self, old_id: str, new_id: str, fraction: float = 1.0) -> None:
        """Moves the stored rows of one identity to another, and its profile at once."""
        self._change(Merge(old_id, new_id, fraction))
        self.profiles.merge(old_id, new_id)

    def delete(
        self,
        predicate: Callable[[Event], bool] | None = None,
        *,
        distinct_id: str | None = None,
        events: Collection[Event | int] = (),
        soft: bool = False,
    ) -> None:
        """Deletes what matches any of the given; the events can also be given by their numbers."""
        if predicate is not None:
            self._change(Deletion(predicate, soft))
        if distinct_id is not None:
            self._change(Deletion(lambda event: event.distinct_id == distinct_id, soft, distinct_id))
        if events:
            numbers = {event if isinstance(event, int) else event.number for event in events}
            self._change(Deletion(lambda event: event.number in numbers, soft), generated=False)

    def set_profile(self, distinct_id: str | int, properties: Mapping[str, Any]) -> None:
        """Gives the person this profile, whatever they had; `profiles` has more: update, get, ids."""
        self.profiles.set(distinct_id, properties)

    def delete_profile(self, distinct_id: str | int) -> None:
        """Deletes the profile alone: the person's events stay."""
        self.profiles.delete(distinct_id)

    def serve_file(self, day: date, path: Path) -> None:
        """Answers that day from a .jsonl or .jsonl.gz file of well-formed lines, all of them visible."""
        self._base.serve_file(day, path)

    def stream(self, day: date, selection: Selection) -> BinaryIO | None:
        """The whole answer for the day as a gzip file, if it is nothing but a generated or served day."""
        with self._lock:
            changed = bool(self._base_changes) or bool(self._events.get(day))
        if changed or selection.where is not None or not self._base.has(day):
            return None
        return self._base.stream(day, selection)

    def lines(self, day: date, selection: Selection) -> Iterator[bytes]:
        """The day's lines, generated ones first; order means nothing in an export."""
        in_seconds = replace(selection, time_in_ms=False)
        with self._lock:
            changes = list(self._base_changes)
            rows = [event.row(self.clock) for event in self._events.get(day, ()) if _shows(event, selection)]
        if self._base.has(day):
            for line in changed_lines(self._base.lines(day, in_seconds), changes, self.clock):
                if selection.where is None and not selection.time_in_ms:
                    yield line
                else:
                    yield from _selected(json.loads(line), selection)
        for row in rows:
            yield from _selected(row, selection)

    def occurrences(self, day: date, selection: Selection) -> Iterator[Occurrence]:
        """The day's events as reports count them: without what was deleted softly, and a made-up insert id
        for each event that has none, since those are never duplicates."""
        with self._lock:
            changes = list(self._base_changes)
            stored = [event for event in self._events.get(day, ()) if _shows(event, selection)]
        if self._base.has(day) and not changes and not self._base.is_served(day):
            yield from map(Occurrence._make, self._base.drawn(day, selection))
        elif self._base.has(day):
            for line in changed_lines(self._base.lines(day, selection), changes, self.clock):
                properties = (row := json.loads(line))["properties"]
                insert_id = properties.get("$insert_id", object())
                yield Occurrence(row["event"], properties["time"], properties.get("distinct_id"), insert_id)
        for event in stored:
            if not event.soft_deleted:
                insert_id = object() if event.insert_id is ABSENT else event.insert_id
                time = self.clock.wire_seconds(event.time_seconds)
                yield Occurrence(event.event, time, event.distinct_id, insert_id)

    def _change(self, change: Change, *, generated: bool = True) -> None:
        with self._lock:
            for day, events in self._events.items():
                self._events[day] = [event for event in events if change.apply(event) is not None]
            if generated and not (isinstance(change, Deletion) and change.soft):
                self._base_changes.append(change)

    def _made_up_insert_id(self) -> str:
        return hashlib.sha256(f"{self.seed} {self._event_count}".encode()).hexdigest()[:32]


def _shows(event: Event, selection: Selection) -> bool:
    named = selection.names is None or event.event in selection.names
    return named and event.processed_ms <= selection.visible_ms


def _selected(row: dict[str, Any], selection: Selection) -> Iterator[bytes]:
    """The row as a line, if it matches; `$time` in `where` is in seconds whatever the answer is in."""
    if selection.where is not None and not matches(selection.where, row):
        return
    time = row["properties"].get("time")
    if selection.time_in_ms and isinstance(time, int):
        row["properties"]["time"] = time * 1000
    yield encode_row(row)
