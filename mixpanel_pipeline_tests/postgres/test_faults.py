"""Every fault of the simulator ends in the right totals, or in an error that says what to do with everything as it
was."""

import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from pathlib import Path

import psycopg
import pytest

from mixpanel_pipeline.lake.manifest import read_partition
from mixpanel_pipeline.mixpanel.errors import MixpanelError
from mixpanel_pipeline.simulator import FAULTS, Project, SimulatorServer
from mixpanel_pipeline.subscribers.event_sync import EventSync
from mixpanel_pipeline.subscribers.locks import lock_totals
from mixpanel_pipeline.subscribers.watermark import read_watermark
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline.warehouse.migrations import migrate
from mixpanel_pipeline_tests.workbench import build_sync, expected_totals, exported_lines, stored_totals

DAY = date(2025, 3, 8)
NOW = datetime(2025, 3, 20, 12, tzinfo=UTC)

# Where trying again cannot help, and what the message must tell people to look at.
FATAL = {
    "plan_without_export": "plan",
    "expired_account": "MIXPANEL_SECRET",
    "forbidden": "MIXPANEL_PROJECT_ID",
    "wrong_region": "MIXPANEL_RESIDENCY",
}
# An hour is longer than these tests' patience; the error says when to run again.
TOO_LONG_TO_WAIT = {"rate_limited_hour": "Run it again after"}
# The export itself is whole; its content is odd.
ODDITIES = {
    "shuffled_rows", "nul_character", "lone_surrogate", "line_separator", "big_integers", "case_colliding_keys",
    "iso_time", "missing_insert_id", "missing_distinct_id", "empty_distinct_id", "garbage_line", "invalid_utf8",
    "materialisation_lag",
}  # fmt: skip
OF_EXPORTS = {name for name, kind in FAULTS.items() if "export" in kind.apis}
PASSING = sorted(OF_EXPORTS - set(FATAL) - set(TOO_LONG_TO_WAIT) - ODDITIES)
# However often the first byte comes late, the right answer follows.
LASTING = sorted({*PASSING, *FATAL} - {"slow_first_byte"})


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(Project(today=lambda: NOW)) as server:
        yield server


@pytest.fixture
def project(server: SimulatorServer) -> Project:
    server.project = Project(today=lambda: NOW, events_per_day=300, people=20, first_day=DAY, last_day=DAY, seed=3)
    return server.project


@pytest.fixture
def sync(warehouse: Warehouse, server: SimulatorServer, project: Project, tmp_path: Path) -> EventSync:
    return build_sync(warehouse, tmp_path, server.url, now=lambda: NOW)


def everything(warehouse: Warehouse) -> list:
    """All that a failed run must leave as it was; the log of syncs alone tells of it."""
    with warehouse.connect() as connection:
        return [
            connection.execute("select * from raw_partitions order by 1").fetchall(),
            connection.execute("select * from subscriber_daily_contributions order by 1, 2").fetchall(),
            connection.execute("select * from subscribers_insights_v2 order by 1").fetchall(),
            connection.execute("select * from sync_watermarks order by 1").fetchall(),
        ]


def last_log(warehouse: Warehouse) -> tuple[str, str | None]:
    with warehouse.connect() as connection:
        row = connection.execute("select status, error from sync_logs order by id desc limit 1").fetchone()
    assert row
    return row[0], row[1]


@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_fault_ends_in_the_right_totals(
    fault: str, sync: EventSync, warehouse: Warehouse, project: Project, server: SimulatorServer
) -> None:
    lines = exported_lines(server.url, DAY)
    project.faults.add(fault, times=1)
    sync.materialize_day(DAY)
    assert not project.faults.active(), "the fault never struck"
    assert stored_totals(warehouse) == expected_totals({DAY: lines})
    assert last_log(warehouse) == ("completed", None)


@pytest.mark.parametrize("fault", LASTING + sorted(TOO_LONG_TO_WAIT))
def test_a_lasting_fault_fails_and_changes_nothing(
    fault: str, sync: EventSync, warehouse: Warehouse, project: Project
) -> None:
    sync.materialize_day(DAY)
    before = everything(warehouse)
    project.add("SubscriptionCreated", "late", int(datetime(2025, 3, 8, 5, tzinfo=UTC).timestamp()))
    project.faults.add(fault, times=None)
    with pytest.raises(MixpanelError) as failure:
        sync.materialize_day(DAY)
    message = str(failure.value)
    assert "2025-03-08" in message
    assert "demo-secret" not in message
    assert ({**FATAL, **TOO_LONG_TO_WAIT}).get(fault, ".") in message
    assert everything(warehouse) == before
    status, error = last_log(warehouse)
    assert status == "failed"
    assert error is not None
    assert "demo-secret" not in error
    project.faults.clear()
    assert sync.materialize_day(DAY).new_events == 1


@pytest.mark.parametrize("fault", sorted(ODDITIES - {"garbage_line"}))
def test_odd_content_is_counted_like_the_plain_recomputation(
    fault: str, sync: EventSync, warehouse: Warehouse, project: Project, server: SimulatorServer
) -> None:
    project.faults.add(fault, times=None, rows=5)
    lines = exported_lines(server.url, DAY)
    result = sync.materialize_day(DAY)
    assert stored_totals(warehouse) == expected_totals({DAY: lines})
    assert result.partition.quarantined == 0


def test_garbage_between_events_is_quarantined_and_told(
    sync: EventSync, warehouse: Warehouse, project: Project, server: SimulatorServer, tmp_path: Path
) -> None:
    project.faults.add("garbage_line", times=None)
    lines = exported_lines(server.url, DAY)
    result = sync.materialize_day(DAY)
    assert result.partition.quarantined == 1
    assert stored_totals(warehouse) == expected_totals({DAY: lines})
    quarantine_file = result.partition.quarantine_file
    assert quarantine_file is not None
    quarantined = (tmp_path / "lake" / quarantine_file).read_text()
    assert '"reason": "no JSON' in quarantined


def test_half_surrogates_and_broken_utf8_are_mended(sync: EventSync, project: Project, warehouse: Warehouse) -> None:
    project.faults.add("lone_surrogate", times=None, rows=3)
    assert sync.materialize_day(DAY).partition.repaired == 3
    with warehouse.connect() as connection:
        assert read_partition(connection, DAY) is not None


def test_the_watermark_never_goes_back(sync: EventSync, warehouse: Warehouse, project: Project) -> None:
    sync.materialize_day(DAY)
    with warehouse.connect() as connection:
        reached = read_watermark(connection)
    project.delete(lambda event: True)
    sync.materialize_day(DAY)
    with warehouse.connect() as connection:
        assert read_watermark(connection) == reached
    assert stored_totals(warehouse) == {}


def test_a_full_disk_fails_with_what_to_do_and_changes_nothing(
    sync: EventSync, warehouse: Warehouse, project: Project, server: SimulatorServer, database_url: str, tmp_path: Path
) -> None:
    """A real process under a real limit on file size, which write() reports as a full disk does: EFBIG for ENOSPC."""
    sync.materialize_day(DAY)
    before = everything(warehouse)
    project.add("SubscriptionCreated", "late", int(datetime(2025, 3, 8, 5, tzinfo=UTC).timestamp()))
    program = (
        "import signal, sys; from datetime import date; from pathlib import Path\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "from mixpanel_pipeline_tests.workbench import build_sync\n"
        "from mixpanel_pipeline.warehouse.connection import Warehouse\n"
        "build_sync(Warehouse(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]).materialize_day(date(2025, 3, 8))\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program, database_url, str(tmp_path), server.url],
        capture_output=True, text=True, timeout=60, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )  # fmt: skip
    assert finished.returncode == 1
    assert "LandingError: project 12345, 2025-03-08: the export could not be kept on this machine" in finished.stderr
    assert "Free disk space where PIPELINE_HOME and LAKE_URL lie" in finished.stderr
    assert everything(warehouse) == before
    assert last_log(warehouse)[0] == "failed"
    assert sync.materialize_day(DAY).new_events == 1


def test_postgres_restarted_in_the_middle_of_a_load_changes_nothing(
    server: SimulatorServer, project: Project, tmp_path: Path
) -> None:
    directory = Path(tempfile.mkdtemp(prefix="mp-test-"))
    postgres = EmbeddedPostgres(directory / "postgres")
    warehouse = Warehouse(postgres.start())
    try:
        migrate(warehouse)
        sync = build_sync(warehouse, tmp_path, server.url, now=lambda: NOW)
        sync.materialize_day(DAY)
        before = everything(warehouse)
        project.add("SubscriptionCreated", "late", int(datetime(2025, 3, 8, 5, tzinfo=UTC).timestamp()))
        with warehouse.connect() as blocker, ThreadPoolExecutor(1) as threads:
            # The load stands still inside its transaction, contributions copied, until the server goes down.
            lock_totals(blocker)
            load = threads.submit(sync.materialize_day, DAY)
            wait_until_blocked(warehouse)
            postgres.stop()
            postgres.start()
            with pytest.raises(psycopg.OperationalError):
                load.result()
            blocker.close()
        assert everything(warehouse) == before
        assert last_log(warehouse)[0] == "failed"
        assert sync.materialize_day(DAY).new_events == 1
    finally:
        postgres.stop()
        shutil.rmtree(directory, ignore_errors=True)


def wait_until_blocked(warehouse: Warehouse) -> None:
    """Until a session waits for an advisory lock."""
    with warehouse.connect(autocommit=True) as connection:
        for _ in range(600):
            row = connection.execute(
                "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and wait_event = 'advisory'"
            ).fetchone()
            if row and row[0]:
                return
            connection.execute("select pg_sleep(0.05)")
    raise TimeoutError("no session came to wait for the totals lock within 30 s")
