"""`aggregate` end to end, and what `status` and `verify` say of web analytics: real processes, Dagster's instance."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.marks import start_of
from mixpanel_pipeline_tests.cli.conftest import Run
from mixpanel_pipeline_tests.cli.test_sync import result_of
from mixpanel_pipeline_tests.web import site

pytestmark = pytest.mark.usefixtures("on_database")
TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)
FIRST = TODAY - timedelta(days=2)


@pytest.fixture(autouse=True)
def since(environment: dict[str, str]) -> None:
    environment["WEB_START_DATE"] = str(FIRST)


def of_assets(report: dict[str, Any], *names: str) -> dict[str, tuple]:
    return {asset["asset"]: tuple(asset[name] for name in names) for asset in report["assets"]}


def standing(database_url: str) -> set[str]:
    """Checks that fail as the health page has it."""
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select check_name from check_verdicts where not isempty(stands)").fetchall()
    return {name for (name,) in rows}


def test_what_is_due_then_late_rows_then_days_again(run: Run, database_url: str) -> None:
    rows = {"events": [site.event(site.at(day)) for day in (89, 90)], "clicks": [site.click(site.at(90))]}
    rows |= {"sessions": [], "page_views": []}
    with psycopg.connect(database_url) as connection:
        for kind in ("events", "clicks"):
            site.copy(connection, kind, rows[kind])
    shown = run("status").stdout
    assert "no web events are aggregated yet" in shown
    assert re.search(r"analytics_clicks .* unknown", shown)
    assert "3 marks waiting for aggregation" in shown

    first = result_of(run("aggregate", "--json"))
    assert first["succeeded"]
    assert [found["what"].split()[0] for found in first["runs"]] == ["web_hourly_job", "web_daily_job"]
    assert of_assets(first, "partitions", "rows_written")["analytics_events_daily_agg"] == (2, 6)
    site.check_aggregates(Warehouse(database_url), rows)

    late = site.event(site.at(89, 5))
    with psycopg.connect(database_url) as connection:
        site.insert(connection, "events", [late])
    rows["events"].append(late)
    second = result_of(run("aggregate", "--json"))
    assert of_assets(second, "late_partitions")["analytics_events_hourly_agg"] == (1,)
    site.check_aggregates(Warehouse(database_url), rows)

    with psycopg.connect(database_url) as connection:
        connection.execute("update analytics_events_hourly_agg set event_count = 99")
    failed = result_of(run("verify", "--json"), code=1)
    (bad,) = [check for check in failed["checks"] if check["check"] == "hourly_equals_raw"]
    assert not bad["passed"]
    assert "hourly_equals_raw" in standing(database_url)
    again = run("aggregate", "--hourly", "--from", str(FIRST), "--to", str(TODAY))
    assert again.returncode == 0, again.stderr
    assert "analytics_events_hourly_agg" in again.stdout
    assert "analytics_events_daily_agg" not in again.stdout
    site.check_aggregates(Warehouse(database_url), rows)
    days = ("--from", str(FIRST), "--to", str(YESTERDAY))
    checked = {check["check"]: check["passed"] for check in result_of(run("verify", *days, "--json"))["checks"]}
    assert checked["hourly_equals_raw"]
    assert checked["daily_equals_raw"]
    assert checked["normalized_equals_legacy"]
    assert "hourly_equals_raw" not in standing(database_url)

    found = result_of(run("status", "--json"))["web"]
    assert (found["marks_waiting"], found["refused_rows"], found["in_use"]) == (2, 0, True)
    assert found["hours_until"] > str(YESTERDAY)
    assert "analytics_events" in {size["tablename"] for size in found["tables"]}
    with psycopg.connect(database_url) as connection:
        jobs = connection.execute("select pipeline_name, count(*) from dagster.runs group by 1").fetchall()
    assert dict(jobs) == {"web_hourly_job": 3, "web_daily_job": 2}


def test_behind_the_raw_floor_nothing_can_be_computed(run: Run, environment: dict[str, str], database_url: str) -> None:
    floor = site.monday_of(YESTERDAY)
    gone = floor - timedelta(days=1)
    environment["WEB_START_DATE"] = str(gone)
    with psycopg.connect(database_url) as connection:
        connection.execute("update analytics_retention set raw_floor = %s", [start_of(floor)])
        site.insert(connection, "events", [site.event(start_of(gone))])
    finished = run("aggregate", "--from", str(gone), "--to", str(gone))
    assert finished.returncode == 2
    assert f"--to {gone} lies before {floor}, where raw rows are gone" in finished.stderr
    finished = run("aggregate", "--daily", "--from", str(gone), "--to", str(YESTERDAY), "--json")
    assert f"raw rows from before {floor} are gone" in finished.stderr
    assert of_assets(result_of(finished), "rows_refused")["analytics_events_daily_agg"] == (1,)


def test_without_web_events_it_says_so(run: Run) -> None:
    assert "no web events yet" in run("status").stdout
    assert result_of(run("aggregate", "--daily", "--json"))["succeeded"]
    checks = {check["check"]: check["passed"] for check in result_of(run("verify", "--json"))["checks"]}
    assert checks["hourly_is_fresh"]
    assert checks["watermark_advances"]


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (
            ["--from", str(FIRST), "--to", str(TODAY)],
            f"{TODAY} is not over yet; give an earlier day, or only the hours that are over, with --hourly",
        ),
        (["--hourly", "--from", str(FIRST), "--to", str(TODAY + timedelta(days=1))], "is not over yet"),
        (["--from", str(FIRST - timedelta(days=1)), "--to", str(YESTERDAY)], "for earlier days set WEB_START_DATE"),
        (["--from", str(FIRST)], "--from and --to go together"),
        (["--hourly", "--from", "yesterday"], "'yesterday' is no day"),
    ],
)
def test_bad_usage(run: Run, arguments: list[str], part: str) -> None:
    finished = run("aggregate", *arguments)
    assert finished.returncode == 2
    assert part in finished.stderr
    assert "Traceback" not in finished.stderr
