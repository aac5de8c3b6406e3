"""Health and subscribers in Chromium, with much on them: the page renews itself, and what axe-core finds."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from mixpanel_pipeline.checks.verdict import Verdict
from mixpanel_pipeline.checks.verdict_log import record_verdict
from mixpanel_pipeline.lake.calendar import days_between
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline_tests.browser.chromium import running_chromium
from mixpanel_pipeline_tests.browser.test_dashboard import AXE, signed_in, visit
from mixpanel_pipeline_tests.conftest import fresh_database
from mixpanel_pipeline_tests.dashboard.conftest import PEOPLE, SETTINGS, RunningDashboard, running
from mixpanel_pipeline_tests.dashboard.test_health import YESTERDAY, before, load, log, write
from mixpanel_pipeline_tests.web import site

pytestmark = pytest.mark.slow

PAGES = ["/health", "/subscribers", "/subscribers?sort=income&column=total_copies&least=1", "/subscriber?id=person-7"]
REFRESH_MILLISECONDS = 31_000


@pytest.fixture(scope="module")
def warehouse(postgres: EmbeddedPostgres) -> Iterator[Warehouse]:
    """A pipeline with something of each kind: a missing, a failed and a late day, checks that fail, people."""
    with fresh_database(postgres) as url:
        warehouse = Warehouse(url)
        write(warehouse, "insert into admin_users values (%s)", PEOPLE["admin"])
        load(warehouse, [day for day in days_between(before(80), YESTERDAY) if day != before(9)])
        log(warehouse, "completed", mode="incremental", day=YESTERDAY, new_events=1234)
        log(warehouse, "failed", day=before(5), error="the stream ended before it was complete")
        write(warehouse, "insert into late_days values (%s, 1200)", before(3))
        wrong = (before(5), before(4))
        record_verdict(warehouse, Verdict("daily_equals_raw", False, "7 differ", fix="Run `it`.", wrong_days=wrong))
        record_verdict(warehouse, Verdict("no_quarantined_events", False, "3 lines", "warning", wrong_days=wrong))
        record_verdict(warehouse, Verdict("add_equals_replace", True, "totals of 99 subscribers equal REPLACE"))
        with warehouse.connect() as connection:
            site.insert(connection, "events", [site.event(datetime.now(UTC) - timedelta(hours=5))])
        for number in range(60):
            fill(warehouse, number)
        yield warehouse


def fill(warehouse: Warehouse, number: int) -> None:
    write(
        warehouse,
        "insert into subscribers_insights_v2 (distinct_id, total_copies, income, events_processed, first_event_time, "
        "last_event_time) values (%s, %s, '50k', 9, now() - interval '9 days', now())",
        f"person-{number}", number,
    )  # fmt: skip
    write(
        warehouse,
        "insert into subscriber_daily_contributions (export_day, distinct_id, total_copies, events_processed, "
        "first_event_time, last_event_time) values (%s, %s, 1, 4, now(), now())",
        before(number), "person-7",
    )  # fmt: skip
    write(
        warehouse,
        "insert into subscriber_profiles (distinct_id, properties, first_seen_at, changed_at) values (%s, "
        '\'{"$name": "Ann Lee", "plan": "gold"}\', now(), now())',
        f"person-{number}",
    )


@pytest.fixture(scope="module")
def dashboard(warehouse: Warehouse) -> Iterator[RunningDashboard]:
    settings = SETTINGS.model_copy(update={"dagster_url": "http://127.0.0.1:3000"})
    with running(warehouse, settings=settings) as dashboard:
        yield dashboard


@pytest.fixture(scope="module")
def chromium(dashboard: RunningDashboard) -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_serious(chromium: Browser, dashboard: RunningDashboard, path: str, scheme: Any) -> None:
    with signed_in(chromium, dashboard, color_scheme=scheme) as page:
        visit(page, dashboard, path)
        found = page.evaluate(f"async () => {{ {AXE.read_text()}\n return await axe.run(); }}")
    serious = [
        (violation["id"], node["html"][:200])
        for violation in found["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]
    assert serious == []


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_needs_not_scroll_sideways(chromium: Browser, dashboard: RunningDashboard, path: str) -> None:
    with signed_in(chromium, dashboard, viewport={"width": 360, "height": 740}) as page:
        visit(page, dashboard, path)
        assert page.evaluate("document.documentElement.scrollWidth") == 360


def test_health_renews_itself_and_leaves_the_focus(
    chromium: Browser, dashboard: RunningDashboard, warehouse: Warehouse
) -> None:
    with signed_in(chromium, dashboard) as page:
        page.clock.install()
        visit(page, dashboard, "/health")
        where = page.url
        page.locator("#check-daily_equals_raw").focus()
        expect(page.locator(".headline")).to_contain_text("Broken")
        write(warehouse, "insert into late_days values (%s, 77)", before(6))
        page.clock.run_for(REFRESH_MILLISECONDS)
        expect(page.locator("#health")).to_contain_text(f"{before(6)} (77)")
        assert page.evaluate("document.activeElement.id") == "check-daily_equals_raw"
        write(warehouse, "update late_days set events = 78 where export_day = %s", before(6))
        page.clock.run_for(REFRESH_MILLISECONDS)
        expect(page.locator("main #health")).to_contain_text(f"{before(6)} (78)")
        assert (page.url, page.locator("main").count(), page.locator("#health").count()) == (where, 1, 1)
        expect(page.locator(".as-of, .verdict time").first).to_contain_text("GMT-")


def test_health_that_gets_no_answer_keeps_what_it_shows(chromium: Browser, dashboard: RunningDashboard) -> None:
    with signed_in(chromium, dashboard) as page:
        page.clock.install()
        visit(page, dashboard, "/health")
        old = page.locator("[data-when-old]")
        expect(old).to_be_hidden()
        page.route("**/health", lambda route: route.fulfill(status=418, body="no"))
        page.clock.run_for(REFRESH_MILLISECONDS)
        expect(old).to_be_visible()
        expect(page.locator(".headline")).to_contain_text("Broken")
        page.unroute("**/health")
        page.clock.run_for(REFRESH_MILLISECONDS)
        expect(old).to_be_hidden()


def test_health_is_whole_without_scripts(chromium: Browser, dashboard: RunningDashboard) -> None:
    with signed_in(chromium, dashboard, java_script_enabled=False) as page:
        page.goto(f"{dashboard.url}/health")
        expect(page.locator(".headline")).to_contain_text("Broken")
        assert page.locator(".strip .day.missing").count() == 1 + 1  # and the legend's


def test_people_are_reached_by_keyboard(chromium: Browser, dashboard: RunningDashboard) -> None:
    with signed_in(chromium, dashboard) as page:
        visit(page, dashboard, "/subscribers")
        page.locator("#search").focus()
        page.keyboard.type("person-59")
        page.keyboard.press("Enter")
        expect(page.locator("#found")).to_contain_text("1 of 60 people")
        _tab_to(page, "person-1")
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("person-59")
        page.go_back()
        expect(page.locator("#found")).to_contain_text("1 of 60 people")


def _tab_to(page: Page, wanted: str) -> None:
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == wanted:
            return
    raise AssertionError(f"{wanted} is not reached by Tab")
