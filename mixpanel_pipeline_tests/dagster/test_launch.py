"""Runs of this process (the command line's) are runs like those of the UI."""

from collections.abc import Iterator
from datetime import date

import dagster as dg
import pytest

from mixpanel_pipeline.dagster_project.instance import dagster_instance, prepare_dagster_home
from mixpanel_pipeline.dagster_project.launch import LaunchError, finished_day, launch_days, launch_job
from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.simulator import Project
from mixpanel_pipeline_tests.dagster.conftest import day

pytestmark = pytest.mark.usefixtures("fresh_definitions")


@pytest.fixture
def instance(settings: Settings, environment: dict[str, str]) -> Iterator[dg.DagsterInstance]:
    with dagster_instance(prepare_dagster_home(settings, environment["DATABASE_URL"])) as found:
        yield found


def test_days_are_launched_told_as_they_finish_and_recorded(instance: dg.DagsterInstance, capfd):
    finished = []
    result = launch_days(instance, day(1), day(3), "backfill", lambda entry: finished.append(finished_day(entry)))
    assert (result.success, result.error, result.days) == (True, None, [day(1), day(2), day(3)])
    assert [found for found in finished if found][:3] == [day(1), day(2), day(3)]
    assert [check.split(":")[0] for check in result.failed_checks] == ["watermark_advances"]  # it is not 2025 any more
    run = instance.get_run_by_id(result.run_id)
    assert run
    assert run.status == dg.DagsterRunStatus.SUCCESS
    assert run.remote_job_origin
    assert run.remote_job_origin.location_name == "mixpanel_pipeline"
    assert run.tags["dagster/asset_partition_range_start"] == str(day(1))
    assert len(instance.get_materialized_partitions(dg.AssetKey("subscribers_insights_v2"))) == 3
    assert capfd.readouterr().out == ""


def test_a_failure_is_told_in_the_words_of_who_failed(instance: dg.DagsterInstance, project: Project):
    project.faults.add("forbidden", day=day(2))
    result = launch_days(instance, day(1), day(3))
    assert (result.success, result.days) == (False, [day(1)])
    assert "Check MIXPANEL_PROJECT_ID" in (result.error or "")


def test_a_job_is_launched_by_name(instance: dg.DagsterInstance):
    result = launch_job(instance, "replace_totals_job")
    assert (result.success, result.days) == (True, [])


@pytest.mark.parametrize(
    ("first", "last"),
    [("2025-02-28", "2025-03-02"), ("2025-03-02", "2099-01-01"), ("2025-03-05", "2025-03-04")],
)
def test_days_that_are_no_partitions_are_refused(instance: dg.DagsterInstance, first: str, last: str):
    with pytest.raises(LaunchError, match=r"there are days from 2025-03-01 \(MIXPANEL_START_DATE\)"):
        launch_days(instance, date.fromisoformat(first), date.fromisoformat(last))
