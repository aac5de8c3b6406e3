"""Late web rows: hours and days that were aggregated, and written to since, are aggregated again."""

from datetime import datetime, timedelta

import dagster as dg

from mixpanel_pipeline.dagster_project.resources import Pipeline
from mixpanel_pipeline.dagster_project.web_assets import partition_key
from mixpanel_pipeline.dagster_project.web_jobs import (
    WEB_DAILY_JOB,
    WEB_HOURLY_JOB,
    web_daily_job,
    web_hourly_job,
)
from mixpanel_pipeline.dagster_project.web_requests import is_under_way, rests_until, web_request
from mixpanel_pipeline.web.marks import HOUR, Bucket, ranges_of
from mixpanel_pipeline.web.plan import late_days, late_hours

RUNNING = dg.DefaultSensorStatus.RUNNING

# Where rows are late all the time, a run a minute would do nothing but begin and end.
SECONDS = 600


@dg.sensor(
    name="dirty_buckets_sensor", jobs=[web_hourly_job, web_daily_job], minimum_interval_seconds=SECONDS,
    default_status=RUNNING,
    description="Has hours and days aggregated again that late rows came to. A run takes all marks there are, so one "
    "is enough: it is launched over the oldest range, and reports the other partitions too. None is launched while "
    "one is under way; after a failure an hour later, after five in a row a day later.",
)  # fmt: skip
def dirty_buckets_sensor(
    context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]
) -> dg.SensorResult | dg.SkipReason:
    now, start = pipeline.now(), pipeline.settings.web_first_day
    days = late_days(pipeline.warehouse, now, start)
    # A run of days takes the hours that wait as well.
    hours = [hour for hour in late_hours(pipeline.warehouse, now, start) if hour.date() not in days]
    asked = [
        _ask(context, now, WEB_DAILY_JOB, days, timedelta(days=1)),
        _ask(context, now, WEB_HOURLY_JOB, hours, HOUR),
    ]
    requests = [answer for answer in asked if isinstance(answer, dg.RunRequest)]
    not_now = "; ".join(answer for answer in asked if isinstance(answer, str))
    if not requests:
        return dg.SkipReason(not_now or "no late rows")
    if not_now:
        context.log.info(not_now)  # a tick that asks for a run shows no reason for another that it does not ask for
    return dg.SensorResult(run_requests=requests)


WEB_SENSORS = [dirty_buckets_sensor]


def _ask(
    context: dg.SensorEvaluationContext, now: datetime, job: str, buckets: list[Bucket], step: timedelta
) -> dg.RunRequest | str | None:
    """A run over the oldest of them, or why there is none now."""
    if not buckets:
        return None
    first, last = ranges_of(buckets, step)[0]
    reason = f"{context.sensor_name} {job}"
    number = "1 partition," if len(buckets) == 1 else f"{len(buckets)} partitions from"
    what = f"late rows in {number} {partition_key(buckets[0])}"
    if is_under_way(context.instance, job):
        return f"{what}: a run of {job} is under way"
    rests = rests_until(context.instance, job, reason)
    if rests and now < rests:
        return f"{what}: {job} failed, not again before {rests:%Y-%m-%d %H:%M} UTC"
    return web_request(job, first, last, reason=reason)
