"""Whoever ends a command ends it at once, also while a step waits for its next round; and that is no failed run."""

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from mixpanel_pipeline.simulator import SimulatorServer
from mixpanel_pipeline_tests.cli.conftest import PROGRAM, Run

pytestmark = pytest.mark.usefixtures("on_database")
# The pause between two rounds of a step is half a minute.
END_SECONDS = 15


def interrupted(
    command: str,
    said: str,
    number: signal.Signals,
    environment: dict[str, str],
    directory: Path,
    ready: Callable[[], bool] = lambda: True,
    then: Callable[[], object] = lambda: None,
) -> tuple[int, str]:
    """Sends the signal once the command said that and all is `ready`; its exit code, and what it said afterwards.
    `then` comes after the signal."""
    with subprocess.Popen(
        [*PROGRAM, command], env=environment, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if said in line:
                break
        while not ready() and process.poll() is None:
            time.sleep(0.05)
        process.send_signal(number)
        then()
        _, rest = process.communicate(timeout=END_SECONDS)
        return process.returncode, rest


def test_a_run_that_is_being_created(run: Run, environment: dict[str, str], database_url: str, tmp_path: Path) -> None:
    assert run("aggregate", "--daily").returncode == 0
    with psycopg.connect(database_url) as connection:
        # What the run plans cannot be stored, so its creation does not end.
        connection.execute("lock table dagster.event_logs in exclusive mode")
        code, said = interrupted(
            "aggregate", "Dagster run of web_hourly_job", signal.SIGINT, environment, tmp_path,
            lambda: "web_hourly_job" in runs_of(database_url), connection.rollback,
        )  # fmt: skip
    assert (code, said.splitlines()[-1]) == (130, "interrupted")
    assert runs_of(database_url) == {"web_daily_job": "SUCCESS", "web_hourly_job": "CANCELED"}
    assert not list(Path(environment["PIPELINE_HOME"]).glob("dagster/runs-of-commands/*"))


def runs_of(database_url: str) -> dict[str, str]:
    with psycopg.connect(database_url) as connection:
        return dict(connection.execute("select pipeline_name, status from dagster.runs").fetchall())


def test_a_snapshot_while_mixpanel_is_asked(
    run: Run, environment: dict[str, str], database_url: str, project: SimulatorServer, tmp_path: Path
) -> None:
    project.project.set_profile("ann", {})
    project.project.faults.add("slow_first_byte", seconds=5)
    code, said = interrupted(
        "profiles", "asking Mixpanel", signal.SIGINT, environment, tmp_path, lambda: bool(project.project.requests)
    )
    assert (code, said.splitlines()[-1]) == (130, "interrupted")
    assert runs_of(database_url) == {"subscriber_profiles_job": "CANCELED"}
    told = "it was interrupted: by Ctrl-C, or its run was terminated"
    assert f"the newest snapshot failed: {told}" in run("status").stdout


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_step_that_waits_for_its_next_round(
    environment: dict[str, str], database_url: str, tmp_path: Path, number: signal.Signals
) -> None:
    home = Path(environment["PIPELINE_HOME"])
    home.mkdir()
    (home / "scratch").write_text("a file where a directory should be")
    code, said = interrupted("profiles", "round 1 of 3 failed, next in ", number, environment, tmp_path)
    assert (code, said.splitlines()[-1]) == (130, "interrupted")
    assert runs_of(database_url) == {"subscriber_profiles_job": "CANCELED"}
