"""The command line in a directory of its own, on a fresh database, with a simulated Mixpanel project."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.simulator import Project, SimulatorServer

Run = Callable[..., subprocess.CompletedProcess[str]]
PROGRAM = [sys.executable, "-c", "from mixpanel_pipeline.cli import main; main()"]
TIMEOUT_SECONDS = 240


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a command sees: no setting but its home. Tests add to it."""
    kept = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    return {**kept, "PIPELINE_HOME": str(tmp_path / "home")}


@pytest.fixture
def on_database(environment: dict[str, str], database_url: str) -> None:
    """Commands work on the fresh migrated database."""
    environment["DATABASE_URL"] = database_url


@pytest.fixture
def project(environment: dict[str, str]) -> Iterator[SimulatorServer]:
    """Commands ask this project: three days of a few events each."""
    today = datetime.now(UTC).date()
    simulated = Project(events_per_day=60, people=10, first_day=today - timedelta(days=3))
    with SimulatorServer(simulated) as server:
        environment.update(
            MIXPANEL_PROJECT_ID="12345",
            MIXPANEL_USERNAME="demo-account",
            MIXPANEL_SECRET="demo-secret",
            MIXPANEL_DATA_URL=server.url,
            MIXPANEL_QUERY_URL=server.url,
            MIXPANEL_START_DATE=str(today - timedelta(days=3)),
        )
        yield server


@pytest.fixture
def run(environment: dict[str, str], tmp_path: Path) -> Run:
    """Runs `mixpanel-pipeline ARGUMENTS` to its end."""

    def run_command(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*PROGRAM, *arguments], env={**environment, **more}, cwd=tmp_path, capture_output=True, text=True,
            timeout=TIMEOUT_SECONDS, check=False,
        )  # fmt: skip

    return run_command
