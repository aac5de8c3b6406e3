"""A run over many partitions is created by few statements, from the UI and from the command line."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import pytest
import sqlalchemy
import sqlalchemy.event
from dagster._core.test_utils import create_test_daemon_workspace_context
from dagster._core.workspace.load_target import ModuleTarget
from dagster._daemon.backfill import execute_backfill_iteration

from mixpanel_pipeline.dagster_project.instance import dagster_instance, prepare_dagster_home
from mixpanel_pipeline.dagster_project.launch import DEFINITIONS_MODULE, launch_web
from mixpanel_pipeline.dagster_project.web_assets import partition_key
from mixpanel_pipeline.dagster_project.web_jobs import WEB_DAILY_JOB, WEB_HOURLY_JOB
from mixpanel_pipeline.dagster_project.web_specs import CARD_KEYS, DAILY, HOURLY
from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.web.marks import HOUR
from mixpanel_pipeline_tests.dagster.user_interface import LAUNCH, UserInterface
from mixpanel_pipeline_tests.dagster.web_traffic import day_of
from mixpanel_pipeline_tests.web import site

HOURS = [partition_key(site.at(0, 0) + HOUR * number) for number in range(90 * 24)]
MOST_STATEMENTS = 120


@pytest.fixture
def instance(
    settings: Settings, environment: dict[str, str], fresh_definitions: None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dg.DagsterInstance]:
    """The product's: runs that the UI launches wait for its daemon, of which there is none."""
    monkeypatch.setenv("WEB_START_DATE", str(site.OLDEST))
    with dagster_instance(prepare_dagster_home(settings, environment["DATABASE_URL"])) as found:
        yield found


@contextmanager
def counted() -> Iterator[list[str]]:
    """Statements that Dagster sends to its storage meanwhile."""
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        statements.append(statement)

    sqlalchemy.event.listen(sqlalchemy.Engine, "before_cursor_execute", note)
    try:
        yield statements
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "before_cursor_execute", note)


def planned(instance: dg.DagsterInstance, run_id: str) -> list[tuple[str, str | None]]:
    """Asset and partition of each planned materialization."""
    entries = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)
    events = [entry.get_dagster_event() for entry in entries]
    return [(event.asset_key.to_user_string(), event.partition) for event in events if event.asset_key]


def test_a_backfill_of_ninety_days_of_hours_from_the_ui(instance: dg.DagsterInstance):
    target = ModuleTarget(DEFINITIONS_MODULE, attribute=None, working_directory=None, location_name="mixpanel_pipeline")
    selection = {"assetSelection": [{"path": list(HOURLY.path)}], "partitionNames": HOURS}
    with create_test_daemon_workspace_context(target, instance) as workspace, counted() as statements:
        UserInterface(instance, workspace).ask(LAUNCH, selection)
        while not instance.get_runs_count():
            list(execute_backfill_iteration(workspace, logging.getLogger("backfill")))
    (run,) = instance.get_runs()
    assert run.status == dg.DagsterRunStatus.QUEUED
    assert planned(instance, run.run_id) == [(HOURLY.to_user_string(), hour) for hour in HOURS]
    assert len(statements) < MOST_STATEMENTS

    # What the UI shows of partitions that were to be materialized and are not.
    instance.report_run_failed(run)
    waiting = instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations
    assert waiting(HOURLY).keys() == set(HOURS)
    (asset,) = instance.get_asset_records([HOURLY])
    assert asset.asset_entry.last_run_id == run.run_id


def test_several_assets_and_their_checks_from_the_command_line(instance: dg.DagsterInstance):
    before_start: list[int] = []
    with counted() as statements:

        def note(entry: dg.EventLogEntry) -> None:
            if entry.dagster_event_type == dg.DagsterEventType.PIPELINE_START:
                before_start.append(len(statements))

        result = launch_web(instance, WEB_DAILY_JOB, day_of(0), day_of(89), everything=False, on_event=note)
    assert result.success
    assert before_start[0] < MOST_STATEMENTS
    keys = sorted(key.to_user_string() for key in (DAILY, *CARD_KEYS))
    assert planned(instance, result.run_id) == [(key, str(day_of(day))) for key in keys for day in range(90)]
    checks = instance.all_logs(result.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED)
    assert len(checks) > 0
    assert all(len(instance.get_materialized_partitions(key)) == 90 for key in (DAILY, *CARD_KEYS))
    assert {record.asset_entry.last_run_id for record in instance.get_asset_records([DAILY, *CARD_KEYS])} == {
        result.run_id
    }


@pytest.mark.slow
def test_the_hours_of_ninety_days_from_the_command_line(instance: dg.DagsterInstance):
    with counted() as statements:
        result = launch_web(instance, WEB_HOURLY_JOB, site.at(0, 0), site.at(89, 23), everything=True)
    assert result.success
    assert len(instance.get_materialized_partitions(HOURLY)) == len(HOURS)
    assert len(statements) < 2 * MOST_STATEMENTS
