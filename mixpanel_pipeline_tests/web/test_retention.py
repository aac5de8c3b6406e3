"""Retention removes what was counted, never what was not, and nobody waits for it, whatever waits to be counted."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.migrations import migrate, rollback
from mixpanel_pipeline.warehouse.sql_files import read_sql
from mixpanel_pipeline.web.aggregation import aggregate_all
from mixpanel_pipeline.web.partitions import Retained, apply_retention, make_partitions
from mixpanel_pipeline_tests.web import site

NOBODY_WAITS = "set lock_timeout = '2s'"
WAITS_FOR_TABLE = (
    "select from pg_locks join pg_class on pg_class.oid = relation where not granted and relname = any (%s)"
)


@contextmanager
def retaining(warehouse: Warehouse, days: int = 30) -> Iterator[Future[Retained]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(apply_retention, warehouse, days)


def until_somebody_waits_for(warehouse: Warehouse, *tables: str) -> None:
    patience = Retrying(retry=retry_if_result(lambda rows: not rows), stop=stop_after_delay(20), wait=wait_fixed(0.02))
    with warehouse.connect(autocommit=True) as watching:
        patience(lambda: watching.execute(WAITS_FOR_TABLE, [list(tables)]).fetchall())


def old_leaf(warehouse: Warehouse, kind: str) -> tuple[str, datetime]:
    """The oldest partition, and when it begins."""
    with warehouse.connect() as connection:
        row = connection.execute(
            "select leaf::text, week_start from analytics_partitions where raw_table = %s order by 2 limit 1",
            [f"analytics_{kind}"],
        ).fetchone()
    assert row
    return row


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "Pacific/Auckland"])
def test_in_every_time_zone_the_floor_is_a_monday_and_late_rows_take_no_counted_row_along(
    warehouse: Warehouse, zone: str
) -> None:
    times = [site.at(day, hour, 30) for day in range(50, 72) for hour in (2, 12, 20)]
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(when) for when in times])
        site.insert(connection, "clicks", [site.click(when) for when in times])
    aggregate_all(warehouse)
    counted = site.raw_rows(warehouse)
    with warehouse.connect() as elsewhere:
        elsewhere.execute(SQL("set timezone = {}").format(zone))
        elsewhere.execute("set datestyle = 'SQL, DMY'")
        elsewhere.execute("select cleanup_old_raw_events(30)")
    floor = site.value(warehouse, "select raw_floor from analytics_retention")
    assert (floor.weekday(), floor.astimezone(UTC).time().isoformat()) == (0, "00:00:00")
    assert floor.date() <= site.TODAY - timedelta(days=30) < floor.date() + timedelta(weeks=1)
    kept = [when for when in times if when >= floor]
    assert [row["created_at"] for row in site.raw_rows(warehouse)["events"]] == kept
    late = [when for when in times if when < floor]
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(when, "late") for when in late])
        site.insert(connection, "clicks", [site.click(when, "late") for when in late])
    assert aggregate_all(warehouse).rows_refused == 2 * len(late)
    assert [row["created_at"] for row in site.raw_rows(warehouse)["events"]] == kept
    site.check_aggregates(warehouse, counted)


def test_weeks_begin_on_mondays_in_every_time_zone(warehouse: Warehouse) -> None:
    with warehouse.connect() as elsewhere:
        elsewhere.execute("set timezone = 'Asia/Kolkata'")
        elsewhere.execute("set datestyle = 'SQL, DMY'")
        elsewhere.execute(
            "select make_analytics_partitions(%s::date, %s::date)", [site.at(120).date(), site.at(150).date()]
        )
    with warehouse.connect() as connection:
        weeks = connection.execute("select week_start, week_end, leaf::text from analytics_partitions").fetchall()
    for start, end, leaf in weeks:
        assert (start.weekday(), start.hour, end - start) == (0, 0, timedelta(weeks=1))
        assert leaf.endswith(f"{start:%Y%m%d}")


def test_events_by_type_has_today_where_summer_time_begins_at_midnight(warehouse: Warehouse) -> None:
    """In Santiago 2026-09-06 began at 01:00."""
    days = [datetime(2026, 9, 6, 12, tzinfo=UTC), datetime(2026, 10, 5, 12, tzinfo=UTC)]
    make_partitions(warehouse, days[0].date(), days[-1].date())
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(day) for day in days])
        connection.execute("set timezone = 'America/Santiago'")
        found = connection.execute(
            read_sql("queries/events_by_type.sql"), {"project_id": "p", "today": days[-1].date()}
        ).fetchall()
    assert [row[0] for row in found] == [day.date() for day in days]


def test_the_floor_may_be_nothing_but_a_monday(warehouse: Warehouse) -> None:
    for wrong in ("2026-06-02 00:00+00", "2026-06-01 04:00+00", "infinity"):
        with warehouse.connect() as connection, pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("update analytics_retention set raw_floor = %s", [wrong])
    site.value(warehouse, "update analytics_retention set raw_floor = '2026-06-01 00:00+00' returning 1")


@pytest.mark.parametrize("bounds", ["from ('2000-01-05 00:00+00') to ('2101-01-01 00:00+00')", "default"])
def test_a_partition_on_both_sides_of_the_floor_stops_retention(warehouse: Warehouse, bounds: str) -> None:
    with warehouse.connect() as connection:
        for (leaf,) in connection.execute(
            "select leaf::text from analytics_partitions where raw_table = 'analytics_clicks'"
        ).fetchall():
            connection.execute(SQL("drop table {}").format(Identifier(leaf)))
        values = bounds if bounds == "default" else f"for values {bounds}"
        connection.execute(f"create table odd partition of analytics_clicks {values}".encode())
        site.insert(connection, "clicks", [site.click(site.at(1))])
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="odd may have rows on both sides"):
        apply_retention(warehouse, 30)
    assert len(site.raw_rows(warehouse)["clicks"]) == 1


def test_nobody_waits_while_retention_counts_a_backlog(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        rows = [site.event(site.at(day)) for day in (1, 2, 90)]
        site.insert(connection, "events", rows)
    with warehouse.connect() as holder:
        holder.execute("lock table analytics_events_daily_totals in exclusive mode")
        with retaining(warehouse) as retention:
            until_somebody_waits_for(warehouse, "analytics_events_daily_totals")
            with warehouse.connect() as other:
                other.execute(NOBODY_WAITS)
                site.insert(other, "events", [site.event(site.at(90)), site.event(site.at(3))])
                site.update(other, "events", rows[2]["id"], {"event_label": "changed"})
                site.delete(other, "events", site.event(site.at(0))["id"])
                other.execute(read_sql("queries/events_by_hour.sql"), {"project_id": "p", "now": None}).fetchall()
                other.execute("select * from analytics_event_totals('p', current_date - 90, current_date)").fetchall()
            holder.rollback()
            assert retention.result().partitions_emptied > 20
    assert site.value(warehouse, "select sum(event_count) from analytics_events_daily_agg") == 3
    assert site.value(warehouse, "select count(*) from analytics_events") == 2


def test_retention_counts_its_own_weeks_and_leaves_the_backlog_of_others(warehouse: Warehouse) -> None:
    """Aggregates of other weeks cannot be written while it runs, and it ends."""
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(90))])
        site.insert(connection, "clicks", [site.click(site.at(90))])
    marks = "select (select count(*) from analytics_dirty_hours), (select count(*) from analytics_dirty_cards)"
    with warehouse.connect() as holder:
        holder.execute("lock table analytics_events_hourly_agg, analytics_daily_user_stats in exclusive mode")
        with warehouse.connect() as connection:
            connection.execute(NOBODY_WAITS)
            connection.execute("select cleanup_old_raw_events(30)")
            assert connection.execute(marks).fetchone() == (1, 1)
    aggregate_all(warehouse)
    site.check_aggregates(warehouse, site.raw_rows(warehouse))


def test_what_comes_for_its_weeks_while_it_waits_for_tables_is_counted(warehouse: Warehouse) -> None:
    leaf, start = old_leaf(warehouse, "events")
    rows = [site.event(start), site.event(start + timedelta(hours=30), "w", event_label="x")]
    view = site.page_view(start)
    with warehouse.connect() as writer:
        site.insert(writer, "events", rows)
        site.insert(writer, "page_views", [view])
        with retaining(warehouse) as retention:
            until_somebody_waits_for(warehouse, leaf)
            writer.commit()
            assert retention.result().rows_refused == 0
    assert not site.raw_rows(warehouse)["events"]
    assert site.value(warehouse, "select sum(event_count) from analytics_events_hourly_agg") == 2
    assert site.value(warehouse, "select sum(event_count) from analytics_events_daily_agg") == 2
    assert site.value(warehouse, "select sum(page_views) from analytics_daily_user_stats") == 1


def read(table: str) -> Callable[[psycopg.Connection], Any]:
    return lambda connection: connection.execute(SQL("select count(*) from {}").format(Identifier(table)))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (read("analytics_events"), read("analytics_clicks")),
        (
            lambda connection: site.insert(connection, "events", [site.event(site.at(1))]),
            lambda connection: site.insert(connection, "clicks", [site.click(site.at(1))]),
        ),
    ],
    ids=["reader", "writer"],
)
def test_who_holds_one_table_and_comes_for_another_goes_on_and_so_does_retention(
    warehouse: Warehouse, first: Callable[[psycopg.Connection], Any], second: Callable[[psycopg.Connection], Any]
) -> None:
    leaf, _ = old_leaf(warehouse, "events")
    with warehouse.connect() as application:
        first(application)
        with retaining(warehouse) as retention:
            until_somebody_waits_for(warehouse, leaf)
            second(application)
            application.commit()
            assert retention.result().partitions_emptied > 20


def test_who_is_waited_for_is_said(warehouse: Warehouse) -> None:
    with warehouse.connect() as reader:
        reader.execute("set application_name = 'a long report'")
        read("analytics_events")(reader)
        pid = reader.info.backend_pid
        with (
            warehouse.connect() as connection,
            pytest.raises(
                psycopg.errors.LockNotAvailable,
                match=rf"analytics_events_\d+ is in use by process {pid} \(a long report\); nothing was removed",
            ),
        ):
            connection.execute("select cleanup_old_raw_events(30)")


def test_a_week_that_somebody_cut_off_is_kept(warehouse: Warehouse) -> None:
    leaf, start = old_leaf(warehouse, "events")
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(start)])
    aggregate_all(warehouse)
    with warehouse.connect() as connection:
        connection.execute(SQL("alter table analytics_events detach partition {}").format(Identifier(leaf)))
    with pytest.raises(psycopg.errors.DuplicateTable, match=rf"{leaf} is there and is no partition of"):
        make_partitions(warehouse, start.date(), start.date())
    assert apply_retention(warehouse, 30).rows_refused == 0
    assert site.value(warehouse, f"select count(*) from {leaf}") == 1


def test_a_rollback_drops_weeks_that_retention_left_behind(warehouse: Warehouse) -> None:
    leaf, start = old_leaf(warehouse, "events")
    with warehouse.connect() as connection:
        connection.execute("select cleanup_old_raw_events(30)")
        connection.execute(SQL("alter table analytics_events detach partition {}").format(Identifier(leaf)))
    rollback(warehouse, to="0005")
    migrate(warehouse)
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(start)])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("make_analytics_partitions(null, null)", "expected a first and a last day.*got null and null"),
        ("make_analytics_partitions('2026-02-01', '2026-01-01')", "expected a first and a last day"),
        ("make_analytics_partitions('-infinity', '2026-01-01')", "expected a first and a last day"),
        ("backfill_aggregates(null, now())", "expected a first and a last day, got null"),
        ("backfill_aggregates('2026-02-01', '2026-01-01')", "expected a first and a last day"),
        ("aggregate_analytics_daily('infinity')", "expected a day, got infinity"),
        ("cleanup_old_raw_events(5000000)", "at most 36500, got 5000000"),
        ("analytics_event_totals('p', '-infinity', '2026-01-01')", "expected 1 to 91 days"),
        ("analytics_card_totals('c', '2026-01-01', 'infinity')", "expected 1 to 91 days"),
    ],
)
def test_what_is_no_range_is_refused(warehouse: Warehouse, call: LiteralString, message: str) -> None:
    with warehouse.connect() as connection, pytest.raises(psycopg.errors.InvalidParameterValue, match=message):
        connection.execute(SQL("select {}").format(SQL(call)))


def test_a_backfill_of_all_time_takes_the_days_there_are(warehouse: Warehouse) -> None:
    stale = site.OLDEST - timedelta(days=30)
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(1))])
        connection.execute("truncate analytics_dirty_hours")
        # Stale: its partition is gone.
        connection.execute(
            "insert into analytics_daily_click_targets values ('c', null, null, 'other', null, %s, 3)", [stale]
        )
    done = site.value(warehouse, "select backfill_aggregates('0001-01-01', '9999-12-31')")
    assert done["days"] == site.value(warehouse, "select max(week_end)::date - %s from analytics_partitions", [stale])
    site.check_aggregates(warehouse, site.raw_rows(warehouse))


@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Kolkata", "Pacific/Auckland"])
def test_a_backfill_of_a_date_takes_that_day_in_every_time_zone(warehouse: Warehouse, zone: str) -> None:
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(50, hour)) for hour in (0, 23)])
        connection.execute("truncate analytics_dirty_hours")
        connection.execute(SQL("set timezone = {}").format(zone))
        connection.execute("select backfill_aggregates(%s::date, %s::date)", [site.at(50).date(), site.at(50).date()])
    site.check_aggregates(warehouse, site.raw_rows(warehouse))


@pytest.mark.parametrize(("table", "column"), [("events_hourly_agg", "hour_bucket"), ("events_daily_totals", "day")])
def test_a_day_of_everybodys_aggregates_is_found_by_time(warehouse: Warehouse, table: str, column: str) -> None:
    newcomers = ", array_fill(1, array[91]), array_fill(1, array[91])" if column == "day" else ", 1, 1"
    columns = "newcomer_visitors, newcomer_sessions" if column == "day" else "unique_visitors, unique_sessions"
    with warehouse.connect() as connection:
        connection.execute(
            f"insert into analytics_{table} (project_id, event_type, {column}, event_count, {columns}) "
            f"select 'p' || p, 't', date '2026-01-01' + d, 1{newcomers} "
            "from generate_series(1, 100) as p, generate_series(1, 60) as d".encode()
        )
        connection.execute(f"analyze analytics_{table}".encode())
        plan = connection.execute(
            f"explain select project_id from analytics_{table} "
            f"where {column} >= '2026-02-01' and {column} < '2026-02-02'".encode()
        ).fetchall()
    assert f"analytics_{table}_{column}_idx" in str(plan)
