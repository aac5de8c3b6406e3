"""What a write marks: buckets that an aggregate may have to change for, each once a statement, and no others."""

from typing import Any

import pytest

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.aggregation import aggregate_all
from mixpanel_pipeline_tests.web import site

ROWS = {
    "events": site.event(site.at(5), "v", event_label="a"),
    "sessions": site.session_row(site.at(5), "s", share_code="g"),
    "page_views": site.page_view(site.at(5), "s", contact_id="x"),
    "clicks": site.click(site.at(5), "s", click_target="t"),
}
# Of each table, changes that some aggregate reads, and changes that none does.
READ = [
    ("events", "project_id = 'q'"), ("events", "event_type = 'click'"), ("events", "event_label = null"),
    ("events", "visitor_id = 'w'"), ("events", "session_id = 'w'"),
    ("events", "created_at = created_at - interval '1 hour'"),
    ("sessions", "user_code = 'd'"), ("sessions", "share_code = null"), ("sessions", "contact_id = 'y'"),
    ("sessions", "session_id = 'w'"), ("sessions", "first_seen = first_seen - interval '1 day'"),
    ("page_views", "user_code = 'd'"), ("page_views", "share_code = 'h'"), ("page_views", "contact_id = null"),
    ("page_views", "session_id = 'w'"), ("page_views", "page_type = 'contact'"),
    ("page_views", "viewed_at = viewed_at - interval '1 day'"),
    ("clicks", "user_code = 'd'"), ("clicks", "share_code = 'h'"), ("clicks", "contact_id = 'y'"),
    ("clicks", "session_id = 'w'"), ("clicks", "click_category = 'social'"), ("clicks", "click_target = null"),
    ("clicks", "clicked_at = clicked_at - interval '1 day'"),
]  # fmt: skip
UNREAD = [
    ("events", "event_data = '{\"a\": 1}'"), ("events", "received_at = now()"), ("events", "id = gen_random_uuid()"),
    ("events", "created_at = created_at + interval '1 minute'"), ("events", "event_label = event_label"),
    ("sessions", "last_seen = last_seen + interval '1 hour', page_views = page_views + 1, clicks = 7"),
    ("sessions", "ip_address = '10.0.0.1', user_agent = 'u', referrer = 'r'"),
    ("page_views", "viewed_at = viewed_at + interval '1 hour'"), ("clicks", "id = gen_random_uuid()"),
]  # fmt: skip


@pytest.fixture
def aggregated(warehouse: Warehouse) -> Warehouse:
    with warehouse.connect() as connection:
        for kind, row in ROWS.items():
            site.insert(connection, kind, [row])
    aggregate_all(warehouse)
    return warehouse


def marks_of(warehouse: Warehouse, statement: str) -> list[tuple[Any, ...]]:
    """The marks that a statement leaves; it is rolled back."""
    with warehouse.connect() as connection:
        connection.execute(statement.encode())
        marks = connection.execute(
            "select project_id, hour_bucket::text from analytics_dirty_hours "
            "union all select user_code, day::text from analytics_dirty_cards"
        ).fetchall()
        connection.rollback()
    return marks


def test_updates_of_what_an_aggregate_reads_mark_each_bucket_once(aggregated: Warehouse) -> None:
    for kind, change in READ:
        marks = marks_of(aggregated, f"update analytics_{kind} set {change}")
        moved = any(word in change for word in ("project_id", "user_code", "interval"))
        assert len(set(marks)) == len(marks) == (2 if moved else 1), change


def test_updates_of_what_no_aggregate_reads_mark_nothing(aggregated: Warehouse) -> None:
    for kind, change in UNREAD:
        assert marks_of(aggregated, f"update analytics_{kind} set {change}") == [], change


def test_an_upsert_that_only_counts_on_marks_nothing(aggregated: Warehouse) -> None:
    heartbeat = """
        insert into analytics_sessions (session_id, user_code, share_code, first_seen, last_seen)
        select session_id, user_code, share_code, first_seen, last_seen + interval '1 minute' from analytics_sessions
        on conflict (session_id, first_seen) do update
        set last_seen = excluded.last_seen, page_views = analytics_sessions.page_views + 1
    """
    assert marks_of(aggregated, heartbeat) == []


def test_rows_that_change_places_mark_nothing(aggregated: Warehouse) -> None:
    """What counts is what a bucket holds, not which row holds it; but one row more or less of a kind does."""
    with aggregated.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(5), "v", event_label=label) for label in ("a", "b")])
    aggregate_all(aggregated)
    swapped = "update analytics_events set event_label = case event_label when 'a' then 'b' else 'a' end"
    assert len(marks_of(aggregated, swapped)) == 1  # two of a and one of b
    assert marks_of(aggregated, f"delete from analytics_events where id = '{ROWS['events']['id']}'; {swapped}")
    with aggregated.connect() as connection:
        site.delete(connection, "events", ROWS["events"]["id"])
    aggregate_all(aggregated)
    assert marks_of(aggregated, swapped) == []
