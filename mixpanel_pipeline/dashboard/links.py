"""Addresses within the dashboard, wherever it is mounted."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request

STATIC = Path(__file__).parent / "static"


def address(request: Request, name: str, query: Mapping[str, Any] | None = None) -> str:
    """Of the route of that name; parameters that are None are left out."""
    return _root(request) + str(request.app.url_path_for(name)) + _text(query or {})


def table_address(request: Request, page: str, table: str) -> str:
    """Of one of this page's tables as CSV, with the parameters that the page has."""
    return address(request, f"{page}_csv", {**request.query_params, "table": table})


def static_address(request: Request, path: str) -> str:
    """Of a file that browsers may keep: its address changes with its content."""
    return f"{_root(request)}/static/{path}?{urlencode({'v': _digest(path)})}"


def changed(request: Request, changes: Mapping[str, Any]) -> str:
    """This page's address with other parameters; those that are None are left out."""
    return request.scope["path"] + _text({**request.query_params, **changes})


def is_local(request: Request, target: str) -> bool:
    """Whether an address leads to a page of this dashboard, so that a sign-in may go on to it."""
    return target.startswith(f"{_root(request)}/") and not target.startswith("//") and "\\" not in target \
        and target.isprintable()  # fmt: skip


def _text(query: Mapping[str, Any]) -> str:
    given = {key: value for key, value in query.items() if value is not None}
    return f"?{urlencode(given)}" if given else ""


def _root(request: Request) -> str:
    return request.scope.get("root_path", "").rstrip("/")


@cache
def _digest(path: str) -> str:
    return hashlib.sha256((STATIC / path).read_bytes()).hexdigest()[:12]
