"""Hours and days of web events as partitions: what runs write, report, and leave alone."""

from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from mixpanel_pipeline.dagster_project.web_assets import partition_key
from mixpanel_pipeline.dagster_project.web_specs import COLUMNS_OF, WEB_KEYS
from mixpanel_pipeline.web.marks import hour_of
from mixpanel_pipeline_tests.dagster.conftest import Dagster
from mixpanel_pipeline_tests.dagster.web_traffic import (
    DAILY,
    HOURLY,
    USERS,
    YESTERDAY,
    add,
    aggregate,
    day_of,
    insert,
    metadata,
    run_days,
    run_hours,
    times_materialized,
    traffic,
)
from mixpanel_pipeline_tests.web import site

WHEN_ROWS_WERE_WRITTEN = "select table_name, max(written), count(*) from (" + " union all ".join(
    f"select '{name}' as table_name, xmin::text::bigint as written from {name}" for name in site.AGGREGATES
) + ") as row group by table_name order by table_name"  # fmt: skip


def test_ninety_days_are_one_run_and_equal_a_plain_recomputation(web: Dagster):
    rows = traffic()
    insert(web, rows)
    run_days(web, day_of(0), day_of(90))
    assert len(web.instance.get_runs()) == 1
    for key in WEB_KEYS[1:]:
        assert len(web.materialized(key.to_user_string())) == 91
    site.check_aggregates(web.pipeline.warehouse, rows)
    site.check_ranges(web.pipeline.warehouse, rows, [(day_of(0), day_of(91)), (day_of(5), day_of(35))])


@pytest.mark.slow
def test_the_hours_of_ninety_days_are_one_run(web: Dagster):
    insert(web, traffic())
    run_hours(web, site.at(0, 0), site.at(90, 23))
    assert len(web.instance.get_runs()) == 1
    assert len(web.materialized(HOURLY)) == 91 * 24
    assert web.rows(f"select sum(event_count) from {HOURLY}") == [(91 * 4,)]


def test_a_range_again_writes_nothing(web: Dagster):
    insert(web, traffic(10))
    aggregate(web)
    before = web.rows(WHEN_ROWS_WERE_WRITTEN)
    run_hours(web, site.at(0, 0), site.at(9, 23))
    run_days(web, day_of(0), day_of(9))
    assert web.rows(WHEN_ROWS_WERE_WRITTEN) == before
    assert metadata(web, HOURLY, site.at(5, 9))["run_rows_written"] == 0
    assert metadata(web, DAILY, day_of(5))["run_rows_written"] == 0
    assert metadata(web, USERS, day_of(5))["run_rows_written"] == 0


def test_what_a_partition_tells(web: Dagster):
    insert(web, traffic(3))
    run_hours(web, site.at(1, 6), site.at(1, 7))
    found = metadata(web, HOURLY, site.at(1, 6))
    figures = ("rows", "counted", "rows_changed", "marks", "dagster/partition_row_count")
    assert [found[name] for name in figures] == [1, 1, 1, 2, 1]
    # Other hours were marked, so they were taken too, and are reported.
    assert (found["run_buckets"], found["run_rows_written"], found["run_late_partitions"]) == (12, 12, 11)
    assert (found["run_rows_deleted"], found["run_rows_refused"]) == (0, 0)
    assert found["run_seconds"] > 0
    assert found["run_counted_per_second"] > 0
    assert "preview" not in found
    assert web.materialized(HOURLY) == {
        *(partition_key(site.at(day, hour)) for day in range(3) for hour in (0, 3, 6, 9)), partition_key(site.at(1, 7)),
    }  # fmt: skip

    run_days(web, day_of(0), day_of(2))
    preview = metadata(web, DAILY, day_of(2))["preview"].records
    assert [(record.data["event_label"], record.data["event_count"]) for record in preview] == [("hero", 2), (None, 2)]
    assert metadata(web, DAILY, day_of(2))["counted"] == 4
    assert (metadata(web, USERS, day_of(2))["rows"], metadata(web, USERS, day_of(2))["counted"]) == (1, 2)


def test_late_rows_of_any_age_show_as_partitions_aggregated_again(web: Dagster):
    rows = traffic(91, every=10)
    insert(web, rows)
    aggregate(web)
    late = {
        "events": [site.event(site.at(40, 17, 30), "late")],
        "page_views": [site.page_view(site.at(41, 2), "late-visit")],
    }
    insert(web, late)
    hour = aggregate(web)
    site.check_aggregates(web.pipeline.warehouse, add(rows, late))
    assert times_materialized(web, HOURLY, site.at(40, 17)) == 1
    assert times_materialized(web, HOURLY, site.at(40, 9)) == 1
    assert [times_materialized(web, DAILY, day_of(day)) for day in (30, 40, 41)] == [1, 2, 0]
    assert [times_materialized(web, USERS, day_of(day)) for day in (40, 41)] == [1, 1]
    assert metadata(web, HOURLY, site.at(40, 17))["counted"] == 1
    assert metadata(web, HOURLY, hour)["run_late_partitions"] == 1


def test_a_late_visitor_is_no_newcomer_later_and_those_days_are_reported(web: Dagster):
    insert(web, {"events": [site.event(site.at(20), "ann"), site.event(site.at(25), "bob")]})
    aggregate(web)
    insert(web, {"events": [site.event(site.at(18), "ann")]})
    aggregate(web)
    assert [times_materialized(web, DAILY, day_of(day)) for day in (18, 20, 25)] == [1, 2, 1]


def test_deleted_rows_take_their_aggregates_with_them(web: Dagster):
    insert(web, {"events": [site.event(site.at(20))]})
    aggregate(web)
    web.write("delete from analytics_events")
    aggregate(web)
    assert web.rows(f"select count(*) from {HOURLY}") == web.rows(f"select count(*) from {DAILY}") == [(0,)]
    assert metadata(web, HOURLY, site.at(20))["run_rows_deleted"] == 1
    assert metadata(web, HOURLY, site.at(20))["rows"] == 0


def test_only_a_run_of_everything_finds_what_was_changed_by_hand(web: Dagster):
    rows = traffic(3)
    insert(web, rows)
    aggregate(web)
    web.write(f"update {HOURLY} set event_count = 99")
    web.write(f"delete from {DAILY}")
    web.write(f"update {USERS} set clicks = 99")
    run_hours(web, site.at(0, 0), site.at(2, 23), everything=False)
    run_days(web, day_of(0), day_of(2), everything=False)
    assert web.rows(f"select distinct event_count from {HOURLY}") == [(99,)]
    run_hours(web, site.at(0, 0), site.at(2, 23))
    run_days(web, day_of(0), day_of(2))
    site.check_aggregates(web.pipeline.warehouse, rows)


def test_the_current_hour_and_today_are_aggregated_but_are_no_partitions_yet(web: Dagster):
    now_running = hour_of(datetime.now(UTC))
    insert(web, {"events": [site.event(now_running)], "clicks": [site.click(site.at(91, 0))]})
    hour = aggregate(web)
    assert web.rows(f"select count(*) from {HOURLY}") == [(1,)]
    assert web.materialized(HOURLY) == {partition_key(hour)}
    assert web.materialized(USERS) == {str(YESTERDAY)}


def test_retention_keeps_aggregates_whoever_asks_again_and_refuses_late_rows(web: Dagster):
    rows = traffic(91, every=7)
    insert(web, rows)
    aggregate(web)
    web.pipeline.settings = web.pipeline.settings.model_copy(update={"web_retention_days": 30})
    assert web.run("web_retention_job").success
    before = web.rows(WHEN_ROWS_WERE_WRITTEN)
    assert web.rows("select count(*) from analytics_events where created_at < now() - interval '40 days'") == [(0,)]
    run_hours(web, site.at(28, 0), site.at(28, 23))
    run_days(web, day_of(0), day_of(90))
    assert web.rows(WHEN_ROWS_WERE_WRITTEN) == before
    site.check_aggregates(web.pipeline.warehouse, rows)


def test_a_run_of_days_tells_what_its_hours_refused(web: Dagster):
    floor = site.at((site.monday_of(day_of(28)) - site.OLDEST).days, hour=0)
    web.write(f"update analytics_retention set raw_floor = '{floor}'")
    insert(web, {"events": [site.event(floor - timedelta(hours=1))]})
    run_days(web, YESTERDAY, YESTERDAY)
    assert metadata(web, DAILY, YESTERDAY)["run_rows_refused"] == 1


def test_partitions_are_made_ahead(web: Dagster):
    last = "select max(week_end)::date from analytics_partitions"
    (before,) = web.rows(last)[0]
    web.pipeline.now = lambda: site.at(91) + timedelta(days=60)
    assert web.run("web_partitions_job").success
    (after,) = web.rows(last)[0]
    assert after >= before + timedelta(days=49)


def test_legacy_events_are_normalized_over_the_days_given(web: Dagster):
    data = site.Jsonb({"userCode": "c", "pageType": "home"})
    insert(web, {"events": [site.event(site.at(day), event_type="page_view", event_data=data) for day in (3, 4, 5)]})
    config = {"ops": {"normalize_legacy_events": {"config": {"first_day": str(day_of(3)), "last_day": str(day_of(4))}}}}
    for _ in range(2):
        assert web.run("legacy_migration_job", config).success
        assert web.rows("select count(*) from analytics_page_views") == [(2,)]
    config["ops"]["normalize_legacy_events"]["config"]["first_day"] = str(day_of(9))
    refused = web.run("legacy_migration_job", config)
    assert not refused.success


def test_legacy_days_on_which_clients_wrote_both_forms_need_the_moment_since(web: Dagster):
    data = site.Jsonb({"userCode": "c", "pageType": "home"})
    old = [site.event(site.at(3, hour), event_type="page_view", event_data=data) for hour in (8, 14)]
    insert(web, {"events": old, "page_views": [site.page_view(site.at(3, 14, 1))]})
    days: dict[str, str] = {"first_day": str(day_of(3)), "last_day": str(day_of(3))}
    config = {"ops": {"normalize_legacy_events": {"config": days}}}
    assert not web.run("legacy_migration_job", config).success
    assert web.rows("select count(*) from analytics_page_views") == [(1,)]
    days["both_forms_since"] = f"{day_of(3)}T14:00:00"
    assert not web.run("legacy_migration_job", config).success
    days["both_forms_since"] += "Z"
    assert web.run("legacy_migration_job", config).success
    assert web.rows("select count(*) from analytics_page_views") == [(2,)]


@pytest.mark.parametrize("key", WEB_KEYS, ids=lambda key: key.to_user_string())
def test_columns_are_those_of_the_table(web: Dagster, key: dg.AssetKey):
    schema = web.definitions.resolve_asset_graph().get(key).metadata["dagster/column_schema"]
    stored = web.rows(
        "select attname, case format_type(atttypid, null) when 'timestamp with time zone' then 'timestamptz' "
        f"else format_type(atttypid, null) end from pg_attribute where attrelid = '{key.to_user_string()}'::regclass "
        "and attnum > 0 and not attisdropped"
    )
    assert {column.name: column.type for column in schema.columns} == dict(stored)
    assert len(COLUMNS_OF[key]) == len(stored)
