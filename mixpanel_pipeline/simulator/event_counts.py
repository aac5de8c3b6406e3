"""How often events happened, by day: Mixpanel's `/api/query/events` (reference A3).

Reports count at query time: duplicates once, in the project's time zone whatever the export's days are, and
without what was deleted softly. Only what the export can be held against is here: `type=general` by day.
"""

from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from mixpanel_pipeline.simulator.answering import Work
from mixpanel_pipeline.simulator.base_days import Selection
from mixpanel_pipeline.simulator.body import Body
from mixpanel_pipeline.simulator.events import encode_json
from mixpanel_pipeline.simulator.faults import Fault
from mixpanel_pipeline.simulator.json_body import json_body
from mixpanel_pipeline.simulator.parameters import BadRequestError, date_in, texts_in
from mixpanel_pipeline.simulator.project import Project
from mixpanel_pipeline.simulator.project_clock import ProjectClock

ONE_DAY = timedelta(days=1)


@dataclass(frozen=True)
class EventCountsRequest:
    events: tuple[str, ...]
    days: tuple[date, ...]


def event_counts_work(params: Mapping[str, str], project: Project) -> Work:
    asked = _read_request(params)

    def prepare(faults: list[Fault], gzip: bool) -> Body:
        counts = _counted(project, asked)
        for fault in faults:
            if fault.name == "counts_disagree":
                _disagree(counts, asked, fault)
        return json_body(encode_json(_document(counts, asked)), faults, gzip)

    return Work(
        limits=project.query_limits,
        take_faults=lambda: project.faults.take("events", asked.days[0]),
        prepare=prepare,
        media_type=b"application/json",
    )


def _read_request(params: Mapping[str, str]) -> EventCountsRequest:
    for name, simulated in (("type", "general"), ("unit", "day"), ("format", "json")):
        if params.get(name, simulated) != simulated:
            raise BadRequestError(f"{name}={params[name]} is not simulated, only {simulated}")
    events = texts_in(params, "event")
    if events is None:
        raise BadRequestError("missing required parameter: event")
    first, last = date_in(params, "from_date"), date_in(params, "to_date")
    if first > last:
        raise BadRequestError("from_date cannot be later than to_date")
    return EventCountsRequest(events, tuple(first + n * ONE_DAY for n in range((last - first).days + 1)))


def _counted(project: Project, asked: EventCountsRequest) -> Counter[tuple[str, date]]:
    """Exports' days may lie across two of the report's, so one more on either side is read."""
    selection = Selection(now_ms=project.clock.now_ms(), names=frozenset(asked.events))
    bounds = [_start(day, project.clock) for day in (*asked.days, asked.days[-1] + ONE_DAY)]
    unique = {
        occurrence
        for day in (asked.days[0] - ONE_DAY, *asked.days, asked.days[-1] + ONE_DAY)
        for occurrence in project.occurrences(day, selection)
        if bounds[0] <= occurrence.time < bounds[-1]
    }
    return Counter((each.event, asked.days[bisect_right(bounds, each.time) - 1]) for each in unique)


def _start(day: date, clock: ProjectClock) -> int:
    """The wire time at which the day begins in the project's time zone."""
    zone = UTC if clock.time_mode == "project" else clock.zone  # there the wire time is the wall clock itself
    return int(datetime.combine(day, time(), zone).timestamp())


def _disagree(counts: Counter[tuple[str, date]], asked: EventCountsRequest, fault: Fault) -> None:
    given = fault.parameters
    counted = [(event, day) for event in asked.events for day in asked.days if counts[event, day]]
    first_event, first_day = counted[0] if counted else (asked.events[0], asked.days[0])
    day = date.fromisoformat(str(given.get("on", first_day)))
    counts[given.get("event", first_event), day] += given.get("by", 1)


def _document(counts: Counter[tuple[str, date]], asked: EventCountsRequest) -> dict[str, Any]:
    """`series` has all days; `values` leave out those with nothing (the documentation's own example)."""
    values = {
        event: {day.isoformat(): counts[event, day] for day in asked.days if counts[event, day]}
        for event in asked.events
    }
    return {
        "data": {"series": [day.isoformat() for day in asked.days], "values": values},
        "legend_size": len(asked.events),
    }
