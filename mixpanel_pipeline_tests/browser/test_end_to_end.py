"""From a click in a visitor's browser to a figure on the dashboard in the owner's."""

import os
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from playwright.sync_api import Browser, Page, expect

from mixpanel_pipeline.collector.write_keys import make_key
from mixpanel_pipeline.dashboard.tokens import make_token
from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.browser.card_site import CardSite
from mixpanel_pipeline_tests.browser.conftest import Visit
from mixpanel_pipeline_tests.browser.gate import TIMEOUT_SECONDS, Gate, serving
from mixpanel_pipeline_tests.cli.conftest import PROGRAM
from mixpanel_pipeline_tests.collector.conftest import BROWSER, PROJECT, RunningCollector, running

pytestmark = pytest.mark.slow

SECRET = "a secret of the tests, long enough for HS256"
OWNER = UUID("00000000-0000-0000-0000-00000000000a")
CARD = "ada"
OWNED = """
    with owner as (insert into account (user_id) values (%(owner)s) returning id),
         site as (insert into project (project_id, account_id) select %(project)s, id from owner)
    insert into card_owner (user_code, user_id) values (%(card)s, %(owner)s)
"""


@pytest.fixture
def site() -> Iterator[CardSite]:
    site = CardSite()
    with serving(site):
        yield site


@pytest.fixture
def service(database_url: str, warehouse: Warehouse, site: CardSite, tmp_path: Path) -> Iterator[RunningCollector]:
    """Collector and dashboard in one process, for a project and a card that OWNER has."""
    with warehouse.connect() as connection:
        connection.execute(OWNED, {"owner": OWNER, "project": PROJECT, "card": CARD})
    key = make_key(warehouse, PROJECT, [site.url])
    with running(database_url, tmp_path, key, DASHBOARD_JWT_SECRET=SECRET) as collector:
        yield collector


def test_from_a_click_to_the_dashboard(
    chromium: Browser, site: CardSite, service: RunningCollector, warehouse: Warehouse, tmp_path: Path
) -> None:
    gate = Gate(service.url)
    site.settings = {
        "endpoint": gate.url, "writeKey": service.key, "projectId": PROJECT,
        "card": {"userCode": CARD, "shareCode": "spring-fair", "contactId": "c-17"}, "visitorId": CARD,
    }  # fmt: skip
    with serving(gate), chromium.new_context(user_agent=BROWSER) as context:
        visit = Visit(context, site, gate, warehouse)
        visits_a_card(visit)
        visit.is_stored_once()
    aggregate(warehouse.url, tmp_path)
    with warehouse.connect() as connection:
        assert connection.execute("select sum(event_count) from analytics_events_hourly_agg").fetchone() == (4,)

    with chromium.new_context(base_url=f"{service.url}/dashboard/") as context:
        page = signed_in(context.new_page())
        page.get_by_role("link", name=PROJECT, exact=True).click()
        expect(page.locator("#kpi-events strong")).to_have_text("4")
        expect(page.locator("#kpi-unique_visitors strong")).to_have_text("1")
        page.get_by_role("link", name="widget_visible").click()
        expect(page.get_by_role("row").filter(has_text="banner").locator("td").first).to_have_text("3")

        page.goto("./")
        page.get_by_role("link", name=CARD, exact=True).click()
        page.click("#period-today")
        expect(page.locator("#kpi-page_views strong")).to_have_text("3")
        expect(page.locator("#kpi-clicks strong")).to_have_text("3")
        methods = page.get_by_role("region", name="Top contact methods").first.get_by_role("row")
        expect(methods.filter(has_text="mail")).to_contain_text("3")
        expect(page.get_by_role("row").filter(has_text="spring-fair")).to_be_visible()


def visits_a_card(visit: Visit) -> None:
    """Clicks and navigations, offline and back, a reload, and the tab closed."""
    page = visit.open()
    visit.does(page, "trackPageView('home')", "track('widget_visible', 'banner')")
    page.click("#mail")
    visit.made += page.evaluate("made")
    visit.follows(page, "#next")
    visit.context.set_offline(True)
    visit.does(page, "trackPageView('profile')", "trackClick('contact', 'mail')", "track('widget_visible', 'banner')")
    visit.context.set_offline(False)
    visit.sends_all(page)
    visit.does(page, "trackPageView('contact')", "track('conversion')")
    page.reload()
    are_taken(visit)
    visit.does(page, "trackClick('contact', 'mail')", "track('widget_visible', 'banner')")
    page.close()
    are_taken(visit)


def are_taken(visit: Visit) -> None:
    """Waits until the collector has answered for all that the page made: what it sent as it went, too."""
    gate = visit.gate
    with gate.came:
        assert gate.came.wait_for(
            lambda: set(visit.made) <= {each for passed in gate.passed if passed.status == 200 for each in passed.ids},
            TIMEOUT_SECONDS,
        )


def aggregate(database_url: str, directory: Path) -> None:
    """As its schedules do, in Dagster's runs."""
    kept = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
    environment = {**kept, "DATABASE_URL": database_url, "PIPELINE_HOME": str(directory / "home")}
    finished = subprocess.run([*PROGRAM, "aggregate"], env=environment, cwd=directory, capture_output=True, check=False)
    assert finished.returncode == 0, finished.stderr.decode()


def signed_in(page: Page) -> Page:
    """As the owner, with a token as an application gives it."""
    page.goto("./")
    page.get_by_label("Your token").fill(make_token(OWNER, SECRET, timedelta(hours=1)))
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    return page
