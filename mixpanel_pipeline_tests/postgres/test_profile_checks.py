"""Checks and status of profiles: what somebody wrote past the pipeline is found, and what did not end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mixpanel_pipeline.checks.profiles import profiles_equal_snapshot, profiles_skip_unchanged
from mixpanel_pipeline.checks.verdict import Verdict
from mixpanel_pipeline.lake.manifest import named_files
from mixpanel_pipeline.settings import PROJECT_ROOT
from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline.subscribers.locks import profiles_lock
from mixpanel_pipeline.subscribers.profile_sync import SOURCE, ProfileSync
from mixpanel_pipeline.subscribers.status import profile_status
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.postgres.test_profiles import comparison_that_fails
from mixpanel_pipeline_tests.workbench import build_profile_sync, rows_of


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(Project()) as running:
        yield running


@pytest.fixture
def project(server: SimulatorServer) -> Project:
    """Ann, ben and cleo; some of what ann's says is nothing."""
    server.project = Project()
    server.project.set_profile("ann", {"income": "100k-150k", "netWorth": "", "buyingPower": 1.50, "plan": None})
    server.project.set_profile("ben", {"income": "50k-100k", "tags": ["beta"]})
    server.project.set_profile("cleo", {"totalDeposits": "7"})
    return server.project


@pytest.fixture
def sync(warehouse: Warehouse, project: Project, server: SimulatorServer, tmp_path: Path) -> ProfileSync:
    assert server.project is project
    return build_profile_sync(warehouse, tmp_path, server.url)


def equal(sync: ProfileSync) -> Verdict:
    return profiles_equal_snapshot(sync.warehouse, sync.storage)


def write(warehouse: Warehouse, statement: str) -> None:
    """What somebody does past the pipeline."""
    with warehouse.connect() as connection:
        connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]


def test_before_any_snapshot_there_is_nothing_to_say(sync: ProfileSync) -> None:
    for verdict in (equal(sync), profiles_skip_unchanged(sync.warehouse)):
        assert verdict.passed
        assert verdict.summary == "no snapshot of profiles yet"


def test_what_was_stored_equals_the_snapshot(sync: ProfileSync, project: Project) -> None:
    sync.synchronize()
    project.set_profile("ann", {"income": "", "netWorth": None})
    project.delete_profile("ben")
    sync.synchronize()
    verdict = equal(sync)
    assert (verdict.passed, verdict.severity, verdict.figures) == (True, "error", {"people": 2})
    # Null, missing and the empty string are one.
    write(sync.warehouse, """update subscriber_profiles set properties = '{"plan": ""}' where distinct_id = 'ann'""")
    assert equal(sync).passed


@pytest.mark.parametrize(
    ("statement", "row"),
    [
        (
            "update subscriber_profiles set buying_power = 2 where distinct_id = 'ann'",
            ("ann", "column buying_power", "2", "1.5"),
        ),
        (
            "update subscriber_profiles set income = null where distinct_id = 'ben'",
            ("ben", "column income", None, "50k-100k"),
        ),
        (
            "update subscriber_profiles set properties = properties - 'tags' where distinct_id = 'ben'",
            ("ben", "property tags", None, '["beta"]'),
        ),
        ("delete from subscriber_profiles where distinct_id = 'cleo'", ("cleo", "is not stored", None, None)),
        (
            "update subscriber_profiles set deleted_at = now() where distinct_id = 'cleo'",
            ("cleo", "is stored as deleted", None, None),
        ),
        (
            "insert into subscriber_profiles (distinct_id, properties, first_seen_at, changed_at) "
            "values ('mallory', '{}', now(), now())",
            ("mallory", "is stored, but not in the snapshot", None, None),
        ),
    ],
)
def test_what_somebody_wrote_is_found_and_the_next_snapshot_mends_it(
    sync: ProfileSync, statement: str, row: tuple[str | None, ...]
) -> None:
    sync.synchronize()
    before = _people(sync.warehouse)
    write(sync.warehouse, statement)
    verdict = equal(sync)
    assert not verdict.passed
    assert [tuple(found.values()) for found in verdict.rows] == [row]
    assert verdict.figures == {"people": 3, "profiles_wrong": 1, "values_wrong": 1}
    assert "mixpanel-pipeline profiles" in verdict.fix
    sync.synchronize()
    assert equal(sync).passed
    assert [person for person in _people(sync.warehouse) if person["distinct_id"] != "mallory"] == before


def _people(warehouse: Warehouse) -> list[dict]:
    return rows_of(
        warehouse,
        "select distinct_id, income, buying_power, total_deposits, properties, deleted_at from subscriber_profiles "
        "order by distinct_id",
    )


def test_a_snapshot_that_cannot_be_read_is_no_pass(sync: ProfileSync) -> None:
    snapshot = sync.synchronize().snapshot
    assert snapshot.file
    path = Path(sync.storage.address(snapshot.file))
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert "missing in the lake or cut" in equal(sync).summary
    path.write_bytes(b"x" * len(whole))
    assert "cannot be read" in equal(sync).summary
    write(sync.warehouse, "update profile_snapshots set recipe = 'older'")
    verdict = equal(sync)
    assert "another catalog" in verdict.summary
    assert "mixpanel-pipeline profiles" in verdict.fix
    path.write_bytes(whole)
    sync.synchronize()
    assert equal(sync).passed


def test_three_snapshots_that_skip_nobody_warn(sync: ProfileSync, project: Project) -> None:
    for number in range(3):
        for person in ("ann", "ben", "cleo"):
            project.set_profile(person, {"income": "100k-150k", "opened": number})
        assert profiles_skip_unchanged(sync.warehouse).passed
        sync.synchronize()
    verdict = profiles_skip_unchanged(sync.warehouse)
    assert (verdict.passed, verdict.severity) == (False, "warning")
    assert verdict.rows == [{"property": "opened", "people": 3}]
    sync.synchronize()
    verdict = profiles_skip_unchanged(sync.warehouse)
    assert (verdict.passed, verdict.summary) == (True, "3 of 3 people had not changed and were skipped")


def test_failed_snapshots_and_empty_ones_skip_nobody_and_are_no_sign(sync: ProfileSync, project: Project) -> None:
    for person in ("ann", "ben", "cleo"):
        project.delete_profile(person)
    for _ in range(3):
        sync.synchronize()
    assert profiles_skip_unchanged(sync.warehouse).passed
    assert equal(sync).passed


def test_a_comparison_that_failed_warns_until_the_next_snapshot(sync: ProfileSync, project: Project) -> None:
    sync.synchronize()
    project.delete_profile("ben")
    with comparison_that_fails(sync.warehouse):
        assert sync.synchronize().comparison_error
    verdict = profiles_skip_unchanged(sync.warehouse)
    assert (verdict.passed, verdict.severity) == (False, "warning")
    assert "could not be compared, so all 2 people were written" in verdict.summary
    assert [row["difference"] for row in equal(sync).rows] == ["is stored, but not in the snapshot"]
    sync.synchronize()
    assert profiles_skip_unchanged(sync.warehouse).passed
    assert equal(sync).passed


def test_a_snapshot_whose_process_died_is_told_from_one_under_way(sync: ProfileSync) -> None:
    sync.synchronize()
    write(sync.warehouse, f"insert into sync_logs (source, mode, status) values ('{SOURCE}', 'snapshot', 'running')")
    with sync.warehouse.connect() as connection:
        status = profile_status(connection)
        assert (status.live, status.deleted, status.error) == (3, 0, "the process died")
        with profiles_lock(connection, print):
            assert profile_status(connection).error is None


def test_deleting_a_person_as_the_docs_say_leaves_nothing_of_them(sync: ProfileSync, project: Project) -> None:
    project.set_profile("ben", {"income": "50k-100k", "buyingPower": "plenty"})
    sync.synchronize()
    project.delete_profile("ben")
    sync.synchronize()
    section = (PROJECT_ROOT / "docs" / "operations.md").read_text().partition("### Deleting a person for privacy")[2]
    write(sync.warehouse, section.partition("```sql\n")[2].partition("```")[0].replace("'ID'", "'ben'"))
    for table in ("subscriber_profiles", "subscriber_profile_changes", "sync_logs", "subscribers_insights_v2"):
        assert "ben" not in str(rows_of(sync.warehouse, f"select * from {table}"))
    with sync.warehouse.connect() as connection:
        assert len(named_files(connection)) == 1
    assert equal(sync).passed
    assert sync.synchronize().written == 0
