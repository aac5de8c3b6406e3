"""Uniques of ranges at their edges: people who come back after 89, 90 and 91 days, late, renamed, gone, retained."""

from datetime import timedelta

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.aggregation import aggregate_all
from mixpanel_pipeline.web.partitions import apply_retention
from mixpanel_pipeline_tests.web import site
from mixpanel_pipeline_tests.web.plain_web import Row

RANGES = [
    (site.at(first).date(), site.at(first + days).date())
    for first in (0, 1, 2) for days in (1, 2, 60, 89, 90, 91)
]  # fmt: skip


def write(warehouse: Warehouse, rows: dict[str, list[Row]]) -> None:
    with warehouse.connect() as connection:
        for kind, some in rows.items():
            site.insert(connection, kind, some)
    aggregate_all(warehouse)


def check(warehouse: Warehouse) -> None:
    rows = site.raw_rows(warehouse)
    site.check_aggregates(warehouse, rows)
    site.check_ranges(warehouse, rows, RANGES)


def visits(day: int) -> dict[str, list[Row]]:
    return {
        "events": [site.event(site.at(day), "v"), site.event(site.at(day), "v", event_type="click", event_label="a")],
        "page_views": [site.page_view(site.at(day), share_code="g", contact_id="x")],
        "clicks": [site.click(site.at(day), share_code="g", contact_id="y")],
    }


def test_who_comes_back_after_so_many_days(warehouse: Warehouse) -> None:
    for gap in (1, 89, 90, 91):
        site.clear(warehouse)
        write(warehouse, visits(0))
        write(warehouse, visits(gap))
        check(warehouse)


def test_who_turns_out_to_have_been_there_so_many_days_before(warehouse: Warehouse) -> None:
    """The late day comes second, and then goes again."""
    for gap in (1, 89, 90, 91):
        site.clear(warehouse)
        write(warehouse, visits(gap))
        write(warehouse, visits(0))
        check(warehouse)
        with warehouse.connect() as connection:
            connection.execute("delete from analytics_events where created_at < %s", [site.at(1)])
            connection.execute("delete from analytics_page_views where viewed_at < %s", [site.at(1)])
            connection.execute("delete from analytics_clicks where clicked_at < %s", [site.at(1)])
        aggregate_all(warehouse)
        check(warehouse)


def test_each_level_has_its_own_next_day(warehouse: Warehouse) -> None:
    """Next seen at all on day 2, with the same type on day 3, with the same label on day 4."""
    later = [("click", "b"), ("visible", "b"), ("visible", "a")]
    events = [
        site.event(site.at(2 + number), "v", event_type=event_type, event_label=label)
        for number, (event_type, label) in enumerate(later)
    ]
    views = [
        site.page_view(site.at(2), share_code="h", contact_id="y"),
        site.page_view(site.at(3), share_code="g", contact_id="y"),
        site.page_view(site.at(4), share_code="h", contact_id="x"),
    ]
    write(warehouse, {"events": events, "page_views": views})
    first = site.event(site.at(1), "v", event_type="visible", event_label="a")
    write(
        warehouse,
        {"events": [first], "page_views": [site.page_view(site.at(1), share_code="g", contact_id="x")]},
    )
    check(warehouse)
    with warehouse.connect() as connection:
        site.update(connection, "events", first["id"], {"event_label": "c", "event_type": "click"})
        connection.execute("update analytics_page_views set share_code = null where viewed_at < %s", [site.at(2)])
    aggregate_all(warehouse)
    check(warehouse)


def test_days_above_the_floor_still_know_who_was_seen_below_it(warehouse: Warehouse) -> None:
    write(warehouse, visits(10))
    kept = site.raw_rows(warehouse)
    floor = apply_retention(warehouse, 60).raw_floor
    assert floor
    assert floor > site.at(10)
    write(warehouse, visits(70))
    after = site.raw_rows(warehouse)
    rows = {kind: kept[kind] + after[kind] for kind in after}
    site.check_aggregates(warehouse, rows)
    ranges = [(site.at(first).date(), site.at(first).date() + timedelta(days=91)) for first in (0, 9, 10, 11)]
    site.check_ranges(warehouse, rows, ranges)
