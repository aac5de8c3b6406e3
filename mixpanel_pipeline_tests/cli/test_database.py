"""`migrate`, `rollback`, `psql`, `env`, and the embedded Postgres that ends with its last user."""

import json
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from mixpanel_pipeline.cli.ports import free_port
from mixpanel_pipeline.cli.servers import LOOPBACK
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline.warehouse.migrations import available_migrations
from mixpanel_pipeline_tests.cli.conftest import PROGRAM, Run

NAMES = [migration.name for migration in available_migrations()]


@pytest.mark.usefixtures("on_database")
def test_migrations_go_back_and_forth(run: Run) -> None:
    assert json.loads(run("migrate", "--json").stdout) == {"applied": []}
    assert json.loads(run("rollback", "--json").stdout) == {"taken_back": NAMES[-1:], "now_at": NAMES[-2]}
    all_but_one = {"taken_back": NAMES[-2::-1], "now_at": None}
    assert json.loads(run("rollback", "--to", "0000", "--json").stdout) == all_but_one
    assert json.loads(run("migrate", "--json").stdout) == {"applied": NAMES}


def test_a_database_that_was_never_migrated_is_its_owners_to_migrate(
    run: Run, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    with empty_database(postgres) as url:
        lacking = run("status", DATABASE_URL=url)
        assert lacking.returncode == 1
        assert f"lacks {len(NAMES)} migrations ({', '.join(NAMES)}): run `mixpanel-pipeline migrate`" in lacking.stderr
        assert run("migrate", DATABASE_URL=url).returncode == 0
        assert run("status", DATABASE_URL=url).returncode == 0


@contextmanager
def empty_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("create database never_migrated")
        yield postgres.url("never_migrated")
        connection.execute("drop database never_migrated with (force)")


def stays_taken_back(run: Run, *commands: Sequence[str]) -> None:
    """Whatever this version is asked to do, until somebody asks for migrations."""
    told = run("rollback", "--to", NAMES[-3]).stderr
    assert f"is at {NAMES[-3]}, and stays there. Run the version before {NAMES[-2]} " in told
    for command in commands:
        refused = run(*command)
        assert refused.returncode == 1, command
        assert refused.stdout == ""
        assert f"`rollback` took back {NAMES[-2]} and what came after it (20" in refused.stderr
        assert "or `mixpanel-pipeline migrate` to have all again" in refused.stderr
    at = run("psql", "-A", "-t", "-c", "select max(name) from schema_migrations").stdout.strip()
    assert at == NAMES[-3]
    assert json.loads(run("migrate", "--json").stdout) == {"applied": NAMES[-2:]}
    assert run("status").returncode == 0


@pytest.mark.usefixtures("on_database", "project")
def test_what_was_taken_back_stays_so(run: Run) -> None:
    stays_taken_back(run, ["verify"], ["sync"], ["up", "--port", str(free_port(LOOPBACK))])


@pytest.mark.slow
@pytest.mark.usefixtures("project")
def test_what_was_taken_back_stays_so_in_the_embedded_postgres(run: Run) -> None:
    try:
        made = run("env")  # so that it runs all the time, which is quicker
        assert f"applied {', '.join(NAMES)}\n" in made.stderr
        stays_taken_back(run, ["verify"], ["status"], ["env"])
    finally:
        run("env", "--stop")


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


def test_env_takes_postgres_away_from_nobody(run: Run, environment: dict[str, str], tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "home" / "postgres")
    run("psql", "--url")
    with subprocess.Popen(
        [*PROGRAM, "psql", "-q", "-t", "-c", "select 'connected'", "-c", r"\! cat"],
        env=environment, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as user:  # fmt: skip
        assert user.stdout is not None
        assert user.stdout.readline().strip() == "connected"
        told = run("env", "--stop", "--json")
        assert told.returncode == 0
        said = json.loads(told.stdout)
        assert said["stopped"] is False
        assert "psql -q -t" in said["used_by"][str(user.pid)]
        assert "ends with the last of its users" in told.stderr
        assert server.is_running()
        user.communicate()
    assert not server.is_running()
    assert json.loads(run("env", "--stop", "--json").stdout) == {"stopped": True, "used_by": {}}


def test_there_is_nothing_to_stop_where_nothing_is(run: Run, tmp_path: Path) -> None:
    assert run("env", "--stop").returncode == 0
    assert not (tmp_path / "home").exists()
