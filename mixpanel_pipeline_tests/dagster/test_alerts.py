"""Who fails is told once, over real HTTP, whatever the receiver does meanwhile; and no secret goes with it."""

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import dagster as dg
import pytest
from dagster._core.events import JobFailureData, RunFailureReason
from dagster._core.execution.plan.objects import ErrorSource, StepFailureData
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    AUTO_RETRY_RUN_ID_TAG,
    BACKFILL_ID_TAG,
    RETRY_NUMBER_TAG,
    WILL_RETRY_TAG,
)
from dagster._core.test_utils import create_run_for_test
from pydantic import SecretStr

from mixpanel_pipeline.dagster_project.alert_channel import MOST_WAITING
from mixpanel_pipeline.dagster_project.failing_checks import Failing, news_of
from mixpanel_pipeline.simulator import Project
from mixpanel_pipeline_tests.dagster.alert_receiver import TOKEN, AlertReceiver, alert_receiver
from mixpanel_pipeline_tests.dagster.conftest import Dagster, day
from mixpanel_pipeline_tests.workbench import SECRET

RUNS, CHECKS = "run_failure_alert_sensor", "failing_checks_alert_sensor"


@dataclass
class Watch:
    """The two sensors on a Dagster instance, with the cursors that the daemon keeps for them."""

    dagster: Dagster
    cursors: dict[str, str | None] = field(default_factory=dict)

    def tick(self, name: str) -> str:
        """One evaluation, as the daemon makes it; what it says of itself."""
        sensor = self.dagster.definitions.resolve_sensor_def(name)
        context = dg.build_sensor_context(
            instance=self.dagster.instance, sensor_name=name, cursor=self.cursors.get(name),
            definitions=self.dagster.definitions, resources={"pipeline": self.dagster.pipeline},
        )  # fmt: skip
        result = sensor.evaluate_tick(context)
        self.cursors[name] = result.cursor
        return str(result.skip_message)

    def later(self, wait: timedelta) -> None:
        now = self.dagster.pipeline.now() + wait
        self.dagster.pipeline.now = lambda: now

    def send_to(self, *urls: str) -> None:
        update = {"alert_urls": SecretStr("\n".join(urls))} if urls else {"alert_urls": None}
        self.dagster.pipeline.settings = self.dagster.pipeline.settings.model_copy(update=update)


@pytest.fixture
def receiver() -> Iterator[AlertReceiver]:
    with alert_receiver() as running:
        yield running


@pytest.fixture
def watch(dagster: Dagster, receiver: AlertReceiver) -> Watch:
    """Both sensors have ticked once and sent nothing."""
    watch = Watch(dagster)
    watch.send_to(receiver.url)
    for name in (RUNS, CHECKS):
        assert watch.tick(name) == "alerts: 0"
    return watch


def failed_run(dagster: Dagster, job: str = "mixpanel_sync_job", **more: Any) -> dg.DagsterRun:
    """A run that Dagster ends as failed, as it does when a run's process died."""
    run = create_run_for_test(dagster.instance, job_name=job, status=dg.DagsterRunStatus.STARTED, **more)
    dagster.instance.report_run_failed(run, "its process ended")
    return run


def interrupted_run(dagster: Dagster, *steps: ErrorSource) -> dg.DagsterRun:
    """A run that a signal ended, nobody having asked Dagster for it; before that steps ended for these reasons."""
    run = create_run_for_test(dagster.instance, job_name="mixpanel_sync_job", status=dg.DagsterRunStatus.STARTED)
    for source in steps:
        failure = StepFailureData(error=None, user_failure_data=None, error_source=source)
        event = dg.DagsterEvent(
            dg.DagsterEventType.STEP_FAILURE.value, run.job_name, step_key="step", event_specific_data=failure
        )
        dagster.instance.report_dagster_event(event, run.run_id)
    reason = JobFailureData(error=None, failure_reason=RunFailureReason.UNEXPECTED_TERMINATION)
    dagster.instance.report_run_failed(run, "Execution was interrupted unexpectedly.", reason)
    return run


def successful_run(dagster: Dagster, job: str = "mixpanel_sync_job") -> None:
    run = create_run_for_test(dagster.instance, job_name=job, status=dg.DagsterRunStatus.STARTED)
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, job)
    dagster.instance.report_dagster_event(event, run.run_id)


def days_tags(first: int, last: int) -> dict[str, str]:
    return {ASSET_PARTITION_RANGE_START_TAG: str(day(first)), ASSET_PARTITION_RANGE_END_TAG: str(day(last))}


def test_a_failed_run_is_told_once_in_the_words_of_what_failed(watch: Watch, project: Project, receiver: AlertReceiver):
    project.faults.add("unknown_error_500", times=None, day=day(2))
    assert not watch.dagster.sync(1, 3).success
    assert watch.tick(RUNS) == "alerts: 1"
    (run,) = watch.dagster.instance.get_runs()
    (alert,) = receiver.bodies
    assert alert["type"] == "failure"
    assert alert["title"] == "mixpanel_sync_job failed: 2025-03-01 to 2025-03-03"
    assert "500" in alert["message"]
    assert "max_retries" not in alert["message"]
    assert alert["message"].count("What to do: ") == 1
    assert f"/runs/{run.run_id}" in alert["message"]
    assert watch.tick(RUNS) == "alerts: 0"
    assert len(receiver.bodies) == 1


def test_an_unexpected_error_is_told_without_dagsters_wrapping(watch: Watch, receiver: AlertReceiver):
    watch.dagster.write("alter table sync_logs rename to sync_logs_gone")
    assert not watch.dagster.sync(1, 1).success
    watch.tick(RUNS)
    assert "sync_logs" in receiver.bodies[0]["message"]
    assert "Error occurred while executing" not in receiver.bodies[0]["message"]
    assert "`mixpanel-pipeline sync --from 2025-03-01 --to 2025-03-01`" in receiver.bodies[0]["message"]


def test_what_succeeds_or_a_person_ends_is_not_told(watch: Watch, receiver: AlertReceiver):
    successful_run(watch.dagster)
    run = create_run_for_test(watch.dagster.instance, job_name="late_event_sweep_job")
    watch.dagster.instance.report_run_canceling(run)
    watch.dagster.instance.report_run_canceled(run)
    assert watch.tick(RUNS) == "alerts: 0"
    assert receiver.bodies == []


def test_what_a_signal_ended_is_not_told_and_counts_in_no_row(watch: Watch, receiver: AlertReceiver):
    for _ in range(3):
        interrupted_run(watch.dagster, ErrorSource.INTERRUPT)
    assert watch.tick(RUNS) == "alerts: 0"
    run = failed_run(watch.dagster)
    assert watch.tick(RUNS) == "alerts: 1"
    # The command that executed it was told to end in the moment in which it failed.
    other = failed_run(watch.dagster)
    watch.dagster.instance.report_run_canceled(other)
    assert watch.tick(RUNS) == "alerts: 0"
    assert [run.run_id in body["message"] for body in receiver.bodies] == [True]


def test_a_run_that_failed_before_a_signal_ended_it_is_told(watch: Watch):
    interrupted_run(watch.dagster, ErrorSource.USER_CODE_ERROR, ErrorSource.INTERRUPT)
    assert watch.tick(RUNS) == "alerts: 1"


def test_failures_from_before_the_first_tick_are_not_told(dagster: Dagster, receiver: AlertReceiver):
    failed_run(dagster)
    watch = Watch(dagster)
    watch.send_to(receiver.url)
    assert watch.tick(RUNS) == "alerts: 0"
    failed_run(dagster)
    assert watch.tick(RUNS) == "alerts: 1"


def test_a_run_that_is_retried_is_told_when_its_last_attempt_failed(watch: Watch, receiver: AlertReceiver):
    first = failed_run(watch.dagster, tags={WILL_RETRY_TAG: "true"})
    assert watch.tick(RUNS) == "alerts: 0"
    second = failed_run(
        watch.dagster, tags={RETRY_NUMBER_TAG: "1", WILL_RETRY_TAG: "false"}, parent_run_id=first.run_id,
        root_run_id=first.run_id,
    )  # fmt: skip
    watch.dagster.instance.add_run_tags(first.run_id, {AUTO_RETRY_RUN_ID_TAG: second.run_id})
    assert watch.tick(RUNS) == "alerts: 1"
    watch.later(timedelta(hours=1))
    assert watch.tick(RUNS) == "alerts: 0"
    assert second.run_id in receiver.bodies[0]["message"]


def test_a_retry_that_is_announced_but_never_starts_is_told(watch: Watch, receiver: AlertReceiver):
    failed_run(watch.dagster, tags={WILL_RETRY_TAG: "true"})
    given_up = failed_run(watch.dagster, "late_event_sweep_job", tags={WILL_RETRY_TAG: "true"})
    assert watch.tick(RUNS) == "alerts: 0"
    # What the daemon does when it cannot start a retry.
    watch.dagster.instance.add_run_tags(given_up.run_id, {WILL_RETRY_TAG: "false"})
    assert watch.tick(RUNS) == "alerts: 1"
    watch.later(timedelta(minutes=11))
    assert watch.tick(RUNS) == "alerts: 1"
    assert receiver.titles == ["late_event_sweep_job failed", "mixpanel_sync_job failed"]


def test_where_runs_are_retried_the_announcement_is_waited_for(watch: Watch, monkeypatch: pytest.MonkeyPatch):
    """Dagster writes it a moment after the failure; a tick may come in between."""
    run = failed_run(watch.dagster)
    monkeypatch.setattr(type(watch.dagster.instance), "run_retries_enabled", True)
    assert watch.tick(RUNS) == "alerts: 0"
    watch.dagster.instance.add_run_tags(run.run_id, {WILL_RETRY_TAG: "false"})
    assert watch.tick(RUNS) == "alerts: 1"


def test_the_runs_of_a_backfill_are_one_alert(watch: Watch, receiver: AlertReceiver):
    for number in (1, 4):
        failed_run(watch.dagster, tags={BACKFILL_ID_TAG: "abcdefgh", **days_tags(number, number + 1)})
    assert watch.tick(RUNS) == "alerts: 1"
    failed_run(watch.dagster, tags={BACKFILL_ID_TAG: "abcdefgh", **days_tags(7, 7)})
    assert watch.tick(RUNS) == "alerts: 0"
    failed_run(watch.dagster, tags={BACKFILL_ID_TAG: "ijklmnop"})
    assert watch.tick(RUNS) == "alerts: 1"
    alert = receiver.bodies[0]
    assert alert["title"] == "Backfill abcdefgh: mixpanel_sync_job failed"
    assert (
        "2 of the backfill's runs failed so far (2025-03-01 to 2025-03-02, 2025-03-04 to 2025-03-05)"
        in alert["message"]
    )
    assert "/runs/b/abcdefgh" in alert["message"]


def test_the_third_failure_in_a_row_is_told_as_such_once(watch: Watch, receiver: AlertReceiver):
    third = "mixpanel_sync_job failed 3 times in a row"
    for _ in range(2):
        failed_run(watch.dagster)
        failed_run(watch.dagster, "late_event_sweep_job")
        watch.tick(RUNS)
    assert len(receiver.titles) == 4
    failed_run(watch.dagster, tags={WILL_RETRY_TAG: "true", AUTO_RETRY_RUN_ID_TAG: "another"})
    watch.tick(RUNS)
    assert third not in receiver.titles
    failed_run(watch.dagster)
    assert watch.tick(RUNS) == "alerts: 2"
    assert receiver.titles[-2:] == ["mixpanel_sync_job failed", third]
    message = receiver.bodies[-1]["message"]
    assert "its process ended" in message
    assert re.search(r"The last 3 times at (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(, )?){3} UTC", message)
    assert "`mixpanel-pipeline status` says how far things are" in message
    for _ in range(2):
        failed_run(watch.dagster)
        assert watch.tick(RUNS) == "alerts: 1"


def test_a_row_that_began_before_the_first_tick_is_told_at_its_next_failure(dagster: Dagster, receiver: AlertReceiver):
    for _ in range(4):
        failed_run(dagster)
    watch = Watch(dagster)
    watch.send_to(receiver.url)
    assert watch.tick(RUNS) == "alerts: 0"
    failed_run(dagster, tags=days_tags(1, 2))
    assert watch.tick(RUNS) == "alerts: 2"
    assert receiver.titles[-1] == "mixpanel_sync_job failed 5 times in a row"
    assert "`mixpanel-pipeline status` says which days are missing or behind" in receiver.bodies[-1]["message"]
    failed_run(dagster)
    assert watch.tick(RUNS) == "alerts: 1"
    successful_run(dagster)
    for _ in range(3):
        failed_run(dagster)
    assert watch.tick(RUNS) == "alerts: 4"
    assert receiver.titles[-1] == "mixpanel_sync_job failed 3 times in a row"


def test_a_success_begins_the_row_anew(watch: Watch, receiver: AlertReceiver):
    for _ in range(2):
        failed_run(watch.dagster)
    successful_run(watch.dagster)
    for _ in range(2):
        failed_run(watch.dagster)
    assert watch.tick(RUNS) == "alerts: 4"
    failed_run(watch.dagster)
    assert watch.tick(RUNS) == "alerts: 2"
    assert receiver.titles[-1] == "mixpanel_sync_job failed 3 times in a row"


def test_a_backfill_counts_once_in_a_row(watch: Watch):
    for _ in range(3):
        failed_run(watch.dagster, tags={BACKFILL_ID_TAG: "abcdefgh"})
    failed_run(watch.dagster)
    assert watch.tick(RUNS) == "alerts: 2"
    failed_run(watch.dagster)
    assert watch.tick(RUNS) == "alerts: 2"


def test_runs_of_other_assets_are_another_row(watch: Watch, receiver: AlertReceiver):
    raw, totals = dg.AssetKey("mixpanel_raw_events"), dg.AssetKey("subscribers_insights_v2")
    for _ in range(2):
        for key in (raw, totals):
            failed_run(watch.dagster, "__ASSET_JOB", asset_selection=frozenset({key}))
    assert watch.tick(RUNS) == "alerts: 4"
    assert receiver.titles[0] == "materialization of mixpanel_raw_events failed"


def test_a_check_that_begins_to_fail_is_told_once_and_when_it_passes_again(
    watch: Watch, project: Project, receiver: AlertReceiver
):
    project.faults.add("garbage_line", day=day(9))
    watch.dagster.load(8, 10)
    for _ in range(2):
        assert watch.dagster.run("reconciliation_job").success
        watch.tick(CHECKS)
    (alert,) = receiver.bodies
    title = "Check no_quarantined_events of mixpanel_raw_events"
    assert (alert["type"], alert["title"]) == ("warning", f"{title} warns")
    assert "1 lines on 1 of 3 days could not be read as events" in alert["message"]
    assert "What to do: The files in the lake" in alert["message"]
    watch.dagster.load(9, 9)
    watch.dagster.run("reconciliation_job")
    assert watch.tick(CHECKS) == "alerts: 1"
    assert (receiver.bodies[-1]["type"], receiver.titles[-1]) == ("success", f"{title} passes again")
    project.faults.add("garbage_line", day=day(9))
    watch.dagster.load(9, 9)
    watch.dagster.run("reconciliation_job")
    assert watch.tick(CHECKS) == "alerts: 1"
    assert receiver.titles[-1] == f"{title} warns"


def test_a_blocking_check_is_told_by_the_alert_of_the_run_that_it_failed(watch: Watch, receiver: AlertReceiver):
    watch.dagster.load(10, 10)
    watch.dagster.write("update subscribers_insights_v2 set total_pdp_views = 999 where distinct_id = 'person-0'")
    assert not watch.dagster.sync(10, 10).success
    assert watch.tick(RUNS) == "alerts: 1"
    assert watch.tick(CHECKS) == "alerts: 0"
    (alert,) = receiver.bodies
    assert "add_equals_replace: 1 of 11 subscribers differ from REPLACE, in total_pdp_views" in alert["message"]
    assert "`mixpanel-pipeline sync --full`" in alert["message"]
    assert "person-0" not in alert["message"]
    assert watch.dagster.run("replace_totals_job").success
    assert watch.dagster.sync(10, 10).success
    assert watch.tick(CHECKS) == "alerts: 1"
    assert receiver.titles[-1] == "Check add_equals_replace of subscribers_insights_v2 passes again"


def evaluation(
    *days: int, severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.WARN, column: str = "export_day"
) -> dg.AssetCheckEvaluation:
    """A check that fails on these days; with none it passes."""
    records = [dg.TableRecord({column: str(day(number))}) for number in days]
    table = dg.MetadataValue.table(records, dg.TableSchema([dg.TableColumn(column)]))
    return dg.AssetCheckEvaluation(
        dg.AssetKey("a"), "check", passed=not days, severity=severity, metadata={"rows": table} if days else {}
    )


def test_another_day_of_a_failing_check_is_news_and_a_run_of_other_days_proves_nothing():
    failing: dict[str, Failing] = {}
    of = lambda first, last: (str(day(first)), str(day(last)))  # noqa: E731
    assert news_of(failing, evaluation(2), of(2, 2)) == "warns"
    assert news_of(failing, evaluation(2), None) is None
    assert news_of(failing, evaluation(), of(3, 3)) is None
    assert news_of(failing, evaluation(4, column="day"), of(4, 4)) == "warns"
    assert news_of(failing, evaluation(2, 4), None) is None
    assert news_of(failing, evaluation(2, severity=dg.AssetCheckSeverity.ERROR), of(2, 2)) == "fails"
    assert news_of(failing, evaluation(), of(1, 3)) is None
    assert news_of(failing, evaluation(), of(4, 4)) == "passes"
    assert failing == {}


def test_a_receiver_that_is_down_gets_the_alert_later_and_holds_nobody_up(
    watch: Watch, receiver: AlertReceiver, capfd: pytest.CaptureFixture[str]
):
    with alert_receiver() as other:
        watch.send_to(receiver.url, other.url)
        receiver.status = 503
        failed_run(watch.dagster)
        assert watch.tick(RUNS) == "alerts: 1; 1 wait for a channel that is down"
        failed_run(watch.dagster, "late_event_sweep_job")
        watch.later(timedelta(minutes=2))
        assert watch.tick(RUNS) == "alerts: 1; 2 wait for a channel that is down"
        assert other.titles == ["mixpanel_sync_job failed", "late_event_sweep_job failed"]
        said = capfd.readouterr().err
        assert "ALERT mixpanel_sync_job failed" in said
        assert "ALERT not delivered to address 1 of ALERT_URLS (JSON), it will be tried again" in said
        assert "503" in said
        receiver.status = 200
        assert "2 wait" in watch.tick(RUNS)  # not yet: each failure is followed by a pause
        watch.later(timedelta(hours=1))
        assert watch.tick(RUNS) == "alerts: 0"
        assert receiver.titles == other.titles
        assert len(other.bodies) == 2


def test_an_alert_that_nobody_takes_for_a_day_is_given_up_and_the_log_says_so(
    watch: Watch, receiver: AlertReceiver, capfd: pytest.CaptureFixture[str]
):
    receiver.status = 500
    failed_run(watch.dagster)
    watch.tick(RUNS)
    watch.later(timedelta(hours=25))
    assert watch.tick(RUNS) == "alerts: 0"
    assert "ALERT never delivered to address 1 of ALERT_URLS, tried 2 times" in capfd.readouterr().err


def test_no_more_wait_than_a_cursor_should_hold(watch: Watch, capfd: pytest.CaptureFixture[str]):
    watch.send_to("json://127.0.0.1:1/nobody")
    for _ in range(3):
        for number in range(MOST_WAITING // 2 - 10):
            failed_run(watch.dagster, f"job_{number}")
        watch.tick(RUNS)
        watch.tick(RUNS)
    assert f"{MOST_WAITING} wait" in watch.tick(RUNS)
    assert f"ALERT never delivered, for more than {MOST_WAITING} wait" in capfd.readouterr().err


def test_without_addresses_alerts_are_logged(watch: Watch, receiver: AlertReceiver, capfd: pytest.CaptureFixture[str]):
    watch.send_to()
    failed_run(watch.dagster)
    assert watch.tick(RUNS) == "alerts: 1"
    assert "ALERT mixpanel_sync_job failed\nits process ended" in capfd.readouterr().err
    assert receiver.bodies == []


def test_no_secret_is_in_an_alert_a_log_or_a_cursor(
    watch: Watch, receiver: AlertReceiver, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)  # urllib3's DEBUG lines hold every address, and nothing turns them on
    password = "hunter/2"
    update = {"database_url": SecretStr("postgresql://me:hunter%2F2@db/x")}
    watch.dagster.pipeline.settings = watch.dagster.pipeline.settings.model_copy(update=update)
    unexpected = f"login {SECRET} and {password}, hunter%2F2 at {receiver.url} did not work"
    for job in ("one_job", "other_job"):
        run = create_run_for_test(watch.dagster.instance, job_name=job, status=dg.DagsterRunStatus.STARTED)
        watch.dagster.instance.report_run_failed(run, unexpected)
        watch.tick(RUNS)
        receiver.status = 500
    (alert,) = receiver.bodies
    assert "login *** and ***, *** at *** did not work" in alert["message"]
    cursor = watch.cursors[RUNS] or ""
    assert "other_job" in cursor
    for text in (alert["message"], cursor, capfd.readouterr().err, caplog.text):
        for secret in (SECRET, password, "hunter%2F2", TOKEN):
            assert secret not in text
