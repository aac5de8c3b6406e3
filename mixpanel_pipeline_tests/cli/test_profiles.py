"""`profiles` end to end: a real process, Postgres, HTTP, and Dagster's instance; then what `status` says of it."""

import json

import psycopg
import pytest

from mixpanel_pipeline.simulator import SimulatorServer
from mixpanel_pipeline_tests.cli.conftest import Run
from mixpanel_pipeline_tests.cli.test_sync import result_of

pytestmark = pytest.mark.usefixtures("on_database")


@pytest.fixture
def people(project: SimulatorServer) -> SimulatorServer:
    """A hundred of them, of whom one has a value that is no number."""
    for number in range(99):
        project.project.set_profile(f"person-{number}", {"income": f"{number}k"})
    project.project.set_profile("zoe", {"buyingPower": "[bold]plenty[/bold]"})
    return project


def test_snapshots(run: Run, people: SimulatorServer, database_url: str) -> None:
    first = result_of(run("profiles", "--json"))
    assert first["succeeded"]
    assert {name: first["figures"][name] for name in ("people", "new", "unchanged", "bad_values", "queries")} == {
        "people": 100, "new": 100, "unchanged": 0, "bad_values": 1, "queries": 1,
    }  # fmt: skip
    assert [(row["distinct_id"], row["field"]) for row in first["refusals"]] == [("zoe", "buyingPower")]
    assert first["seconds"] > first["figures"]["seconds"] > 0

    people.project.set_profile("person-1", {"income": "1m"})
    people.project.set_profile("new", {"income": "2m"})
    people.project.delete_profile("person-2")
    shown = run("profiles")
    assert shown.returncode == 0, shown.stderr
    figures = dict(zip(*(line.split() for line in shown.stdout.splitlines()[:2]), strict=False))
    assert figures["people"] == "100"
    assert [figures[name] for name in ("new", "changed", "unchanged", "deleted")] == ["1", "1", "98", "1"]
    assert '"[bold]plenty[/bold]"' in shown.stdout
    assert "98.0 % of them unchanged and not written" in shown.stdout

    _status_tells_of_them(run)
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select status from dagster.runs where pipeline_name = 'subscriber_profiles_job'")
        assert [status for (status,) in rows] == ["SUCCESS"] * 2
        connection.execute("update subscriber_profiles set income = 'gold' where distinct_id = 'person-3'")
    failed = json.loads(run("verify", "--json").stdout)
    bad = {check["check"]: check for check in failed["checks"] if not check["passed"]}
    assert bad["profiles_equal_snapshot"]["rows"] == [
        {"distinct_id": "person-3", "difference": "column income", "stored_value": "gold", "snapshot_value": "3k"}
    ]


def _status_tells_of_them(run: Run) -> None:
    shown = run("status").stdout
    assert "100 profiles, 1 deleted, last snapshot " in shown
    assert "1 new, 1 changed, 98 unchanged, 1 deleted, 1 refused" in shown
    assert "0 of 60 requests to Mixpanel used in the last hour, and 2 of 60 queries" in shown
    lines = [line.split() for line in shown.splitlines()]
    assert sum(line[:3] == ["profiles", "snapshot", "completed"] for line in lines) == 2


@pytest.mark.usefixtures("project")
def test_an_empty_snapshot_changes_nothing_unless_that_is_said(run: Run, database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(
            "insert into subscriber_profiles (distinct_id, properties, first_seen_at, changed_at) "
            "values ('ann', '{}', now(), now());"
            "insert into subscriber_profile_changes (distinct_id, changed_at, change) values ('ann', now(), 'new')"
        )
    refused = run("profiles")
    assert refused.returncode == 1
    assert "no profiles at all, where 1 are stored" in refused.stdout
    assert "`mixpanel-pipeline profiles --all-deleted`" in refused.stdout
    assert "Nothing was changed" in refused.stdout
    assert "Traceback" not in refused.stderr
    shown = run("status").stdout
    assert "no snapshot of profiles yet" in shown
    assert "the newest snapshot failed: Mixpanel says that there are no profiles" in shown
    assert result_of(run("profiles", "--all-deleted", "--json"))["figures"]["deleted"] == 1


@pytest.mark.usefixtures("project")
def test_wrong_credentials_are_said_and_are_no_failed_day(run: Run) -> None:
    finished = run("profiles", "--json", MIXPANEL_SECRET="hunter2")
    told = result_of(finished, code=1)
    assert (told["succeeded"], told["figures"]) == (False, {})
    assert "Check MIXPANEL_USERNAME and MIXPANEL_SECRET" in told["run"]["error"]
    assert "hunter2" not in finished.stdout + finished.stderr
    found = result_of(run("status", "--json"))
    assert (found["failed_days"], found["requests_in_last_hour"], found["queries_in_last_hour"]) == ([], 0, 1)
    assert found["profiles"]["live"] == 0
    assert "MIXPANEL_SECRET" in found["profiles"]["error"]


def test_without_a_project_nothing_begins(run: Run) -> None:
    finished = run("profiles")
    assert finished.returncode == 2
    assert "MIXPANEL_PROJECT_ID: not set" in finished.stderr
