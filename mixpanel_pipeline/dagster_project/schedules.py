"""When the jobs run; all in UTC, so that no run is skipped or doubled when clocks change."""

import dagster as dg

from mixpanel_pipeline.dagster_project.jobs import (
    lake_garbage_job,
    late_event_sweep_job,
    mixpanel_sync_job,
    purge_history_job,
    reconciliation_job,
    subscriber_profiles_job,
)
from mixpanel_pipeline.dagster_project.resources import Pipeline
from mixpanel_pipeline.dagster_project.run_requests import range_request
from mixpanel_pipeline.lake.calendar import day_ranges
from mixpanel_pipeline.subscribers.plan import plan_incremental

RUNNING = dg.DefaultScheduleStatus.RUNNING
NO_ACCOUNT = "no Mixpanel account is set (MIXPANEL_PROJECT_ID, MIXPANEL_USERNAME, MIXPANEL_SECRET)"


@dg.schedule(
    job=mixpanel_sync_job, cron_schedule="0 2 * * *", execution_timezone="UTC", default_status=RUNNING,
    description="The incremental sync: from the watermark less the overlap to yesterday, and days with late events; "
    "the first time the last SYNC_WINDOW_DAYS days. One run for each range of consecutive days.",
)  # fmt: skip
def mixpanel_sync_schedule(
    context: dg.ScheduleEvaluationContext, pipeline: dg.ResourceParam[Pipeline]
) -> list[dg.RunRequest] | dg.SkipReason:
    tick = context.scheduled_execution_time
    settings = pipeline.settings
    if not settings.uses_mixpanel:
        return dg.SkipReason(NO_ACCOUNT)
    with pipeline.warehouse.connect() as connection:
        plan = plan_incremental(
            connection, pipeline.calendar, now=tick, start=settings.start_date,
            window_days=settings.sync_window_days, overlap_hours=settings.sync_overlap_hours,
        )  # fmt: skip
    # Days before the start date have no partition; a later start date gives them up.
    days = [day for day in plan.days if day >= settings.start_date]
    if not days:
        return dg.SkipReason("no closed day since the start date")
    return [
        range_request(days, f"{tick:%Y-%m-%d} {days[0]} {days[1]}", "incremental")
        for days in day_ranges(days)
    ]  # fmt: skip


def job_schedule(job_name: str, cron: str, why: str, *, needs_account: bool = False) -> dg.ScheduleDefinition:
    """Runs a job as it is; one that needs a Mixpanel account only where there is one."""

    @dg.schedule(
        name=f"{job_name.removesuffix('_job')}_schedule", job_name=job_name, description=why,
        cron_schedule=cron, execution_timezone="UTC", default_status=RUNNING,
    )  # fmt: skip
    def schedule(pipeline: dg.ResourceParam[Pipeline]) -> dg.RunRequest | dg.SkipReason:
        if needs_account and not pipeline.settings.uses_mixpanel:
            return dg.SkipReason(NO_ACCOUNT)
        return dg.RunRequest()

    return schedule


SCHEDULES = [
    mixpanel_sync_schedule,
    job_schedule(
        late_event_sweep_job.name, "35 * * * *", "Hourly, away from the full hour when everybody asks Mixpanel.",
        needs_account=True,
    ),
    job_schedule(
        subscriber_profiles_job.name, "30 2 * * *", "Daily, after the sync: one snapshot of all profiles.",
        needs_account=True,
    ),
    job_schedule(lake_garbage_job.name, "20 3 * * *", "Daily, after the sync.", needs_account=True),
    job_schedule(purge_history_job.name, "40 3 * * *", "Daily, after the sync."),
    job_schedule(reconciliation_job.name, "0 4 * * *", "Daily, after the sync: every check over all days."),
]  # fmt: skip
