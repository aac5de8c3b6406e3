"""What is done without being asked for: days with late events, days that are missing; and alerts."""

from collections.abc import Callable, Iterable
from datetime import date, timedelta

import dagster as dg

from mixpanel_pipeline.dagster_project.alerts import ALERT_SENSORS
from mixpanel_pipeline.dagster_project.jobs import SYNC_JOB
from mixpanel_pipeline.dagster_project.resources import Pipeline
from mixpanel_pipeline.dagster_project.run_requests import (
    REASON_TAG,
    days_in_progress,
    earlier_attempts,
    range_request,
    reason_of,
)
from mixpanel_pipeline.lake.calendar import day_ranges, days_between
from mixpanel_pipeline.subscribers.status import missing_days

RUNNING = dg.DefaultSensorStatus.RUNNING

# A day is missing once it is over for so long: the sync at 02:00 UTC had its turn then. Where the project's midnight
# lies after that, its day need not wait for the next sync.
DUE_AFTER = timedelta(hours=4)

# What one tick asks for at most: a long gap is filled oldest days first, within Mixpanel's 60 exports an hour.
MOST_DAYS_A_TICK = 45


@dg.sensor(
    name="late_events_sensor", job_name=SYNC_JOB, minimum_interval_seconds=60, default_status=RUNNING,
    description="Fetches again the days that the late sweep marked (table late_days). Reads the database only. "
    "The same mark is not asked for twice while its run is under way; after a failure it is, an hour later.",
)  # fmt: skip
def late_events_sensor(
    context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]
) -> dg.SensorResult | dg.SkipReason:
    with pipeline.warehouse.connect() as connection:
        rows = connection.execute("select export_day, found_at from late_days order by export_day").fetchall()
    marks = dict(rows)
    return _requests(context, pipeline, marks, lambda days: [str(marks[day]) for day in days], "incremental")


@dg.sensor(
    name="missing_partitions_sensor", job_name=SYNC_JOB, minimum_interval_seconds=900, default_status=RUNNING,
    description="Fetches closed days that have no partition though an earlier day has: gaps that a failed or "
    "interrupted sync left. At most five runs for the same gap, an hour apart.",
)  # fmt: skip
def missing_partitions_sensor(
    context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]
) -> dg.SensorResult | dg.SkipReason:
    with pipeline.warehouse.connect() as connection:
        missing = missing_days(connection, pipeline.calendar, pipeline.now())
    return _requests(context, pipeline, _due(missing, pipeline), lambda _: [], "backfill")


SENSORS = [late_events_sensor, missing_partitions_sensor, *ALERT_SENSORS]


def _due(missing: list[date], pipeline: Pipeline) -> list[date]:
    """Less yesterday while it is too young to be missing."""
    return [day for day in missing if day <= pipeline.calendar.last_closed_day(pipeline.now() - DUE_AFTER)]


def _requests(
    context: dg.SensorEvaluationContext,
    pipeline: Pipeline,
    days: Iterable[date],
    signature: Callable[[list[date]], list[str]],
    mode: str,
) -> dg.SensorResult | dg.SkipReason:
    """Requests for ranges of `days`; `signature` is what besides the days makes a request another one."""
    wanted = [day for day in days if day >= pipeline.settings.start_date]
    if not wanted:
        return dg.SkipReason("no such days")
    under_way = days_in_progress(context.instance)
    waiting = [day for day in wanted if day not in under_way][:MOST_DAYS_A_TICK]
    requests, given_up = [], []
    for first, last in day_ranges(waiting):
        reason = reason_of(context.sensor_name, first, last, signature(days_between(first, last)))
        attempts = earlier_attempts(context.instance, reason)
        if attempts.may_start(pipeline.now()):
            run_key = f"{reason} {attempts.number}"
            requests.append(range_request((first, last), run_key, mode, {REASON_TAG: reason}))
        else:
            given_up.append(f"{first} to {last} ({attempts.number} runs so far, the last ended {attempts.last_ended})")
    if requests:
        return dg.SensorResult(run_requests=requests)
    waits = f"not again yet: {'; '.join(given_up)}" if given_up else "all of them are under way"
    return dg.SkipReason(f"{len(wanted)} days; {waits}")
