"""Profiles through Dagster: a snapshot is a materialization that says what it changed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from mixpanel_pipeline.dagster_project.jobs import PROFILES_JOB
from mixpanel_pipeline.dagster_project.profiles import OP_NAME, profiles_config
from mixpanel_pipeline.dagster_project.resources import Pipeline
from mixpanel_pipeline.dagster_project.run_retention import purge_runs
from mixpanel_pipeline.simulator import Project
from mixpanel_pipeline_tests.dagster.conftest import Dagster, day

PROFILES, TOTALS = dg.AssetKey("subscriber_profiles"), dg.AssetKey("subscribers_insights_v2")


@pytest.fixture(autouse=True)
def people(project: Project) -> None:
    """Three profiles; ann has events too."""
    project.set_profile("ann", {"income": "100k-150k", "buyingPower": 12.5})
    project.set_profile("ben", {"income": "50k-100k"})
    project.set_profile("cleo", {"total_deposits": "many"})


def snapshot(dagster: Dagster, *, all_deleted: bool = False) -> dg.ExecuteInProcessResult:
    return dagster.run(PROFILES_JOB, profiles_config(all_deleted=all_deleted))


def newest(dagster: Dagster) -> dict[str, Any]:
    """Metadata on the asset's page."""
    event = dagster.instance.get_latest_materialization_event(PROFILES)
    assert event
    assert event.asset_materialization
    return {name: value.value for name, value in event.asset_materialization.metadata.items()}


def rows(metadata: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return [dict(record.data) for record in metadata[name].records]


def failure(result: dg.ExecuteInProcessResult) -> tuple[str, dict[str, Any]]:
    """What the run's page says, and its metadata."""
    data = result.failure_data_for_node(OP_NAME)
    assert data
    assert data.user_failure_data
    metadata = {name: value.value for name, value in data.user_failure_data.metadata.items()}
    return data.user_failure_data.description or "", metadata


def retries(result: dg.ExecuteInProcessResult) -> int:
    return sum(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)


def test_a_first_snapshot(dagster: Dagster):
    dagster.load(1, 1)
    result = snapshot(dagster)
    assert result.success
    assert {e.check_name: e.passed for e in result.get_asset_check_evaluations()} == {
        "profiles_equal_snapshot": True,
        "profiles_skip_unchanged": True,
    }
    shown = newest(dagster)
    expected = {
        "people": 3, "new": 3, "changed": 0, "unchanged": 0, "deleted": 0, "written": 3, "skipped_percent": 0.0,
        "refused": 0, "bad_values": 1, "queries": 1, "pages": 2, "dagster/row_count": 3,
    }  # fmt: skip
    assert {name: shown[name] for name in expected} == expected
    assert {"seconds", "seconds_fetch", "seconds_compare", "seconds_write", "taken_at"} <= set(shown)
    assert [(row["distinct_id"], row["change"], row["property"]) for row in rows(shown, "changes")] == [
        ("ann", "new", None), ("ben", "new", None), ("cleo", "new", None),
    ]  # fmt: skip
    assert rows(shown, "refusals") == [
        {"distinct_id": "cleo", "field": "total_deposits", "reason": 'expected a number, got "many"'}
    ]
    assert dagster.rows("select income, app_sessions from subscribers_insights_v2 where distinct_id = 'ann'") == [
        ("100k-150k", 1)
    ]


def test_a_second_snapshot_tells_what_changed(dagster: Dagster, project: Project):
    snapshot(dagster)
    project.set_profile("ann", {"income": "over_500k", "buyingPower": 12.5})
    project.delete_profile("ben")
    assert snapshot(dagster).success
    shown = newest(dagster)
    assert [shown[name] for name in ("people", "new", "changed", "unchanged", "deleted")] == [2, 0, 1, 1, 1]
    assert rows(shown, "changes") == [
        {
            "distinct_id": "ann", "change": "changed", "property": "income", "old_value": "100k-150k",
            "new_value": "over_500k",
        },
        {"distinct_id": "ben", "change": "deleted", "property": None, "old_value": None, "new_value": None},
    ]  # fmt: skip


def test_what_changed_is_shown_without_flooding(dagster: Dagster, project: Project):
    for number in range(50):
        project.set_profile(f"person-{number}", {"income": "x" * 500})
    snapshot(dagster)
    assert len(rows(newest(dagster), "changes")) == 20
    project.set_profile("person-1", {"income": "y" * 500})
    snapshot(dagster)
    (change,) = rows(newest(dagster), "changes")
    assert (change["old_value"], change["new_value"]) == ("x" * 80, "y" * 80)


def test_an_empty_snapshot_is_refused_and_not_asked_for_again(dagster: Dagster, project: Project):
    snapshot(dagster)
    asked = len(project.requests)
    for person in ("ann", "ben", "cleo"):
        project.delete_profile(person)
    result = snapshot(dagster)
    assert not result.success
    description, metadata = failure(result)
    assert "no profiles at all, where 3 are stored" in description
    assert metadata["error"] == "EmptySnapshotError"
    assert (retries(result), len(project.requests) - asked) == (0, 1)

    assert snapshot(dagster, all_deleted=True).success
    assert newest(dagster)["deleted"] == 3


def test_no_access_is_not_tried_again_and_says_what_to_do(dagster: Dagster, project: Project):
    project.faults.add("forbidden", times=None)
    result = snapshot(dagster)
    description, metadata = failure(result)
    assert "MIXPANEL_PROJECT_ID" in description
    assert metadata["error"] == "NoAccess"
    assert "Service Accounts" in metadata["fix"]
    assert retries(result) == 0


def test_what_may_pass_is_tried_again(dagster: Dagster, project: Project):
    project.faults.add("unavailable_503", times=3)  # all requests of the first attempt
    result = snapshot(dagster)
    assert result.success
    assert retries(result) == 1


def test_settings_that_are_missing_are_named(dagster: Dagster):
    bare = dagster.pipeline.settings.model_copy(update={"mixpanel_secret": None})
    description, _ = failure(snapshot(Dagster(Pipeline(bare), dagster.instance)))
    assert "MIXPANEL_SECRET: not set" in description


def test_no_day_looks_out_of_date_because_of_a_snapshot(dagster: Dagster, project: Project):
    dagster.materialize(1, 1)
    snapshot(dagster)
    dagster.materialize(2, 2)
    project.set_profile("ann", {"income": "over_500k"})
    snapshot(dagster)
    graph = dagster.definitions.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(dagster.instance, graph, LoadingContextForTest(dagster.instance))
    assert {resolver.get_status(TOTALS, str(day(number))) for number in (1, 2)} == {StaleStatus.FRESH}
    assert resolver.get_status(PROFILES) == StaleStatus.FRESH


def test_the_schedule_asks_for_a_snapshot(dagster: Dagster):
    schedule = dagster.definitions.resolve_schedule_def("subscriber_profiles_schedule")
    context = dg.build_schedule_context(instance=dagster.instance, resources={"pipeline": dagster.pipeline})
    tick = schedule.evaluate_tick(context)
    (request,) = tick.run_requests or []
    assert dagster.run(schedule.job_name, dict(request.run_config)).success
    assert newest(dagster)["people"] == 3


def test_the_newest_snapshots_run_is_kept(dagster: Dagster):
    snapshot(dagster)
    snapshot(dagster)
    result = purge_runs(dagster.instance, 90, 1000, now=datetime.now(UTC) + timedelta(days=91))
    assert (result.deleted, result.kept) == (1, 1)
    assert newest(dagster)["people"] == 3
