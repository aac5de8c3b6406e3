"""Asset checks: the plain functions of mixpanel_pipeline.checks, asked about a run's days or about all."""

from collections.abc import Callable
from datetime import date

import dagster as dg

from mixpanel_pipeline.checks.equivalence import (
    add_equals_replace,
    contributions_equal_lake,
    events_lie_within_their_day,
    no_quarantined_events,
    partitions_follow_settings,
)
from mixpanel_pipeline.checks.freshness import no_missing_partitions, sync_is_incremental, watermark_advances
from mixpanel_pipeline.checks.matches_mixpanel import LONGEST_WAIT, matches_mixpanel, not_compared
from mixpanel_pipeline.checks.profiles import profiles_equal_snapshot, profiles_skip_unchanged
from mixpanel_pipeline.checks.set_based import set_based_equals_loop
from mixpanel_pipeline.checks.verdict import Verdict
from mixpanel_pipeline.checks.verdict_log import Window, record_verdict, window_of_days
from mixpanel_pipeline.dagster_project.asset_specs import CONTRIBUTIONS, PROFILES, RAW_EVENTS, TOTALS, WATERMARKS
from mixpanel_pipeline.dagster_project.previews import table
from mixpanel_pipeline.dagster_project.resources import EXPORT_POOL, Pipeline
from mixpanel_pipeline.settings import SettingsError
from mixpanel_pipeline.subscribers.build import build_event_counts, build_recipe

Days = tuple[date | None, date | None]
Rule = Callable[[Pipeline, Days], Verdict]


def asset_checks() -> list[dg.AssetChecksDefinition]:
    """Every check of the Mixpanel half. Each is a statement that should be true."""
    return [
        _check(
            TOTALS, add_equals_replace, blocking=True,
            rule=lambda pipeline, _: add_equals_replace(pipeline.warehouse, pipeline.storage),
        ),
        _check(
            TOTALS, set_based_equals_loop,
            rule=lambda pipeline, _: set_based_equals_loop(pipeline.warehouse),
        ),
        _check(
            CONTRIBUTIONS, contributions_equal_lake,
            rule=lambda pipeline, days: contributions_equal_lake(pipeline.warehouse, pipeline.storage, *days),
        ),
        _check(
            RAW_EVENTS, no_quarantined_events,
            rule=lambda pipeline, days: no_quarantined_events(pipeline.warehouse, *days),
        ),
        _check(
            RAW_EVENTS, events_lie_within_their_day,
            rule=lambda pipeline, days: events_lie_within_their_day(pipeline.warehouse, *days),
        ),
        _check(
            RAW_EVENTS, partitions_follow_settings,
            rule=lambda pipeline, _: partitions_follow_settings(pipeline.warehouse, build_recipe(pipeline.settings)),
        ),
        _check(RAW_EVENTS, matches_mixpanel, pool=EXPORT_POOL, rule=_matches_mixpanel),
        _check(WATERMARKS, watermark_advances, rule=lambda pipeline, _: _watermark_advances(pipeline)),
        _check(WATERMARKS, sync_is_incremental, rule=lambda pipeline, _: _sync_is_incremental(pipeline)),
        _check(WATERMARKS, no_missing_partitions, rule=lambda pipeline, _: _no_missing_partitions(pipeline)),
        _check(
            PROFILES, profiles_equal_snapshot,
            rule=lambda pipeline, _: profiles_equal_snapshot(pipeline.warehouse, pipeline.storage),
        ),
        _check(
            PROFILES, profiles_skip_unchanged,
            rule=lambda pipeline, _: profiles_skip_unchanged(pipeline.warehouse),
        ),
    ]  # fmt: skip


def concluded(
    context: dg.AssetCheckExecutionContext, pipeline: Pipeline, verdict: Verdict, asked_about: Window
) -> dg.AssetCheckResult:
    """Tells a verdict to whom it concerns: the run's log, the health page and Dagster."""
    context.log.info(str(verdict))
    record_verdict(pipeline.warehouse, verdict, asked_about)
    return check_result(verdict)


def check_result(verdict: Verdict) -> dg.AssetCheckResult:
    """A verdict as Dagster shows it: what differs, by how much, for which rows, and what to do."""
    metadata = {"summary": verdict.summary, **verdict.figures}
    if verdict.fix:
        metadata["fix"] = dg.MetadataValue.md(verdict.fix)
    if verdict.rows:
        metadata["rows"] = table(verdict.rows)
    severity = dg.AssetCheckSeverity.ERROR if verdict.severity == "error" else dg.AssetCheckSeverity.WARN
    return dg.AssetCheckResult(
        passed=verdict.passed, severity=severity, description=str(verdict), metadata=metadata
    )  # fmt: skip


def _check(
    key: dg.AssetKey, function: Callable[..., Verdict], *, rule: Rule, blocking: bool = False, pool: str | None = None
) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=key, name=function.__name__, description=function.__doc__, blocking=blocking, pool=pool)
    def check(context: dg.AssetCheckExecutionContext, pipeline: dg.ResourceParam[Pipeline]) -> dg.AssetCheckResult:
        days = _days_of_run(context)
        return concluded(context, pipeline, rule(pipeline, days), window_of_days(*days))

    return check


def _days_of_run(context: dg.AssetCheckExecutionContext) -> Days:
    """The run's first and last day; none when the check runs alone, which then looks at all days."""
    step = context.op_execution_context
    if not (step.has_partition_key or step.has_partition_key_range):
        return None, None
    days = step.partition_key_range
    return date.fromisoformat(days.start), date.fromisoformat(days.end)


def _matches_mixpanel(pipeline: Pipeline, days: Days) -> Verdict:
    log = dg.get_dagster_logger().info
    try:
        sync = pipeline.event_sync(log)
        reports = build_event_counts(pipeline.settings, pipeline.warehouse, longest_wait=LONGEST_WAIT, log=log)
    except SettingsError as error:
        return not_compared(error)
    return matches_mixpanel(sync, reports, *days)


def _watermark_advances(pipeline: Pipeline) -> Verdict:
    settings = pipeline.settings
    return watermark_advances(
        pipeline.warehouse, pipeline.calendar, pipeline.now(), settings.watermark_hours_warning,
        has_account=settings.uses_mixpanel,
    )  # fmt: skip


def _sync_is_incremental(pipeline: Pipeline) -> Verdict:
    settings = pipeline.settings
    return sync_is_incremental(pipeline.warehouse, settings.sync_events_warning, settings.sync_seconds_warning)


def _no_missing_partitions(pipeline: Pipeline) -> Verdict:
    return no_missing_partitions(pipeline.warehouse, pipeline.calendar, pipeline.now())
