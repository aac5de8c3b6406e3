"""Asset checks of the web aggregates: the plain functions of mixpanel_pipeline.checks.web."""

from collections.abc import Callable
from datetime import date, timedelta

import dagster as dg

from mixpanel_pipeline.checks.verdict import Verdict
from mixpanel_pipeline.checks.verdict_log import Window
from mixpanel_pipeline.checks.web import (
    daily_equals_raw,
    dashboard_is_fast,
    hourly_equals_raw,
    hourly_is_fresh,
    normalized_equals_legacy,
)
from mixpanel_pipeline.dagster_project.checks import concluded
from mixpanel_pipeline.dagster_project.resources import Pipeline
from mixpanel_pipeline.dagster_project.web_specs import DAILY, HOURLY, USERS

Rule = Callable[[Pipeline, Window], Verdict]

HOURLY_EQUALS_RAW = dg.AssetCheckKey(HOURLY, hourly_equals_raw.__name__)
NORMALIZED_EQUALS_LEGACY = dg.AssetCheckKey(USERS, normalized_equals_legacy.__name__)


def web_asset_checks() -> list[dg.AssetChecksDefinition]:
    """Of the run's hours or days, or of all when a check runs alone."""
    return [
        _check(HOURLY, hourly_is_fresh, lambda pipeline, _: hourly_is_fresh(pipeline.warehouse, pipeline.now())),
        _check(
            HOURLY, hourly_equals_raw,
            lambda pipeline, window: hourly_equals_raw(pipeline.warehouse, *(window or (None, None))),
        ),
        _check(
            DAILY, daily_equals_raw,
            lambda pipeline, window: daily_equals_raw(pipeline.warehouse, *_days(window)),
        ),
        _check(
            USERS, normalized_equals_legacy,
            lambda pipeline, window: normalized_equals_legacy(pipeline.warehouse, *_days(window)),
        ),
        _check(DAILY, dashboard_is_fast, lambda pipeline, _: dashboard_is_fast(pipeline.warehouse)),
    ]  # fmt: skip


def _check(key: dg.AssetKey, function: Callable[..., Verdict], rule: Rule) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=key, name=function.__name__, description=function.__doc__)
    def check(context: dg.AssetCheckExecutionContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.AssetCheckResult:
        window = _window_of_run(context)
        return concluded(context, pipeline, rule(pipeline, window), window)

    return check


def _window_of_run(context: dg.AssetCheckExecutionContext) -> Window:
    """From the run's first hour or day to the end of its last; none when the check runs alone."""
    step = context.op_execution_context
    if not (step.has_partition_key or step.has_partition_key_range):
        return None
    return step.partition_time_window.start, step.partition_time_window.end


def _days(window: Window) -> tuple[date | None, date | None]:
    """First and last, both included."""
    return (window[0].date(), (window[1] - timedelta(seconds=1)).date()) if window else (None, None)
