"""Days → run requests: one for each range of consecutive days, and none that is under way already."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import dagster as dg
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from mixpanel_pipeline.dagster_project.asset_specs import RAW_EVENTS
from mixpanel_pipeline.dagster_project.assets import OP_NAME
from mixpanel_pipeline.dagster_project.jobs import SYNC_JOB
from mixpanel_pipeline.lake.calendar import DayRange, days_between

# Runs that a sensor asked for carry what they were for, so that the next tick finds them again.
REASON_TAG = "mixpanel_pipeline/reason"

# A range that failed is asked for again after an hour, when a limit is free again and most outages are over; and
# not for ever: by then a person must look, and the check no_missing_partitions says so daily.
PAUSE_AFTER_FAILURE = timedelta(hours=1)
MOST_ATTEMPTS = 5


def range_tags(first: date | str, last: date | str) -> dict[str, str]:
    """What makes a run a run of these partitions, one or many (reference/dagster.md B.2)."""
    return {ASSET_PARTITION_RANGE_START_TAG: str(first), ASSET_PARTITION_RANGE_END_TAG: str(last)}


def mode_config(mode: str) -> dict:
    """Run config that says why days are materialized."""
    return {"ops": {OP_NAME: {"config": {"mode": mode}}}}


def range_request(days: DayRange, run_key: str, mode: str, tags: dict[str, str] | None = None) -> dg.RunRequest:
    """One run of the sync job over a range."""
    return dg.RunRequest(
        run_key=run_key, job_name=SYNC_JOB, tags={**range_tags(*days), **(tags or {})}, run_config=mode_config(mode)
    )  # fmt: skip


def days_in_progress(instance: dg.DagsterInstance) -> set[date]:
    """Days that a run is materializing or waits to, whoever launched it."""
    days: set[date] = set()
    for run in instance.get_runs(dg.RunsFilter(statuses=list(NOT_FINISHED_STATUSES))):
        if run.job_name == SYNC_JOB or RAW_EVENTS in (run.asset_selection or ()):
            first = run.tags.get(ASSET_PARTITION_RANGE_START_TAG) or run.tags.get(PARTITION_NAME_TAG)
            last = run.tags.get(ASSET_PARTITION_RANGE_END_TAG) or run.tags.get(PARTITION_NAME_TAG)
            if first and last:
                days.update(days_between(date.fromisoformat(first), date.fromisoformat(last)))
    return days


@dataclass(frozen=True)
class Attempts:
    """What became of earlier runs for the same reason."""

    number: int
    last_ended: datetime | None

    def may_start(self, now: datetime) -> bool:
        """Whether another run is worth it now."""
        rested = self.last_ended is None or now - self.last_ended >= PAUSE_AFTER_FAILURE
        return self.number < MOST_ATTEMPTS and rested


def reason_of(*parts: object) -> str:
    """A tag's value that stands for `parts`; short, for run tags are indexed."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def earlier_attempts(instance: dg.DagsterInstance, reason: str) -> Attempts:
    """Runs that carry this reason."""
    records = instance.get_run_records(dg.RunsFilter(tags={REASON_TAG: reason}))
    ends = [record.end_time for record in records if record.end_time]
    return Attempts(len(records), datetime.fromtimestamp(max(ends), UTC) if ends else None)
