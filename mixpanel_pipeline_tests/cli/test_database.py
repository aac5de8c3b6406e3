"""`migrate`, `rollback`, `psql`, `env`, and the embedded Postgres that ends with its last user."""

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline.warehouse.migrations import available_migrations
from mixpanel_pipeline_tests.cli.conftest import Run

NAMES = [migration.name for migration in available_migrations()]


@pytest.mark.usefixtures("on_database")
def test_migrations_go_back_and_forth(run: Run) -> None:
    assert json.loads(run("migrate", "--json").stdout) == {"applied": []}
    assert json.loads(run("rollback", "--json").stdout) == {"taken_back": NAMES[-1:]}
    assert json.loads(run("rollback", "--to", "0000", "--json").stdout) == {"taken_back": NAMES[-2::-1]}
    lacking = run("status")
    assert lacking.returncode == 1
    assert "run `mixpanel-pipeline migrate`" in lacking.stderr
    assert json.loads(run("migrate", "--json").stdout) == {"applied": NAMES}


def test_rollback_to_what_there_never_was(run: Run, tmp_path: Path) -> None:
    finished = run("rollback", "--to", "9999")
    assert finished.returncode == 2
    assert "--to 9999: there is no such migration; there are 0000 (none), 0001_" in finished.stderr
    assert not (tmp_path / "home").exists()


@pytest.mark.usefixtures("on_database")
def test_rollback_to_what_is_not_applied(run: Run) -> None:
    run("rollback")
    finished = run("rollback", "--to", NAMES[-1])
    assert finished.returncode == 1
    assert f"{NAMES[-1]} is not applied; applied are:" in finished.stderr


@pytest.mark.usefixtures("on_database")
def test_psql_asks_the_pipelines_database(run: Run, database_url: str) -> None:
    finished = run("psql", "-A", "-t", "-c", "select count(*) from schema_migrations")
    assert finished.stdout.strip() == str(len(NAMES))
    assert run("psql", "-c", "select nonsense").returncode == 1
    assert run("psql", "--url").stdout.strip() == database_url


def test_psql_shows_the_address_without_its_password(run: Run, postgres: EmbeddedPostgres, database_url: str) -> None:
    with_password = database_url.replace("postgres@", "postgres:hunter2@")
    finished = run("psql", "--url", "--json", DATABASE_URL=with_password)
    assert "hunter2" not in finished.stdout + finished.stderr
    assert str(postgres.socket_directory) in json.loads(finished.stdout)["url"]
    assert "PGPASSWORD" in finished.stderr


def test_the_embedded_server_ends_with_its_last_user(run: Run, tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "home" / "postgres")
    first = json.loads(run("status", "--json").stdout)
    assert first["partitions"] == 0
    assert not server.is_running()


def test_env_is_for_eval_and_leaves_the_server_running(run: Run, environment: dict[str, str], tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "home" / "postgres")
    try:
        lines = run("env").stdout
        shown = subprocess.run(
            ["/bin/sh", "-c", 'eval "$1"; echo "$DAGSTER_HOME"', "sh", lines],
            capture_output=True, text=True, check=True, env=environment,
        )  # fmt: skip
        assert shown.stdout.strip() == str(tmp_path / "home" / "dagster")
        assert all(shlex.split(line)[0] == "export" for line in lines.splitlines())
        run("status")
        assert server.is_running()
    finally:
        run("env", "--stop")
    assert not server.is_running()
