"""Hours and days of the web aggregates → run requests."""

from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from mixpanel_pipeline.dagster_project.run_requests import MOST_ATTEMPTS, PAUSE_AFTER_FAILURE, REASON_TAG, range_tags
from mixpanel_pipeline.dagster_project.web_assets import (
    CARD_DAYS_OP,
    EVENT_DAYS_OP,
    HOURS_OP,
    aggregation_config,
    partition_key,
)
from mixpanel_pipeline.dagster_project.web_jobs import WEB_DAILY_JOB, WEB_HOURLY_JOB
from mixpanel_pipeline.dagster_project.web_specs import CARD_KEYS, DAILY, HOURLY

OPS_OF = {WEB_HOURLY_JOB: (HOURS_OP,), WEB_DAILY_JOB: (EVENT_DAYS_OP, CARD_DAYS_OP)}
KEYS_OF = {WEB_HOURLY_JOB: {HOURLY}, WEB_DAILY_JOB: {DAILY, *CARD_KEYS}}

# After so many failures in a row somebody must look, and the alerts have said so.
PAUSE_AFTER_MANY = timedelta(days=1)
BEFORE_ALL = datetime.min.replace(tzinfo=UTC)


def web_config(job: str, *, everything: bool) -> dict:
    """Run config of a web job."""
    return aggregation_config(*OPS_OF[job], everything=everything)


def web_range_tags(first: date | datetime, last: date | datetime) -> dict[str, str]:
    """What makes a run one of these hours or days."""
    return range_tags(partition_key(first), partition_key(last))


def web_request(
    job: str, first: date | datetime, last: date | datetime, run_key: str | None = None, reason: str | None = None
) -> dg.RunRequest:
    """One run over a range, which takes all marks there are."""
    tags = web_range_tags(first, last) | ({REASON_TAG: reason} if reason else {})
    return dg.RunRequest(run_key=run_key, job_name=job, tags=tags, run_config=web_config(job, everything=False))


def is_under_way(instance: dg.DagsterInstance, job: str) -> bool:
    """Whether a run that takes these marks is running or waits to, whoever launched it."""
    runs = instance.get_runs(dg.RunsFilter(statuses=list(NOT_FINISHED_STATUSES)))
    return any(_takes_marks(run, job) for run in runs)


def rests_until(instance: dg.DagsterInstance, job: str, reason: str) -> datetime | None:
    """When a run of the job for this reason is worth it again, after its failures since any run took these marks."""
    records = instance.get_run_records(dg.RunsFilter(tags={REASON_TAG: reason}), limit=MOST_ATTEMPTS)
    ends = [_ended(record) for record in records if record.end_time and not record.dagster_run.is_success]
    if not ends:
        return None
    success = dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS], updated_after=min(ends))
    taken = [_ended(record) for record in instance.get_run_records(success) if _takes_marks(record.dagster_run, job)]
    failures = [end for end in ends if end > max(taken, default=BEFORE_ALL)]
    if not failures:
        return None
    return max(failures) + (PAUSE_AFTER_MANY if len(failures) == MOST_ATTEMPTS else PAUSE_AFTER_FAILURE)


def _ended(record: dg.RunRecord) -> datetime:
    return datetime.fromtimestamp(record.end_time, UTC) if record.end_time else BEFORE_ALL


def _takes_marks(run: dg.DagsterRun, job: str) -> bool:
    return run.job_name == job or bool(KEYS_OF[job] & set(run.asset_selection or ()))
