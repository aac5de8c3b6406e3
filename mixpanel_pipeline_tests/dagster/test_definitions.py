"""What the code location holds, and that it loads anywhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from mixpanel_pipeline import catalog_sql
from mixpanel_pipeline.dagster_project.checks import asset_checks
from mixpanel_pipeline.dagster_project.jobs import MATCHES_MIXPANEL, mixpanel_sync_job, reconciliation_job
from mixpanel_pipeline.dagster_project.partitions import daily_partitions
from mixpanel_pipeline.settings import PROJECT_ROOT
from mixpanel_pipeline_tests.dagster.conftest import Dagster

RAW, CONTRIBUTIONS = "mixpanel_raw_events", "subscriber_daily_contributions"
TOTALS, WATERMARKS = "subscribers_insights_v2", "sync_watermarks"
PROFILES = "subscriber_profiles"
HOURLY, DAILY, USERS = "analytics_events_hourly_agg", "analytics_events_daily_agg", "analytics_daily_user_stats"


@pytest.fixture
def empty_environment(tmp_path: Path) -> dict[str, str]:
    """Neither services nor credentials; only where to keep the start date."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PIPELINE_HOME": str(tmp_path / "home")}


def test_definitions_load_in_a_fresh_interpreter_without_services(empty_environment: dict[str, str], tmp_path: Path):
    statement = (
        "from mixpanel_pipeline.definitions import defs; print(len(defs.get_repository_def().get_all_jobs())); "
        "import sys; assert not [name for name in sys.modules if name.startswith('mixpanel_pipeline_tests')]"
    )
    completed = subprocess.run(
        [sys.executable, "-c", statement], env={**empty_environment, "PYTHONPATH": str(PROJECT_ROOT)}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.strip() == "13"
    assert not (tmp_path / "home" / "postgres").exists()


def test_the_workspace_validates(empty_environment: dict[str, str], tmp_path: Path):
    dagster_home = tmp_path / "dagster"
    dagster_home.mkdir()
    (dagster_home / "dagster.yaml").write_text((PROJECT_ROOT / "dagster.yaml").read_text())
    command = [str(Path(sys.executable).with_name("dagster")), "definitions", "validate", "-w", "workspace.yaml"]
    completed = subprocess.run(
        command, env={**empty_environment, "DAGSTER_HOME": str(dagster_home)}, cwd=PROJECT_ROOT,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert completed.returncode == 0, completed.stderr
    assert "All code locations passed validation" in completed.stderr + completed.stdout


def test_assets(dagster: Dagster):
    graph = dagster.definitions.resolve_asset_graph()
    nodes = [node for node in graph.asset_nodes if node.group_name != "web"]
    found = {
        node.key.to_user_string(): ({parent.to_user_string() for parent in node.parent_keys}, node.group_name)
        for node in nodes
    }
    assert found == {
        RAW: (set(), "mixpanel"),
        CONTRIBUTIONS: ({RAW}, "mixpanel"),
        TOTALS: ({CONTRIBUTIONS, PROFILES}, "mixpanel"),
        WATERMARKS: ({RAW}, "mixpanel"),
        PROFILES: (set(), "mixpanel"),
    }
    for node in nodes:
        assert node.code_version
        assert "Grain" in (node.description or "")
        if node.key.to_user_string() == PROFILES:
            assert (node.partitions_def, node.pools) == (None, {"mixpanel_query"})
            continue
        assert isinstance(node.partitions_def, dg.DailyPartitionsDefinition)
        assert (node.partitions_def.start.date().isoformat(), str(node.partitions_def.timezone)) == (
            "2025-03-01",
            "UTC",
        )
        assert node.backfill_policy == dg.BackfillPolicy.single_run()
        assert node.pools == {"mixpanel_export"}
    assert {node.key.to_user_string() for node in nodes if node.freshness_policy} == {TOTALS, WATERMARKS, PROFILES}


def test_web_assets(dagster: Dagster):
    graph = dagster.definitions.resolve_asset_graph()
    nodes = [node for node in graph.asset_nodes if node.group_name == "web"]
    cards = {"analytics_sessions", "analytics_page_views", "analytics_clicks"}
    assert {
        node.key.to_user_string(): {parent.to_user_string() for parent in node.parent_keys}
        for node in nodes
        if node.is_materializable
    } == {
        HOURLY: {"analytics_events"},
        DAILY: {HOURLY},
        USERS: cards,
        **{
            f"analytics_daily_{name}": cards
            for name in ("group_stats", "contact_stats", "group_contact_stats", "page_stats", "click_targets")
        },
    }
    assert {node.key.to_user_string() for node in nodes if not node.is_materializable} == {"analytics_events", *cards}
    for node in nodes:
        if node.is_materializable:
            hourly = node.key.to_user_string() == HOURLY
            kind = dg.HourlyPartitionsDefinition if hourly else dg.DailyPartitionsDefinition
            assert isinstance(node.partitions_def, kind)
            assert (node.partitions_def.start.date().isoformat(), str(node.partitions_def.timezone)) == (
                "2025-03-01",
                "UTC",
            )
            assert node.backfill_policy == dg.BackfillPolicy.single_run()
            assert node.freshness_policy
            assert node.code_version
            assert "Grain" in (node.description or "")


def test_columns_and_their_origin_follow_from_the_catalog(dagster: Dagster):
    totals = dagster.definitions.resolve_asset_graph().get(dg.AssetKey(TOTALS))
    schema = totals.metadata["dagster/column_schema"]
    names = [column.name for column in schema.columns]
    assert names == [*catalog_sql.total_columns(), "updated_at"]
    stored = dagster.rows(
        "select column_name from information_schema.columns where table_name = 'subscribers_insights_v2' "
        "order by ordinal_position"
    )
    assert sorted(names) == sorted(name for (name,) in stored)
    lineage = totals.metadata["dagster/column_lineage"].deps_by_column
    assert [(dep.asset_key.to_user_string(), dep.column_name) for dep in lineage["total_copies"]] == [
        (CONTRIBUTIONS, "total_copies")
    ]
    assert [(dep.asset_key.to_user_string(), dep.column_name) for dep in lineage["income_at"]] == [
        (CONTRIBUTIONS, "income_at"),
        (PROFILES, "changed_at"),
    ]


def test_columns_of_profiles_are_those_of_the_table(dagster: Dagster):
    profiles = dagster.definitions.resolve_asset_graph().get(dg.AssetKey(PROFILES))
    columns = {column.name: column.type for column in profiles.metadata["dagster/column_schema"].columns}
    stored = dagster.rows(
        "select column_name, case data_type when 'timestamp with time zone' then 'timestamptz' else data_type end "
        "from information_schema.columns where table_name = 'subscriber_profiles'"
    )
    assert columns == dict(stored)


def test_in_project_time_days_are_the_projects(dagster: Dagster):
    update = {"mixpanel_time_mode": "project", "mixpanel_timezone": "America/New_York"}
    partitions = daily_partitions(dagster.pipeline.settings.model_copy(update=update))
    window = partitions.time_window_for_partition_key("2025-03-09")
    assert (window.end.timestamp() - window.start.timestamp()) / 3600 == 23


def test_checks(dagster: Dagster):
    keys = {
        (key.asset_key.to_user_string(), key.name, dagster.definitions.resolve_asset_graph().get(key).blocking)
        for key in dagster.definitions.resolve_asset_graph().asset_check_keys
    }
    assert keys == {
        (TOTALS, "add_equals_replace", True),
        (TOTALS, "set_based_equals_loop", False),
        (CONTRIBUTIONS, "contributions_equal_lake", False),
        (RAW, "no_quarantined_events", False),
        (RAW, "events_lie_within_their_day", False),
        (RAW, "partitions_follow_settings", False),
        (RAW, "matches_mixpanel", False),
        (WATERMARKS, "watermark_advances", False),
        (WATERMARKS, "sync_is_incremental", False),
        (WATERMARKS, "no_missing_partitions", False),
        (PROFILES, "profiles_equal_snapshot", False),
        (PROFILES, "profiles_skip_unchanged", False),
        (HOURLY, "hourly_is_fresh", False),
        (HOURLY, "hourly_equals_raw", False),
        (DAILY, "daily_equals_raw", False),
        (DAILY, "dashboard_is_fast", False),
        (USERS, "normalized_equals_legacy", False),
    }


def test_the_check_that_asks_mixpanel_is_no_part_of_a_sync_and_keeps_to_the_pool(dagster: Dagster):
    graph = dagster.definitions.resolve_asset_graph()
    synced, reconciled = (job.selection.resolve_checks(graph) for job in (mixpanel_sync_job, reconciliation_job))
    assert reconciled - synced >= {MATCHES_MIXPANEL}
    assert dg.AssetCheckKey(dg.AssetKey(TOTALS), "add_equals_replace") in synced
    (check,) = [check for check in asset_checks() if MATCHES_MIXPANEL in check.check_keys]
    assert check.op.pool == "mixpanel_export"


def test_schedules_and_sensors_are_on(dagster: Dagster):
    repository = dagster.definitions.get_repository_def()
    assert {
        schedule.name: (schedule.cron_schedule, schedule.execution_timezone, schedule.job_name)
        for schedule in repository.schedule_defs
    } == {
        "mixpanel_sync_schedule": ("0 2 * * *", "UTC", "mixpanel_sync_job"),
        "subscriber_profiles_schedule": ("30 2 * * *", "UTC", "subscriber_profiles_job"),
        "late_event_sweep_schedule": ("35 * * * *", "UTC", "late_event_sweep_job"),
        "lake_garbage_schedule": ("20 3 * * *", "UTC", "lake_garbage_job"),
        "purge_history_schedule": ("40 3 * * *", "UTC", "purge_history_job"),
        "reconciliation_schedule": ("0 4 * * *", "UTC", "reconciliation_job"),
        "web_hourly_schedule": ("5 * * * *", "UTC", "web_hourly_job"),
        "web_daily_schedule": ("0 2 * * *", "UTC", "web_daily_job"),
        "web_partitions_schedule": ("10 0 * * *", "UTC", "web_partitions_job"),
        "web_retention_schedule": ("10 3 * * 1", "UTC", "web_retention_job"),
    }
    jobs = {sensor.name: {target.job_name for target in sensor.targets} for sensor in repository.sensor_defs}
    assert jobs == {
        "late_events_sensor": {"mixpanel_sync_job"},
        "missing_partitions_sensor": {"mixpanel_sync_job"},
        "dirty_buckets_sensor": {"web_hourly_job", "web_daily_job"},
        "run_failure_alert_sensor": set(),
        "failing_checks_alert_sensor": set(),
    }
    assert {schedule.default_status for schedule in repository.schedule_defs} == {dg.DefaultScheduleStatus.RUNNING}
    assert {sensor.default_status for sensor in repository.sensor_defs} == {dg.DefaultSensorStatus.RUNNING}


def test_only_the_outer_rooms_import_dagster():
    package = PROJECT_ROOT / "mixpanel_pipeline"
    importing = {
        path.relative_to(package).parts[0].removesuffix(".py")
        for path in package.rglob("*.py")
        if re.search(r"^\s*(import|from) dagster", path.read_text(), re.MULTILINE)
    }
    assert importing <= {"dagster_project", "definitions", "cli"}
