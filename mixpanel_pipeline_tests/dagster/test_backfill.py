"""What a person does in the UI, by the UI's own GraphQL, without its servers (reference/dagster.md B.11)."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import dagster as dg
import pytest
from dagster._core.instance import DagsterInstance
from dagster._core.test_utils import create_test_daemon_workspace_context, instance_for_test, wait_for_runs_to_finish
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.backfill import execute_backfill_iteration
from dagster_graphql.test.utils import execute_dagster_graphql

from mixpanel_pipeline.simulator import Project
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.dagster.conftest import day
from mixpanel_pipeline_tests.workbench import expected_totals, exported_lines, stored_totals

pytestmark = pytest.mark.usefixtures("fresh_definitions")

LAUNCH = """
mutation Launch($parameters: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $parameters) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message stack } } }
"""
AGAIN = """
mutation Again($parameters: ReexecutionParams!) { reexecutePartitionBackfill(reexecutionParams: $parameters) {
  __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message stack } } }
"""
CONTINUE = """
mutation Continue($parameters: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $parameters) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message stack } } }
"""
MATERIALIZE = """
mutation Materialize($parameters: ExecutionParams!) { launchPipelineExecution(executionParams: $parameters) {
  __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message stack } } }
"""
ASSETS = ["mixpanel_raw_events", "subscriber_daily_contributions", "subscribers_insights_v2", "sync_watermarks"]


@dataclass
class UserInterface:
    """Clicks, and the daemon that follows them."""

    instance: DagsterInstance
    workspace: Any

    def ask(self, query: str, parameters: dict[str, Any]) -> dict[str, Any]:
        context = self.workspace.create_request_context()
        (answer,) = execute_dagster_graphql(context, query, {"parameters": parameters}).data.values()
        assert "message" not in answer, answer
        return answer

    def backfill(self, query: str, parameters: dict[str, Any]) -> dg.DagsterRunStatus | None:
        """Launches, and lets the daemon work until all is done; the status of its only run."""
        before = {run.run_id for run in self.instance.get_runs()}
        backfill_id = self.ask(query, parameters)["backfillId"]
        logger = logging.getLogger("backfill")
        while not self.finished(backfill_id):
            list(execute_backfill_iteration(self.workspace, logger))
        (run,) = [run for run in self.instance.get_runs() if run.run_id not in before]
        return run.status

    def finished(self, backfill_id: str) -> bool:
        backfill = self.instance.get_backfill(backfill_id)
        assert backfill
        return backfill.status.value not in ("REQUESTED", "FAILING", "CANCELING")

    def last_range(self) -> tuple[str, str]:
        tags = self.instance.get_runs(limit=1)[0].tags
        return tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"]


@pytest.fixture
def ui() -> Iterator[UserInterface]:
    target = ModuleTarget(
        "mixpanel_pipeline.definitions", attribute=None, working_directory=None, location_name="mixpanel_pipeline"
    )
    with (
        instance_for_test(synchronous_run_launcher=True, synchronous_run_coordinator=True) as instance,
        create_test_daemon_workspace_context(target, instance) as workspace,
    ):
        yield UserInterface(instance, workspace)


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
