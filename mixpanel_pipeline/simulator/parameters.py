"""The parameters of a request, wherever they stand, and what is wrong with them."""

import json
import re
from collections.abc import Mapping
from datetime import date
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from mixpanel_pipeline.simulator.where_syntax import Expression, WhereError, parse_where

DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})")


class BadRequestError(ValueError):
    """A 400. Export answers those with a plain string, the Query API with JSON (mixpanel-data-export-js PR #31)."""


async def merged_parameters(request: Request) -> dict[str, str]:
    """Those of a JSON body before those of a form, those of the URL last: the order in which Mixpanel's Query
    API looks (mixpanel-headless, pacer.py). What is no text in JSON becomes the text that a form would have.
    """
    parameters = dict(request.query_params)
    body = await request.body()
    if not body.strip():
        return parameters
    if "json" in request.headers.get("content-type", "") or body.lstrip().startswith((b"{", b"[")):
        return parameters | _json_parameters(body)
    return parameters | dict(parse_qsl(body.decode("utf-8", errors="replace"), keep_blank_values=True))


def _json_parameters(body: bytes) -> dict[str, str]:
    try:
        values = json.loads(body)
    except ValueError as error:
        raise BadRequestError(f"the request body is no JSON: {error}") from error
    if not isinstance(values, dict):
        raise BadRequestError("the request body must be a JSON object of parameters")
    return {name: _form_text(value) for name, value in values.items() if value is not None}


def _form_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def where_problem(error: WhereError) -> str:
    return f"Error in where: {error}"


def date_in(params: Mapping[str, str], name: str) -> date:
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


def texts_in(params: Mapping[str, str], name: str) -> tuple[str, ...] | None:
    """A JSON array of texts, as `event` and `output_properties` are."""
    text = params.get(name)
    if not text:
        return None
    problem = f'{name} must be a JSON array of names, like ["signup"]'
    try:
        names = json.loads(text)
    except ValueError as error:
        raise BadRequestError(problem) from error
    if not isinstance(names, list) or not names or not all(isinstance(entry, str) for entry in names):
        raise BadRequestError(problem)
    return tuple(names)


def where_in(params: Mapping[str, str]) -> Expression | None:
    text = params.get("where")
    if not text:
        return None
    try:
        return parse_where(text)
    except WhereError as error:
        raise BadRequestError(where_problem(error)) from error


def whole_number_in(params: Mapping[str, str], name: str, default: int, least: int = 0) -> int:
    text = params.get(name)
    if not text:
        return default
    if not text.isdecimal() or int(text) < least:
        raise BadRequestError(f"{name} must be an integer from {least}, got {text!r}")
    return int(text)
