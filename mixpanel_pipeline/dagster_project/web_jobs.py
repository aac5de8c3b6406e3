"""What runs for web analytics besides a backfill: aggregation, partitions made ahead, retention, legacy migration."""

from datetime import date, datetime

import dagster as dg
from pydantic import Field

from mixpanel_pipeline.dagster_project.failures import described_failures
from mixpanel_pipeline.dagster_project.previews import table
from mixpanel_pipeline.dagster_project.resources import Pipeline
from mixpanel_pipeline.dagster_project.web_checks import HOURLY_EQUALS_RAW, NORMALIZED_EQUALS_LEGACY
from mixpanel_pipeline.dagster_project.web_specs import CARD_KEYS, DAILY, HOURLY
from mixpanel_pipeline.web.legacy import LegacyDay, migrate_legacy
from mixpanel_pipeline.web.partitions import apply_retention, make_partitions, make_partitions_ahead

WEB_HOURLY_JOB, WEB_DAILY_JOB = "web_hourly_job", "web_daily_job"

# Comparing an hour with the raw rows costs as much as a scan of its week: nightly is enough.
web_hourly_job = dg.define_asset_job(
    WEB_HOURLY_JOB,
    selection=dg.AssetSelection.assets(HOURLY) - dg.AssetSelection.checks(HOURLY_EQUALS_RAW),
    description="Aggregates hours of web events, and whatever else was written to since; a range of hours is one run.",
)

web_daily_job = dg.define_asset_job(
    WEB_DAILY_JOB,
    selection=dg.AssetSelection.assets(DAILY, *CARD_KEYS) - dg.AssetSelection.checks(NORMALIZED_EQUALS_LEGACY),
    description="Aggregates days of web events and of cards, and whatever else was written to since; a range of days "
    "is one run.",
)


@dg.op
def make_web_partitions(context: dg.OpExecutionContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """Makes the weekly partitions of the raw tables for four weeks ahead: a row without one is refused."""
    with described_failures():
        made = make_partitions_ahead(pipeline.warehouse, pipeline.now().date())
    context.add_output_metadata({"partitions_made": made})


@dg.op
def remove_old_web_rows(context: dg.OpExecutionContext, pipeline: dg.ResourceParam[Pipeline]) -> None:
    """Removes raw rows older than WEB_RETENTION_DAYS, by whole weeks, after what is marked in them is aggregated."""
    with described_failures():
        done = apply_retention(pipeline.warehouse, pipeline.settings.web_retention_days)
    figures = {
        "partitions_emptied": done.partitions_emptied,
        "partitions_dropped": done.partitions_dropped,
        "rows_refused": done.rows_refused,
    }
    floor = {"raw_floor": dg.MetadataValue.timestamp(done.raw_floor)} if done.raw_floor else {}
    context.add_output_metadata({**figures, **floor})


class LegacyConfig(dg.Config):
    """Which days to normalize. A day on which clients wrote the normalized tables themselves is refused unless
    both_forms_since says from when on its legacy rows are to be left alone."""

    first_day: str = Field(description="the first UTC day, YYYY-MM-DD")
    last_day: str = Field(description="the last UTC day, YYYY-MM-DD, yesterday at the latest")
    both_forms_since: str | None = Field(
        default=None,
        description="where clients write both forms at once: the moment since which they do, with its time zone, as "
        "2025-03-31T14:00:00Z. Legacy rows since then are left alone, for the clients wrote them in both forms",
    )


@dg.op
def normalize_legacy_events(
    context: dg.OpExecutionContext, config: LegacyConfig, pipeline: dg.ResourceParam[Pipeline]
) -> None:
    """Copies card events from inside event_data to sessions, page views and clicks, day by day, in batches that
    commit. What is there already is left alone, so it may be ended and run again at any time."""
    first, last = date.fromisoformat(config.first_day), date.fromisoformat(config.last_day)
    if first > last:
        raise dg.Failure(
            f"first_day {first} lies after last_day {last}: give the earlier day first", allow_retries=False
        )
    since = datetime.fromisoformat(config.both_forms_since) if config.both_forms_since else None
    if since and since.tzinfo is None:
        raise dg.Failure(
            f"both_forms_since {config.both_forms_since} has no time zone: write it as 2025-03-31T14:00:00Z",
            allow_retries=False,
        )

    def told(day: LegacyDay) -> None:
        context.log.info(f"{day.day}: {day.page_views} page views, {day.clicks} clicks, {day.sessions} sessions added")

    with described_failures():
        make_partitions(pipeline.warehouse, first, last)
        days = migrate_legacy(pipeline.warehouse, first, last, since, on_day=told)
    context.add_output_metadata(
        {
            "page_views": sum(day.page_views for day in days),
            "clicks": sum(day.clicks for day in days),
            "sessions": sum(day.sessions for day in days),
            "days": table([vars(day) for day in days]),
        }
    )


@dg.job
def web_partitions_job() -> None:
    """Makes the raw tables' partitions ahead."""
    make_web_partitions()


@dg.job
def web_retention_job() -> None:
    """Removes old raw web rows; aggregates stay."""
    remove_old_web_rows()


@dg.job
def legacy_migration_job() -> None:
    """Normalizes card events in their legacy form; the check normalized_equals_legacy compares both."""
    normalize_legacy_events()


WEB_JOBS = [web_hourly_job, web_daily_job, web_partitions_job, web_retention_job, legacy_migration_job]
