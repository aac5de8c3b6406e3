"""Dagster's own storage: in a schema of the pipeline's Postgres, through psycopg2, wherever that Postgres is."""

import os
import subprocess
import sys
from urllib.parse import quote

import dagster as dg
import psycopg
import pytest
import sqlalchemy
from sqlalchemy.engine import make_url

from mixpanel_pipeline.dagster_project.instance import dagster_instance, prepare_dagster_home, storage_url
from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres

PASSWORD = "p@ss:w/o%?#&= '\"é"


@pytest.mark.parametrize(
    ("where", "host", "port"),
    [
        ("@db.example.com:6543/prod?sslmode=require", "db.example.com", 6543),
        ("@db.example.com/prod?sslmode=require", "db.example.com", None),
        ("@/prod?host=/var/run/my%20sockets&sslmode=require", None, None),
    ],
)
def test_the_address_says_psycopg2_and_keeps_every_part(where: str, host: str | None, port: int | None):
    storage = make_url(storage_url(f"postgresql://me:{quote(PASSWORD, safe='')}{where}"))
    assert storage.drivername == "postgresql+psycopg2"
    assert (storage.username, storage.password, storage.database) == ("me", PASSWORD, "prod")
    assert (storage.host, storage.port, storage.query["sslmode"]) == (host, port, "require")
    if host is None:
        assert storage.query["host"] == "/var/run/my sockets"


def test_options_of_ones_own_stay():
    storage = make_url(storage_url("postgresql://me@host/prod?options=-cstatement_timeout%3D5000"))
    assert storage.query["options"] == "-cstatement_timeout=5000 -csearch_path=dagster -cTimeZone=UTC"


def test_the_address_reaches_the_schema(database_url: str):
    with psycopg.connect(database_url) as connection:
        connection.execute("create schema dagster")
    with sqlalchemy.create_engine(storage_url(database_url)).connect() as connection:
        found = connection.execute(sqlalchemy.text("select current_schema(), current_setting('TimeZone')"))
        assert tuple(found.one()) == ("dagster", "UTC")


def test_a_prepared_home_is_what_dagster_needs(settings: Settings, database_url: str):
    environment = prepare_dagster_home(settings, database_url)
    assert environment["DAGSTER_DISABLE_TELEMETRY"] == "1"
    assert environment["DAGSTER_HOME"] == str(settings.pipeline_home / "dagster")
    with dagster_instance(environment) as instance:
        assert os.environ["DAGSTER_HOME"] == environment["DAGSTER_HOME"]
        limits = {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}
        assert limits == {"mixpanel_export": 3, "mixpanel_query": 3}
        assert not instance.telemetry_enabled
        assert instance.run_retries_enabled
        assert instance.run_monitoring_enabled
    assert "DAGSTER_HOME" not in os.environ
    with psycopg.connect(database_url) as connection:
        schemas = connection.execute("select schemaname from pg_tables where tablename in ('runs', 'event_logs')")
        assert schemas.fetchall() == [("dagster",), ("dagster",)]


def test_several_processes_may_prepare_it_at_once(settings: Settings, database_url: str):
    statement = (
        "import sys; from mixpanel_pipeline.settings import load_settings; "
        "from mixpanel_pipeline.dagster_project.instance import prepare_dagster_home; "
        "prepare_dagster_home(load_settings(), sys.argv[1])"
    )
    command = [sys.executable, "-c", statement, database_url]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    with dagster_instance(prepare_dagster_home(settings, database_url)) as instance:
        assert instance.get_runs_count() == 0


def test_a_role_that_may_create_no_database_is_enough(
    settings: Settings, database_url: str, postgres: EmbeddedPostgres
):
    database = make_url(database_url).database
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("create role tenant login nocreatedb nosuperuser")
        try:
            connection.execute("create schema dagster authorization tenant")
            tenant_url = postgres.url(str(database)).replace("postgres@", "tenant@")
            with dagster_instance(prepare_dagster_home(settings, tenant_url)) as instance:
                assert instance.get_runs_count() == 0
        finally:
            connection.execute("drop owned by tenant cascade")
            connection.execute("drop role tenant")


def test_a_run_is_kept_in_postgres(settings: Settings, database_url: str):
    @dg.asset
    def anything() -> int:
        return 1

    with dagster_instance(prepare_dagster_home(settings, database_url)) as instance:
        assert dg.materialize([anything], instance=instance).success
        assert instance.get_latest_materialization_event(dg.AssetKey("anything"))
    with psycopg.connect(database_url) as connection:
        assert connection.execute("select status from dagster.runs").fetchall() == [("SUCCESS",)]
