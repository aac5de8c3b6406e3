"""A run that a person terminates on the page ends at once, whatever its step is at."""

import os
import signal
import threading
import time
import uuid

import dagster as dg
import duckdb
import pytest
from dagster._core.execution.plan.objects import ErrorSource

from mixpanel_pipeline.definitions import build_definitions
from mixpanel_pipeline.lake.engine import is_interruption
from mixpanel_pipeline_tests.dagster.conftest import Dagster

PAUSE_SECONDS = 40
END_SECONDS = 15


def interrupt() -> None:
    """What the thread that waits for a termination does in a run's process (dagster_shared/ipc.py)."""
    os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture
def failing(dagster: Dagster) -> Dagster:
    """Each round of a snapshot fails, for a reason that may pass."""
    home = dagster.pipeline.settings.pipeline_home
    home.mkdir()
    (home / "scratch").write_text("a file where a directory should be")
    return dagster


def test_while_a_step_waits_for_its_next_round(failing: Dagster):
    policy = dg.RetryPolicy(max_retries=2, delay=PAUSE_SECONDS)
    definitions = build_definitions(pipeline=failing.pipeline, retry_policy=policy)
    run_id, began = str(uuid.uuid4()), []

    def terminate(entry: dg.EventLogEntry) -> None:
        if entry.user_message.startswith("round 1 of 3 failed, next in 40 s: "):
            began.append(time.monotonic())
            run = failing.instance.get_run_by_id(run_id)
            assert run
            failing.instance.report_run_canceling(run)
            threading.Timer(0.2, interrupt).start()

    failing.instance.add_event_listener(run_id, terminate)
    definitions.resolve_job_def("subscriber_profiles_job").execute_in_process(
        instance=failing.instance, run_id=run_id, raise_on_error=False
    )
    assert time.monotonic() - began[0] < END_SECONDS
    run = failing.instance.get_run_by_id(run_id)
    assert run
    assert run.status == dg.DagsterRunStatus.CANCELED
    (failure,) = failing.instance.all_logs(run_id, of_type=dg.DagsterEventType.STEP_FAILURE)
    assert failure.get_dagster_event().step_failure_data.error_source == ErrorSource.INTERRUPT


def test_a_step_goes_on_with_its_rounds_after_any_other_error(failing: Dagster):
    result = failing.run("subscriber_profiles_job")
    assert not result.success
    retries = [event for event in result.all_events if event.is_step_up_for_retry]
    assert len(retries) == 2


def test_duckdb_tells_of_a_signal_in_its_own_words():
    class Ended(BaseException):
        pass

    def end(*_: object) -> None:
        raise Ended

    def compute_for_ever() -> None:
        with duckdb.connect(config={"threads": 2}) as engine:
            timer.start()
            while True:
                engine.execute("select max(hash(range)) from range(3_000_000)").fetchall()

    before = signal.signal(signal.SIGINT, end)
    timer = threading.Timer(0.3, interrupt)
    try:
        with pytest.raises((RuntimeError, Ended)) as raised:
            compute_for_ever()
    finally:
        timer.join()
        signal.signal(signal.SIGINT, before)
    error = raised.value
    assert isinstance(error, Ended) or (isinstance(error, Exception) and is_interruption(error))
    assert not is_interruption(ValueError("Query interrupted"))
