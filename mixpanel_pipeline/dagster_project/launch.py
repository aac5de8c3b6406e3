"""Runs of this process, recorded like those that the UI launches (used by the command line)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime

import dagster as dg
from dagster._core.definitions.reconstruct import ReconstructableJob, ReconstructableRepository
from dagster._core.execution.api import create_execution_plan, execute_run_iterator
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.storage.tags import MAX_RETRIES_TAG
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import make_new_run_id

from mixpanel_pipeline.dagster_project.asset_specs import WATERMARKS
from mixpanel_pipeline.dagster_project.assets import OP_NAME
from mixpanel_pipeline.dagster_project.jobs import SYNC_JOB
from mixpanel_pipeline.dagster_project.run_requests import mode_config, range_tags
from mixpanel_pipeline.dagster_project.web_requests import web_config, web_range_tags

DEFINITIONS_MODULE = "mixpanel_pipeline.definitions"

# Whatever loads the definitions must call the location this, or the UI does not find the code of a run.
LOCATION_NAME = "mixpanel_pipeline"
REPOSITORY_NAME = "__repository__"

OnEvent = Callable[[dg.EventLogEntry], None]
OnRun = Callable[[str], None]

# What a person at a terminal hears comes through `on_event` and the result; Dagster's own lines are in the UI.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


class LaunchError(Exception):
    """A run that cannot be started; says why and what may be asked for."""


@dataclass(frozen=True)
class LaunchResult:
    """How a run ended. `error` is the first failed step's message, in the words of the room that failed;
    `failed_checks` are those of severity error that did not pass."""

    run_id: str
    success: bool
    days: list[date]
    failed_checks: list[str]
    error: str | None


def launch_days(
    instance: dg.DagsterInstance,
    from_day: date,
    to_day: date,
    mode: str = "backfill",
    on_event: OnEvent | None = None,
    *,
    on_run: OnRun | None = None,
    checks: bool = True,
) -> LaunchResult:
    """Materializes a range of days, both included, with all checks or with none, as one run in this process.

    `on_run` gets the run's id before there is a run, `on_event` every event and log line of it as it happens;
    `finished_day` tells which end a day.

    Raises:
        LaunchError: a day lies before the start date or is not over yet.
    """
    job = _job(SYNC_JOB)
    partitions = job.get_definition().partitions_def
    keys = partitions.get_partition_keys() if partitions else []
    first, last = (keys[0], keys[-1]) if keys else ("none", "none")
    if not keys or not first <= str(from_day) <= str(to_day) <= last:
        raise LaunchError(
            f"{from_day} to {to_day} cannot be synchronized: there are days from {first} (MIXPANEL_START_DATE) to "
            f"{last} (yesterday)"
        )
    steps = None if checks else [OP_NAME]
    return _execute(instance, job, range_tags(from_day, to_day), mode_config(mode), on_event, on_run, steps)


def launch_checks(
    instance: dg.DagsterInstance, on_event: OnEvent | None = None, *, on_run: OnRun | None = None
) -> LaunchResult:
    """The checks of `launch_days` alone, over all days."""
    job = _job(SYNC_JOB)
    steps = [node.name for node in job.get_definition().nodes if node.name != OP_NAME]
    return _execute(instance, job, {}, {}, on_event, on_run, steps)


def launch_web(
    instance: dg.DagsterInstance,
    job_name: str,
    first: date | datetime,
    last: date | datetime,
    *,
    everything: bool,
    on_event: OnEvent | None = None,
    on_run: OnRun | None = None,
) -> LaunchResult:
    """Aggregates a range of hours or days, both included, as one run of a web job in this process."""
    config = web_config(job_name, everything=everything)
    return _execute(instance, _job(job_name), web_range_tags(first, last), config, on_event, on_run)


def launch_job(
    instance: dg.DagsterInstance,
    job_name: str,
    run_config: Mapping[str, object] | None = None,
    on_event: OnEvent | None = None,
    *,
    on_run: OnRun | None = None,
) -> LaunchResult:
    """Runs a job of the project in this process (names: dagster_project/jobs.py)."""
    return _execute(instance, _job(job_name), {}, run_config or {}, on_event, on_run)


def finished_day(entry: dg.EventLogEntry) -> date | None:
    """The day that this event says is committed, else None. Days tell it once more when the whole run is done."""
    materialization = entry.asset_materialization
    if materialization and materialization.partition and materialization.asset_key == WATERMARKS:
        return date.fromisoformat(materialization.partition)
    return None


def _job(name: str) -> ReconstructableJob:
    return ReconstructableRepository.for_module(DEFINITIONS_MODULE, "defs").get_reconstructable_job(name)


def _execute(
    instance: dg.DagsterInstance,
    job: ReconstructableJob,
    tags: dict[str, str],
    run_config: Mapping[str, object],
    on_event: OnEvent | None,
    on_run: OnRun | None,
    steps: list[str] | None = None,
) -> LaunchResult:
    config = {**run_config, **QUIET}
    # Whoever launched it sees it fail; the daemon need not try it again behind their back.
    tags = {**tags, MAX_RETRIES_TAG: "0"}
    # Before the run: a command that is ended while Dagster creates it has to know which run to end.
    run_id = make_new_run_id()
    if on_run:
        on_run(run_id)
    run = instance.create_run_for_job(
        job.get_definition(),
        create_execution_plan(job, config, steps, instance_ref=instance.get_ref(), tags=tags),
        run_id=run_id,
        run_config=config,
        tags=tags,
        remote_job_origin=_remote_origin(job.job_name),
        job_code_origin=job.get_python_origin(),
    )
    # Days are logged by the op as they commit, which the iterator below yields only at the op's end, if at all.
    summary = _Summary()
    instance.add_event_listener(run_id, summary.add)
    if on_event:
        instance.add_event_listener(run_id, on_event)
    for _ in execute_run_iterator(job, run, instance):
        pass
    finished = instance.get_run_by_id(run_id)
    success = finished is not None and finished.is_success
    return LaunchResult(run_id, success, sorted(summary.days), summary.failed_checks, summary.error)


def _remote_origin(job_name: str) -> RemoteJobOrigin:
    """What ties the run to the code location that the webserver and the daemon know by name."""
    target = LoadableTargetOrigin(module_name=DEFINITIONS_MODULE)
    location = ManagedGrpcPythonEnvCodeLocationOrigin(target, location_name=LOCATION_NAME)
    return RemoteJobOrigin(RemoteRepositoryOrigin(location, REPOSITORY_NAME), job_name)


@dataclass
class _Summary:
    """What the events of a run come to."""

    days: set[date] = field(default_factory=set)
    failed_checks: list[str] = field(default_factory=list)
    error: str | None = None

    def add(self, entry: dg.EventLogEntry) -> None:
        event = entry.dagster_event
        day = finished_day(entry)
        if event is None:
            return
        if day:
            self.days.add(day)
        elif event.event_type == dg.DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed and check.severity == dg.AssetCheckSeverity.ERROR:
                self.failed_checks.append(check.description or check.check_name)
        elif event.is_step_failure and self.error is None:
            self.error = _message(event)
        elif event.is_job_failure and self.error is None:
            self.error = event.message


def _message(event: dg.DagsterEvent) -> str | None:
    failure = event.step_failure_data
    if failure.user_failure_data and failure.user_failure_data.description:
        return failure.user_failure_data.description
    error = failure.error
    while error and error.cause:  # Dagster wraps what was raised
        error = error.cause
    return error.message.strip() if error else event.message
