"""Reads and checks the parameters of an export request (openapi/export.openapi.yaml, reference A1.1)."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from mixpanel_pipeline.simulator.base_days import Selection
from mixpanel_pipeline.simulator.project import Project
from mixpanel_pipeline.simulator.where_syntax import WhereError, parse_where

DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")
MAXIMUM_LIMIT = 100_000
BOOLEANS = {"true": True, "1": True, "false": False, "0": False, "": False}


class BadRequestError(ValueError):
    """A 400; export answers those with a plain string, not JSON (mixpanel-data-export-js PR #31)."""


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
    from_date, to_date = _date(params, "from_date"), _date(params, "to_date")
    if to_date > project.clock.today():
        raise BadRequestError("to_date cannot be later than today")
    if from_date > to_date:
        raise BadRequestError("from_date cannot be later than to_date")
    days = (to_date - from_date).days + 1
    if days > project.maximum_range_days:
        raise BadRequestError(f"date range of {days} days exceeds the maximum of {project.maximum_range_days} days")
    selection = Selection(
        now_ms=project.clock.now_ms(),
        names=_names(params.get("event")),
        where=_where(params.get("where")),
        time_in_ms=_boolean(params, "time_in_ms"),
    )
    return ExportRequest(from_date, to_date, selection, _limit(params.get("limit")))


def where_problem(error: WhereError) -> str:
    return f"Error in where: {error}"


def _date(params: Mapping[str, str], name: str) -> date:
    text = params.get(name)
    if not text:
        raise BadRequestError(f"missing required parameter: {name}")
    found = DATE.fullmatch(text)
    if found is None:
        raise BadRequestError(f"Error in {name}: invalid date, expected yyyy-mm-dd")
    year, month, day = map(int, found.groups())
    if year < 2000:
        raise BadRequestError(f"Error in {name}: invalid date, bad year")
    try:
        return date(year, month, day)
    except ValueError as error:
        raise BadRequestError(f"Error in {name}: invalid date, {error}") from error


def _names(text: str | None) -> frozenset[str] | None:
    if not text:
        return None
    problem = 'event must be a JSON array of names, like ["signup"]'
    try:
        names = json.loads(text)
    except ValueError as error:
        raise BadRequestError(problem) from error
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise BadRequestError(problem)
    return frozenset(names)


def _where(text: str | None):
    if not text:
        return None
    try:
        return parse_where(text)
    except WhereError as error:
        raise BadRequestError(where_problem(error)) from error


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
