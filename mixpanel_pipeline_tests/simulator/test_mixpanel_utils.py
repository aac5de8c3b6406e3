"""Mixpanel's own client reads the simulator as it reads Mixpanel."""

import json
import subprocess
from pathlib import Path

import pytest

from mixpanel_pipeline.simulator import Limits, Project
from mixpanel_pipeline_tests.simulator.client import DAY, TODAY, Client
from mixpanel_pipeline_tests.simulator.other_clients import python_with

# The client keeps its base addresses in attributes, so nothing of it has to be replaced.
EVENTS = """
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
PROFILES = """
import json, sys
from mixpanel_utils import MixpanelUtils

url, *files = sys.argv[1:]
account = MixpanelUtils("demo-secret", service_account_username="demo-account", project_id=12345)
project = MixpanelUtils("demo-secret")
for client in (account, project):
    client.formatted_api = url + "/api"
where = 'properties["$last_seen"] >= "2025-06-01T00:00:00"'
for file, client, params in zip(files, (account, project, account), ({}, {"page_size": 250}, {"where": where})):
    with open(file, "w") as opened:
        json.dump(client.query_engage(params), opened)
"""


@pytest.fixture(scope="session")
def client_python(request: pytest.FixtureRequest) -> Path:
    return python_with(request, "mixpanel-utils", "2.2.7", "--no-deps")


@pytest.mark.slow
def test_mixpanel_utils_exports_the_same_events(server, client: Client, client_python: Path, tmp_path: Path) -> None:
    server.project = Project(events_per_day=500, people=50, today=lambda: TODAY)
    files = [tmp_path / name for name in ("plain.json", "compressed.json", "secret_only.json")]
    subprocess.run([client_python, "-c", EVENTS, server.url, str(DAY), *map(str, files)], check=True)
    plain, compressed, secret_only = (json.loads(file.read_text()) for file in files)
    assert len(plain) == 500
    assert plain == compressed == client.rows()
    assert secret_only == [row for row in plain if row["event"] == "$ae_session"]
    assert [entry.status for entry in server.project.requests] == [200] * 4


@pytest.mark.slow
def test_mixpanel_utils_pages_through_the_same_profiles(
    server, client: Client, client_python: Path, tmp_path: Path
) -> None:
    """It reads pages in threads, by GET from the legacy path, and reckons their number from `total`."""
    server.project = project = Project(profiles=2_500, today=lambda: TODAY, query_limits=Limits.of_queries())
    project.set_profile("quote's “id” 😀", {"list": [1, {"a": None}], "text": "línea\u2028"})
    files = [tmp_path / name for name in ("all.json", "small_pages.json", "filtered.json")]
    subprocess.run([client_python, "-c", PROFILES, server.url, *map(str, files)], check=True)
    everybody, small_pages, filtered = (json.loads(file.read_text()) for file in files)
    assert len(everybody) == 2_501
    assert everybody == small_pages == client.people()
    assert filtered == [
        person for person in everybody if person["$properties"].get("$last_seen", "") >= "2025-06-01T00:00:00"
    ]
    asked = project.requests[: 3 + 11 + 2]
    assert {(entry.method, entry.path, entry.status) for entry in asked} == {("GET", "/api/2.0/engage", 200)}
    assert sum("session_id" not in entry.params for entry in asked) == 3, "the counted ones"
