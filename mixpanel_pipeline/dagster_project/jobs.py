"""What runs besides a backfill: the sync and its checks, the late sweep, repair, and cleaning up."""

import dagster as dg
from pydantic import Field

from mixpanel_pipeline.checks import matches_mixpanel
from mixpanel_pipeline.dagster_project.asset_specs import ALL_KEYS, CONTRIBUTIONS, PROFILES, RAW_EVENTS, TOTALS
from mixpanel_pipeline.dagster_project.failures import described_failures
from mixpanel_pipeline.dagster_project.previews import table
from mixpanel_pipeline.dagster_project.resources import EXPORT_POOL, Pipeline
from mixpanel_pipeline.dagster_project.run_retention import purge_runs
from mixpanel_pipeline.dagster_project.web_specs import WEB_KEYS
from mixpanel_pipeline.subscribers.late_sweep import sweep_late_events
from mixpanel_pipeline.subscribers.replace import replace_from_lake

SYNC_JOB = "mixpanel_sync_job"
RECONCILIATION_JOB = "reconciliation_job"
PROFILES_JOB = "subscriber_profiles_job"

# It costs one of 60 queries an hour, and syncs run many times a day: once a day is enough.
MATCHES_MIXPANEL = dg.AssetCheckKey(RAW_EVENTS, matches_mixpanel.NAME)

mixpanel_sync_job = dg.define_asset_job(
    SYNC_JOB,
    selection=dg.AssetSelection.assets(*ALL_KEYS) - dg.AssetSelection.checks(MATCHES_MIXPANEL),
    description="Materializes days with their checks, except the one that asks Mixpanel; a range of days is one run. "
    "Everything that syncs runs this.",
)

subscriber_profiles_job = dg.define_asset_job(
    PROFILES_JOB,
    selection=dg.AssetSelection.assets(PROFILES),
    description="One snapshot of all profiles with its checks; who changed is written.",
)

reconciliation_job = dg.define_asset_job(
    RECONCILIATION_JOB,
    selection=dg.AssetSelection.checks_for_assets(*ALL_KEYS, PROFILES, *WEB_KEYS),
    description="Every asset check, over all days: nothing may have drifted from the lake or from raw web rows, and no "
    "day may be missing.",
)


@dg.op(pool=EXPORT_POOL)
def sweep_late_days(context: dg.OpExecutionContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """Asks Mixpanel, in one query, which fetched days received events since, and marks them (table late_days).

    The sensor late_events_sensor then has just those days fetched again.
    """
    with described_failures():
        found = sweep_late_events(pipeline.event_sync(context.log.info))
    context.log.info(f"{sum(found.values())} late events on {len(found)} days")
    days = table([{"export_day": str(day), "late_events": events} for day, events in sorted(found.items())])
    context.add_output_metadata({"late_days": len(found), "late_events": sum(found.values()), "days": days})


@dg.op
def replace_totals(context: dg.OpExecutionContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """Computes all contributions and totals again from the lake, in one transaction, and writes only what differs.

    Nothing is fetched. Figures above zero mean that ADD, or somebody past the pipeline, had left a wrong value.
    """
    with described_failures():
        result = replace_from_lake(pipeline.warehouse, pipeline.storage)
    figures = {"days": result.days, "people": result.people}
    for key, corrected in ((CONTRIBUTIONS, result.contributions_changed), (TOTALS, result.totals_changed)):
        context.log_event(dg.AssetObservation(key, metadata={**figures, "rows_corrected": corrected}))
    changed = {"contributions_corrected": result.contributions_changed, "totals_corrected": result.totals_changed}
    context.add_output_metadata({**figures, **changed})


@dg.op
def remove_lake_garbage(context: dg.OpExecutionContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """Removes lake files that no manifest row names, and scratch that crashed runs left, once a day old."""
    with described_failures():
        removed = pipeline.event_sync(context.log.info).remove_garbage()
    context.add_output_metadata({"removed": len(removed), "files": table([{"file": name} for name in removed[:20]])})


class PurgeConfig(dg.Config):
    """What to keep of Dagster's own history."""

    keep_days: int = Field(default=90, ge=1, description="runs younger than this stay")
    most_runs: int = Field(default=2000, ge=1, description="so many runs are deleted at most; the rest next time")


@dg.op
def purge_dagster_history(context: dg.OpExecutionContext, config: PurgeConfig) -> None:
    """Deletes old runs with their event logs, but none that the newest materialization of a partition is from."""
    result = purge_runs(context.instance, config.keep_days, config.most_runs)
    context.add_output_metadata({"deleted": result.deleted, "kept_for_partitions": result.kept})


@dg.job
def late_event_sweep_job() -> None:
    """Finds past days that received events since they were fetched, and marks them."""
    sweep_late_days()


@dg.job
def replace_totals_job() -> None:
    """REPLACE: makes all contributions and totals what the lake says."""
    replace_totals()


@dg.job
def lake_garbage_job() -> None:
    """Removes files of the lake that nothing refers to."""
    remove_lake_garbage()


@dg.job
def purge_history_job() -> None:
    """Keeps Dagster's event log from growing for ever: it has no retention of its own (dagster-io/dagster#33785)."""
    purge_dagster_history()


JOBS = [
    mixpanel_sync_job,
    subscriber_profiles_job,
    reconciliation_job,
    late_event_sweep_job,
    replace_totals_job,
    lake_garbage_job,
    purge_history_job,
]
