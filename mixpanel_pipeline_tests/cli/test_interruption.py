"""A sync that is told to end ends; one that is killed leaves nothing that stands in the way."""

import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from mixpanel_pipeline.simulator import SimulatorServer
from mixpanel_pipeline_tests.cli.conftest import PROGRAM, Run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("on_database")]
YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
# Long before the half minute after which Dagster would give the step another attempt.
END_SECONDS = 20


def interrupted_sync(environment: dict[str, str], directory: Path, number: signal.Signals) -> int:
    """Sends the signal while the second day is fetched; gives the exit code."""
    with subprocess.Popen(
        [*PROGRAM, "sync"], env=environment, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if "is done (1 of 3)" in line:
                break
        process.send_signal(number)
        return process.wait(END_SECONDS)


def held_slots(database_url: str) -> int:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select count(run_id) from dagster.concurrency_slots").fetchone()
    return row[0] if row else -1


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_days_done_stay_done_and_the_next_sync_goes_on(
    run: Run,
    environment: dict[str, str],
    database_url: str,
    project: SimulatorServer,
    tmp_path: Path,
    number: signal.Signals,
    code: int,
) -> None:
    project.project.faults.add("slow_first_byte", times=1, day=YESTERDAY - timedelta(days=1), seconds=8)
    assert interrupted_sync(environment, tmp_path, number) == code
    again = run("sync")
    assert again.returncode == 0, again.stdout + again.stderr
    with psycopg.connect(database_url) as connection:
        states = dict(connection.execute("select status, count(*) from dagster.runs group by 1").fetchall())
    ended = "FAILURE" if number == signal.SIGKILL else "CANCELED"
    assert states[ended] == 1
    assert set(states) == {ended, "SUCCESS"}
    assert held_slots(database_url) == 0
    assert run("verify").returncode == 0
