"""The dashboard in Chromium: no error, no other host, charts, keyboard, themes, phones, and what axe-core finds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from mixpanel_pipeline.dashboard.sign_in import COOKIE
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline_tests.browser.chromium import running_chromium
from mixpanel_pipeline_tests.conftest import fresh_database
from mixpanel_pipeline_tests.dashboard.conftest import RunningDashboard, running, token_of
from mixpanel_pipeline_tests.dashboard.traffic import let_people_in, write_traffic

pytestmark = pytest.mark.slow

AXE = Path(__file__).parents[2] / "clients/analytics-batcher/node_modules/axe-core/axe.min.js"
PAGES = ["/", "/project?project_id=p", "/project?project_id=p&period=24h&event_type=form&event_label=",
         "/project?project_id=p&period=90d&metric=unique_visitors", "/card?user_code=c", "/subscribers", "/health",
         "/sign-in", "/project?project_id=nowhere", "/project?project_id=p&period=never"]  # fmt: skip
CHARTS = ".chart .plot canvas"
WIDE = {"width": 1280, "height": 900}
OWN_TIME = """utc => new Date(utc).toLocaleTimeString(
    "en-GB", {timeZone: "America/New_York", hour: "2-digit", minute: "2-digit"}
)"""
DRAWN = """selector => document.querySelector(selector).getContext("2d")
    .getImageData(0, 0, 900, 200).data.some(Boolean)"""
Scheme = Literal["light", "dark"]


@pytest.fixture(scope="module")
def dashboard(postgres: EmbeddedPostgres) -> Iterator[RunningDashboard]:
    with fresh_database(postgres) as url:
        warehouse = Warehouse(url)
        let_people_in(warehouse)
        write_traffic(warehouse)
        with running(warehouse) as dashboard:
            yield dashboard


@pytest.fixture(scope="module")
def chromium(dashboard: RunningDashboard) -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@contextmanager
def signed_in(
    chromium: Browser, dashboard: RunningDashboard, person: str | None = "admin", **context: Any
) -> Iterator[Page]:
    """A page of somebody's; at the end it has met no error and asked no other host."""
    errors: list[str] = []
    asked: list[str] = []
    opened = chromium.new_context(**{"timezone_id": "America/New_York", "viewport": WIDE} | context)
    if person:
        opened.add_cookies([{"name": COOKIE, "value": token_of(person), "url": dashboard.url}])
    page = opened.new_page()

    def note(said: ConsoleMessage) -> None:
        # A page that is not there says so with its status, which Chromium calls an error.
        if said.type == "error" and "the server responded with a status of 4" not in said.text:
            errors.append(said.text)

    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", note)
    try:
        yield page
        assert errors == []
        own = dashboard.url.removesuffix("/dashboard")
        assert [url for url in asked if not url.startswith((own, "data:"))] == []
    finally:
        opened.close()


def visit(page: Page, dashboard: RunningDashboard, path: str) -> None:
    page.goto(dashboard.url + path)
    page.wait_for_load_state("networkidle")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_serious(chromium: Browser, dashboard: RunningDashboard, path: str, scheme: Scheme) -> None:
    assert AXE.exists(), f"{AXE} is missing: run `make client`"
    with signed_in(chromium, dashboard, color_scheme=scheme) as page:
        visit(page, dashboard, path)
        for details in page.locator("details").all():
            details.evaluate("each => { each.open = true }")
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        serious = [
            (each["id"], each["help"], [node["html"] for node in each["nodes"]][:3])
            for each in found["violations"]
            if each["impact"] in ("serious", "critical")
        ]
        assert serious == []


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_scrolls_down_only(chromium: Browser, dashboard: RunningDashboard, path: str) -> None:
    for width in (360, 768):
        with signed_in(chromium, dashboard, viewport={"width": width, "height": 740}) as page:
            visit(page, dashboard, path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_charts_are_drawn_and_said(chromium: Browser, dashboard: RunningDashboard) -> None:
    with signed_in(chromium, dashboard) as page:
        for path in ("/project?project_id=p", "/card?user_code=c"):
            visit(page, dashboard, path)
            expect(page.locator(CHARTS)).to_have_count(1)
            assert page.evaluate(DRAWN, CHARTS)
            page.hover(".u-over")
            assert ":" in page.inner_text(".tip")


def test_filters_by_keyboard(chromium: Browser, dashboard: RunningDashboard) -> None:
    """Tab, Enter, and back: the address follows, the focus stays, the change is said."""
    with signed_in(chromium, dashboard, "owner") as page:
        visit(page, dashboard, "/")
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
        tab_to(page, "project-1")
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        expect(page.locator("h1")).to_have_text("p")
        expect(page.locator("header [aria-current]")).to_have_count(0)
        tab_to(page, "period-30d")
        page.keyboard.press("Enter")
        expect(page.locator("#period-30d")).to_have_attribute("aria-current", "true")
        assert page.evaluate("document.activeElement.id") == "period-30d"
        tab_to(page, "kpi-unique_visitors")
        page.keyboard.press("Enter")
        expect(page.locator("#status")).to_contain_text("unique visitors in the last 30 days")
        tab_to(page, "type-1")
        page.keyboard.press("Enter")
        expect(page.locator(".chip")).to_have_count(1)
        assert "period=30d" in page.url
        assert "event_type=" in page.url
        assert "metric=unique_visitors" in page.url
        expect(page.locator(CHARTS)).to_have_count(1)
        address = page.url
        page.keyboard.press("Shift+Tab")
        tab_to(page, "remove-type")
        page.keyboard.press("Enter")
        expect(page.locator(".chip")).to_have_count(0)
        page.go_back()
        expect(page.locator(".chip")).to_have_count(1)
        assert page.url == address
        expect(page.locator(CHARTS)).to_have_count(1)
        page.reload()
        expect(page.locator(".chip")).to_have_count(1)


def tab_to(page: Page, identity: str) -> None:
    """Round the page at most once, from wherever the focus is."""
    for _ in range(150):
        if page.evaluate("document.activeElement.id") == identity:
            return
        page.keyboard.press("Tab")
    pytest.fail(f"#{identity} is not reached by Tab")


def test_days_are_chosen_by_the_form(chromium: Browser, dashboard: RunningDashboard) -> None:
    with signed_in(chromium, dashboard, "owner") as page:
        visit(page, dashboard, "/project?project_id=p&event_type=visible")
        page.click("#other-days")
        day = page.input_value("#to")
        page.fill("#from", day)
        page.click("#show-days")
        page.wait_for_url(f"**from={day}&to={day}*")
        expect(page.locator("#sentence")).to_contain_text(f" on {int(day[-2:])} ")
        expect(page.locator(".chip")).to_have_count(1)


def test_times_are_the_readers_own(chromium: Browser, dashboard: RunningDashboard) -> None:
    with signed_in(chromium, dashboard) as page:
        visit(page, dashboard, "/project?project_id=p&period=24h")
        page.click("#as-table")
        utc = page.get_attribute("tbody time", "datetime")
        own = page.inner_text("tbody time >> nth=0")
        assert page.evaluate(OWN_TIME, utc) in own
        page.select_option("#zone", "UTC")
        expect(page.locator("tbody time").first).to_contain_text("UTC")
        page.reload()
        expect(page.locator("tbody time").first).to_contain_text("UTC")


def test_colours_follow_the_system_or_the_reader(chromium: Browser, dashboard: RunningDashboard) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    with signed_in(chromium, dashboard, color_scheme="dark") as page:
        visit(page, dashboard, "/project?project_id=p")
        dark = page.evaluate(background)
        page.click("#theme")
        light = page.evaluate(background)
        assert light != dark
        page.reload()
        assert page.evaluate(background) == light
        page.emulate_media(color_scheme="light")
        page.click("#theme")
        assert page.evaluate(background) == dark
        page.click("#theme")
        assert page.evaluate(background) == light


def test_without_scripts_everything_is_there(chromium: Browser, dashboard: RunningDashboard) -> None:
    with signed_in(chromium, dashboard, "owner", java_script_enabled=False) as page:
        visit(page, dashboard, "/")
        page.click("#project-1")
        page.click("#period-30d")
        page.click("#as-table")
        expect(page.locator("figure tbody tr")).to_have_count(30)
        page.click("#type-1")
        expect(page.locator(".chip")).to_have_count(1)


def test_signing_in_and_out(chromium: Browser, dashboard: RunningDashboard) -> None:
    with signed_in(chromium, dashboard, None) as page:
        visit(page, dashboard, "/project?project_id=p")
        page.fill("#token", token_of("owner"))
        page.click(".token .button")
        expect(page.locator("h1")).to_have_text("p")
        assert page.url == f"{dashboard.url}/project?project_id=p"
        page.context.clear_cookies()
        page.click("#period-30d")
        expect(page.locator("h1")).to_have_text("Sign in")
        page.fill("#token", token_of("owner"))
        page.click(".token .button")
        expect(page.locator("#period-30d")).to_have_attribute("aria-current", "true")
        page.click("text=Sign out")
        expect(page.locator("h1")).to_have_text("Sign in")
        page.evaluate("history.back()")
        page.wait_for_url("**next=*")
        expect(page.locator("h1")).to_have_text("Sign in")
