"""The asset of Mixpanel's profiles: a snapshot of all of them, of which only what changed is written."""

from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import DEFAULT_DATA_VERSION
from pydantic import Field

from mixpanel_pipeline.dagster_project.asset_specs import PROFILES, profiles_spec
from mixpanel_pipeline.dagster_project.failures import described_failures, tried_again
from mixpanel_pipeline.dagster_project.previews import profile_changes, table
from mixpanel_pipeline.dagster_project.resources import QUERY_POOL, Pipeline
from mixpanel_pipeline.subscribers.profile_sync import ProfileResult

OP_NAME = PROFILES.path[-1]

# A snapshot brings what changed into the totals itself, so no day is out of date because of it; Dagster would say that
# of every day whose totals were written before. This is the version that days note before there is any snapshot.
DATA_VERSION = DEFAULT_DATA_VERSION


class ProfilesConfig(dg.Config):
    """What a snapshot may do."""

    all_deleted: bool = Field(
        default=False,
        description="Take a snapshot without anybody for the truth and mark all profiles deleted. Else it is refused, "
        "for a service account that may see no profiles gets the same answer.",
    )


def profiles_config(*, all_deleted: bool) -> dict:
    """Run config of a snapshot."""
    return {"ops": {OP_NAME: {"config": {"all_deleted": all_deleted}}}}


def subscriber_profiles(retry_policy: dg.RetryPolicy) -> dg.AssetsDefinition:
    """The asset; a materialization is one snapshot."""

    @dg.multi_asset(name=OP_NAME, specs=[profiles_spec()], pool=QUERY_POOL)
    def take_snapshot(
        context: dg.AssetExecutionContext, config: ProfilesConfig, pipeline: dg.ResourceParam[Pipeline]
    ) -> dg.MaterializeResult:
        """Asks Mixpanel for all profiles and writes what changed, in one transaction."""
        with tried_again(context, retry_policy), described_failures():
            result = pipeline.profile_sync(context.log.info).synchronize(all_deleted=config.all_deleted)
            return dg.MaterializeResult(
                asset_key=PROFILES, metadata=profile_metadata(pipeline, result), data_version=DATA_VERSION
            )

    return take_snapshot


def profile_metadata(pipeline: Pipeline, result: ProfileResult) -> dict[str, Any]:
    """What a snapshot tells on the asset's page."""
    metadata: dict[str, Any] = {
        **result.figures(),
        "seconds": round(sum(result.seconds.values()), 3),
        **{f"seconds_{stage}": round(seconds, 3) for stage, seconds in result.seconds.items()},
        "taken_at": dg.MetadataValue.timestamp(result.snapshot.taken_at),
    }
    with pipeline.warehouse.connect() as connection:
        row = connection.execute("select count(*) from subscriber_profiles where deleted_at is null").fetchone()
        changes = profile_changes(connection, result.snapshot.taken_at)
    metadata["dagster/row_count"] = row[0] if row else 0
    if changes:
        metadata["changes"] = table(changes)
    if result.refusals:
        metadata["refusals"] = table(result.refusals)
    if result.comparison_error:
        metadata["comparison_error"] = result.comparison_error
    return metadata
