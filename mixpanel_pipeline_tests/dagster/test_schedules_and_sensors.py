"""What ticks ask for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from mixpanel_pipeline.lake.calendar import utc_now
from mixpanel_pipeline.simulator import Project
from mixpanel_pipeline_tests.dagster.conftest import NOW, Dagster, at, day

START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
TICK = datetime(2025, 3, 11, 2, tzinfo=UTC)


def ranges(requests: Any) -> list[tuple[str, str]]:
    return [(request.tags[START], request.tags[END]) for request in requests]


def as_range(first: int, last: int) -> tuple[str, str]:
    return str(day(first)), str(day(last))


def schedule_requests(dagster: Dagster) -> list[dg.RunRequest]:
    schedule = dagster.definitions.resolve_schedule_def("mixpanel_sync_schedule")
    context = dg.build_schedule_context(
        instance=dagster.instance, scheduled_execution_time=TICK, resources={"pipeline": dagster.pipeline}
    )
    return list(schedule.evaluate_tick(context).run_requests or [])


def sensor_tick(dagster: Dagster, name: str) -> Any:
    sensor = dagster.definitions.resolve_sensor_def(name)
    context = dg.build_sensor_context(
        instance=dagster.instance, sensor_name=name, definitions=dagster.definitions,
        resources={"pipeline": dagster.pipeline},
    )  # fmt: skip
    return sensor.evaluate_tick(context)


def launched(dagster: Dagster, request: dg.RunRequest, status: dg.DagsterRunStatus) -> None:
    """A run of the request, in that state."""
    create_run_for_test(dagster.instance, job_name="mixpanel_sync_job", tags=dict(request.tags), status=status)


def mark_late(dagster: Dagster, *numbers: int) -> None:
    for number in numbers:
        dagster.write(f"insert into late_days (export_day, events) values ('{day(number)}', 1)")


def in_two_hours() -> datetime:
    return utc_now() + timedelta(hours=2)


@pytest.mark.parametrize(
    ("name", "runs"),
    [
        ("mixpanel_sync_schedule", False),
        ("late_event_sweep_schedule", False),
        ("subscriber_profiles_schedule", False),
        ("lake_garbage_schedule", False),
        ("purge_history_schedule", True),
        ("reconciliation_schedule", True),
        ("web_hourly_schedule", True),
        ("web_partitions_schedule", True),
    ],
)
def test_without_an_account_what_needs_one_does_not_run(dagster: Dagster, name: str, runs: bool):
    nothing: dict[str, Any] = {"mixpanel_project_id": None, "mixpanel_username": None, "mixpanel_secret": None}
    without = dagster.pipeline.settings.model_copy(update=nothing)
    for settings, expected in ((dagster.pipeline.settings, True), (without, runs)):
        dagster.pipeline.settings = settings
        context = dg.build_schedule_context(
            instance=dagster.instance, scheduled_execution_time=TICK, resources={"pipeline": dagster.pipeline}
        )
        tick = dagster.definitions.resolve_schedule_def(name).evaluate_tick(context)
        assert bool(tick.run_requests) == expected
        assert expected or "no Mixpanel account is set" in (tick.skip_message or "")


def test_the_first_sync_is_the_window_in_one_run(dagster: Dagster):
    dagster.pipeline.settings = dagster.pipeline.settings.model_copy(update={"sync_window_days": 7})
    (request,) = schedule_requests(dagster)
    assert ranges([request]) == [as_range(4, 10)]
    assert request.job_name == "mixpanel_sync_job"
    assert request.run_config["ops"]["mixpanel_days"]["config"] == {"mode": "incremental"}


def test_the_daily_sync_asks_for_yesterday_the_overlap_and_late_days(dagster: Dagster):
    dagster.load(8, 8)
    mark_late(dagster, 2, 3, 5)
    requests = schedule_requests(dagster)
    assert ranges(requests) == [as_range(2, 3), as_range(5, 5), as_range(8, 10)]
    assert len({request.run_key for request in requests}) == 3
    assert [request.run_key for request in schedule_requests(dagster)] == [request.run_key for request in requests]


def test_what_the_schedule_asks_for_runs(dagster: Dagster):
    dagster.load(8, 8)
    (request,) = schedule_requests(dagster)
    result = dagster.run(request.job_name or "", dict(request.run_config), dict(request.tags))
    assert result.success
    assert dagster.rows("select max(export_day) from raw_partitions") == [(day(10),)]
    assert dagster.rows("select distinct mode from sync_logs where sync_metadata ->> 'export_day' = '2025-03-10'") == [
        ("incremental",)
    ]


def test_late_days_are_asked_for_range_by_range(dagster: Dagster):
    assert sensor_tick(dagster, "late_events_sensor").skip_message == "no such days"
    mark_late(dagster, 2, 3, 5)
    assert ranges(sensor_tick(dagster, "late_events_sensor").run_requests) == [as_range(2, 3), as_range(5, 5)]


def test_the_sweep_marks_the_sensor_asks_and_the_totals_are_right(dagster: Dagster, project: Project):
    dagster.load(3, 5)
    assert dagster.run("late_event_sweep_job").success
    project.add("SubscriptionCreated", "ann", at(4), processed_ms=int(NOW.timestamp() * 1000))
    assert dagster.run("late_event_sweep_job").success
    (request,) = sensor_tick(dagster, "late_events_sensor").run_requests
    assert ranges([request]) == [as_range(4, 4)]
    assert dagster.run(request.job_name, dict(request.run_config), dict(request.tags)).success
    assert dagster.rows("select total_subscriptions from subscribers_insights_v2 where distinct_id = 'ann'") == [(1,)]
    assert sensor_tick(dagster, "late_events_sensor").skip_message == "no such days"


def test_a_mark_is_not_asked_for_while_its_run_is_under_way(dagster: Dagster):
    mark_late(dagster, 2)
    (request,) = sensor_tick(dagster, "late_events_sensor").run_requests
    launched(dagster, request, dg.DagsterRunStatus.STARTED)
    assert "under way" in sensor_tick(dagster, "late_events_sensor").skip_message


def test_a_failed_run_is_asked_for_again_after_an_hour_but_not_for_ever(dagster: Dagster):
    mark_late(dagster, 2)
    keys = set()
    for _ in range(5):
        dagster.pipeline.now = in_two_hours
        (request,) = sensor_tick(dagster, "late_events_sensor").run_requests
        keys.add(request.run_key)
        launched(dagster, request, dg.DagsterRunStatus.STARTED)
        dagster.instance.report_run_failed(dagster.instance.get_runs(limit=1)[0])
        dagster.pipeline.now = utc_now  # runs end by the real clock
        assert "not again yet" in sensor_tick(dagster, "late_events_sensor").skip_message
    assert len(keys) == 5
    dagster.pipeline.now = in_two_hours
    assert "5 runs so far" in sensor_tick(dagster, "late_events_sensor").skip_message


def test_a_later_mark_of_the_same_day_is_another_request(dagster: Dagster):
    mark_late(dagster, 2)
    (first,) = sensor_tick(dagster, "late_events_sensor").run_requests
    dagster.write("update late_days set found_at = found_at + interval '1 second'")
    (second,) = sensor_tick(dagster, "late_events_sensor").run_requests
    assert first.run_key != second.run_key


def test_missing_days_are_filled_but_not_yesterday_before_the_sync(dagster: Dagster):
    dagster.load(2, 2)
    dagster.load(5, 5)
    dagster.pipeline.now = lambda: TICK  # day 1 lies before the first fetched one
    assert ranges(sensor_tick(dagster, "missing_partitions_sensor").run_requests) == [as_range(3, 4), as_range(6, 9)]
    dagster.pipeline.now = lambda: TICK + timedelta(hours=2)
    assert ranges(sensor_tick(dagster, "missing_partitions_sensor").run_requests) == [as_range(3, 4), as_range(6, 10)]


def test_missing_days_are_bounded_in_one_tick(dagster: Dagster, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mixpanel_pipeline.dagster_project.sensors.MOST_DAYS_A_TICK", 3)
    dagster.load(1, 1)
    assert ranges(sensor_tick(dagster, "missing_partitions_sensor").run_requests) == [as_range(2, 4)]


def test_days_of_a_run_under_way_are_not_missing(dagster: Dagster):
    dagster.load(1, 1)
    tags = {START: str(day(2)), END: str(day(8))}
    create_run_for_test(
        dagster.instance, job_name="__ASSET_JOB", tags=tags, status=dg.DagsterRunStatus.STARTED,
        asset_selection=frozenset({dg.AssetKey("mixpanel_raw_events")}),
    )  # fmt: skip
    assert ranges(sensor_tick(dagster, "missing_partitions_sensor").run_requests) == [as_range(9, 10)]
