"""Each check of web analytics: fails on what it is for, says what to do, and passes when that is done."""

from datetime import timedelta
from typing import Any

import dagster as dg
import pytest

from mixpanel_pipeline.checks import web as web_checks
from mixpanel_pipeline.dagster_project.web_checks import web_asset_checks
from mixpanel_pipeline.lake.calendar import utc_now
from mixpanel_pipeline_tests.dagster.conftest import Dagster
from mixpanel_pipeline_tests.dagster.web_traffic import (
    DAILY,
    HOURLY,
    USERS,
    aggregate,
    day_of,
    insert,
    run_days,
    run_hours,
    traffic,
)
from mixpanel_pipeline_tests.web import site


def check(web: Dagster, name: str) -> dg.AssetCheckEvaluation:
    """One check alone, as `reconciliation_job` runs it."""
    (definition,) = [checks for checks in web_asset_checks() if next(iter(checks.check_keys)).name == name]
    job = dg.Definitions(
        assets=web.definitions.assets, asset_checks=[definition], resources={"pipeline": web.pipeline},
        jobs=[dg.define_asset_job("checked", selection=dg.AssetSelection.checks(*definition.check_keys))],
    ).resolve_job_def("checked")  # fmt: skip
    result = job.execute_in_process(instance=web.instance)
    (evaluation,) = result.get_asset_check_evaluations()
    return evaluation


def words(evaluation: dg.AssetCheckEvaluation) -> str:
    return str(evaluation.metadata["summary"].value)


def rows_of(evaluation: dg.AssetCheckEvaluation) -> list[dict[str, Any]]:
    shown = evaluation.metadata["rows"]
    assert isinstance(shown, dg.TableMetadataValue)
    return [dict(record.data) for record in shown.records]


def severity(evaluation: dg.AssetCheckEvaluation) -> dg.AssetCheckSeverity:
    assert not evaluation.passed
    return evaluation.severity


@pytest.mark.parametrize(
    "name",
    ["hourly_is_fresh", "hourly_equals_raw", "daily_equals_raw", "normalized_equals_legacy", "dashboard_is_fast"],
)
def test_without_web_events_all_is_well(web: Dagster, name: str):
    assert check(web, name).passed


def test_hourly_is_fresh(web: Dagster):
    insert(web, {"events": [site.event(site.at(91, 0))]})
    aggregate(web)
    assert check(web, "hourly_is_fresh").passed
    web.pipeline.now = lambda: utc_now() + timedelta(hours=2)
    late = check(web, "hourly_is_fresh")
    assert severity(late) == dg.AssetCheckSeverity.WARN
    assert "expected at most 2" in words(late)
    assert "mixpanel-pipeline aggregate --hourly" in str(late.metadata["fix"].value)
    web.pipeline.now = lambda: utc_now() + timedelta(hours=3)
    assert severity(check(web, "hourly_is_fresh")) == dg.AssetCheckSeverity.ERROR


def test_who_never_had_web_events_has_nothing_stale(web: Dagster):
    aggregate(web)
    web.pipeline.now = lambda: utc_now() + timedelta(days=9)
    assert words(check(web, "hourly_is_fresh")) == "no web events yet"
    insert(web, {"events": [site.event(site.at(91, 0))]})
    assert not check(web, "hourly_is_fresh").passed


def test_rows_that_nobody_aggregated_are_not_fresh(web: Dagster):
    insert(web, {"events": [site.event(site.at(91, 0))]})
    web.pipeline.now = lambda: site.at(91, 2)
    assert check(web, "hourly_is_fresh").passed
    web.pipeline.now = lambda: site.at(91, 3, 30)
    assert "rows wait since" in words(check(web, "hourly_is_fresh"))


@pytest.mark.parametrize(
    "damage",
    [
        f"update {HOURLY} set unique_visitors = 7 where hour_bucket = (select min(hour_bucket) from {HOURLY})",
        f"delete from {HOURLY}",
        f"insert into {HOURLY} (project_id, hour_bucket, event_type, event_count, unique_visitors, unique_sessions) "
        f"select project_id, hour_bucket, 'made up', 1, 1, 1 from {HOURLY} limit 1",
    ],
)
def test_hourly_equals_raw(web: Dagster, damage: str):
    insert(web, traffic(3))
    aggregate(web)
    assert check(web, "hourly_equals_raw").passed
    web.write(damage)
    failed = check(web, "hourly_equals_raw")
    assert severity(failed) == dg.AssetCheckSeverity.ERROR
    assert rows_of(failed)[0]["hour"].startswith(f"{day_of(0)}-")
    assert f"mixpanel-pipeline aggregate --from {day_of(0)} --to" in str(failed.metadata["fix"].value)
    run_hours(web, site.at(0, 0), site.at(2, 23))
    assert check(web, "hourly_equals_raw").passed


@pytest.mark.parametrize(
    "damage",
    [
        f"update {DAILY} set event_count = 7 where day = (select min(day) from {DAILY})",
        "delete from analytics_events_daily_totals",
        f"update {USERS} set page_views = 7",
        "delete from analytics_daily_page_stats",
        "update analytics_daily_click_targets set click_target = 'y'",
        "update analytics_daily_group_stats set newcomer_sessions[1] = 7",
        "delete from analytics_daily_contact_stats",
        "delete from analytics_daily_group_contact_stats",
        f"update {DAILY} set newcomer_visitors[91] = 7",
        "delete from analytics_daily_members where scope = 'card sessions'",
    ],
)
def test_daily_equals_raw(web: Dagster, damage: str):
    insert(web, traffic(3))
    aggregate(web)
    assert check(web, "daily_equals_raw").passed
    web.write(damage)
    failed = check(web, "daily_equals_raw")
    assert severity(failed) == dg.AssetCheckSeverity.ERROR
    assert rows_of(failed)[0]["day"] == str(day_of(0))
    run_days(web, day_of(0), day_of(2))
    assert check(web, "daily_equals_raw").passed


def test_a_truncate_is_found_and_shown_by_examples(web: Dagster):
    insert(web, traffic(30))
    aggregate(web)
    web.write("truncate analytics_events")
    failed = check(web, "hourly_equals_raw")
    assert (failed.metadata["rows_wrong"].value, len(rows_of(failed))) == (120, 20)
    assert words(failed).startswith(f"120 hourly rows are not what the raw rows say, the first on {day_of(0)}")
    again = f"mixpanel-pipeline aggregate --from {day_of(0)} --to {day_of(29)}`"
    assert again in str(failed.metadata["fix"].value)
    daily = check(web, "daily_equals_raw")
    assert len(rows_of(daily)) == 20
    assert again in str(daily.metadata["fix"].value)


def test_what_to_do_covers_events_and_cards(web: Dagster):
    insert(web, traffic(30))
    aggregate(web)
    web.write(f"update {DAILY} set event_count = 7 where day = '{day_of(20)}'")
    web.write(f"update {USERS} set page_views = 7 where date in ('{day_of(3)}', '{day_of(25)}')")
    fix = str(check(web, "daily_equals_raw").metadata["fix"].value)
    assert f"mixpanel-pipeline aggregate --from {day_of(3)} --to {day_of(25)}`" in fix


def test_rows_of_cards_say_what_they_are(web: Dagster):
    insert(web, traffic(1))
    aggregate(web)
    web.write(f"update {USERS} set page_views = 7")
    web.write("delete from analytics_daily_click_targets")
    of_card = {"day": str(day_of(0)), "user_code": "c"}
    assert rows_of(check(web, "daily_equals_raw")) == [
        of_card | {
            "part": "click target", "of": "share_code none, contact_id none, click_category other, click_target x",
            "raw rows say": "clicks 1", "stored": "no row",
        },
        of_card | {
            "part": "user", "of": "",
            "raw rows say": "page_views 1, clicks 1, sessions_started 1, unique_sessions 1",
            "stored": "page_views 7, clicks 1, sessions_started 1, unique_sessions 1",
        },
    ]  # fmt: skip


def test_marks_are_no_difference(web: Dagster):
    insert(web, traffic(3))
    assert check(web, "hourly_equals_raw").passed
    assert check(web, "daily_equals_raw").passed


def test_checks_of_a_run_look_at_its_days(web: Dagster):
    insert(web, traffic(3))
    aggregate(web)
    web.write(f"update {DAILY} set event_count = 7")
    result = run_days(web, day_of(1), day_of(1))
    evaluations = {check.check_name: check.passed for check in result.get_asset_check_evaluations()}
    assert evaluations == {"daily_equals_raw": True, "dashboard_is_fast": True}
    assert not check(web, "daily_equals_raw").passed


def legacy(when: Any, **data: Any) -> site.Row:
    return site.event(
        when, event_type="page_view", event_data=site.Jsonb({"userCode": "c", "pageType": "home", **data})
    )


def test_normalized_equals_legacy(web: Dagster):
    insert(web, {"events": [legacy(site.at(day)) for day in (3, 3, 4)]})
    missing = check(web, "normalized_equals_legacy")
    assert severity(missing) == dg.AssetCheckSeverity.ERROR
    assert "2 card-days" in words(missing)
    assert "legacy_migration_job" in str(missing.metadata["fix"].value)
    config = {"ops": {"normalize_legacy_events": {"config": {"first_day": str(day_of(3)), "last_day": str(day_of(4))}}}}
    assert web.run("legacy_migration_job", config).success
    assert check(web, "normalized_equals_legacy").passed

    # On the day on which clients cease to write the legacy form, the other one has more.
    insert(web, {"page_views": [site.page_view(site.at(4, 20))]})
    assert check(web, "normalized_equals_legacy").passed
    insert(web, {"page_views": [site.page_view(site.at(3, 20))]})
    assert severity(check(web, "normalized_equals_legacy")) == dg.AssetCheckSeverity.ERROR
    web.write("delete from analytics_page_views where viewed_at::time = '20:00'")

    insert(web, {"events": [legacy(site.at(3), pageType="attic")]})
    left_out = check(web, "normalized_equals_legacy")
    assert severity(left_out) == dg.AssetCheckSeverity.WARN
    assert "1 legacy rows" in words(left_out)


def test_dashboard_is_fast(web: Dagster, monkeypatch: pytest.MonkeyPatch):
    insert(web, {"events": [site.event(site.at(90), project_id="p")]})
    aggregate(web)
    assert check(web, "dashboard_is_fast").passed
    monkeypatch.setattr(web_checks, "DASHBOARD_MILLISECONDS", 0)
    slow = check(web, "dashboard_is_fast")
    assert severity(slow) == dg.AssetCheckSeverity.WARN
    assert {row["query"] for row in rows_of(slow)} == {
        "events_by_hour", "events_by_type", "events_by_label", "event_kpis",
    }  # fmt: skip
    assert "for p, read past row-level security: nobody may see it; expected at most 0" in words(slow)


def test_all_of_them_run_nightly(web: Dagster):
    job = web.definitions.resolve_job_def("reconciliation_job")
    named = {node.name for node in job.nodes}
    assert {f"{HOURLY}_hourly_is_fresh", f"{HOURLY}_hourly_equals_raw", f"{DAILY}_daily_equals_raw",
            f"{USERS}_normalized_equals_legacy", f"{DAILY}_dashboard_is_fast"} <= named  # fmt: skip
