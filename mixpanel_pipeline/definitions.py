"""What workspace.yaml loads: everything Dagster runs, assembled once."""

import dagster as dg

from mixpanel_pipeline.dagster_project.assets import RETRIES, mixpanel_days
from mixpanel_pipeline.dagster_project.checks import asset_checks
from mixpanel_pipeline.dagster_project.jobs import JOBS
from mixpanel_pipeline.dagster_project.partitions import daily_partitions
from mixpanel_pipeline.dagster_project.profiles import subscriber_profiles
from mixpanel_pipeline.dagster_project.resources import Pipeline
from mixpanel_pipeline.dagster_project.schedules import SCHEDULES
from mixpanel_pipeline.dagster_project.sensors import SENSORS
from mixpanel_pipeline.settings import Settings, load_settings


def build_definitions(
    *,
    settings: Settings | None = None,
    pipeline: Pipeline | None = None,
    retry_policy: dg.RetryPolicy = RETRIES,
) -> dg.Definitions:
    """The project as the environment describes it, or with parts of it replaced (tests).

    Neither Postgres nor credentials are needed until a run starts.
    """
    pipeline = pipeline or Pipeline(settings or load_settings())
    return dg.Definitions(
        assets=[mixpanel_days(daily_partitions(pipeline.settings), retry_policy), subscriber_profiles(retry_policy)],
        asset_checks=asset_checks(),
        jobs=JOBS,
        schedules=SCHEDULES,
        sensors=SENSORS,
        resources={"pipeline": pipeline},
        # A step in a process of its own costs two seconds here; ten checks would make that twenty
        # (reference/dagster.md 0.4). Runs are processes already.
        executor=dg.in_process_executor,
    )


defs = build_definitions()
