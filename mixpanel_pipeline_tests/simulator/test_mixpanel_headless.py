"""The client of Mixpanel's own organisation for agents reads profiles and counts as from Mixpanel."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from mixpanel_pipeline.simulator import Limits, Project
from mixpanel_pipeline_tests.simulator.client import DAY, TODAY, Client
from mixpanel_pipeline_tests.simulator.other_clients import python_with

SCRIPT = """
import json, sys
from mixpanel_headless import ServiceAccount, Session, Workspace
from mixpanel_headless._internal.auth.session import Project

day, events, file = sys.argv[1:]
account = ServiceAccount(name="demo", region="us", username="demo-account", secret="demo-secret")
workspace = Workspace(session=Session(account=account, project=Project(id="12345")))
profiles = list(workspace.stream_profiles(raw=True))
some = list(workspace.stream_profiles(raw=True, where='properties["plan"] == "gold"', output_properties=["plan"]))
counts = workspace.event_counts(json.loads(events), from_date=day, to_date=day).series
with open(file, "w") as opened:
    json.dump([profiles, some, counts], opened)
"""


@pytest.fixture(scope="session")
def client_python(request: pytest.FixtureRequest) -> Path:
    return python_with(request, "mixpanel-headless", "0.4.0")


@pytest.mark.slow
@pytest.mark.parametrize("profiles", [2_499, 1_999])
def test_mixpanel_headless_reads_profiles_and_counts(
    server, client: Client, client_python: Path, tmp_path: Path, profiles: int
) -> None:
    """It posts JSON to a path with a slash at its end, and pages until a page is empty."""
    server.project = project = Project(
        profiles=profiles, events_per_day=300, people=30, today=lambda: TODAY, query_limits=Limits.of_queries()
    )
    project.set_profile("quote's “id” 😀", {"plan": "gold", "list": [1, {"a": None}]})
    file = tmp_path / "read.json"
    events = ["$ae_session", "Viewed Discover Tab", "never"]
    subprocess.run(
        [client_python, "-c", SCRIPT, str(DAY), json.dumps(events), str(file)],
        check=True,
        env={**os.environ, "MP_API_BASE_URL": server.url, "HOME": str(tmp_path)},
    )
    people, some, counts = json.loads(file.read_text())
    asked = list(project.requests)
    assert len(people) == profiles + 1
    assert people == client.people()
    assert some == [{"$distinct_id": "quote's “id” 😀", "$properties": {"plan": "gold"}}]
    keys = {(row["event"], *map(row["properties"].get, ("time", "distinct_id", "$insert_id"))) for row in client.rows()}
    exported = {event: sum(key[0] == event for key in keys) for event in events}
    assert {event: counts.get(event, {}).get(str(DAY), 0) for event in events} == exported
    assert {entry.path for entry in asked} == {"/api/query/engage/", "/api/query/events"}
    assert {entry.status for entry in asked} == {200}
