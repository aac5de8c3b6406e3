"""Events as browsers send them."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from mixpanel_pipeline_tests.collector.conftest import PROJECT
from mixpanel_pipeline_tests.web.plain_ingest import Event


def now() -> str:
    return datetime.now(UTC).isoformat()


def session(**given: Any) -> Event:
    return {
        "type": "session", "id": str(uuid4()), "session_id": str(uuid4()), "user_code": "ada",
        "first_seen": now(), **given,
    }  # fmt: skip


def page_view(**given: Any) -> Event:
    return {
        "type": "page_view", "id": str(uuid4()), "session_id": "s-1", "user_code": "ada", "page_type": "home",
        "viewed_at": now(), **given,
    }  # fmt: skip


def click(**given: Any) -> Event:
    return {
        "type": "click", "id": str(uuid4()), "session_id": "s-1", "user_code": "ada", "click_category": "contact",
        "clicked_at": now(), **given,
    }  # fmt: skip


def event(**given: Any) -> Event:
    return {
        "type": "event", "id": str(uuid4()), "project_id": PROJECT, "visitor_id": "v-9", "session_id": "s-2",
        "event_type": "widget_visible", "created_at": now(), **given,
    }  # fmt: skip
