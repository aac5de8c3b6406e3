"""What ticks ask for in web analytics."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test
from dagster._utils.schedules import cron_string_iterator

from mixpanel_pipeline.dagster_project.partitions import web_days, web_hours
from mixpanel_pipeline.dagster_project.web_assets import partition_key
from mixpanel_pipeline.lake.calendar import utc_now
from mixpanel_pipeline.web.marks import hour_of
from mixpanel_pipeline_tests.dagster.conftest import Dagster
from mixpanel_pipeline_tests.dagster.test_schedules_and_sensors import ranges, sensor_tick
from mixpanel_pipeline_tests.dagster.web_traffic import (
    DAILY,
    HOURLY,
    USERS,
    YESTERDAY,
    aggregate,
    day_of,
    insert,
    times_materialized,
    traffic,
)
from mixpanel_pipeline_tests.web import site

SENSOR = "dirty_buckets_sensor"
# Clocks change in Europe and America (2026), and where midnight itself is skipped or repeated.
CHANGES = [date(2026, 3, 8), date(2026, 3, 29), date(2026, 10, 25), date(2026, 11, 1)]


def tick(web: Dagster, schedule_name: str, when: datetime) -> Any:
    schedule = web.definitions.resolve_schedule_def(schedule_name)
    context = dg.build_schedule_context(
        instance=web.instance, scheduled_execution_time=when, resources={"pipeline": web.pipeline}
    )
    return schedule.evaluate_tick(context)


def reached(web: Dagster, kind: str, when: datetime | None) -> None:
    web.write(f"update analytics_progress set aggregated_until = '{when or '-infinity'}' where aggregate = '{kind}'")


def run_request(web: Dagster, request: dg.RunRequest) -> None:
    assert web.run(request.job_name or "", dict(request.run_config), dict(request.tags)).success


def insert_late(web: Dagster, *times: datetime) -> None:
    insert(web, {"events": [site.event(time) for time in times]})


@pytest.mark.parametrize("day", CHANGES, ids=str)
def test_every_hour_has_its_run_when_clocks_change(web: Dagster, day: date):
    web.pipeline.settings = web.pipeline.settings.model_copy(update={"web_start_date": date(2026, 1, 1)})
    midnight = datetime.combine(day - timedelta(days=1), datetime.min.time(), UTC)
    ticks = cron_string_iterator(midnight.timestamp(), "5 * * * *", "UTC")
    hours = []
    for _ in range(48):
        when = next(ticks)
        reached(web, "hours", when.replace(minute=0) - timedelta(hours=1))
        (request,) = tick(web, "web_hourly_schedule", when).run_requests
        ((first, last),) = ranges([request])
        assert first == last == partition_key(when.replace(minute=0) - timedelta(hours=1))
        hours.append(first)
    assert len(set(hours)) == 48
    partitions = web_hours(web.pipeline.settings)
    keys = partitions.get_partition_keys(current_time=midnight + timedelta(days=2, hours=1))
    assert hours == keys[keys.index(hours[0]) :][:48]
    window = partitions.time_window_for_partition_key(hours[0])
    assert window.end.timestamp() - window.start.timestamp() == 3600


@pytest.mark.parametrize("day", CHANGES, ids=str)
def test_a_day_is_a_utc_day_when_clocks_change(web: Dagster, day: date):
    web.pipeline.settings = web.pipeline.settings.model_copy(
        update={
            "web_start_date": date(2026, 1, 1),
            "mixpanel_time_mode": "project",
            "mixpanel_timezone": "Europe/Berlin",
        }
    )
    when = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC) + timedelta(hours=2)
    for kind in ("days", "cards"):
        reached(web, kind, datetime.combine(day, datetime.min.time(), UTC))
    (request,) = tick(web, "web_daily_schedule", when).run_requests
    assert ranges([request]) == [(str(day), str(day))]
    window = web_days(web.pipeline.settings).time_window_for_partition_key(str(day))
    assert window.end.timestamp() - window.start.timestamp() == 86_400


def test_hours_and_days_that_were_missed_are_made_up_for_in_one_run(web: Dagster):
    now = datetime.combine(site.TODAY, datetime.min.time(), UTC) + timedelta(hours=2)
    reached(web, "hours", now - timedelta(hours=9))
    (request,) = tick(web, "web_hourly_schedule", now + timedelta(minutes=5)).run_requests
    assert ranges([request]) == [(partition_key(now - timedelta(hours=9)), partition_key(now - timedelta(hours=1)))]
    for kind, behind in (("days", 3), ("cards", 5)):
        reached(web, kind, now - timedelta(hours=2) - timedelta(days=behind))
    (request,) = tick(web, "web_daily_schedule", now).run_requests
    assert ranges([request]) == [(str(site.TODAY - timedelta(days=5)), str(YESTERDAY))]


def test_the_first_run_begins_at_the_oldest_row_but_not_before_the_start_date(web: Dagster):
    insert(web, traffic(5))
    now = utc_now()
    (request,) = tick(web, "web_hourly_schedule", now).run_requests
    assert ranges([request]) == [(partition_key(site.at(0, 0)), partition_key(hour_of(now) - timedelta(hours=1)))]
    assert request.run_config["ops"]["web_hours"]["config"] == {"everything": False}
    (request,) = tick(web, "web_daily_schedule", now).run_requests
    assert ranges([request]) == [(str(day_of(0)), str(YESTERDAY))]
    web.pipeline.settings = web.pipeline.settings.model_copy(update={"web_start_date": day_of(3)})
    (request,) = tick(web, "web_daily_schedule", now).run_requests
    assert ranges([request]) == [(str(day_of(3)), str(YESTERDAY))]


def test_before_the_first_hour_there_is_nothing_to_do(web: Dagster):
    web.pipeline.settings = web.pipeline.settings.model_copy(update={"web_start_date": site.TODAY})
    midnight = datetime.combine(site.TODAY, datetime.min.time(), UTC)
    assert "no hour has ended" in tick(web, "web_hourly_schedule", midnight + timedelta(minutes=5)).skip_message
    assert "no day has ended" in tick(web, "web_daily_schedule", midnight + timedelta(hours=2)).skip_message


@pytest.mark.slow  # 2,190 hours
def test_what_the_schedules_ask_for_runs(web: Dagster):
    rows = traffic(10)
    insert(web, rows)
    for schedule in ("web_hourly_schedule", "web_daily_schedule"):
        (request,) = tick(web, schedule, utc_now()).run_requests
        run_request(web, request)
    site.check_aggregates(web.pipeline.warehouse, rows)


def test_late_rows_are_asked_for_once_and_their_partitions_show(web: Dagster):
    rows = traffic(10)
    insert(web, rows)
    aggregate(web)
    assert sensor_tick(web, SENSOR).skip_message == "no late rows"
    insert_late(web, site.at(2), site.at(3), site.at(7), site.at(7, 13))
    (request,) = sensor_tick(web, SENSOR).run_requests
    assert request.job_name == "web_daily_job"
    assert ranges([request]) == [(str(day_of(2)), str(day_of(3)))]
    run_request(web, request)
    assert [times_materialized(web, DAILY, day_of(day)) for day in (2, 3, 7)] == [2, 2, 2]
    assert [times_materialized(web, HOURLY, site.at(7, hour)) for hour in (12, 13, 14)] == [1, 1, 0]
    assert sensor_tick(web, SENSOR).skip_message == "no late rows"


def test_late_card_rows_are_asked_for_too(web: Dagster):
    insert(web, {"clicks": [site.click(site.at(4))]})
    (request,) = sensor_tick(web, SENSOR).run_requests
    assert ranges([request]) == [(str(day_of(4)), str(day_of(4)))]
    run_request(web, request)
    assert times_materialized(web, USERS, day_of(4)) == 1


def test_late_hours_of_a_day_that_had_no_turn_yet_are_hours(web: Dagster):
    now = datetime.combine(site.TODAY, datetime.min.time(), UTC) + timedelta(hours=1, minutes=50)
    web.pipeline.now = lambda: now
    insert_late(web, *(now - timedelta(hours=hours) for hours in (0, 1, 2, 3, 6)))
    (request,) = sensor_tick(web, SENSOR).run_requests
    assert request.job_name == "web_hourly_job"
    # 19:50 and, not consecutive with it, 22:50 and 23:50; 00:50 ended less than a quarter of an hour after its turn.
    assert ranges([request]) == [(partition_key(site.at(90, 19)), partition_key(site.at(90, 19)))]


def test_an_hour_that_had_no_turn_yet_is_not_late(web: Dagster):
    web.pipeline.now = lambda: site.at(91, 12, 10)
    insert_late(web, site.at(91, 11), site.at(91, 12))
    assert sensor_tick(web, SENSOR).skip_message == "no late rows"


def test_rows_before_the_start_date_ask_for_nothing(web: Dagster):
    web.pipeline.settings = web.pipeline.settings.model_copy(update={"web_start_date": day_of(5)})
    insert_late(web, site.at(2))
    assert sensor_tick(web, SENSOR).skip_message == "no late rows"


def test_a_run_under_way_takes_all_marks_so_none_is_added(web: Dagster):
    insert_late(web, site.at(2))
    create_run_for_test(web.instance, job_name="web_daily_job", status=dg.DagsterRunStatus.STARTING)
    assert "is under way" in sensor_tick(web, SENSOR).skip_message
    web.instance.report_run_canceled(web.instance.get_runs(limit=1)[0])
    create_run_for_test(
        web.instance, job_name="__ASSET_JOB", asset_selection=frozenset({dg.AssetKey(DAILY)}),
        status=dg.DagsterRunStatus.STARTED,
    )  # fmt: skip
    insert_late(web, site.at(3))
    assert "is under way" in sensor_tick(web, SENSOR).skip_message


def fail(web: Dagster, request: dg.RunRequest) -> None:
    create_run_for_test(
        web.instance, job_name=request.job_name or "", tags=dict(request.tags), status=dg.DagsterRunStatus.STARTED
    )
    web.instance.report_run_failed(web.instance.get_runs(limit=1)[0])


def succeed(web: Dagster, **run: Any) -> None:
    """A run that somebody else launched."""
    create_run_for_test(web.instance, status=dg.DagsterRunStatus.STARTED, **run)
    run_id = web.instance.get_runs(limit=1)[0].run_id
    succeeded = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, "a_job", message="it took all marks")
    web.instance.report_dagster_event(succeeded, run_id)


@pytest.mark.parametrize(
    "run",
    [{"job_name": "web_daily_job"}, {"job_name": "__ASSET_JOB", "asset_selection": frozenset({dg.AssetKey(USERS)})}],
    ids=["the schedule's", "from the UI"],
)  # fmt: skip
def test_any_success_after_a_failure_ends_its_rest(web: Dagster, run: dict[str, Any]):
    insert_late(web, site.at(2))
    succeed(web, **run)
    (request,) = sensor_tick(web, SENSOR).run_requests
    fail(web, request)
    assert "late rows in 1 partition, " in sensor_tick(web, SENSOR).skip_message
    succeed(web, job_name="web_hourly_job")
    assert "failed, not again before" in sensor_tick(web, SENSOR).skip_message
    succeed(web, **run)
    assert sensor_tick(web, SENSOR).run_requests


def test_why_the_other_job_is_not_asked_for_is_logged(web: Dagster, capsys: pytest.CaptureFixture[str]):
    now = datetime.combine(site.TODAY, datetime.min.time(), UTC) + timedelta(hours=1, minutes=50)
    web.pipeline.now = lambda: now
    insert_late(web, site.at(80), now - timedelta(hours=6))
    create_run_for_test(web.instance, job_name="web_daily_job", status=dg.DagsterRunStatus.STARTED)
    (request,) = sensor_tick(web, SENSOR).run_requests
    assert request.job_name == "web_hourly_job"
    told = f"late rows in 1 partition, {day_of(80)}: a run of web_daily_job is under way"
    assert told in capsys.readouterr().err


def test_after_a_failure_it_waits_an_hour_and_after_five_a_day_whatever_comes_late_meanwhile(web: Dagster):
    for number in range(5):
        insert_late(web, site.at(2 + number))
        web.pipeline.now = lambda: utc_now() + timedelta(minutes=61)
        (request,) = sensor_tick(web, SENSOR).run_requests
        fail(web, request)
        web.pipeline.now = lambda: utc_now() + timedelta(minutes=59)
        assert "failed, not again before" in sensor_tick(web, SENSOR).skip_message
    web.pipeline.now = lambda: utc_now() + timedelta(hours=23)
    assert "failed, not again before" in sensor_tick(web, SENSOR).skip_message
    web.pipeline.now = lambda: utc_now() + timedelta(hours=25)
    assert sensor_tick(web, SENSOR).run_requests
