"""What the demo works on: a directory of its own, made anew each time, and a simulated Mixpanel project."""

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout

from mixpanel_pipeline.cli.output import say
from mixpanel_pipeline.cli.servers import ServerError
from mixpanel_pipeline.settings import Settings, load_settings
from mixpanel_pipeline.simulator import Limits, Project, SimulatorServer
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres

PROJECT_ID = 12345
SEED = 2026
PEOPLE = 200
# The first of them belong to the people of the events.
PROFILES = 500
# Beyond so many, Mixpanel's 60 requests an hour would have the demo wait for the next hour.
DAYS_WITHIN_LIMITS = 45

# The exports of these days (counted from the first) go wrong once, as Mixpanel's sometimes do.
DAY_CUT_SHORT, DAY_WITH_HALF_A_SURROGATE = 1, 2


@contextmanager
def demo_home(directory: Path) -> Iterator[Path]:
    """An empty directory for this demo. Whatever an earlier one left, even after a crash, is stopped and removed.

    Raises:
        ServerError: another demo is running in it.
    """
    directory.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(directory.with_name(directory.name + ".lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ServerError(f"another demo is running in {directory}; end it first, or set PIPELINE_HOME") from None
    with lock:
        if directory.exists():
            EmbeddedPostgres(directory / "postgres").stop()
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        # Settings are read from here on in the demo's directory: the user's .env is about another project.
        before = Path.cwd()
        os.chdir(directory)
        try:
            yield directory
        finally:
            os.chdir(before)


@contextmanager
def demo_project(days: int, events_per_day: int) -> Iterator[SimulatorServer]:
    """A Mixpanel project with that much history, served on this machine, with Mixpanel's own limits."""
    first_day = datetime.now(UTC).date() - timedelta(days=days)
    project = Project(
        project_id=PROJECT_ID, seed=SEED, events_per_day=events_per_day, people=PEOPLE, profiles=PROFILES,
        first_day=first_day, limits=Limits.as_published(), query_limits=Limits.of_queries(),
    )  # fmt: skip
    project.faults.add("terminated_early", day=first_day + timedelta(days=DAY_CUT_SHORT), after_rows=5)
    project.faults.add("lone_surrogate", day=first_day + timedelta(days=DAY_WITH_HALF_A_SURROGATE))
    with SimulatorServer(project) as server:
        yield server


def demo_settings(home: Path, server: SimulatorServer, days: int) -> Settings:
    """Settings of the demo alone, which this process and Dagster's then read from the environment."""
    for name in list(os.environ):
        if name.lower() in Settings.model_fields:
            del os.environ[name]
    credentials = server.project.credentials
    os.environ.update(
        PIPELINE_HOME=str(home),
        MIXPANEL_PROJECT_ID=str(credentials.project_id),
        MIXPANEL_USERNAME=credentials.username,
        MIXPANEL_SECRET=credentials.secret,
        MIXPANEL_DATA_URL=server.url,
        MIXPANEL_QUERY_URL=server.url,
        MIXPANEL_START_DATE=str(datetime.now(UTC).date() - timedelta(days=days)),
        SYNC_WINDOW_DAYS=str(days),
        DASHBOARD_JWT_SECRET=secrets.token_urlsafe(48),
    )
    return load_settings()


def lift_limits(warehouse: Warehouse, server: SimulatorServer, reason: str) -> None:
    """In the demo's own database, and at its Mixpanel, every request may be sent at once."""
    say(f"{reason}: this simulated project has no limit of 60 requests an hour")
    server.project.limits, server.project.query_limits = Limits(), Limits()
    with warehouse.connect() as connection:
        connection.execute(
            "create or replace function mixpanel_take_request(p_project_id bigint, p_api text, p_per_hour integer, "
            "p_per_second integer, out wait_seconds double precision, out reason text) language sql as "
            "$$ insert into mixpanel_requests (project_id, api, requested_at) values (p_project_id, p_api, now()); "
            "select 0::double precision, ''::text $$"
        )
