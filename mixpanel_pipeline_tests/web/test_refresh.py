"""What a refresh says it did is what the tables hold."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

from tenacity import Retrying, stop_after_delay, wait_fixed

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.refresh import CARDS, DAYS, HOURS, Refreshed, refresh
from mixpanel_pipeline_tests.web import site

DAILY, TOTALS = "analytics_events_daily_agg", "analytics_events_daily_totals"
COUNTED = {
    DAILY: ("day", "event_count"),
    TOTALS: ("day", "event_count"),
    "analytics_daily_user_stats": ("date", "page_views + clicks"),
    "analytics_daily_group_stats": ("date", "page_views + clicks"),
    "analytics_daily_contact_stats": ("date", "page_views + clicks"),
    "analytics_daily_group_contact_stats": ("date", "page_views + clicks"),
    "analytics_daily_page_stats": ("date", "page_views"),
    "analytics_daily_click_targets": ("date", "clicks"),
}


def day(number: int) -> date:
    return site.OLDEST + timedelta(days=number)


def load(warehouse: Warehouse, kind: str, rows: list[dict[str, Any]]) -> None:
    with warehouse.connect() as connection:
        site.insert(connection, kind, rows)


def check_figures(warehouse: Warehouse, done: Refreshed[date]) -> None:
    """Of each table and day reported, the rows and what they count are all that the table has of the day."""
    for (table, bucket), figures in done.figures.items():
        name, counted = COUNTED[table]
        with warehouse.connect() as connection:
            query = f"select count(*), sum({counted})::bigint from {table} where {name} = %s"
            assert connection.execute(query.encode(), [bucket]).fetchone() == (figures.rows, figures.counted)


def test_days_behind_a_late_one_are_counted_whole(warehouse: Warehouse) -> None:
    load(
        warehouse,
        "events",
        [site.event(site.at(20), visitor, event_label=visitor) for visitor in ("ann", "bob", "cid")],
    )
    refresh(warehouse, DAYS, [day(20)], everything=False)
    load(warehouse, "events", [site.event(site.at(18), "ann", event_label="ann")])
    done = refresh(warehouse, DAYS, [day(18)], everything=False)
    assert done.others == [day(20)]
    late, behind = done.figures[DAILY, day(18)], done.figures[DAILY, day(20)]
    assert (late.rows, late.counted, late.changed) == (1, 1, 1)
    assert (behind.rows, behind.counted, behind.changed) == (3, 3, 1)
    check_figures(warehouse, done)


def test_rows_of_the_totals_are_figures_of_their_own(warehouse: Warehouse) -> None:
    load(warehouse, "events", [site.event(site.at(20), event_label=label) for label in ("a", "b")])
    refresh(warehouse, HOURS, [], everything=False)
    done = refresh(warehouse, DAYS, [day(20)], everything=False)
    assert (done.figures[DAILY, day(20)].rows, done.figures[DAILY, day(20)].changed) == (2, 2)
    assert (done.figures[TOTALS, day(20)].rows, done.figures[TOTALS, day(20)].changed) == (2, 2)
    assert done.rows_deleted == 0


def test_days_of_cards_are_counted_whole_in_every_table(warehouse: Warehouse) -> None:
    load(warehouse, "page_views", [site.page_view(site.at(20), "s", share_code=group) for group in ("g", "h")])
    load(warehouse, "clicks", [site.click(site.at(20), "s", contact_id="c")])
    refresh(warehouse, CARDS, [day(20)], everything=False)
    load(warehouse, "page_views", [site.page_view(site.at(18), "s", share_code="g")])
    done = refresh(warehouse, CARDS, [day(18)], everything=False)
    assert done.others == [day(20)]
    assert {table for table, bucket in done.figures if bucket == day(20)} == set(COUNTED) - {DAILY, TOTALS}
    check_figures(warehouse, done)


def test_of_two_at_once_each_tells_what_it_took(warehouse: Warehouse) -> None:
    load(warehouse, "events", [site.event(site.at(number)) for number in (20, 21)])
    waiting = "select exists (select from pg_locks where locktype = 'advisory' and not granted)"
    with warehouse.connect() as first, ThreadPoolExecutor(1) as pool:
        assert first.execute("select taken from aggregate_analytics_hours()").fetchone() == (2,)
        second = pool.submit(refresh, warehouse, HOURS, [site.at(20)], everything=False)
        for attempt in Retrying(stop=stop_after_delay(20), wait=wait_fixed(0.02)):
            with attempt:
                assert site.value(warehouse, waiting)
        first.commit()
        done = second.result()
    assert (done.aggregated.marks_taken, done.marks, done.others) == (0, {}, [])
    load(warehouse, "events", [site.event(site.at(20)), site.event(site.at(21))])
    done = refresh(warehouse, HOURS, [site.at(20)], everything=False)
    assert (done.aggregated.marks_taken, done.others) == (2, [site.at(21)])
