"""The web aggregates: hours of events, days of events, and the daily tables of cards."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
from pydantic import Field

from mixpanel_pipeline.dagster_project.batched_events import log_materializations
from mixpanel_pipeline.dagster_project.failures import described_failures, tried_again
from mixpanel_pipeline.dagster_project.previews import table
from mixpanel_pipeline.dagster_project.resources import Pipeline
from mixpanel_pipeline.dagster_project.web_specs import CARD_KEYS, DAILY, HOURLY, card_specs, daily_spec, hourly_spec
from mixpanel_pipeline.web.aggregation import Aggregated
from mixpanel_pipeline.web.marks import HOUR, start_of
from mixpanel_pipeline.web.refresh import CARDS, DAYS, HOURS, BucketFigures, Refreshed, refresh

HOURS_OP, EVENT_DAYS_OP, CARD_DAYS_OP = "web_hours", "web_event_days", "web_card_days"
HOUR_KEY = "%Y-%m-%d-%H:%M"

NOTHING = BucketFigures()


class AggregationConfig(dg.Config):
    """How much a run computes."""

    everything: bool = Field(
        default=True,
        description="Compute all that there is in the partitions again. Schedules and sensors say no and take what "
        "was written to since: that is all there is to do unless somebody went past the triggers. Marks of other "
        "partitions are taken either way.",
    )


def aggregation_config(*ops: str, everything: bool) -> dict[str, Any]:
    """Run config of these ops."""
    return {"ops": {op: {"config": {"everything": everything}} for op in ops}}


def partition_key(bucket: date | datetime) -> str:
    """An hour's or a day's partition."""
    return bucket.astimezone(UTC).strftime(HOUR_KEY) if isinstance(bucket, datetime) else str(bucket)


def web_aggregates(
    hours: dg.HourlyPartitionsDefinition, days: dg.DailyPartitionsDefinition, retry_policy: dg.RetryPolicy
) -> list[dg.AssetsDefinition]:
    """The assets over these partitions. A range is one run, whose statements are over the range."""

    @dg.multi_asset(
        name=HOURS_OP, specs=[hourly_spec()], partitions_def=hours, backfill_policy=dg.BackfillPolicy.single_run()
    )
    def aggregate_web_hours(
        context: dg.AssetExecutionContext, config: AggregationConfig, pipeline: dg.ResourceParam[Pipeline]
    ):
        """Makes the hours, and others that were written to, what the raw rows say."""
        asked_for = [datetime.strptime(key, HOUR_KEY).replace(tzinfo=UTC) for key in context.partition_keys]
        with tried_again(context, retry_policy), described_failures():
            done = refresh(pipeline.warehouse, HOURS, asked_for, everything=config.everything)
        _report(context, pipeline, [HOURLY], done)

    @dg.multi_asset(
        name=EVENT_DAYS_OP, specs=[daily_spec()], partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run()
    )
    def aggregate_event_days(
        context: dg.AssetExecutionContext, config: AggregationConfig, pipeline: dg.ResourceParam[Pipeline]
    ):
        """The same of days, after the hours that wait: they say which days are to be computed again."""
        with tried_again(context, retry_policy), described_failures():
            waiting = refresh(pipeline.warehouse, HOURS, [], everything=False)
            done = refresh(pipeline.warehouse, DAYS, _days(context), everything=config.everything)
        _report(context, pipeline, [HOURLY], waiting)
        # Rows are refused with their hours, of which none may be reported.
        refused = Aggregated(rows_refused=waiting.aggregated.rows_refused)
        _report(context, pipeline, [DAILY], replace(done, aggregated=done.aggregated + refused))

    @dg.multi_asset(
        name=CARD_DAYS_OP, specs=card_specs(), partitions_def=days, backfill_policy=dg.BackfillPolicy.single_run(),
        can_subset=False,
    )  # fmt: skip
    def aggregate_card_days(
        context: dg.AssetExecutionContext, config: AggregationConfig, pipeline: dg.ResourceParam[Pipeline]
    ):
        """The same of the days of cards, in all their tables."""
        with tried_again(context, retry_policy), described_failures():
            done = refresh(pipeline.warehouse, CARDS, _days(context), everything=config.everything)
        _report(context, pipeline, CARD_KEYS, done)

    return [aggregate_web_hours, aggregate_event_days, aggregate_card_days]


def _days(context: dg.AssetExecutionContext) -> list[date]:
    return [date.fromisoformat(key) for key in context.partition_keys]


def _report(
    context: dg.AssetExecutionContext, pipeline: Pipeline, keys: Sequence[dg.AssetKey], done: Refreshed[Any]
) -> None:
    """Metadata of each partition asked for, and a materialization of each other one that was computed again."""
    others = [bucket for bucket in done.others if _is_partition(bucket, pipeline)]
    context.log.info(
        f"{done.aggregated.marks_taken} marks, {done.aggregated.buckets} buckets, {done.aggregated.rows_written} rows "
        f"written in {done.seconds:.2f} s; late rows came to "
        f"{', '.join(map(partition_key, others)) or 'no other partition'}"
    )
    for key in keys:
        of_table = key.to_user_string()
        run = _run_metadata(done, of_table, len(others))
        for bucket in done.asked_for:
            metadata = {**run, **_bucket_metadata(done, of_table, bucket)}
            if bucket == done.asked_for[-1] and done.preview:
                metadata["preview"] = table(done.preview)
            context.add_asset_metadata(metadata, asset_key=key, partition_key=partition_key(bucket))
        log_materializations(
            context,
            [
                dg.AssetMaterialization(
                    key, partition=partition_key(bucket), metadata={**run, **_bucket_metadata(done, of_table, bucket)}
                )
                for bucket in others
            ],
        )


def _is_partition(bucket: date | datetime, pipeline: Pipeline) -> bool:
    """Since the start date, and over."""
    if isinstance(bucket, datetime):
        start, end = bucket, bucket + HOUR
    else:
        start, end = start_of(bucket), start_of(bucket + timedelta(days=1))
    return start >= start_of(pipeline.settings.web_first_day) and end <= pipeline.now()


def _bucket_metadata(done: Refreshed[Any], of_table: str, bucket: Any) -> dict[str, int]:
    figures = done.figures.get((of_table, bucket), NOTHING)
    return {
        "dagster/partition_row_count": figures.rows,
        "rows": figures.rows,
        "counted": figures.counted,
        "rows_changed": figures.changed,
        "marks": done.marks.get(bucket, 0),
    }


def _run_metadata(done: Refreshed[Any], of_table: str, others: int) -> dict[str, Any]:
    """What the whole run did, in all tables of the op."""
    counted = sum(figures.counted for (name, _), figures in done.figures.items() if name == of_table)
    return {
        "run_buckets": done.aggregated.buckets,
        "run_marks_taken": done.aggregated.marks_taken,
        "run_rows_written": done.aggregated.rows_written,
        "run_rows_deleted": done.rows_deleted,
        "run_rows_refused": done.aggregated.rows_refused,
        "run_late_partitions": others,
        "run_seconds": round(done.seconds, 3),
        "run_counted_per_second": round(counted / done.seconds, 1) if done.seconds else 0.0,
    }
