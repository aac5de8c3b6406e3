"""Deletes old runs, which is the only way to make Dagster's event log shrink."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.dagster_run import FINISHED_STATUSES

from mixpanel_pipeline.dagster_project.asset_specs import ALL_KEYS, PROFILES
from mixpanel_pipeline.dagster_project.web_specs import WEB_KEYS

PAGE = 100


@dataclass(frozen=True)
class PurgeResult:
    """How many runs were deleted, and how many old ones stay because a partition's state is theirs."""

    deleted: int
    kept: int


def purge_runs(
    instance: dg.DagsterInstance, keep_days: int, most_runs: int, now: datetime | None = None
) -> PurgeResult:
    """Deletes finished runs older than `keep_days`, oldest first.

    Deleting a run deletes its materializations too, and a partition without any shows as missing in the UI and is
    launched again by "missing partitions" backfills. So a run that wrote the newest one of some partition stays.
    """
    before = (now or datetime.now(UTC)) - timedelta(days=keep_days)
    needed = _runs_of_newest_materializations(instance)
    old = dg.RunsFilter(statuses=list(FINISHED_STATUSES), created_before=before)
    records = instance.get_run_records(old, limit=most_runs + len(needed), ascending=True)
    run_ids = [record.dagster_run.run_id for record in records]
    removable = [run_id for run_id in run_ids if run_id not in needed][:most_runs]
    for run_id in removable:
        instance.compute_log_manager.delete_logs(prefix=[run_id])
        instance.delete_run(run_id)
    return PurgeResult(len(removable), sum(run_id in needed for run_id in run_ids))


def _runs_of_newest_materializations(instance: dg.DagsterInstance) -> set[str]:
    snapshot = instance.get_latest_materialization_event(PROFILES)
    runs = {snapshot.run_id} if snapshot else set()
    for key in (*ALL_KEYS, *WEB_KEYS):
        newest = instance.event_log_storage.get_latest_storage_id_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        ids = list(newest.values())
        for start in range(0, len(ids), PAGE):
            records = dg.AssetRecordsFilter(key, storage_ids=ids[start : start + PAGE])
            runs |= {record.run_id for record in instance.fetch_materializations(records, limit=PAGE).records}
    return runs
