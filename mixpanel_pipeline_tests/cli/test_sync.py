"""`sync`, `verify` and `status` end to end: real processes, Postgres, HTTP, and Dagster's instance."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mixpanel_pipeline.simulator import SimulatorServer
from mixpanel_pipeline_tests.cli.conftest import Run
from mixpanel_pipeline_tests.postgres.test_damaged_files import flipped

pytestmark = pytest.mark.usefixtures("on_database")
YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
DAYS = [str(YESTERDAY - timedelta(days=number)) for number in (2, 1, 0)]


def result_of(finished: Any, code: int = 0) -> dict[str, Any]:
    """The one JSON object that a command printed."""
    assert finished.returncode == code, finished.stderr
    assert finished.stdout.count("\n") == 1
    return json.loads(finished.stdout)


def test_a_projects_first_days(
    run: Run, project: SimulatorServer, environment: dict[str, str], database_url: str
) -> None:
    first = result_of(run("sync", "--json"))
    assert [day["export_day"] for day in first["days"]] == DAYS
    assert all(day["status"] == "completed" and day["new_events"] > 0 for day in first["days"])
    assert [run["what"] for run in first["runs"]] == ["late event sweep", f"{DAYS[0]} to {DAYS[2]}"]

    again = result_of(run("sync", "--json"))
    assert [(day["export_day"], day["unchanged"], day["new_events"]) for day in again["days"]] == [(DAYS[2], True, 0)]

    noon = int(datetime.fromisoformat(f"{DAYS[0]}T12:00:00+00:00").timestamp())
    project.project.add(
        "SubscriptionCreated", "late-phone", noon, processed_ms=int(datetime.now(UTC).timestamp() * 1000)
    )
    late = result_of(run("sync", "--json"))
    assert late["late_days"] == {DAYS[0]: 1}
    assert {day["export_day"]: day["new_events"] for day in late["days"]} == {DAYS[0]: 1, DAYS[2]: 0}

    found = result_of(run("status", "--json"))
    assert (found["partitions"], found["missing_days"], found["failed_days"]) == (3, [], [])
    assert found["watermarks"][0]["last_event_time"].startswith(DAYS[2])
    assert found["requests_in_last_hour"] > 5
    assert "late-phone" not in run("status").stderr
    assert result_of(run("verify", "--json"))["passed"]
    _every_run_is_dagsters(database_url, first, again, late)
    _somebody_writes_past_the_pipeline(run, database_url, Path(environment["PIPELINE_HOME"]))


def _every_run_is_dagsters(database_url: str, *reports: dict[str, Any]) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select run_id, status from dagster.runs").fetchall()
    stored = {str(run_id): status for run_id, status in rows}
    for report in reports:
        assert all(stored[run["run_id"]] == "SUCCESS" for run in report["runs"])


def _somebody_writes_past_the_pipeline(run: Run, database_url: str, home: Path) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "update subscribers_insights_v2 set total_copies = total_copies + 7 where distinct_id = "
            "(select min(distinct_id) from subscribers_insights_v2)"
        )
    failed = result_of(run("verify", "--json"), code=1)
    bad = [check for check in failed["checks"] if not check["passed"]]
    assert [check["check"] for check in bad] == ["add_equals_replace"]
    assert bad[0]["rows"][0]["column"] == "total_copies"
    shown = run("verify", "--from", DAYS[0], "--to", DAYS[0])
    assert shown.returncode == 1
    assert "FAILED" in shown.stdout
    assert "sync --full" in shown.stdout
    _damage_a_day(home, database_url)
    damaged = run("verify", "--from", DAYS[0], "--to", DAYS[2])
    assert damaged.returncode == 1
    assert f"the raw partition of {DAYS[1]} (" in damaged.stdout
    assert "Traceback" not in damaged.stderr
    repaired = result_of(run("sync", "--full", "--json"))
    assert repaired["corrected"] == {"contributions": 0, "totals": 1}
    assert [run["what"] for run in repaired["runs"]] == [f"{DAYS[0]} to {DAYS[2]}", "REPLACE", "checks"]
    _every_run_is_dagsters(database_url, repaired)
    assert result_of(run("verify", "--json"))["passed"]


def _damage_a_day(home: Path, database_url: str) -> None:
    """Other bytes in the middle of its file."""
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select file from raw_partitions where export_day = %s", [DAYS[1]]).fetchone()
    assert row
    file = home / "lake" / row[0]
    whole = file.read_bytes()
    file.write_bytes(flipped(whole, len(whole) // 3, len(whole) // 3))


def test_a_backfill_of_some_days(run: Run, project: SimulatorServer) -> None:
    assert project.project.requests == []
    done = run("sync", "--from", DAYS[1], "--to", DAYS[1])
    assert done.returncode == 0, done.stderr
    assert DAYS[1] in done.stdout
    assert "1 day in" in done.stdout
    assert f"{DAYS[1]} is done (1 of 1)" in done.stderr
    missing = run("status")
    assert f"1 day never fetched: {DAYS[2]}" in missing.stdout
    assert f"sync --from {DAYS[2]} --to {DAYS[2]}" in missing.stdout


def test_a_check_that_cannot_be_run_has_failed_and_the_others_are_run(
    run: Run, environment: dict[str, str], database_url: str
) -> None:
    assert environment["DATABASE_URL"] == database_url
    with psycopg.connect(database_url) as connection:
        connection.execute("alter table sync_watermarks rename to sync_watermarks_gone")
    found = result_of(run("verify", "--json"), code=1)
    broken = [check for check in found["checks"] if "could not be run: " in check["summary"]]
    assert [check["check"] for check in broken] == ["watermark_advances"]
    assert "sync_watermarks" in broken[0]["summary"]
    assert not broken[0]["passed"]
    assert len(found["checks"]) > 10


def test_wrong_credentials_are_said_once(run: Run, project: SimulatorServer) -> None:
    finished = run("sync", "--from", DAYS[0], "--to", DAYS[2], MIXPANEL_SECRET="hunter2")
    assert finished.returncode == 1
    assert "Check MIXPANEL_USERNAME and MIXPANEL_SECRET" in finished.stdout
    assert "Not reached because an earlier day failed: 2 days" in finished.stdout
    assert "hunter2" not in finished.stdout + finished.stderr
    assert "Traceback" not in finished.stderr
    assert {request.status for request in project.project.requests} == {401}
    failed = json.loads(run("status", "--json").stdout)
    assert failed["failed_days"] == [DAYS[0]]
