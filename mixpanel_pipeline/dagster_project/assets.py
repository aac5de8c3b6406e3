"""The four assets of a day, which one op writes because one transaction commits them."""

from datetime import date
from typing import Literal

import dagster as dg
from pydantic import Field

from mixpanel_pipeline.dagster_project.asset_specs import asset_specs
from mixpanel_pipeline.dagster_project.day_metadata import day_metadata
from mixpanel_pipeline.dagster_project.failures import described_failures, tried_again
from mixpanel_pipeline.dagster_project.resources import EXPORT_POOL, Pipeline
from mixpanel_pipeline.dagster_project.resumed_days import days_done_before

OP_NAME = "mixpanel_days"

# The rooms try every request six times themselves; this is for what they do not know of, a lost Postgres say.
RETRIES = dg.RetryPolicy(max_retries=2, delay=30, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)

SyncMode = Literal["incremental", "backfill", "full"]


class SyncConfig(dg.Config):
    """How a run's days are entered in sync_logs. What is done is the same: every day is made the truth."""

    mode: SyncMode = Field(
        default="backfill",
        description="incremental: the daily sync and late days; backfill: days that a person asked for; "
        "full: the whole window again. The check sync_is_incremental judges incremental syncs only.",
    )


def mixpanel_days(
    partitions: dg.DailyPartitionsDefinition, retry_policy: dg.RetryPolicy = RETRIES
) -> dg.AssetsDefinition:
    """The assets over `partitions`. A range is one run that commits, and reports, day by day."""

    @dg.multi_asset(
        name=OP_NAME,
        specs=asset_specs(),
        partitions_def=partitions,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool=EXPORT_POOL,
        can_subset=False,
    )
    def materialize_days(  # without "-> None": Dagster refuses it where there are several assets
        context: dg.AssetExecutionContext, config: SyncConfig, pipeline: dg.ResourceParam[Pipeline]
    ):
        """Fetches each day, oldest first, and makes it the truth in one transaction.

        When a day fails, the days before it stay done and marked as such, and "from failure" goes on with it.
        """
        with tried_again(context, retry_policy):
            done = days_done_before(context)
            with described_failures():
                sync = pipeline.event_sync(context.log.info)
            for day in context.partition_keys:
                if day in done:
                    _keep_metadata(context, done[day])
                    continue
                with described_failures(day=day):
                    result = sync.materialize_day(date.fromisoformat(day), config.mode)
                    _report_day(context, day, day_metadata(pipeline, result, context.log.warning))

    return materialize_days


def _report_day(context: dg.AssetExecutionContext, day: str, metadata: dict[dg.AssetKey, dict]) -> None:
    """Now, so that a later failure leaves the day done; and for the event that Dagster writes when all days are
    done, whose metadata is what the UI then shows."""
    for key, values in metadata.items():
        context.log_event(dg.AssetMaterialization(key, partition=day, metadata=values))
        context.add_asset_metadata(values, asset_key=key, partition_key=day)


def _keep_metadata(context: dg.AssetExecutionContext, materializations: list[dg.AssetMaterialization]) -> None:
    for earlier in materializations:
        context.log.info(f"{earlier.partition} was done before this attempt: {earlier.asset_key.to_user_string()}")
        context.add_asset_metadata(earlier.metadata, asset_key=earlier.asset_key, partition_key=earlier.partition)
