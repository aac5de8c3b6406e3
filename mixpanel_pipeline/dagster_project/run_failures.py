"""What a failed run says of itself, for alerts."""

from typing import Literal

import dagster as dg
from dagster._core.events import RunFailureReason
from dagster._core.execution.plan.objects import ErrorSource
from dagster._core.storage.dagster_run import RunRecord
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    AUTO_RETRY_RUN_ID_TAG,
    BACKFILL_ID_TAG,
    PARTITION_NAME_TAG,
    RUN_FAILURE_REASON_TAG,
    WILL_RETRY_TAG,
)
from dagster_shared.error import SerializableErrorInfo

from mixpanel_pipeline.dagster_project.failing_checks import fails_its_run, words_of
from mixpanel_pipeline.dagster_project.web_jobs import WEB_DAILY_JOB, WEB_HOURLY_JOB
from mixpanel_pipeline.dagster_project.web_specs import WEB_KEYS

# Dagster's name for runs of assets that were chosen on the page.
ASSETS_CHOSEN = "__ASSET_JOB"
ENDED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]

# Runs that are looked at to count failures in a row: enough, as the count matters up to three.
RUNS_LOOKED_AT = 100
MOST_TOLD = 3

CHECKED = dg.DagsterEventType.ASSET_CHECK_EVALUATION
FAILURES = {CHECKED, dg.DagsterEventType.STEP_FAILURE}

Fate = Literal["failed", "retried", "interrupted", "open"]


def fate(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Fate:
    """Whether the failure stands. It is open while the daemon has yet to start the retry that the run's tag
    announces; and before that tag is there, which Dagster writes a moment after the failure. What a person or a
    signal ended did not fail."""
    if AUTO_RETRY_RUN_ID_TAG in run.tags:
        return "retried"
    if _interrupted(instance, run):
        return "interrupted"
    announced = run.tags.get(WILL_RETRY_TAG)
    if announced == "false" or (announced is None and not instance.run_retries_enabled):
        return "failed"
    return "open"


def days_of(run: dg.DagsterRun) -> tuple[str, str] | None:
    """First and last partition of a run; none when it has no partitions."""
    first = run.tags.get(ASSET_PARTITION_RANGE_START_TAG) or run.tags.get(PARTITION_NAME_TAG)
    last = run.tags.get(ASSET_PARTITION_RANGE_END_TAG) or run.tags.get(PARTITION_NAME_TAG)
    return (first, last) if first and last else None


def days_text(run: dg.DagsterRun) -> str:
    """The same in words; empty without partitions."""
    days = days_of(run)
    return "" if days is None else days[0] if days[0] == days[1] else f"{days[0]} to {days[1]}"


def work_of(run: dg.DagsterRun) -> str:
    """What the run was to do, whichever days: the job, or the assets that were chosen."""
    if run.job_name != ASSETS_CHOSEN:
        return run.job_name
    assets = sorted(key.to_user_string() for key in run.asset_selection or ())
    return f"materialization of {', '.join(assets)}"


def failure_of(instance: dg.DagsterInstance, run: dg.DagsterRun) -> tuple[str, str]:
    """What failed, in the words of the room that failed, and what to do."""
    entries = instance.all_logs(run.run_id, of_type=FAILURES)
    events = [entry.dagster_event for entry in entries if entry.dagster_event]
    checks = [event.asset_check_evaluation_data for event in events if event.event_type == CHECKED]
    told = [words_of(check) for check in checks if fails_its_run(check)]
    told += [_step_failure(event) for event in events if event.is_step_failure and not _is_of_checks(event)]
    told = list(dict.fromkeys(told))[:MOST_TOLD]
    message = "\n".join(message for message, _ in told) or _run_failure(instance, run)
    return message, " ".join(dict.fromkeys(fix for _, fix in told if fix)) or _way_back(run)


def failures_in_a_row(instance: dg.DagsterInstance, run: dg.DagsterRun) -> list[RunRecord]:
    """The failures up to this one, newest first, since the same work last succeeded. Attempts that were retried
    count with their last one, and a backfill's runs as one."""
    ended = [
        record
        for record in instance.get_run_records(
            dg.RunsFilter(job_name=run.job_name, statuses=ENDED), limit=RUNS_LOOKED_AT
        )
        if record.end_time and record.dagster_run.asset_selection == run.asset_selection
    ]
    ended.sort(key=lambda record: record.end_time or 0, reverse=True)
    begin = next((place for place, record in enumerate(ended) if record.dagster_run.run_id == run.run_id), len(ended))
    failures: dict[str, RunRecord] = {}
    for record in ended[begin:]:
        if record.dagster_run.is_success:
            break
        itself = record.dagster_run.run_id == run.run_id
        if itself or fate(instance, record.dagster_run) == "failed":
            failures.setdefault(occasion(record.dagster_run), record)
    return list(failures.values())


def occasion(run: dg.DagsterRun) -> str:
    """What an alert is about once: the backfill that the run belongs to, or the run."""
    return run.tags.get(BACKFILL_ID_TAG, run.run_id)


def _interrupted(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether nothing but a signal ended it: no step failed for another reason before."""
    if run.status == dg.DagsterRunStatus.CANCELED:
        return True
    if run.tags.get(RUN_FAILURE_REASON_TAG) != RunFailureReason.UNEXPECTED_TERMINATION.value:
        return False
    entries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    events = [entry.dagster_event for entry in entries if entry.dagster_event]
    return all(event.step_failure_data.error_source == ErrorSource.INTERRUPT for event in events)


def _step_failure(event: dg.DagsterEvent) -> tuple[str, str]:
    failure = event.step_failure_data.user_failure_data
    if failure:
        fix = str(failure.metadata["fix"].value) if "fix" in failure.metadata else ""
        # The rooms' messages end with it.
        return (failure.description or event.message or "").removesuffix(fix).strip(), fix
    error = _raised(event)
    return (error.message.strip() if error else event.message or ""), ""


def _is_of_checks(event: dg.DagsterEvent) -> bool:
    """A step that failed because blocking checks in it did not pass; they say more than it."""
    error = _raised(event)
    return error is not None and error.cls_name == "DagsterAssetCheckFailedError"


def _raised(event: dg.DagsterEvent) -> SerializableErrorInfo | None:
    """What was raised, out of what Dagster wrapped it in."""
    error = event.step_failure_data.error
    while error and error.cause:
        error = error.cause
    return error


def _run_failure(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """A run that failed outside of its steps: its process died, or never came up."""
    entries = instance.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    return (entries[-1].get_dagster_event().message or "") if entries else "no reason is recorded"


def _way_back(run: dg.DagsterRun) -> str:
    again = '"from failure" on the run\'s page goes on where it ended'
    days = days_of(run)
    if days is None:
        return f"mend the cause; then {again}"
    web = run.job_name in (WEB_HOURLY_JOB, WEB_DAILY_JOB) or set(run.asset_selection or ()) & set(WEB_KEYS)
    command = "aggregate" if web else "sync"
    # An hour's partition begins with its day.
    return f"mend the cause; then `mixpanel-pipeline {command} --from {days[0][:10]} --to {days[1][:10]}`, or {again}"
