"""Partitions come and go, and retention raises the floor, while writers write."""

from datetime import date, timedelta
from typing import LiteralString

import psycopg
import pytest

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.migrations import migrate, rollback
from mixpanel_pipeline.web.aggregation import aggregate_all
from mixpanel_pipeline.web.partitions import apply_retention, make_partitions, make_partitions_ahead
from mixpanel_pipeline_tests.web import site
from mixpanel_pipeline_tests.web.differences import mark_everything, wrong_aggregates

NOBODY_WAITS = "set lock_timeout = '2s'"


def test_partitions_are_made_and_dropped_beside_open_writers(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(1)), site.event(site.at(90))])
        site.insert(connection, "page_views", [site.page_view(site.at(1))])
    with warehouse.connect() as open_writer:
        site.insert(open_writer, "events", [site.event(site.at(90))])
        assert make_partitions(warehouse, site.TODAY, site.TODAY + timedelta(days=200)) > 40
        # TRUNCATE of old weeks takes no lock that a writer of newer ones meets.
        assert site.value(warehouse, "select cleanup_old_raw_events(30)")["partitions_emptied"] > 20
        with warehouse.connect() as other:
            other.execute(NOBODY_WAITS)
            site.insert(other, "events", [site.event(site.at(90))])
    counted = site.value(warehouse, "select sum(event_count) from analytics_events_hourly_agg")
    assert counted == 1, "its own weeks are, others wait"
    retained = apply_retention(warehouse, 30)
    assert retained.partitions_dropped > 20
    assert retained.rows_refused == 0
    with warehouse.connect() as connection, pytest.raises(psycopg.errors.CheckViolation, match="no partition"):
        site.insert(connection, "events", [site.event(site.at(1))])
    aggregate_all(warehouse)
    assert site.value(warehouse, "select sum(event_count) from analytics_events_hourly_agg") == 4


def test_writers_go_on_while_partitions_are_attached_and_detached(warehouse: Warehouse) -> None:
    """A writer comes while either is waiting to commit."""
    with warehouse.connect() as making:
        making.execute("select make_analytics_partitions(current_date + 100, current_date + 130)")
        with warehouse.connect() as writer:
            writer.execute(NOBODY_WAITS)
            site.insert(writer, "events", [site.event(site.at(90))])
    with warehouse.connect() as retaining:
        retaining.execute("select cleanup_old_raw_events(30)")
        with warehouse.connect() as writer:
            writer.execute(NOBODY_WAITS)
            site.insert(writer, "events", [site.event(site.at(90))])
            site.insert(writer, "clicks", [site.click(site.at(90))])


def test_retention_counts_what_it_removes_and_waits_for_who_is_writing_there(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(1))])
    with warehouse.connect() as writer:
        site.insert(writer, "events", [site.event(site.at(1), "w")])
        with pytest.raises(psycopg.errors.LockNotAvailable), warehouse.connect() as connection:
            connection.execute("select cleanup_old_raw_events(30)")
    assert apply_retention(warehouse, 30).raw_floor is not None
    assert site.value(warehouse, "select sum(event_count) from analytics_events_daily_agg") == 2
    assert site.value(warehouse, "select count(*) from analytics_events") == 0


def test_a_partition_that_was_cut_off_and_not_dropped_is_dropped_next_time(warehouse: Warehouse) -> None:
    site.value(warehouse, "select cleanup_old_raw_events(30)")
    with warehouse.connect() as connection:
        site.insert(connection, "clicks", [site.click(site.at(1))])
    with warehouse.connect(autocommit=True) as connection:
        leaf = connection.execute(
            "select leaf::text from analytics_partitions where raw_table = 'analytics_clicks' and week_start <= %s "
            "order by week_start desc limit 1", [site.at(1)],
        ).fetchone()  # fmt: skip
        assert leaf
        connection.execute(f"alter table analytics_clicks detach partition {leaf[0]}".encode())
    retained = apply_retention(warehouse, 30)
    assert retained.rows_refused == 1
    assert site.value(warehouse, "select to_regclass(%s)", [leaf[0]]) is None
    assert apply_retention(warehouse, 30).partitions_dropped == 0


def test_the_floor_never_goes_down_and_nothing_is_made_behind_it(warehouse: Warehouse) -> None:
    floor = apply_retention(warehouse, 30).raw_floor
    assert floor
    assert apply_retention(warehouse, 85).raw_floor == floor
    assert make_partitions(warehouse, site.OLDEST, floor.date() - timedelta(days=1)) == 0
    assert make_partitions_ahead(warehouse, site.TODAY) == 0
    for days in (0, -1, None):
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="1 or more"):
            site.value(warehouse, "select cleanup_old_raw_events(%s::int)", [days])
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="at most ten years"):
        make_partitions(warehouse, date(1999, 1, 1), date(2025, 1, 1))


@pytest.mark.parametrize(
    "statement",
    [
        "truncate analytics_events, analytics_clicks",
        "insert into {leaf} (project_id, visitor_id, session_id, event_type, created_at) "
        "values ('p', 'v', 's', 't', '{when}')",
        "update {leaf} set visitor_id = 'same count, other visitor'",
        "update analytics_events_hourly_agg set event_count = 7",
        "delete from analytics_events_daily_totals",
        "update analytics_events_daily_agg set newcomer_visitors[1] = 9",
        "update analytics_daily_user_stats set clicks = 7",
        "delete from analytics_daily_click_targets",
    ],
)
def test_reconciliation_finds_and_mends_what_left_no_mark(warehouse: Warehouse, statement: LiteralString) -> None:
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(50), name) for name in "vvw"])
        site.insert(connection, "clicks", [site.click(site.at(50))])
    aggregate_all(warehouse)
    assert not wrong_aggregates(warehouse)
    with warehouse.connect() as connection:
        leaf = connection.execute("select tableoid::regclass::text from analytics_events").fetchone()
        assert leaf
        connection.execute(statement.replace("{leaf}", leaf[0]).replace("{when}", site.at(50).isoformat()).encode())
    assert wrong_aggregates(warehouse)
    mark_everything(warehouse, site.OLDEST, site.TODAY)
    assert not wrong_aggregates(warehouse), "what is marked is not reported again"
    aggregate_all(warehouse)
    assert not wrong_aggregates(warehouse)
    site.check_aggregates(warehouse, site.raw_rows(warehouse))


def test_migrations_go_down_and_up_on_a_database_with_data(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(50))])
        site.insert(connection, "page_views", [site.page_view(site.at(50))])
    aggregate_all(warehouse)
    # The access rules alone, with data in place: they come back as they were.
    rollback(warehouse, to="0011")
    migrate(warehouse)
    site.check_aggregates(warehouse, site.raw_rows(warehouse))
    # Aggregates alone: computed again from the raw rows, they are what they were.
    rollback(warehouse, to="0007")
    migrate(warehouse)
    site.value(warehouse, "select backfill_aggregates(%s, %s)", [site.at(50).date(), site.at(50).date()])
    site.check_aggregates(warehouse, site.raw_rows(warehouse))
    rollback(warehouse, to="0004")
    assert site.value(warehouse, "select count(*) from pg_class where relname ~ '^(analytics|card_owner)'") == 0
    assert site.value(warehouse, "select to_regnamespace('auth')::text") is None
    migrate(warehouse)


def test_a_database_with_the_old_table_is_told_what_to_do(warehouse: Warehouse) -> None:
    rollback(warehouse, to="0004")
    with warehouse.connect() as connection:
        connection.execute("create table analytics_events (id uuid)")
    with pytest.raises(Exception, match=r"analytics_events \(table\)\n.*rename to analytics_events_legacy"):
        migrate(warehouse)
