"""Every check passes when it should, and fails when what it says is no longer true."""

import re
from datetime import UTC, datetime

import dagster as dg
import pytest

from mixpanel_pipeline.simulator import Project
from mixpanel_pipeline_tests.dagster.conftest import Dagster, day


@pytest.fixture
def loaded(dagster: Dagster) -> Dagster:
    dagster.load(8, 10)
    return dagster


def evaluations(dagster: Dagster) -> dict[str, dg.AssetCheckEvaluation]:
    """The result of every check, run alone."""
    result = dagster.run("reconciliation_job")
    return {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}


def shown(evaluation: dg.AssetCheckEvaluation) -> list[dict]:
    """The rows that a failing check shows."""
    return [record.data for record in evaluation.metadata["rows"].value.records]  # pyright: ignore[reportAttributeAccessIssue, reportOptionalMemberAccess]


def test_all_pass_where_all_is_well(loaded: Dagster):
    found = evaluations(loaded)
    assert {name: evaluation.passed for name, evaluation in found.items()} == dict.fromkeys(
        (
            "add_equals_replace", "contributions_equal_lake", "no_quarantined_events", "events_lie_within_their_day",
            "partitions_follow_settings", "set_based_equals_loop", "matches_mixpanel",
            "watermark_advances", "sync_is_incremental", "no_missing_partitions", "profiles_equal_snapshot",
            "profiles_skip_unchanged",
            "hourly_is_fresh", "hourly_equals_raw", "daily_equals_raw", "normalized_equals_legacy", "dashboard_is_fast",
        ),
        True,
    )  # fmt: skip
    assert found["contributions_equal_lake"].metadata["days"].value == 3


def test_a_run_of_days_checks_those_days_only(dagster: Dagster):
    dagster.load(1, 3)
    result = dagster.sync(2, 3)
    by_name = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
    assert by_name["contributions_equal_lake"].metadata["days"].value == 2


def test_a_run_of_one_partition_checks_that_day_only(dagster: Dagster):
    dagster.load(1, 2)
    result = dagster.run("mixpanel_sync_job", tags={"dagster/partition": str(day(2))})
    assert result.success
    by_name = {evaluation.check_name: evaluation for evaluation in result.get_asset_check_evaluations()}
    assert by_name["contributions_equal_lake"].metadata["days"].value == 1


def test_a_wrong_total_is_found_and_fails_the_run(loaded: Dagster):
    loaded.write("update subscribers_insights_v2 set total_pdp_views = 999 where distinct_id = 'person-3'")
    result = loaded.sync(10, 10)
    assert not result.success
    evaluation = next(e for e in result.get_asset_check_evaluations() if e.check_name == "add_equals_replace")
    assert (evaluation.passed, evaluation.severity, evaluation.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    assert "1 of 11 subscribers differ from REPLACE, in total_pdp_views" in (evaluation.description or "")
    assert "sync --full" in str(evaluation.metadata["fix"].value)
    assert shown(evaluation) == [
        {"distinct_id": "person-3", "column": "total_pdp_views", "stored_value": "999", "replace_value": "3"}
    ]


def test_one_person_of_whom_all_is_wrong_hides_nobody(loaded: Dagster):
    loaded.write("insert into subscribers_insights_v2 (distinct_id, total_copies) values ('a-ghost', 1)")
    loaded.write("update subscribers_insights_v2 set total_pdp_views = 999 where distinct_id = 'person-3'")
    evaluation = evaluations(loaded)["add_equals_replace"]
    rows = [(row["distinct_id"], row["column"]) for row in shown(evaluation)]
    assert [person for person, _ in rows] == ["a-ghost"] * 3 + ["person-3"]
    assert rows[0] == ("a-ghost", "distinct_id")
    assert re.search(
        r"2 of 12 subscribers differ from REPLACE, in \d\d columns: \w+, \w+, \w+ \.\.\.\. ",
        evaluation.description or "",
    )


def test_a_wrong_contribution_is_found(loaded: Dagster):
    loaded.write(
        "update subscriber_daily_contributions set app_sessions = 5 where distinct_id = 'ann' and export_day = "
        f"'{day(9)}'"
    )
    evaluation = evaluations(loaded)["contributions_equal_lake"]
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert [(row["export_day"], row["distinct_id"]) for row in shown(evaluation)] == [(str(day(9)), "ann")]


def test_quarantined_lines_warn(dagster: Dagster, project: Project):
    project.faults.add("garbage_line", day=day(2))
    dagster.load(1, 3)
    evaluation = evaluations(dagster)["no_quarantined_events"]
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert [(row["export_day"], row["quarantined"]) for row in shown(evaluation)] == [(str(day(2)), 1)]


def test_events_outside_their_day_warn(loaded: Dagster):
    loaded.write(f"update raw_partitions set outside_day = 3 where export_day = '{day(8)}'")
    evaluation = evaluations(loaded)["events_lie_within_their_day"]
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "MIXPANEL_TIMEZONE" in str(evaluation.metadata["fix"].value)


def test_a_watermark_that_stands_still_fails(loaded: Dagster):
    loaded.pipeline.now = lambda: datetime(2025, 3, 14, tzinfo=UTC)
    evaluation = evaluations(loaded)["watermark_advances"]
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert str(day(10)) in (evaluation.description or "")


def test_a_sync_that_brings_too_much_warns(dagster: Dagster):
    dagster.pipeline.settings = dagster.pipeline.settings.model_copy(update={"sync_events_warning": 5})
    dagster.load(9, 9, mode="incremental")
    evaluation = evaluations(dagster)["sync_is_incremental"]
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert evaluation.metadata["new_events"].value == 10


def test_profiles_written_past_the_pipeline_are_found(loaded: Dagster, project: Project):
    project.set_profile("ann", {"income": "100k-150k"})
    loaded.run("subscriber_profiles_job")
    loaded.write("update subscriber_profiles set income = 'gold'")
    evaluation = evaluations(loaded)["profiles_equal_snapshot"]
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert "mixpanel-pipeline profiles" in str(evaluation.metadata["fix"].value)
    assert shown(evaluation) == [
        {"distinct_id": "ann", "difference": "column income", "stored_value": "gold", "snapshot_value": "100k-150k"}
    ]


def test_a_missing_day_warns(loaded: Dagster):
    loaded.write(f"delete from raw_partitions where export_day = '{day(9)}'")
    evaluation = evaluations(loaded)["no_missing_partitions"]
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert shown(evaluation) == [{"export_day": str(day(9)), "missing": True, "failed": False}]


def test_counts_other_than_mixpanel_s_are_found(loaded: Dagster, project: Project):
    project.faults.add("counts_disagree", event="$ae_session", on=str(day(9)), by=2)
    evaluation = evaluations(loaded)["matches_mixpanel"]
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.ERROR)
    assert shown(evaluation) == [
        {
            "event": "$ae_session", "day": str(day(9)), "ours": 1, "mixpanel": 3, "difference": 2,
            "explanation": "unexplained",
        }
    ]  # fmt: skip


def test_a_sync_asks_for_no_counts_and_the_daily_check_for_them_once(loaded: Dagster, project: Project):
    def queries() -> int:
        return sum(request.path == "/api/query/events" for request in project.requests)

    assert "matches_mixpanel" not in {e.check_name for e in loaded.sync(9, 10).get_asset_check_evaluations()}
    assert queries() == 0
    assert evaluations(loaded)["matches_mixpanel"].metadata["days"].value == 3
    assert queries() == 1
    assert loaded.rows("select api from mixpanel_requests") == [("query",)]


def test_without_credentials_nothing_is_compared_which_is_no_pass(loaded: Dagster, monkeypatch: pytest.MonkeyPatch):
    update = {"mixpanel_project_id": None}
    monkeypatch.setattr(loaded.pipeline, "settings", loaded.pipeline.settings.model_copy(update=update))
    evaluation = evaluations(loaded)["matches_mixpanel"]
    assert (evaluation.passed, evaluation.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert "MIXPANEL_PROJECT_ID" in (evaluation.description or "")


def verdicts(dagster: Dagster) -> dict[str, tuple]:
    """Of each check, of its newest verdict: whether it passed, what it looked at, and what stands."""
    rows = dagster.rows(
        "select distinct on (check_name) check_name, passed, lower(looked_at)::date, upper(looked_at)::date, "
        "(select min(lower(part))::date from unnest(stands) as part) from check_verdicts order by check_name, id desc"
    )
    return {name: tuple(row) for name, *row in rows}


def test_every_check_leaves_its_verdict(loaded: Dagster):
    found = evaluations(loaded)
    assert {name: verdict[:3] for name, verdict in verdicts(loaded).items()} == {
        **dict.fromkeys(found, (True, None, None)),
        "matches_mixpanel": (True, day(8), day(11)),
    }


def test_verdicts_say_which_days_a_run_looked_at(loaded: Dagster):
    of_day = "subscriber_daily_contributions where export_day = '2025-03-09'"
    loaded.write(f"create table taken_away as select * from {of_day}")
    loaded.write(f"delete from {of_day}")
    loaded.sync(10, 10)
    alone = verdicts(loaded)
    assert alone["contributions_equal_lake"] == (True, day(10), day(11), None)
    assert alone["add_equals_replace"][1:3] == (None, None)
    evaluations(loaded)
    assert verdicts(loaded)["contributions_equal_lake"] == (False, None, None, day(9))
    loaded.write("insert into subscriber_daily_contributions select * from taken_away")
    loaded.sync(8, 9)
    assert verdicts(loaded)["contributions_equal_lake"] == (True, day(8), day(10), None)
    assert loaded.rows(
        "select count(*) from check_verdicts where check_name = 'contributions_equal_lake' and not isempty(stands)"
    ) == [(0,)]


def test_a_verdict_that_cannot_be_written_fails_no_check(loaded: Dagster):
    loaded.write("drop table check_verdicts")
    assert loaded.sync(10, 10).success
