"""What workspace.yaml loads: everything Dagster runs, assembled once."""

import dagster as dg

from mixpanel_pipeline.dagster_project.assets import RETRIES, mixpanel_days
from mixpanel_pipeline.dagster_project.checks import asset_checks
from mixpanel_pipeline.dagster_project.jobs import JOBS
from mixpanel_pipeline.dagster_project.partitions import daily_partitions, web_days, web_hours
from mixpanel_pipeline.dagster_project.profiles import subscriber_profiles
from mixpanel_pipeline.dagster_project.resources import Pipeline
from mixpanel_pipeline.dagster_project.schedules import SCHEDULES
from mixpanel_pipeline.dagster_project.sensors import SENSORS
from mixpanel_pipeline.dagster_project.web_assets import web_aggregates
from mixpanel_pipeline.dagster_project.web_checks import web_asset_checks
from mixpanel_pipeline.dagster_project.web_jobs import WEB_JOBS
from mixpanel_pipeline.dagster_project.web_schedules import WEB_SCHEDULES
from mixpanel_pipeline.dagster_project.web_sensors import WEB_SENSORS
from mixpanel_pipeline.dagster_project.web_specs import raw_specs
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
        assets=[
            mixpanel_days(daily_partitions(pipeline.settings), retry_policy),
            subscriber_profiles(retry_policy),
            *web_aggregates(web_hours(pipeline.settings), web_days(pipeline.settings), retry_policy),
            *raw_specs(),
        ],
        asset_checks=[*asset_checks(), *web_asset_checks()],
        jobs=[*JOBS, *WEB_JOBS],
        schedules=[*SCHEDULES, *WEB_SCHEDULES],
        sensors=[*SENSORS, *WEB_SENSORS],
        resources={"pipeline": pipeline},
        # A step in a process of its own costs two seconds here; ten checks would make that twenty
        # (reference/dagster.md 0.4). Runs are processes already.
        executor=dg.in_process_executor,
    )


defs = build_definitions()
