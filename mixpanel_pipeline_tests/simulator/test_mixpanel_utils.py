"""Mixpanel's own client reads the simulator as it reads Mixpanel."""

import json
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from mixpanel_pipeline.simulator import Project
from mixpanel_pipeline_tests.simulator.client import DAY, TODAY, Client

VERSION = "2.2.7"
# The client keeps its base address in an attribute, so nothing of it has to be replaced.
SCRIPT = """
import sys
from mixpanel_utils import MixpanelUtils

url, day, plain, compressed, secret_only = sys.argv[1:]
account = MixpanelUtils("demo-secret", service_account_username="demo-account", project_id=12345)
project = MixpanelUtils("demo-secret")
for client in (account, project):
    client.raw_api = url + "/api"
params = {"from_date": day, "to_date": day}
account.export_events(plain, dict(params))
account.export_events(compressed, dict(params), add_gzip_header=True)
project.export_events(secret_only, dict(params, event='["$ae_session"]'))
"""


@pytest.fixture(scope="session")
def client_python(request: pytest.FixtureRequest) -> Path:
    """A Python of its own with mixpanel-utils, kept in pytest's cache: it is no dependency of ours."""
    cache = request.config.cache
    assert cache is not None
    directory = cache.mkdir(f"mixpanel-utils-{VERSION}-{sys.version_info.major}.{sys.version_info.minor}")
    python = directory / "bin" / "python"
    if not (directory / "installed").exists():
        venv.create(directory, with_pip=True, clear=True)
        install = [python, "-m", "pip", "install", "--quiet", "--no-deps", f"mixpanel-utils=={VERSION}"]
        subprocess.run(install, check=True)
        (directory / "installed").touch()
    return python


@pytest.mark.slow
def test_mixpanel_utils_exports_the_same_events(server, client: Client, client_python: Path, tmp_path: Path) -> None:
    server.project = Project(events_per_day=500, people=50, today=lambda: TODAY)
    files = [tmp_path / name for name in ("plain.json", "compressed.json", "secret_only.json")]
    subprocess.run([client_python, "-c", SCRIPT, server.url, str(DAY), *map(str, files)], check=True)
    plain, compressed, secret_only = (json.loads(file.read_text()) for file in files)
    assert len(plain) == 500
    assert plain == compressed == client.rows()
    assert secret_only == [row for row in plain if row["event"] == "$ae_session"]
    assert [entry.status for entry in server.project.requests] == [200] * 4
