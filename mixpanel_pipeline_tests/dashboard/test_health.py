"""The health page says what is so: of an empty pipeline, one that is well, and each way in which one is not."""

import html
import json
import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
import pytest

from mixpanel_pipeline.checks.verdict import Verdict
from mixpanel_pipeline.checks.verdict_log import record_verdict, window_of_days
from mixpanel_pipeline.cli.dagster_pages import ASSET_OF_CHECK
from mixpanel_pipeline.dashboard.health import ago, ranges_in_words, weeks_of
from mixpanel_pipeline.dashboard.wording import day as day_text
from mixpanel_pipeline.lake.calendar import days_between
from mixpanel_pipeline.subscribers.profile_sync import SOURCE as PROFILES
from mixpanel_pipeline.subscribers.sync_log import SOURCE as EVENTS
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.aggregation import aggregate_all
from mixpanel_pipeline_tests.dashboard.conftest import PEOPLE, SETTINGS, RunningDashboard, Serve
from mixpanel_pipeline_tests.web import site

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


def before(days: int) -> date:
    return YESTERDAY - timedelta(days=days)


@pytest.fixture
def pipeline(warehouse: Warehouse) -> Warehouse:
    """With an admin, and nothing else."""
    write(warehouse, "insert into admin_users values (%s)", PEOPLE["admin"])
    return warehouse


@pytest.fixture
def well(pipeline: Warehouse) -> Warehouse:
    """Ten days up to yesterday are loaded, every check passed, web events are aggregated."""
    load(pipeline, days_between(before(9), YESTERDAY))
    log(pipeline, "completed", mode="incremental", day=YESTERDAY, new_events=1234)
    for check in ASSET_OF_CHECK:
        record_verdict(pipeline, Verdict(check, True, f"{check} is as it should be"))
    with pipeline.connect() as connection:
        site.insert(connection, "events", [site.event(datetime.now(UTC) - timedelta(days=1))])
    aggregate_all(pipeline)
    return pipeline


def write(warehouse: Warehouse, statement: str, *values: Any) -> None:
    with warehouse.connect() as connection:
        connection.execute(statement.encode(), values)


def load(warehouse: Warehouse, days: Iterable[date]) -> None:
    """Days as the manifest and the watermark have them."""
    with warehouse.connect() as connection:
        for day in days:
            connection.execute(
                "insert into raw_partitions (export_day, file, recipe, wire_sha256, content_hash, rows, users, "
                "duplicates, quarantined, repaired, bad_values, outside_day, ambiguous_times, shifted_times, bytes, "
                "fetched_at) values (%s, 'f', 'r', 'w', 'c', 9, 3, 0, 0, 0, 0, 0, 0, 0, 99, now())",
                [day],
            )
        connection.execute(
            "insert into sync_watermarks values (%s, (select max(export_day) + time '23:50' from raw_partitions), 90, "
            "now(), 'of a test')",
            [EVENTS],
        )


def log(warehouse: Warehouse, status: str, *, mode: str = "backfill", day: date, error: str = "", **told: Any) -> None:
    write(
        warehouse,
        "insert into sync_logs (source, mode, status, created_at, completed_at, error, sync_metadata) "
        "values (%s, %s, %s, now() - interval '3 seconds', now(), nullif(%s, ''), %s::jsonb)",
        EVENTS, mode, status, error, json.dumps({"export_day": str(day), **told}),
    )  # fmt: skip


def signals(dashboard: RunningDashboard) -> dict[str, tuple[str, str]]:
    """Of each threshold that is not kept: its state and what is so now."""
    report = dashboard.json("/api/health")
    return {each["name"]: (each["state"], each["value"]) for each in report["signals"] if each["state"] != "well"}


def headline(dashboard: RunningDashboard) -> str:
    """The JSON's; the page has its words."""
    told = dashboard.json("/api/health")["headline"]
    page = html.unescape(dashboard.page("/health"))
    for part in re.split(r"[.;] ", told.rstrip(".")):
        assert part.lower() in page.lower()
    return told


def test_an_empty_pipeline_is_not_broken(pipeline: Warehouse, dashboard: RunningDashboard) -> None:
    assert headline(dashboard) == "Needs attention. Newest day: nothing loaded yet; Checks: none ran yet."
    page = dashboard.page("/health")
    for told in ("No day was fetched yet", "Nothing was synchronized yet", "No web events yet", "not run yet"):
        assert told in page
    assert "mixpanel-pipeline sync" in page


def test_all_is_well(well: Warehouse, dashboard: RunningDashboard) -> None:
    assert headline(dashboard) == "All is well."
    assert signals(dashboard) == {}
    report = dashboard.json("/api/health")
    assert [(day["day"], day["state"]) for day in report["days"]] == [
        (str(day), "fetched") for day in days_between(before(9), YESTERDAY)
    ]
    assert report["syncs"][0] | {"started_at": None, "seconds": None} == {
        "what": str(YESTERDAY), "mode": "incremental", "status": "completed", "started_at": None, "seconds": None,
        "result": "1,234 new events", "error": None,
    }  # fmt: skip
    assert {check["name"] for check in report["checks"]} == set(ASSET_OF_CHECK)
    page = dashboard.page("/health")
    assert "1,234 new events in 3.0 s" in page
    assert "10 of 10 days from" in page
    assert "In Dagster" not in page


def test_without_an_account_web_analytics_alone_are_well(pipeline: Warehouse, serve: Serve) -> None:
    for check in ASSET_OF_CHECK:
        record_verdict(pipeline, Verdict(check, True, "well"))
    dashboard = serve(settings=SETTINGS.model_copy(update={"mixpanel_project_id": None}))
    assert headline(dashboard) == "All is well."
    assert "no Mixpanel account" in dashboard.page("/health")


def test_a_watermark_that_does_not_move_is_broken(well: Warehouse, dashboard: RunningDashboard, serve: Serve) -> None:
    write(well, "delete from raw_partitions where export_day > %s", before(2))
    assert signals(dashboard)["watermark_advances"][0] == "broken"
    assert signals(dashboard)["no_missing_partitions"] == ("attention", "2 missing")
    ended = datetime.combine(before(0), datetime.min.time(), UTC)
    hours = (datetime.now(UTC) - ended) / timedelta(hours=1)
    assert f"ended {hours:.1f} h ago" in headline(dashboard)
    assert "Broken." in dashboard.page("/health")


def test_the_hours_that_a_day_may_take_are_the_settings(well: Warehouse, serve: Serve) -> None:
    write(well, "delete from raw_partitions where export_day >= %s", YESTERDAY)
    midnight = datetime.combine(YESTERDAY + timedelta(days=1), datetime.min.time(), UTC)
    for hours, state in ((4.9, None), (5.1, "broken")):
        settings = SETTINGS.model_copy(update={"watermark_hours_warning": 5})
        dashboard = serve(settings=settings, now=lambda hours=hours: midnight + timedelta(hours=hours))
        found = signals(dashboard).get("watermark_advances")
        assert (found[0] if found else None) == state
        assert "at most 5 h after its end" in dashboard.page("/health")


def test_a_missing_day_needs_attention(well: Warehouse, dashboard: RunningDashboard) -> None:
    write(well, "delete from raw_partitions where export_day in (%s, %s)", before(3), before(4))
    assert headline(dashboard) == "Needs attention. Days: 2 missing."
    page = dashboard.page("/health")
    assert "8 of 10 days from" in page
    assert f"mixpanel-pipeline sync --from {before(4)} --to {before(3)}" in page
    assert page.count('class="day missing"') == 2 + 1  # and the legend's
    report = dashboard.json("/api/health")
    assert report["missing_days"] == [str(before(4)), str(before(3))]


def test_a_failed_sync_is_shown_with_its_error(well: Warehouse, dashboard: RunningDashboard) -> None:
    log(well, "failed", day=before(2), error="Mixpanel said <script>alert(1)</script>")
    assert headline(dashboard) == "Needs attention. Days: 1 failed."
    page = dashboard.page("/health")
    assert "Mixpanel said &lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<script>alert" not in page
    days = {day["day"]: day["state"] for day in dashboard.json("/api/health")["days"]}
    assert days[str(before(2))] == "failed"
    log(well, "completed", day=before(2), new_events=0)
    assert headline(dashboard) == "All is well."


def test_late_days_are_told_and_are_no_fault(well: Warehouse, dashboard: RunningDashboard) -> None:
    write(well, "insert into late_days values (%s, 1200)", before(5))
    assert headline(dashboard) == "All is well."
    assert f"{before(5)} (1,200)" in dashboard.page("/health")
    assert {"day": str(before(5)), "state": "late"} in dashboard.json("/api/health")["days"]


def test_a_large_sync_needs_attention(well: Warehouse, dashboard: RunningDashboard) -> None:
    log(well, "completed", mode="incremental", day=YESTERDAY, new_events=50_001)
    assert signals(dashboard) == {"sync_is_incremental": ("attention", "50,001 new events in 3.0 s")}
    assert "at most 50,000 new events and 60 s a day" in dashboard.page("/health")


def test_three_snapshots_that_skip_nobody_need_attention(well: Warehouse, dashboard: RunningDashboard) -> None:
    for number in range(3):
        assert "profiles_skip_unchanged" not in signals(dashboard), number
        write(
            well,
            "insert into sync_logs (source, mode, status, completed_at, sync_metadata) "
            "values (%s, 'full', 'completed', now(), %s::jsonb)",
            PROFILES, json.dumps({"people": 5, "new": 0, "changed": 5, "unchanged": 0}),
        )  # fmt: skip
    assert signals(dashboard) == {"profiles_skip_unchanged": ("attention", "0 of 5 skipped")}


def test_a_snapshot_that_failed_needs_attention(well: Warehouse, dashboard: RunningDashboard) -> None:
    write(
        well,
        "insert into sync_logs (source, mode, status, completed_at, error) values (%s, 'full', 'failed', now(), %s)",
        PROFILES, "no rights to read profiles",
    )  # fmt: skip
    assert headline(dashboard) == "Needs attention. Profiles: the newest snapshot failed."
    assert "no rights to read profiles" in dashboard.page("/health")


@pytest.mark.parametrize(("hours", "state"), [(1, None), (2.5, "attention"), (3.5, "broken")])
def test_hours_that_wait_are_stale(pipeline: Warehouse, serve: Serve, hours: float, state: str | None) -> None:
    with pipeline.connect() as connection:
        now = connection.execute("select date_trunc('hour', now())").fetchone()
        assert now
        site.insert(connection, "events", [site.event(now[0] - timedelta(hours=1))])
    dashboard = serve(now=lambda: now[0] + timedelta(hours=hours))
    found = signals(dashboard).get("hourly_is_fresh")
    assert found == ((state, f"{hours:.1f} h behind") if state else None)
    web = dashboard.json("/api/health")["web"]
    assert (web["marked_hours"], web["oldest_marked_hour"]) == (
        1, (now[0] - timedelta(hours=1)).isoformat().replace("+00:00", "Z"),
    )  # fmt: skip
    assert "Oldest hour that waits" in dashboard.page("/health")


@pytest.mark.parametrize("kind", ["days", "cards"])
@pytest.mark.parametrize(("hours", "state"), [(27, None), (29, "attention"), (51, "attention"), (53, "broken")])
def test_days_that_no_run_has_reached_are_noticed(
    well: Warehouse, serve: Serve, kind: str, hours: int, state: str
) -> None:
    """Hours go on being aggregated, so that nothing else would tell."""
    midnight = datetime.combine(before(0), datetime.min.time(), UTC)
    write(well, "update analytics_progress set aggregated_until = %s", midnight + timedelta(hours=hours))
    write(well, "update analytics_progress set aggregated_until = %s where aggregate = %s", midnight, kind)
    dashboard = serve(now=lambda: midnight + timedelta(hours=hours))
    found = signals(dashboard).get("days_are_aggregated")
    assert found == ((state, f"until the end of {day_text(before(1))}") if state else None)


def test_days_that_wait_for_the_first_run_are_noticed(pipeline: Warehouse, dashboard: RunningDashboard) -> None:
    with pipeline.connect() as connection:
        site.insert(connection, "page_views", [site.page_view(datetime.now(UTC) - timedelta(days=4))])
    assert signals(dashboard)["days_are_aggregated"][0] == "broken"


def test_a_slow_dashboard_needs_attention(well: Warehouse, dashboard: RunningDashboard) -> None:
    slow = Verdict(
        "dashboard_is_fast", False, "events_by_hour takes 612 ms", "warning", figures={"events_by_hour": 612}
    )
    record_verdict(well, slow)
    assert signals(dashboard) == {"dashboard_is_fast": ("attention", "612 ms")}


def test_a_check_that_fails_is_not_hidden_by_another_day(well: Warehouse, dashboard: RunningDashboard) -> None:
    check, fix = "contributions_equal_lake", "Run `mixpanel-pipeline sync --full`."
    days = window_of_days(before(9), before(3))
    wrong = Verdict(check, False, "7 differ <b>", fix=fix, wrong_days=(before(5), before(4)))
    record_verdict(well, wrong, days)
    record_verdict(
        well, Verdict(check, True, "contributions of 1 days equal the lake"), window_of_days(before(1), before(1))
    )
    assert headline(dashboard) == "Broken. Check contributions equal lake does not pass."
    page = dashboard.page("/health")
    assert "7 differ &lt;b&gt;" in page
    assert "<code>mixpanel-pipeline sync --full</code>" in page
    assert "not looked at again since" in page
    first = dashboard.json("/api/health")["checks"][0]
    assert (first["name"], first["state"]) == (check, "broken")
    assert first["ran_last_at"] > first["checked_at"]
    record_verdict(well, Verdict(check, True, "equal"), days)
    assert headline(dashboard) == "All is well."


def test_a_check_that_could_not_look_is_no_fault_and_hides_none(well: Warehouse, dashboard: RunningDashboard) -> None:
    check = "matches_mixpanel"
    refused = Verdict(check, False, "not compared with Mixpanel: no such plan", "warning", conclusive=False)
    record_verdict(well, refused)
    assert headline(dashboard) == "All is well."
    assert "could not look" in dashboard.page("/health")
    record_verdict(well, Verdict(check, False, "3 counts differ", "warning", wrong_days=(before(2), before(2))))
    record_verdict(well, refused)
    assert headline(dashboard) == "Needs attention. Check matches mixpanel does not pass."
    assert "3 counts differ" in dashboard.page("/health")
    record_verdict(well, Verdict(check, False, "could not be run: it broke", conclusive=False))
    assert headline(dashboard) == "Broken. Check matches mixpanel does not pass."


def test_checks_that_did_not_run_of_late_need_attention(well: Warehouse, dashboard: RunningDashboard) -> None:
    write(
        well, "update check_verdicts set checked_at = now() - interval '2 days' where check_name = 'daily_equals_raw'"
    )
    write(well, "delete from check_verdicts where check_name = 'add_equals_replace'")
    assert headline(dashboard) == "Needs attention. Checks: 1 never ran, 1 ran long ago."


def test_links_lead_into_dagster(well: Warehouse, serve: Serve) -> None:
    dashboard = serve(settings=SETTINGS.model_copy(update={"dagster_url": "http://127.0.0.1:3000"}))
    page = html.unescape(dashboard.page("/health"))
    for address in (
        "/assets", "/runs", "/runs?view=backfills", "/automation", "/assets/mixpanel_raw_events?view=partitions",
        "/assets/subscribers_insights_v2?view=checks&checkDetail=add_equals_replace",
    ):  # fmt: skip
        assert f'href="http://127.0.0.1:3000{address}"' in page


def test_it_is_for_admins(well: Warehouse, dashboard: RunningDashboard) -> None:
    for person in ("owner", "stranger"):
        for path in ("/health", "/api/health", "/csv/health"):
            refused = dashboard.get(path, person, table="checks")
            assert refused.status_code == 403
            assert "admin_users" in refused.text
            assert "1,234" not in refused.text
    assert dashboard.get("/api/health", None).status_code == 401
    assert dashboard.get("/health", None).status_code == 303
    assert 'href="/dashboard/health"' not in dashboard.page("/", "owner")


@pytest.mark.parametrize("person", ["owner", "stranger"])
def test_postgres_itself_shows_the_pipeline_to_admins_alone(well: Warehouse, person: str) -> None:
    tables = (
        "raw_partitions", "subscriber_daily_contributions", "subscribers_insights_v2", "sync_watermarks", "sync_logs",
        "late_days", "subscriber_profiles", "subscriber_profile_changes", "profile_snapshots", "check_verdicts",
    )  # fmt: skip
    write(well, "insert into late_days values (%s, 1)", YESTERDAY)
    write(well, "insert into subscribers_insights_v2 (distinct_id) values ('ann')")

    def seen(by: str) -> set[str]:
        with well.connect() as connection:
            connection.execute("set local role authenticated")
            connection.execute(
                "select set_config('request.jwt.claims', %s, true)", [json.dumps({"sub": str(PEOPLE[by])})]
            )
            return {
                name for name in tables if connection.execute(f"select from {name}".encode()).fetchone() is not None
            }

    assert seen("admin") == {
        "raw_partitions", "subscribers_insights_v2", "sync_watermarks", "sync_logs", "late_days", "check_verdicts",
    }  # fmt: skip
    assert seen(person) == set()
    with well.connect() as connection:
        connection.execute("set local role anon")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("select from check_verdicts")


def test_a_reader_who_was_granted_something_keeps_it(well: Warehouse) -> None:
    with well.connect() as connection:
        connection.execute("create role reports")
        connection.execute("grant select, insert on sync_watermarks to reports")
        connection.execute("set local role reports")
        connection.execute("insert into sync_watermarks (source) values ('of theirs')")
        assert connection.execute("select count(*) from sync_watermarks").fetchone() == (2,)
        connection.rollback()


def test_csv_of_each_table(well: Warehouse, dashboard: RunningDashboard) -> None:
    for table, first in {
        "thresholds": "name,state,value,expected,summary,fix", "checks": "name,state,checked_at,ran_last_at",
        "syncs": "what,mode,status", "days": "day,state",
    }.items():  # fmt: skip
        answer = dashboard.get("/csv/health", table=table)
        assert answer.text.startswith(first)
        assert answer.text.count("\r\n") > 1
    assert dashboard.get("/csv/health", table="other").status_code == 400


def test_words() -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    told = {
        "a moment ago": 59, "a minute ago": 60, "59 minutes ago": 3599, "119 minutes ago": 7199, "2 hours ago": 7200,
        "47 hours ago": 172_799, "2 days ago": 172_800,
    }  # fmt: skip
    assert {ago(now, now - timedelta(seconds=seconds)): seconds for seconds in told.values()} == told
    days = [date(2026, 2, 27), date(2026, 2, 28), date(2026, 3, 1), date(2026, 3, 4)]
    assert ranges_in_words(days) == "27 Feb 2026 to 1 Mar 2026, 4 Mar 2026"
    assert weeks_of([]) == []
