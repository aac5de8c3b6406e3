"""Chromium; a site with the batcher, and the collector and Postgres that its events go to."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from mixpanel_pipeline.collector.write_keys import make_key
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline_tests.browser.card_site import SCRIPT, CardSite, built
from mixpanel_pipeline_tests.browser.chromium import running_chromium
from mixpanel_pipeline_tests.browser.gate import Gate, serving
from mixpanel_pipeline_tests.collector.conftest import PROJECT, RunningCollector, running
from mixpanel_pipeline_tests.conftest import fresh_database

QUEUE = "Object.keys(localStorage).filter((key) => key.includes(':queue:'))"
EVENTS_OF = """
    select id::text, time from (
        select id, user_code as of, viewed_at as time from analytics_page_views
        union all select id, user_code, clicked_at from analytics_clicks
        union all select id, visitor_id, created_at from analytics_events
    ) as made where of = %(card)s
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the tests of a module; make contexts in it."""
    with running_chromium() as browser:
        yield browser


@dataclass
class Front:
    """A site, and the collector that takes its pages' events."""

    site: CardSite
    collector: RunningCollector
    warehouse: Warehouse


@pytest.fixture(scope="package")
def front(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    """Of all browser tests: each has a card of its own."""
    built(SCRIPT)
    site = CardSite()
    with serving(site), fresh_database(postgres) as database_url:
        warehouse = Warehouse(database_url)
        key = make_key(warehouse, PROJECT, [site.url])
        directory = tmp_path_factory.mktemp("collector")
        with running(database_url, directory, key, COLLECTOR_REQUESTS_PER_ADDRESS="100000") as collector:
            yield Front(site, collector, warehouse)


@dataclass
class Visit:
    """A browser with nothing stored in it, which visits a card; and what became of its events."""

    context: BrowserContext
    site: CardSite
    gate: Gate
    warehouse: Warehouse
    made: list[str] = field(default_factory=list)

    @property
    def card(self) -> str:
        return self.site.settings["card"]["userCode"]

    def open(self, path: str = "/") -> Page:
        page = self.context.new_page()
        page.goto(self.site.url + path)
        return page

    def does(self, page: Page, *calls: str) -> list[str]:
        """Calls the page's batcher, and remembers the ids of the events it made."""
        ids = page.evaluate(f"[{', '.join(f'batcher.{call}' for call in calls)}]")
        assert all(ids), page.evaluate("problems")
        self.made += ids
        return ids

    def follows(self, page: Page, link: str) -> None:
        """To the next page, until its batcher is there."""
        with page.expect_navigation():
            page.click(link)

    def sends_all(self, page: Page) -> None:
        """Waits until nothing is queued any more; where the clock is the test's, it has moved it on."""
        page.wait_for_function(f"!{QUEUE}.length")

    def queued(self, page: Page) -> int:
        return page.evaluate(f"{QUEUE}.length")

    def stored(self) -> dict[str, float]:
        """The events that the page made, each with its time; none is there twice, and there is no other."""
        with self.warehouse.connect() as connection:
            rows = connection.execute(EVENTS_OF, {"card": self.card}).fetchall()
        times = {identity: time.timestamp() for identity, time in rows}
        assert len(times) == len(rows), "an event is stored twice"
        assert times.keys() <= set(self.made), "an event is stored that the page did not make"
        return times

    def is_stored_once(self) -> None:
        """Every event that the page made."""
        assert self.stored().keys() == set(self.made)
        assert len(set(self.made)) == len(self.made)

    def sessions(self) -> list[tuple[str, int, int]]:
        """Whose they are, page views, clicks; in the order of their beginning."""
        with self.warehouse.connect() as connection:
            return connection.execute(
                "select coalesce(share_code, ''), page_views, clicks from analytics_sessions"
                " where user_code = %(card)s order by first_seen",
                {"card": self.card},
            ).fetchall()


@pytest.fixture
def visit(chromium: Browser, front: Front) -> Iterator[Visit]:
    """Someone visits a card that nobody has visited."""
    card = f"card-{uuid4()}"
    gate = Gate(front.collector.url)
    front.site.script = ""
    front.site.settings = {
        "endpoint": gate.url, "writeKey": front.collector.key, "projectId": PROJECT,
        "card": {"userCode": card}, "visitorId": card,
    }  # fmt: skip
    with serving(gate):
        context = chromium.new_context()
        try:
            yield Visit(context, front.site, gate, front.warehouse)
        finally:
            context.close()
