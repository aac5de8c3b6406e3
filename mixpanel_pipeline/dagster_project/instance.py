"""Dagster's instance: its home directory, and its storage in the pipeline's Postgres."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import psycopg
from dagster._core.instance.ref import InstanceRef
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy.engine import URL

from mixpanel_pipeline.dagster_project.resources import EXPORT_POOL, QUERY_POOL
from mixpanel_pipeline.settings import PROJECT_ROOT, Settings
from mixpanel_pipeline.warehouse.connection import Warehouse

# Dagster's tables live in a schema of their own; a managed Postgres may refuse a second database.
SCHEMA = "dagster"
INSTANCE_LOCK = 7_241_007

# Three requests a second is Mixpanel's limit, so more than three exports at once only wait for each other.
PARALLEL_EXPORTS = 3
# Mixpanel runs five queries of a project at once; two are left to people and their reports.
PARALLEL_QUERIES = 3

# Runs in this process leave its stdout and stderr alone: captured for the UI, they are no terminal any more.
TERMINAL_IS_THE_PERSONS = {
    "compute_logs": {"module": "dagster._core.storage.noop_compute_log_manager", "class": "NoOpComputeLogManager"}
}

STORAGE = """
# The address names psycopg2 (postgresql+psycopg2://): with SQLAlchemy 2.1 a bare postgresql:// is psycopg 3, on which
# every run dies (syntax error at or near "$1"). It is in the environment because it holds the password.
run_storage:
  module: dagster_postgres
  class: PostgresRunStorage
  config: &postgres {postgres_url: {env: DAGSTER_POSTGRES_URL}}
event_log_storage:
  module: mixpanel_pipeline.dagster_project.event_storage
  class: EventStorage
  config: *postgres
schedule_storage:
  module: dagster_postgres
  class: PostgresScheduleStorage
  config: *postgres
"""


def prepare_dagster_home(settings: Settings, warehouse_url: str) -> dict[str, str]:
    """Makes DAGSTER_HOME and Dagster's tables, once and under a lock; returns the environment of Dagster's processes.

    Four processes that make the tables at once crash in part (reference/dagster.md B.13), so this comes before
    the first of them. It may be repeated at any time; a newer Dagster's tables are migrated by it.

    Raises:
        WarehouseError: Postgres is out of reach.
    """
    home = settings.pipeline_home / "dagster"
    home.mkdir(parents=True, exist_ok=True)
    _write(home / "dagster.yaml", (PROJECT_ROOT / "dagster.yaml").read_text() + STORAGE)
    environment = {
        "PIPELINE_HOME": str(settings.pipeline_home),
        "DATABASE_URL": warehouse_url,
        "DAGSTER_HOME": str(home),
        "DAGSTER_POSTGRES_URL": storage_url(warehouse_url),
        "DAGSTER_DISABLE_TELEMETRY": "1",
        # Else a backfill fails for good when the daemon looks while the code server restarts (seen).
        "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR": "1",
        # 90 days of hours are 2,160 materializations, planned and done, of which each alone would cost two connections
        # and a commit (event_storage.py).
        "DAGSTER_EVENT_BATCH_SIZE": "500",
    }
    with Warehouse(warehouse_url).connect(autocommit=True) as connection:
        connection.execute("select pg_advisory_lock(%s)", [INSTANCE_LOCK])
        _create_schema(connection)
        with dagster_instance(environment) as instance:
            instance.upgrade()
            instance.event_log_storage.set_concurrency_slots(EXPORT_POOL, PARALLEL_EXPORTS)
            instance.event_log_storage.set_concurrency_slots(QUERY_POOL, PARALLEL_QUERIES)
    return environment


@contextmanager
def dagster_instance(environment: Mapping[str, str]) -> Iterator[dg.DagsterInstance]:
    """The instance that `environment` (of `prepare_dagster_home`) describes: the one whose runs the UI shows.

    For the length of the block it is this process's environment too: Dagster and the pipeline's settings, which a
    run in this process loads, are read from there.
    """
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    try:
        reference = InstanceRef.from_dir(environment["DAGSTER_HOME"], overrides=TERMINAL_IS_THE_PERSONS)
        with dg.DagsterInstance.from_ref(reference) as instance:
            yield instance
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def storage_url(warehouse_url: str) -> str:
    """The address of Dagster's schema, as SQLAlchemy and psycopg2 take it.

    Works for sockets (`?host=/directory`) and for passwords with any character in them.
    """
    parts = {name: str(value) for name, value in conninfo_to_dict(warehouse_url).items() if value is not None}
    options = " ".join(filter(None, [parts.pop("options", ""), f"-csearch_path={SCHEMA}", "-cTimeZone=UTC"]))
    host, port = parts.pop("host", None), parts.pop("port", None)
    user, password, database = (parts.pop(name, None) for name in ("user", "password", "dbname"))
    query = {**parts, "options": options}
    if host and host.startswith("/"):
        # A directory is no host name of a URL; psycopg2 takes it from the query.
        query["host"] = host
        if port:
            query["port"] = port
        host = port = None
    url = URL.create("postgresql+psycopg2", user, password, host, int(port) if port else None, database, query)
    return url.render_as_string(hide_password=False)


def _create_schema(connection: psycopg.Connection) -> None:
    """`create schema if not exists` asks for the right to create one even where it is there already."""
    if connection.execute("select 1 from pg_namespace where nspname = %s", [SCHEMA]).fetchone() is None:
        connection.execute(f"create schema {SCHEMA}")  # pyright: ignore[reportArgumentType, reportCallIssue]


def _write(path: Path, text: str) -> None:
    """Whole or not at all: another process may be reading it."""
    unfinished = path.with_suffix(f".{os.getpid()}.new")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(path)
