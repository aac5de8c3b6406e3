"""Reads and checks the parameters of an export request (openapi/export.openapi.yaml, reference A1.1)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from mixpanel_pipeline.simulator.base_days import Selection
from mixpanel_pipeline.simulator.parameters import BadRequestError, date_in, texts_in, where_in
from mixpanel_pipeline.simulator.project import Project

MAXIMUM_LIMIT = 100_000
BOOLEANS = {"true": True, "1": True, "false": False, "0": False, "": False}


@dataclass(frozen=True)
class ExportRequest:
    from_date: date
    to_date: date
    selection: Selection
    limit: int | None

    def days(self) -> Iterator[date]:
        for offset in range((self.to_date - self.from_date).days + 1):
            yield self.from_date + timedelta(days=offset)


def read_request(params: Mapping[str, str], project: Project) -> ExportRequest:
    from_date, to_date = date_in(params, "from_date"), date_in(params, "to_date")
    if to_date > project.clock.today():
        raise BadRequestError("to_date cannot be later than today")
    if from_date > to_date:
        raise BadRequestError("from_date cannot be later than to_date")
    days = (to_date - from_date).days + 1
    if days > project.maximum_range_days:
        raise BadRequestError(f"date range of {days} days exceeds the maximum of {project.maximum_range_days} days")
    names = texts_in(params, "event")
    selection = Selection(
        now_ms=project.clock.now_ms(),
        names=None if names is None else frozenset(names),
        where=where_in(params),
        time_in_ms=_boolean(params, "time_in_ms"),
    )
    return ExportRequest(from_date, to_date, selection, _limit(params.get("limit")))


def _limit(text: str | None) -> int | None:
    if not text:
        return None
    if not text.isdecimal() or not 0 < int(text) <= MAXIMUM_LIMIT:
        raise BadRequestError(f"limit must be an integer from 1 to {MAXIMUM_LIMIT}, got {text!r}")
    return int(text)


def _boolean(params: Mapping[str, str], name: str) -> bool:
    text = params.get(name, "").lower()
    if text not in BOOLEANS:
        raise BadRequestError(f"{name} must be true or false, got {text!r}")
    return BOOLEANS[text]
