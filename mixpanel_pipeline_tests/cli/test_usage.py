"""Bad usage and bad settings end with exit code 2 and one line; what cannot be reached ends with 1."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mixpanel_pipeline.cli.group import COMMANDS
from mixpanel_pipeline_tests.cli.conftest import Run

TODAY = datetime.now(UTC).date()


def test_help_lists_every_command(run: Run) -> None:
    finished = run("--help")
    assert finished.returncode == 0
    assert all(f"  {name} " in finished.stdout for name in COMMANDS)


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "simulate"])
def test_every_command_has_help_and_json(run: Run, name: str) -> None:
    finished = run(name, "--help")
    assert finished.returncode == 0
    assert "--json" in finished.stdout


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["sink"], "No such command 'sink'"),
        (["status", "--jason"], "No such option"),
        (["sync", "--from", "2025-13-01", "--to", "2025-12-01"], "'2025-13-01' is no day; it takes YYYY-MM-DD"),
        (["sync", "--from", "2025-02-30", "--to", "2025-03-01"], "is no day"),
        (["sync", "--from", "2025-11-02", "--to", "2025-11-01"], "--from 2025-11-02 lies after --to 2025-11-01"),
        (["sync", "--from", "2025-11-02"], "--from and --to go together"),
        (["sync", "--full", "--from", "2025-11-01", "--to", "2025-11-02"], "either it or --from and --to"),
        (["sync", "--from", str(TODAY), "--to", str(TODAY)], f"{TODAY} is not over yet"),
        (["sync", "--from", "2001-01-01", "--to", "2001-01-02"], "MIXPANEL_START_DATE"),
        (["verify", "--from", "yesterday"], "'yesterday' is no day"),
        (["verify", "--to", "2025-11-02"], "--from and --to go together"),
        (["psql", "--json"], "--url"),
        (["demo", "--days", "0"], "--days"),
        (["simulate", "--fault", "earthquake"], "no fault is called 'earthquake'"),
    ],
)
def test_bad_usage(run: Run, arguments: list[str], part: str) -> None:
    finished = run(*arguments)
    assert finished.returncode == 2
    assert part in finished.stderr
    assert "--json" in arguments or finished.stdout == ""
    assert len(finished.stderr.strip().splitlines()) == 1 or arguments[0] == "simulate"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"SYNC_WINDOW_DAYS": "many"}, "SYNC_WINDOW_DAYS: got 'many'; it takes days of the first sync"),
        ({"DATABASE_URL": "mysql://root:hunter2@db/x"}, "DATABASE_URL: got a value (not shown), which is no"),
        (
            {"MIXPANEL_START_DATE": str(TODAY + timedelta(days=9))},
            f"MIXPANEL_START_DATE: got '{TODAY + timedelta(days=9)}', which lies in the future; it takes",
        ),
        ({"PIPELINE_HOME": "/dev/null"}, "PIPELINE_HOME: got '/dev/null'; it takes a directory that can be made"),
        ({"PIPELINE_HOME": "/proc/none/here"}, "PIPELINE_HOME: got '/proc/none/here'; it takes a directory"),
    ],
)
def test_bad_settings(run: Run, settings: dict[str, str], line: str) -> None:
    finished = run("status", "--json", **settings)
    assert finished.returncode == 2
    assert finished.stderr.startswith(line)
    assert len(finished.stderr.strip().splitlines()) == 1
    assert json.loads(finished.stdout) == {"error": finished.stderr.strip(), "exit_code": 2}
    assert "hunter2" not in finished.stdout + finished.stderr


@pytest.mark.parametrize(("command", "account"), [("sync", {}), ("up", {"MIXPANEL_SECRET": "x"})])
def test_without_credentials_nothing_is_begun(run: Run, tmp_path: Path, command: str, account: dict[str, str]) -> None:
    finished = run(command, **account)
    assert finished.returncode == 2
    assert finished.stderr.startswith("MIXPANEL_PROJECT_ID: not set")
    assert not (tmp_path / "home").exists()


def test_a_lake_that_cannot_be_had(run: Run, tmp_path: Path) -> None:
    credentials = {"MIXPANEL_PROJECT_ID": "1", "MIXPANEL_SECRET": "x"}
    finished = run("sync", "--json", LAKE_URL="ipod://me:hunter2@host/lake", **credentials)
    assert finished.returncode == 2
    assert finished.stderr.startswith("LAKE_URL: got an address with 'ipod' (")
    assert json.loads(finished.stdout) == {"error": finished.stderr.strip(), "exit_code": 2}
    assert "hunter2" not in finished.stderr
    assert not (tmp_path / "home").exists()


def test_a_usage_error_keeps_no_start_date(run: Run, tmp_path: Path) -> None:
    assert run("sync", "--from", "2001-01-01", "--to", "2001-01-02").returncode == 2
    assert not (tmp_path / "home").exists()


def test_the_simulators_help_has_the_commands_name(run: Run) -> None:
    finished = run("simulate", "--help")
    assert finished.returncode == 0
    assert finished.stdout.startswith("usage: mixpanel-pipeline simulate ")


def test_a_database_out_of_reach(run: Run) -> None:
    finished = run("status", DATABASE_URL="postgresql://somebody:hunter2@127.0.0.1:1/nowhere")
    assert finished.returncode == 1
    assert "cannot connect to 127.0.0.1:1/nowhere" in finished.stderr
    assert "Check DATABASE_URL" in finished.stderr
    assert "hunter2" not in finished.stderr
    assert "Traceback" not in finished.stderr
