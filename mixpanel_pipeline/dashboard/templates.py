"""Renders templates; what they may call is listed here."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from mixpanel_pipeline.dashboard import wording
from mixpanel_pipeline.dashboard.links import address, changed, static_address, table_address
from mixpanel_pipeline.dashboard.tokens import Person

DIRECTORY = Path(__file__).parent / "templates"


class Templates:
    """Every text is escaped; a name that no page gave is an error, not an empty place."""

    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(DIRECTORY), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip
        self._environment.filters.update(
            number=wording.number, percent=wording.percent, change=wording.change, day=wording.day,
            moment=wording.moment, iso=_iso, bucket_days=wording.bucket_days,
        )  # fmt: skip

    def answer(
        self, request: Request, template: str, context: dict[str, Any], person: Person | None, status: int = 200
    ) -> HTMLResponse:
        """A page. `person` is who is signed in: the navigation is theirs."""
        own = {
            "person": person,
            "here": request.scope["path"],
            "now": datetime.now(UTC),
            "is_admin": getattr(request.state, "is_admin", False),
            "address": lambda name, **query: address(request, name, query),
            "changed": lambda **query: changed(request, query),
            "csv": lambda page, table: table_address(request, page, table),
            "static": lambda path: static_address(request, path),
        }
        return HTMLResponse(self._environment.get_template(template).render(own | context), status)


def _iso(value: date | datetime) -> str:
    return value.isoformat()
