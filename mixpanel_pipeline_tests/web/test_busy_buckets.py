"""Buckets with very many labels, or very many marks."""

from datetime import timedelta
from typing import Any

import pytest

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.aggregation import aggregate_all, aggregate_cards, aggregate_days, aggregate_hours
from mixpanel_pipeline_tests.web import site

LABELS = 12_000
# A step that takes each label with every other needs minutes, one that takes them one by one a few seconds.
PATIENCE = "20s"
WRITE_LABELS = """
insert into analytics_events (project_id, visitor_id, session_id, event_type, event_label, created_at)
select 'p', 'robot', 'robot', 'type ' || number %% 3, 'label ' || number, %s from generate_series(1, %s) as number
"""
WRITE_CONTACTS = """
insert into analytics_page_views (session_id, user_code, page_type, contact_id, viewed_at)
select 'robot', 'c', 'home', 'contact ' || number, %s from generate_series(1, %s) as number
"""
DAYS = (80, 81)


def run(warehouse: Warehouse, statement: str, parameters: Any = None) -> None:
    with warehouse.connect() as connection:
        connection.execute(f"set statement_timeout = '{PATIENCE}'".encode())
        connection.execute(statement.encode(), parameters)


def check(warehouse: Warehouse) -> None:
    for aggregation in ("hours", "days", "cards"):
        run(warehouse, f"select aggregate_analytics_{aggregation}(100000)")
    site.check_aggregates(warehouse, site.raw_rows(warehouse))


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_one_visitor_with_thousands_of_labels(warehouse: Warehouse) -> None:
    """On two days, then under other names on the first, then gone from it."""
    for day in DAYS:
        run(warehouse, WRITE_LABELS, [site.at(day), LABELS])
        run(warehouse, WRITE_CONTACTS, [site.at(day), LABELS])
    check(warehouse)
    run(warehouse, "update analytics_events set event_label = event_label || '!' where created_at < %s", [site.at(81)])
    run(warehouse, "update analytics_page_views set contact_id = contact_id || '!' where viewed_at < %s", [site.at(81)])
    check(warehouse)
    newcomers = "select sum(newcomer_visitors[2]) from analytics_events_daily_agg where day = %s"
    assert site.value(warehouse, newcomers, [site.at(81).date()]) == LABELS


@pytest.mark.timeout(240)
def test_totals_of_a_visitor_with_thousands_of_labels_today(warehouse: Warehouse) -> None:
    yesterday, today = (site.at((site.TODAY - site.OLDEST).days - back, 0) for back in (1, 0))
    run(warehouse, WRITE_LABELS, [yesterday, LABELS])
    run(warehouse, WRITE_CONTACTS, [yesterday, LABELS])
    aggregate_all(warehouse)
    run(warehouse, WRITE_LABELS, [today, LABELS])
    run(warehouse, WRITE_CONTACTS, [today, LABELS])
    days = [yesterday.date(), today.date() + timedelta(days=1)]
    for function in ("analytics_event_totals('p'", "analytics_card_totals('c'"):
        run(warehouse, f"create table found as select * from {function}, %s, %s)", days)
        assert site.value(warehouse, "select sum(unique_sessions) from found where level = 'all'") == 1
        lowest = "select (count(*), sum(unique_sessions))::text from found where level in ('label', 'contact')"
        assert site.value(warehouse, lowest) == f"({LABELS},{LABELS})"
        run(warehouse, "drop table found")


def test_no_day_has_to_fit_an_array(warehouse: Warehouse) -> None:
    """An array ends at 1 GB, a day of all projects does not."""
    passed = (
        "select count(*) from pg_proc where 'analytics_day[]'::regtype = any "
        "(coalesce(proallargtypes, proargtypes::oid[]) || prorettype)"
    )
    assert site.value(warehouse, passed) == 0


def test_a_callers_own_temporary_tables_are_not_written_to(warehouse: Warehouse) -> None:
    """A trigger on one would act with the rights of the tables' owner."""
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(5))])
    aggregate_hours(warehouse)
    with warehouse.connect() as connection:
        for name in ("analytics_counted", "analytics_computed"):
            connection.execute(f"create temporary table {name} of analytics_day".encode())
            connection.execute(
                f"create function pg_temp.burst_{name}() returns trigger language plpgsql "
                f"as 'begin raise exception ''written to''; end'".encode()
            )
            connection.execute(
                f"create trigger burst before insert on pg_temp.{name} "
                f"for each statement execute function pg_temp.burst_{name}()".encode()
            )
        connection.execute("select aggregate_analytics_days()")
    site.check_aggregates(warehouse, site.raw_rows(warehouse))


def test_a_bucket_is_computed_once_however_many_marks_it_has(warehouse: Warehouse) -> None:
    for number in range(12):
        with warehouse.connect() as connection:
            site.insert(connection, "events", [site.event(site.at(5), f"v{number}")])
            site.insert(connection, "clicks", [site.click(site.at(5), f"s{number}")])
    hours = aggregate_hours(warehouse, marks_at_once=3)
    assert (hours.buckets, hours.rows_written) == (1, 1)
    with warehouse.connect() as connection:
        connection.execute(
            "insert into analytics_dirty_days (project_id, day) select project_id, day "
            "from analytics_dirty_days cross join generate_series(1, 12)"
        )
    assert aggregate_days(warehouse, marks_at_once=3).buckets == 1
    assert aggregate_cards(warehouse, marks_at_once=3).buckets == 1
    site.check_aggregates(warehouse, site.raw_rows(warehouse))


def test_marks_are_taken_oldest_first_and_not_more_buckets_than_asked_for(warehouse: Warehouse) -> None:
    for day in (5, 6, 7, 5, 6, 7):
        with warehouse.connect() as connection:
            site.insert(connection, "events", [site.event(site.at(day))])
    assert site.value(warehouse, "select (taken, buckets)::text from aggregate_analytics_hours(2)") == "(4,2)"
    assert (
        site.value(warehouse, "select isfinite(aggregated_until) from analytics_progress where aggregate = 'hours'")
        is False
    )
    assert site.value(warehouse, "select (taken, buckets)::text from aggregate_analytics_hours(3)") == "(2,1)"
    assert site.value(warehouse, "select isfinite(aggregated_until) from analytics_progress where aggregate = 'hours'")
