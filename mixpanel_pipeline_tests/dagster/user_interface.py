"""What a person does in the UI, by the UI's own GraphQL, without its servers (reference/dagster.md B.11)."""

import logging
from dataclasses import dataclass
from typing import Any

import dagster as dg
from dagster._core.instance import DagsterInstance
from dagster._daemon.backfill import execute_backfill_iteration
from dagster_graphql.test.utils import execute_dagster_graphql

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
