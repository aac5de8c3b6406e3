"""When web analytics are aggregated, partitions made and old rows removed; all in UTC."""

import dagster as dg

from mixpanel_pipeline.dagster_project.resources import Pipeline
from mixpanel_pipeline.dagster_project.schedules import job_schedule
from mixpanel_pipeline.dagster_project.web_jobs import (
    WEB_DAILY_JOB,
    WEB_HOURLY_JOB,
    web_daily_job,
    web_hourly_job,
    web_partitions_job,
    web_retention_job,
)
from mixpanel_pipeline.dagster_project.web_requests import web_request
from mixpanel_pipeline.web.plan import days_due, hours_due
from mixpanel_pipeline.web.progress import read_progress

RUNNING = dg.DefaultScheduleStatus.RUNNING


@dg.schedule(
    job=web_hourly_job, cron_schedule="5 * * * *", execution_timezone="UTC", default_status=RUNNING,
    description="The hour just ended, hours before it that no run has reached, and whatever was written to since.",
)  # fmt: skip
def web_hourly_schedule(
    context: dg.ScheduleEvaluationContext, pipeline: dg.ResourceParam[Pipeline]
) -> dg.RunRequest | dg.SkipReason:
    tick = context.scheduled_execution_time
    due = hours_due(read_progress(pipeline.warehouse), tick, pipeline.settings.web_first_day)
    if due is None:
        return dg.SkipReason("no hour has ended since WEB_START_DATE")
    return web_request(WEB_HOURLY_JOB, *due, run_key=f"{tick:%Y-%m-%d %H:%M}")


@dg.schedule(
    job=web_daily_job, cron_schedule="0 2 * * *", execution_timezone="UTC", default_status=RUNNING,
    description="Yesterday, days before it that no run has reached, and whatever was written to since.",
)  # fmt: skip
def web_daily_schedule(
    context: dg.ScheduleEvaluationContext, pipeline: dg.ResourceParam[Pipeline]
) -> dg.RunRequest | dg.SkipReason:
    tick = context.scheduled_execution_time
    due = days_due(read_progress(pipeline.warehouse), tick, pipeline.settings.web_first_day)
    if due is None:
        return dg.SkipReason("no day has ended since WEB_START_DATE")
    return web_request(WEB_DAILY_JOB, *due, run_key=f"{tick:%Y-%m-%d %H:%M}")


WEB_SCHEDULES = [
    web_hourly_schedule,
    web_daily_schedule,
    job_schedule(web_partitions_job.name, "10 0 * * *", "Daily: a row whose week has no partition is refused."),
    job_schedule(web_retention_job.name, "10 3 * * 1", "Mondays, when another week may have become old enough."),
]
