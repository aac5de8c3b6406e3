"""Web aggregates launched as the UI does: backfills over ranges, late rows materialized again, from failure."""

from collections.abc import Sequence
from typing import Any

import dagster as dg
import pytest

from mixpanel_pipeline.dagster_project.web_assets import partition_key
from mixpanel_pipeline.dagster_project.web_specs import CARD_KEYS, DAILY, HOURLY
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.marks import HOUR
from mixpanel_pipeline_tests.dagster.user_interface import AGAIN, LAUNCH, UserInterface
from mixpanel_pipeline_tests.dagster.web_traffic import add, day_of, traffic
from mixpanel_pipeline_tests.web import site

DAILY_KEYS = [DAILY, *CARD_KEYS]


@pytest.fixture(autouse=True)
def since(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], fresh_definitions: None, warehouse: Warehouse
) -> None:
    assert environment["DATABASE_URL"] == warehouse.url
    monkeypatch.setenv("WEB_START_DATE", str(site.OLDEST))
    monkeypatch.setenv("DAGSTER_EVENT_BATCH_SIZE", "500")  # as the product's instance has it


def load(warehouse: Warehouse, rows: dict[str, list[dict[str, Any]]]) -> None:
    with warehouse.connect() as connection:
        for kind, of_kind in rows.items():
            if of_kind:
                site.copy(connection, kind, of_kind)


def days(first: int, last: int, keys: Sequence[dg.AssetKey] = DAILY_KEYS) -> dict[str, Any]:
    return {
        "assetSelection": [{"path": list(key.path)} for key in keys],
        "partitionNames": [str(day_of(number)) for number in range(first, last + 1)],
    }


def hours(first: int, last: int) -> dict[str, Any]:
    """All hours of those days."""
    start, number = site.at(first, 0), (last - first + 1) * 24
    return {
        "assetSelection": [{"path": list(HOURLY.path)}],
        "partitionNames": [partition_key(start + HOUR * hour) for hour in range(number)],
    }


def test_ninety_days_are_one_run_of_set_based_statements(ui: UserInterface, warehouse: Warehouse):
    rows = {"events": traffic()["events"], "sessions": [], "page_views": [], "clicks": []}
    load(warehouse, rows)
    assert ui.backfill(LAUNCH, days(0, 90, [DAILY])) == dg.DagsterRunStatus.SUCCESS
    assert ui.last_range() == (str(day_of(0)), str(day_of(90)))
    assert len(ui.instance.get_materialized_partitions(DAILY)) == 91
    site.check_aggregates(warehouse, rows)


def test_hours_and_late_rows_materialized_again(ui: UserInterface, warehouse: Warehouse):
    rows = traffic(3)
    load(warehouse, rows)
    assert ui.backfill(LAUNCH, hours(0, 2)) == dg.DagsterRunStatus.SUCCESS
    assert ui.last_range() == (partition_key(site.at(0, 0)), partition_key(site.at(2, 23)))
    assert len(ui.instance.get_materialized_partitions(HOURLY)) == 72
    assert ui.backfill(LAUNCH, days(0, 2)) == dg.DagsterRunStatus.SUCCESS

    late = {"events": [site.event(site.at(1, 5), "late")], "clicks": [site.click(site.at(2, 5))]}
    load(warehouse, late)
    assert ui.backfill(LAUNCH, hours(1, 1)) == dg.DagsterRunStatus.SUCCESS
    assert ui.backfill(LAUNCH, days(1, 2)) == dg.DagsterRunStatus.SUCCESS
    site.check_aggregates(warehouse, add(rows, late))
    checks = ui.instance.event_log_storage.get_latest_asset_check_execution_by_key(
        [dg.AssetCheckKey(HOURLY, "hourly_equals_raw"), dg.AssetCheckKey(DAILY, "daily_equals_raw")]
    )
    assert {record.status.value for record in checks.values()} == {"SUCCEEDED"}


def test_a_failed_range_keeps_its_marks_and_runs_again_from_failure(ui: UserInterface, warehouse: Warehouse):
    rows = traffic(3)
    load(warehouse, rows)
    with warehouse.connect() as connection:
        connection.execute("alter table analytics_daily_page_stats add constraint broken check (page_views < 0)")
    selection = days(0, 2)
    assert ui.backfill(LAUNCH, selection) == dg.DagsterRunStatus.FAILURE
    assert len(ui.instance.get_materialized_partitions(DAILY)) == 3
    assert ui.instance.get_materialized_partitions(CARD_KEYS[0]) == set()
    with warehouse.connect() as connection:
        marks = connection.execute("select count(*) from analytics_dirty_cards").fetchone()
        connection.execute("alter table analytics_daily_page_stats drop constraint broken")
    assert marks
    assert marks[0] > 0
    again = {"parentRunId": ui.instance.get_backfills()[0].backfill_id, "strategy": "FROM_FAILURE"}
    assert ui.backfill(AGAIN, again) == dg.DagsterRunStatus.SUCCESS
    assert len(ui.instance.get_materialized_partitions(CARD_KEYS[0])) == 3
    site.check_aggregates(warehouse, rows)
