"""Checks and status of profiles: what somebody wrote past the pipeline is found, and what did not end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from mixpanel_pipeline.checks.profiles import profiles_equal_snapshot, profiles_skip_unchanged
from mixpanel_pipeline.checks.verdict import Verdict
from mixpanel_pipeline.lake.manifest import named_files
from mixpanel_pipeline.settings import PROJECT_ROOT
from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline.subscribers import profile_differences, profile_sync
from mixpanel_pipeline.subscribers.locks import profiles_lock
from mixpanel_pipeline.subscribers.profile_sync import SOURCE, ProfileSync
from mixpanel_pipeline.subscribers.status import profile_status
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline.warehouse.sql_files import read_sql
from mixpanel_pipeline_tests.conftest import fresh_database
from mixpanel_pipeline_tests.postgres.test_profiles import comparison_that_fails
from mixpanel_pipeline_tests.workbench import build_profile_sync, clear, rows_of


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(Project()) as running:
        yield running


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres) -> Iterator[Warehouse]:
    """One for all of these tests: making one takes longer than a snapshot."""
    with fresh_database(postgres) as url:
        yield Warehouse(url)


@pytest.fixture
def warehouse(database: Warehouse) -> Warehouse:
    clear(database)
    return database


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
    ("statement", "rows"),
    [
        (
            "update subscriber_profiles set buying_power = 2 where distinct_id = 'ann'",
            [("ann", "column buying_power", "2", "1.5")],
        ),
        (
            "update subscriber_profiles set income = null where distinct_id = 'ben'",
            [("ben", "column income", None, "50k-100k")],
        ),
        (
            "update subscriber_profiles set properties = properties - 'tags' where distinct_id = 'ben'",
            [("ben", "property tags", None, '["beta"]')],
        ),
        (
            "update subscriber_profiles set properties = '[]' where distinct_id = 'cleo'",
            [("cleo", "property ", "[]", None), ("cleo", "property totalDeposits", None, "7")],
        ),
        ("delete from subscriber_profiles where distinct_id = 'cleo'", [("cleo", "is not stored", None, None)]),
    ],
)
def test_what_somebody_wrote_is_found_and_the_next_snapshot_mends_it(
    sync: ProfileSync, statement: str, rows: list[tuple[str | None, ...]]
) -> None:
    sync.synchronize()
    before = _people(sync.warehouse)
    write(sync.warehouse, statement)
    verdict = equal(sync)
    assert not verdict.passed
    assert [tuple(found.values()) for found in verdict.rows] == rows
    assert verdict.figures == {"people": 3, "profiles_wrong": 1, "values_wrong": len(rows)}
    assert "mixpanel-pipeline profiles" in verdict.fix
    sync.synchronize()
    assert equal(sync).passed
    assert _people(sync.warehouse) == before


def test_a_person_stored_as_deleted_is_found_and_comes_back(sync: ProfileSync) -> None:
    sync.synchronize()
    write(sync.warehouse, "update subscriber_profiles set deleted_at = '2025-01-31Z' where distinct_id = 'cleo'")
    assert differences(equal(sync)) == [("cleo", "is stored as deleted"), ("cleo", "deleted_at is not the history's")]
    sync.synchronize()
    assert equal(sync).passed


def test_a_person_whom_no_snapshot_had_is_found_and_does_not_pass_as_deleted(sync: ProfileSync) -> None:
    sync.synchronize()
    write(
        sync.warehouse,
        "insert into subscriber_profiles (distinct_id, properties, first_seen_at, changed_at) "
        "values ('mallory', '{}', now(), now())",
    )
    times = [("mallory", f"{name} is not the history's") for name in ("changed_at", "first_seen_at")]
    assert differences(equal(sync)) == [("mallory", "is stored, but not in the snapshot"), *times]
    sync.synchronize()
    verdict = equal(sync)
    assert differences(verdict) == times
    follow(sync, verdict, "mallory")
    assert "mallory" not in {person["distinct_id"] for person in _people(sync.warehouse)}


def test_times_are_those_of_the_history(sync: ProfileSync, project: Project) -> None:
    sync.synchronize()
    project.set_profile("ann", {"income": "1m"})
    project.delete_profile("ben")
    sync.synchronize()
    assert equal(sync).passed
    forged = [("ann", "changed_at"), ("ben", "deleted_at"), ("cleo", "first_seen_at")]
    for moment in ("2001-01-01", "2099-01-01"):
        for person, column in forged:
            write(
                sync.warehouse,
                f"update subscriber_profiles set {column} = '{moment}Z' where distinct_id = '{person}'",
            )
        verdict = equal(sync)
        assert differences(verdict) == [(person, f"{column} is not the history's") for person, column in forged]
        assert {row["stored_value"][:10] for row in verdict.rows} == {moment}
        assert all(row["snapshot_value"] > "2025" for row in verdict.rows)
    sync.synchronize()
    verdict = equal(sync)
    assert differences(verdict) == [(person, f"{column} is not the history's") for person, column in forged]
    follow(sync, verdict, "ann", "ben", "cleo")


def test_a_history_that_lost_rows_is_found(sync: ProfileSync, project: Project) -> None:
    sync.synchronize()
    project.set_profile("ann", {"income": "1m"})
    sync.synchronize()
    write(sync.warehouse, "delete from subscriber_profile_changes where change = 'changed'")
    assert differences(equal(sync)) == [("ann", "changed_at is not the history's")]
    write(sync.warehouse, "delete from subscriber_profile_changes")
    verdict = equal(sync)
    assert verdict.figures["values_wrong"] == 6
    assert {difference for _, difference in differences(verdict)} == {
        "changed_at is not the history's", "first_seen_at is not the history's",
    }  # fmt: skip
    follow(sync, verdict, "ann", "ben", "cleo")


def test_a_deleted_person_s_row_that_went_without_its_history_is_found(sync: ProfileSync, project: Project) -> None:
    sync.synchronize()
    project.delete_profile("ben")
    sync.synchronize()
    write(sync.warehouse, "delete from subscriber_profiles where distinct_id = 'ben'")
    verdict = equal(sync)
    assert differences(verdict) == [("ben", "has a history, but is not stored")]
    follow(sync, verdict, "ben")


def test_people_who_go_and_come_back_have_the_times_of_their_history(sync: ProfileSync, project: Project) -> None:
    sync.synchronize()
    for income in ("100k-150k", "2"):
        project.delete_profile("ann")
        sync.synchronize()
        assert equal(sync).passed
        project.set_profile("ann", {"income": income})
        sync.synchronize()
        assert equal(sync).passed


def differences(verdict: Verdict) -> list[tuple[str, str]]:
    return [(row["distinct_id"], row["difference"]) for row in verdict.rows]


def follow(sync: ProfileSync, verdict: Verdict, *people: str) -> None:
    """What the verdict says to do, less the `sync --full`: there are no events."""
    assert "delete these people from subscriber_profiles and subscriber_profile_changes" in verdict.fix
    names = ", ".join(f"'{person}'" for person in people)
    for table in ("subscriber_profiles", "subscriber_profile_changes"):
        write(sync.warehouse, f"delete from {table} where distinct_id in ({names})")
    sync.synchronize()
    assert equal(sync).passed


def test_a_broken_comparison_is_found(sync: ProfileSync, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes whoever changed for the same: nothing of it may be what the check compares by."""
    sync.synchronize()
    project.set_profile("ann", {"income": "1m", "city": "Oslo"})
    project.delete_profile("ben")
    project.set_profile("dora", {})

    def broken(name: str) -> str:
        emptied = "delete from changed_profiles;" if name.endswith("/compare_profiles.sql") else ""
        return read_sql(name) + emptied

    for module in (profile_sync, profile_differences):
        monkeypatch.setattr(module, "read_sql", broken)
    assert sync.synchronize().written == 0
    assert differences(equal(sync)) == [
        ("ann", "column buying_power"), ("ann", "column income"), ("ann", "property buyingPower"),
        ("ann", "property city"), ("ann", "property income"), ("ben", "is stored, but not in the snapshot"),
        ("dora", "is not stored"),
    ]  # fmt: skip


def test_rows_without_any_snapshot_are_no_pass(sync: ProfileSync) -> None:
    sync.synchronize()
    write(sync.warehouse, "truncate profile_snapshots")
    verdict = equal(sync)
    assert (verdict.passed, verdict.figures) == (False, {"profiles_wrong": 3, "values_wrong": 3})
    assert "3 profiles are stored, or have a history, but" in verdict.summary
    write(sync.warehouse, "truncate subscriber_profiles")
    assert differences(equal(sync))[0] == ("ann", "has a history, but there was no snapshot")
    sync.synchronize()
    assert equal(sync).passed


def test_whoever_is_missing_where_somebody_came_without_an_id_is_no_difference(
    sync: ProfileSync, project: Project
) -> None:
    sync.synchronize()
    project.faults.add("without_distinct_id", page=0, rows=1)
    assert sync.synchronize().snapshot.unidentified == 1
    assert equal(sync).passed
    write(sync.warehouse, "update profile_snapshots set unidentified = 0")
    assert [difference for _, difference in differences(equal(sync))] == ["is stored, but not in the snapshot"]


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
    project.set_profile("ann", {"income": "1m"})
    project.set_profile("dora", {"income": "1k"})
    with comparison_that_fails(sync.warehouse):
        assert sync.synchronize().comparison_error
    verdict = profiles_skip_unchanged(sync.warehouse)
    assert (verdict.passed, verdict.severity) == (False, "warning")
    assert "could not be compared, so all 3 people were written" in verdict.summary
    # Whoever it wrote has a history that agrees.
    assert differences(equal(sync)) == [("ben", "is stored, but not in the snapshot")]
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
