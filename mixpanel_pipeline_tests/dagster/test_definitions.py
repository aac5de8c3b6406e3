"""What the code location holds, and that it loads anywhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from mixpanel_pipeline import catalog_sql
from mixpanel_pipeline.dagster_project.partitions import daily_partitions
from mixpanel_pipeline.settings import PROJECT_ROOT
from mixpanel_pipeline_tests.dagster.conftest import Dagster

RAW, CONTRIBUTIONS = "mixpanel_raw_events", "subscriber_daily_contributions"
TOTALS, WATERMARKS = "subscribers_insights_v2", "sync_watermarks"


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
    assert completed.stdout.strip() == "7"
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
    found = {
        node.key.to_user_string(): ({parent.to_user_string() for parent in node.parent_keys}, node.group_name)
        for node in graph.asset_nodes
    }
    assert found == {
        RAW: (set(), "mixpanel"),
        CONTRIBUTIONS: ({RAW}, "mixpanel"),
        TOTALS: ({CONTRIBUTIONS}, "mixpanel"),
        WATERMARKS: ({RAW}, "mixpanel"),
    }
    for node in graph.asset_nodes:
        assert isinstance(node.partitions_def, dg.DailyPartitionsDefinition)
        assert (node.partitions_def.start.date().isoformat(), str(node.partitions_def.timezone)) == (
            "2025-03-01",
            "UTC",
        )
        assert node.backfill_policy == dg.BackfillPolicy.single_run()
        assert node.pools == {"mixpanel_export"}
        assert node.code_version
        assert "Grain" in (node.description or "")
    assert {node.key.to_user_string() for node in graph.asset_nodes if node.freshness_policy} == {TOTALS, WATERMARKS}


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
        (WATERMARKS, "watermark_advances", False),
        (WATERMARKS, "sync_is_incremental", False),
        (WATERMARKS, "no_missing_partitions", False),
    }


def test_schedules_and_sensors_are_on(dagster: Dagster):
    repository = dagster.definitions.get_repository_def()
    assert {
        schedule.name: (schedule.cron_schedule, schedule.execution_timezone, schedule.job_name)
        for schedule in repository.schedule_defs
    } == {
        "mixpanel_sync_schedule": ("0 2 * * *", "UTC", "mixpanel_sync_job"),
        "late_event_sweep_schedule": ("35 * * * *", "UTC", "late_event_sweep_job"),
        "lake_garbage_schedule": ("20 3 * * *", "UTC", "lake_garbage_job"),
        "purge_history_schedule": ("40 3 * * *", "UTC", "purge_history_job"),
        "reconciliation_schedule": ("0 4 * * *", "UTC", "reconciliation_job"),
    }
    assert {sensor.name: sensor.job_name for sensor in repository.sensor_defs} == {
        "late_events_sensor": "mixpanel_sync_job",
        "missing_partitions_sensor": "mixpanel_sync_job",
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
