"""What an address asks for: each parameter is read by what it may be, or refused by name."""

from collections.abc import Sequence
from datetime import date
from typing import TypeVar

from starlette.requests import Request

T = TypeVar("T", bound=str)


class BadParameterError(Exception):
    """A parameter cannot be used; the message names it and says what it takes."""

    def __init__(self, name: str, takes: str) -> None:
        super().__init__(f"{name}: it takes {takes}")


def text(request: Request, name: str, most_bytes: int) -> str | None:
    """A text that Postgres can hold; None when it is not given."""
    value = request.query_params.get(name)
    if value is None:
        return None
    if "\0" in value or len(value.encode()) > most_bytes:
        raise BadParameterError(name, f"a text of at most {most_bytes} bytes without NUL characters")
    return value


def needed_text(request: Request, name: str, most_bytes: int) -> str:
    value = text(request, name, most_bytes)
    if not value:
        raise BadParameterError(name, f"a text of 1 to {most_bytes} bytes")
    return value


def choice(request: Request, name: str, choices: Sequence[T], default: T) -> T:
    """One of the choices; the default when it is not given or empty."""
    value = request.query_params.get(name) or default
    for each in choices:
        if each == value:
            return each
    raise BadParameterError(name, f"one of {', '.join(choices)}")


def day(request: Request, name: str) -> date | None:
    """A day as YYYY-MM-DD; None when it is not given or empty."""
    value = request.query_params.get(name)
    if not value:
        return None
    try:
        found = date.fromisoformat(value)
    except ValueError:
        found = None
    if found is None or value != found.isoformat():
        raise BadParameterError(name, "a day such as 2026-01-31")
    return found
