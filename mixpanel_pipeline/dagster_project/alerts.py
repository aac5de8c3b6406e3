"""Who is told when something fails: failed runs, three failures in a row, checks that begin to fail.

These are sensors over the instance's events with cursors of their own. Dagster's `run_failure_sensor` goes on to the
next event whatever became of the last one: an alert that could not be sent would be lost, and a backfill's runs could
not be told as one. All runs of the instance count, whatever their code location: it is the pipeline's own instance,
and a run whose location was renamed, or that a command launched, fails no less.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import dagster as dg
from dagster._core.storage.dagster_run import RunRecord
from pydantic import TypeAdapter

from mixpanel_pipeline.dagster_project.alert_channel import Alert, AlertChannels, Outbox
from mixpanel_pipeline.dagster_project.failing_checks import Failing, fails_its_run, news_of, words_of
from mixpanel_pipeline.dagster_project.resources import Pipeline
from mixpanel_pipeline.dagster_project.run_failures import (
    days_of,
    days_text,
    failure_of,
    failures_in_a_row,
    fate,
    occasion,
    work_of,
)

RUNNING = dg.DefaultSensorStatus.RUNNING
SECONDS = 30

RUNS_A_TICK = 50
CHECKS_A_TICK = 300
TOO_MANY = 3

# The daemon starts a retry within seconds. If it has not by then it never will, and the failure stands.
RETRY_STARTS_WITHIN = timedelta(minutes=10)
OCCASIONS_REMEMBERED = 200


@dataclass
class RunFailures:
    """Cursor of `run_failure_alert_sensor`: the last event read, failures whose retry is still to start (since
    when), what was told lately, of which work three in a row were told (and the last failure of that row), and what is
    still to be sent."""

    after: int
    undecided: dict[str, datetime] = field(default_factory=dict)
    told: list[str] = field(default_factory=list)
    rows_told: dict[str, str] = field(default_factory=dict)
    outbox: Outbox = field(default_factory=Outbox)


@dataclass
class CheckFailures:
    """Cursor of `failing_checks_alert_sensor`: the last event read, the checks that fail, what is still to be sent."""

    after: int
    failing: dict[str, Failing] = field(default_factory=dict)
    outbox: Outbox = field(default_factory=Outbox)


RUN_CURSOR = TypeAdapter(RunFailures)
CHECK_CURSOR = TypeAdapter(CheckFailures)


@dg.sensor(
    name="run_failure_alert_sensor", minimum_interval_seconds=SECONDS, default_status=RUNNING,
    description="Alerts when a run failed and will not be retried, once for a backfill; and when the same work failed "
    "three times in a row. Runs that a person ended are no failures. Where to: ALERT_URLS.",
)  # fmt: skip
def run_failure_alert_sensor(
    context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]
) -> dg.SkipReason:
    instance, now = context.instance, pipeline.now()
    cursor = RUN_CURSOR.validate_json(context.cursor) if context.cursor else RunFailures(_newest_event(instance))
    for event in instance.fetch_run_status_changes(
        dg.RunStatusChangeRecordsFilter(dg.DagsterEventType.RUN_FAILURE, after_storage_id=cursor.after),
        limit=RUNS_A_TICK, ascending=True,
    ).records:  # fmt: skip
        cursor.after = event.storage_id
        cursor.undecided.setdefault(event.event_log_entry.run_id, now)
    alerts: list[Alert] = []
    for runs in _by_occasion(_decided(instance, cursor, now)):
        if occasion(runs[0]) not in cursor.told:
            alerts += _alerts_of(context, runs, cursor.rows_told)
            cursor.told = [*cursor.told, occasion(runs[0])][-OCCASIONS_REMEMBERED:]
    AlertChannels(pipeline.settings, context.log).deliver(cursor.outbox, alerts, now)
    context.update_cursor(RUN_CURSOR.dump_json(cursor).decode())
    return _summary(alerts, cursor.outbox)


@dg.sensor(
    name="failing_checks_alert_sensor", minimum_interval_seconds=SECONDS, default_status=RUNNING,
    description="Alerts when a check begins to fail or to warn, not each time it still does, and when it passes again. "
    "Blocking checks fail their run, whose alert says what they found. Where to: ALERT_URLS.",
)  # fmt: skip
def failing_checks_alert_sensor(
    context: dg.SensorEvaluationContext, pipeline: dg.ResourceParam[Pipeline]
) -> dg.SkipReason:
    instance = context.instance
    cursor = CHECK_CURSOR.validate_json(context.cursor) if context.cursor else CheckFailures(_newest_event(instance))
    records = instance.event_log_storage.get_event_records(
        dg.EventRecordsFilter(dg.DagsterEventType.ASSET_CHECK_EVALUATION, after_cursor=cursor.after),
        limit=CHECKS_A_TICK, ascending=True,
    )  # fmt: skip
    runs = {record.dagster_run.run_id: record.dagster_run for record in _runs(instance, [r.run_id for r in records])}
    alerts: list[Alert] = []
    for record in records:
        cursor.after = record.storage_id
        evaluation = record.event_log_entry.get_dagster_event().asset_check_evaluation_data
        run = runs.get(record.run_id)
        news = news_of(cursor.failing, evaluation, days_of(run) if run else None)
        if news and not fails_its_run(evaluation):
            alerts.append(_check_alert(evaluation, news, record.run_id))
    AlertChannels(pipeline.settings, context.log).deliver(cursor.outbox, alerts, pipeline.now())
    context.update_cursor(CHECK_CURSOR.dump_json(cursor).decode())
    return _summary(alerts, cursor.outbox)


ALERT_SENSORS = [run_failure_alert_sensor, failing_checks_alert_sensor]


def _newest_event(instance: dg.DagsterInstance) -> int:
    """Where a sensor begins that never ran: what failed before is no news."""
    return instance.event_log_storage.get_maximum_record_id() or 0


def _decided(instance: dg.DagsterInstance, cursor: RunFailures, now: datetime) -> list[dg.DagsterRun]:
    """The failures that stand now, in the order in which they were seen; those that were retried, or that were
    none, are forgotten."""
    records = {record.dagster_run.run_id: record.dagster_run for record in _runs(instance, list(cursor.undecided))}
    failed = []
    for run_id, since in list(cursor.undecided.items()):
        run = records.get(run_id)
        verdict = fate(instance, run) if run else "retried"  # or deleted
        if verdict == "open" and now - since < RETRY_STARTS_WITHIN:
            continue
        del cursor.undecided[run_id]
        if run and verdict in ("failed", "open"):
            failed.append(run)
    return failed


def _runs(instance: dg.DagsterInstance, run_ids: Sequence[str]) -> Sequence[RunRecord]:
    return instance.get_run_records(dg.RunsFilter(run_ids=list(set(run_ids)))) if run_ids else []


def _by_occasion(runs: list[dg.DagsterRun]) -> list[list[dg.DagsterRun]]:
    occasions: dict[str, list[dg.DagsterRun]] = {}
    for run in runs:
        occasions.setdefault(occasion(run), []).append(run)
    return list(occasions.values())


def _alerts_of(
    context: dg.SensorEvaluationContext, runs: list[dg.DagsterRun], rows_told: dict[str, str]
) -> list[Alert]:
    """For runs of one occasion. A run whose events cannot be understood is told all the same: an error here would
    keep the sensor at this run, and everything after it untold."""
    first = runs[0]
    try:
        alerts = [_run_alert(context.instance, runs)]
        row = failures_in_a_row(context.instance, first)
        return [*alerts, _row_alert(context.instance, first, row)] if _is_news(first, row, rows_told) else alerts
    except Exception:
        context.log.exception("what run %s says cannot be read", first.run_id)
        return [Alert("failure", f"{work_of(first)} failed", "see its page", page=_page(first.run_id))]


def _is_news(run: dg.DagsterRun, row: list[RunRecord], rows_told: dict[str, str]) -> bool:
    """Whether a row of failures, newest first, is too long and was not told yet. One that was has the failure that
    `rows_told` remembers in it, until a success begins another row."""
    if len(row) < TOO_MANY:
        return False
    failures = [occasion(record.dagster_run) for record in row]
    known = rows_told.get(work_of(run)) in failures
    rows_told[work_of(run)] = failures[0]
    return not known


def _run_alert(instance: dg.DagsterInstance, runs: list[dg.DagsterRun]) -> Alert:
    first = runs[0]
    message, fix = failure_of(instance, first)
    if occasion(first) == first.run_id:
        return Alert("failure", _title(first, f"{work_of(first)} failed"), message, fix, _page(first.run_id))
    days = ", ".join(filter(None, map(days_text, runs)))
    others = (
        f"{len(runs)} of the backfill's runs failed so far{days and f' ({days})'}. This alert stands for all of them: "
        "its page shows which others fail."
    )
    title = f"Backfill {occasion(first)}: {work_of(first)} failed"
    return Alert("failure", title, f"{message}\n{others}", fix, f"/runs/b/{occasion(first)}")


def _row_alert(instance: dg.DagsterInstance, run: dg.DagsterRun, row: list[RunRecord]) -> Alert:
    ends = [datetime.fromtimestamp(record.end_time or 0, UTC) for record in reversed(row[:TOO_MANY])]
    times = ", ".join(f"{end:%Y-%m-%d %H:%M:%S}" for end in ends)
    message, _ = failure_of(instance, run)
    what = "which days are missing or behind" if days_of(run) else "how far things are"
    return Alert(
        "failure",
        f"{work_of(run)} failed {len(row)} times in a row",
        f"The last {TOO_MANY} times at {times} UTC. This time: {message}\n"
        "There is no other alert of this kind until it succeeds.",
        f"it does not mend itself: somebody must look. `mixpanel-pipeline status` says {what}",
        _page(run.run_id),
    )


def _check_alert(evaluation: dg.AssetCheckEvaluation, news: str, run_id: str) -> Alert:
    message, fix = words_of(evaluation)
    title = f"Check {evaluation.check_name} of {evaluation.asset_key.to_user_string()} {news}"
    if news == "passes":
        return Alert("success", f"{title} again", message, page=_page(run_id))
    return Alert("failure" if news == "fails" else "warning", title, message, fix, _page(run_id))


def _title(run: dg.DagsterRun, what: str) -> str:
    days = days_text(run)
    return f"{what}: {days}" if days else what


def _page(run_id: str) -> str:
    return f"/runs/{run_id}"


def _summary(alerts: list[Alert], outbox: Outbox) -> dg.SkipReason:
    waiting = f"; {len(outbox.waiting)} wait for a channel that is down" if outbox.waiting else ""
    return dg.SkipReason(f"alerts: {len(alerts)}{waiting}")
