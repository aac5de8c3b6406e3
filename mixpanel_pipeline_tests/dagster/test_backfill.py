"""Backfills, runs continued and snapshots, launched as the UI does."""

from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import wait_for_runs_to_finish

from mixpanel_pipeline.simulator import Project
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.dagster.conftest import day
from mixpanel_pipeline_tests.dagster.user_interface import AGAIN, CONTINUE, LAUNCH, MATERIALIZE, UserInterface
from mixpanel_pipeline_tests.workbench import expected_totals, exported_lines, stored_totals

pytestmark = pytest.mark.usefixtures("fresh_definitions")

ASSETS = ["mixpanel_raw_events", "subscriber_daily_contributions", "subscribers_insights_v2", "sync_watermarks"]


def days_of(first: int, last: int) -> dict[str, Any]:
    return {
        "assetSelection": [{"path": [asset]} for asset in ASSETS],
        "partitionNames": [str(day(number)) for number in range(first, last + 1)],
    }


def materialized(ui: UserInterface) -> list[set[str]]:
    return [ui.instance.get_materialized_partitions(dg.AssetKey(asset)) for asset in ASSETS]


def days(*numbers: int) -> set[str]:
    return {str(day(number)) for number in numbers}


def test_a_range_is_one_run_and_from_failure_resumes_at_the_day_that_failed(
    ui: UserInterface, project: Project, warehouse: Warehouse, environment: dict[str, str]
):
    project.faults.add("forbidden", day=day(3))
    assert ui.backfill(LAUNCH, days_of(1, 5)) == dg.DagsterRunStatus.FAILURE
    assert ui.last_range() == (str(day(1)), str(day(5)))
    assert materialized(ui) == [days(1, 2)] * 4

    again = {"parentRunId": ui.instance.get_backfills()[0].backfill_id, "strategy": "FROM_FAILURE"}
    assert ui.backfill(AGAIN, again) == dg.DagsterRunStatus.SUCCESS
    assert ui.last_range() == (str(day(3)), str(day(5)))
    assert materialized(ui) == [days(1, 2, 3, 4, 5)] * 4
    url = environment["MIXPANEL_DATA_URL"]
    expected = expected_totals({day(number): exported_lines(url, day(number)) for number in range(1, 6)})
    assert stored_totals(warehouse) == expected


def test_a_run_continued_from_failure_fetches_only_what_is_left(ui: UserInterface, project: Project):
    project.faults.add("forbidden", day=day(3))
    ui.backfill(LAUNCH, days_of(1, 4))
    failed = ui.instance.get_runs(limit=1)[0]
    asked_before = len(project.requests)
    ui.ask(CONTINUE, {"parentRunId": failed.run_id, "strategy": "FROM_FAILURE"})
    wait_for_runs_to_finish(ui.instance)
    exports = [request for request in project.requests[asked_before:] if request.path == "/api/2.0/export"]
    assert [request.params["from_date"] for request in exports] == sorted(days(3, 4))
    assert materialized(ui) == [days(1, 2, 3, 4)] * 4
    records = dg.AssetRecordsFilter(dg.AssetKey("mixpanel_raw_events"), asset_partitions=[str(day(1))])
    newest = ui.instance.fetch_materializations(records, limit=1).records[0].asset_materialization
    assert newest
    assert newest.metadata["rows"].value == 2


def test_a_snapshot_of_profiles_and_days_afterwards(ui: UserInterface, project: Project, warehouse: Warehouse):
    project.set_profile("ann", {"income": "100k-150k"})
    profiles = {"path": ["subscriber_profiles"]}
    selector = {
        "repositoryLocationName": "mixpanel_pipeline",
        "repositoryName": "__repository__",
        "jobName": "__ASSET_JOB",
        "assetSelection": [profiles],
        "assetCheckSelection": [
            {"assetKey": profiles, "name": name} for name in ("profiles_equal_snapshot", "profiles_skip_unchanged")
        ],
    }
    run_config = {"ops": {"subscriber_profiles": {"config": {"all_deleted": False}}}}
    answer = ui.ask(MATERIALIZE, {"selector": selector, "runConfigData": run_config})
    run = ui.instance.get_run_by_id(answer["run"]["runId"])
    assert run
    assert run.status == dg.DagsterRunStatus.SUCCESS
    assert ui.instance.get_latest_materialization_event(dg.AssetKey("subscriber_profiles"))
    assert set(stored_totals(warehouse)) == {"ann"}

    # The totals depend on profiles, and no day waits for them.
    assert ui.backfill(LAUNCH, days_of(1, 2)) == dg.DagsterRunStatus.SUCCESS
    ann = stored_totals(warehouse)["ann"]
    assert (ann["app_sessions"], ann["income"]) == (2, "100k-150k")
