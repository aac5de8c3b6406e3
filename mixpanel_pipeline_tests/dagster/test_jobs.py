"""The jobs that are no backfill: repair, garbage, Dagster's own history."""

import os
from datetime import UTC, datetime, timedelta

import dagster as dg

from mixpanel_pipeline.dagster_project.run_retention import purge_runs
from mixpanel_pipeline_tests.dagster.conftest import Dagster, at, day


def output_metadata(result: dg.ExecuteInProcessResult, op: str) -> dict:
    (event,) = [event for event in result.events_for_node(op) if event.event_type_value == "STEP_OUTPUT"]
    return {name: value.value for name, value in event.step_output_data.metadata.items()}


def test_replace_corrects_what_is_wrong_and_says_how_much(dagster: Dagster):
    dagster.load(1, 4)
    dagster.write("update subscribers_insights_v2 set total_pdp_views = 999 where distinct_id = 'person-1'")
    found = output_metadata(dagster.run("replace_totals_job"), "replace_totals")
    assert (found["totals_corrected"], found["contributions_corrected"], found["days"]) == (1, 0, 4)
    assert dagster.rows("select total_pdp_views from subscribers_insights_v2 where distinct_id = 'person-1'") == [(3,)]
    assert output_metadata(dagster.run("replace_totals_job"), "replace_totals")["totals_corrected"] == 0


def test_garbage_is_removed_once_it_is_a_day_old(dagster: Dagster):
    dagster.load(1, 2)
    dagster.write(f"delete from raw_partitions where export_day = '{day(1)}'")
    for file in (dagster.pipeline.settings.pipeline_home / "lake").rglob("*.parquet"):
        os.utime(file, (at(1), at(1)))
    found = output_metadata(dagster.run("lake_garbage_job"), "remove_lake_garbage")
    assert found["removed"] == 1
    assert f"day={day(1)}" in found["files"].records[0].data["file"]
    assert len(list((dagster.pipeline.settings.pipeline_home / "lake").rglob("*.parquet"))) == 1


def test_old_runs_go_but_partitions_stay_green(dagster: Dagster):
    for _ in range(2):
        assert dagster.materialize(1, 2).success
    dagster.run("replace_totals_job")
    later = datetime.now(UTC) + timedelta(days=91)
    result = purge_runs(dagster.instance, 90, 1000, now=later)
    assert (result.deleted, result.kept) == (2, 1)
    assert dagster.materialized() == {str(day(1)), str(day(2))}
    assert dagster.newest("mixpanel_raw_events", 2)["rows"] == 3


def test_young_runs_stay(dagster: Dagster):
    dagster.run("replace_totals_job")
    assert output_metadata(dagster.run("purge_history_job"), "purge_dagster_history")["deleted"] == 0
    assert purge_runs(dagster.instance, 90, 1000, now=datetime.now(UTC) + timedelta(days=91)).deleted == 2
