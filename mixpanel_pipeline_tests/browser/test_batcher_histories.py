"""Whole visits, told and drawn: whatever happens on the way, every event is in Postgres once, and in the aggregates."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page

from mixpanel_pipeline_tests.browser.conftest import Visit
from mixpanel_pipeline_tests.browser.gate import Faults

pytestmark = pytest.mark.slow

EVENTS = ("trackPageView('home')", "trackClick('social', 'x')", "track('seen', 'ü', {text: 'a'.repeat(300)})")
FAULTS = (
    Faults(), Faults(), Faults(), Faults(status=503, headers={"Retry-After": "20"}), Faults(status=502),
    Faults(answers_are_lost=True), Faults(most_events=3), Faults(status=200, body=b"<html>Please log in</html>"),
    Faults(status=403),
)  # fmt: skip
STEPS = 60
OFTEN = {
    "events": 8, "wait": 4, "flush": 3, "faults": 3, "line": 2, "reload": 2, "next": 2, "open": 1, "close": 1,
}  # fmt: skip


def aggregated(visit: Visit) -> tuple[int, int]:
    """Page views and clicks of the card, from the aggregates alone."""
    today = datetime.now(UTC).date()
    with visit.warehouse.connect() as connection:
        connection.execute("select backfill_aggregates(%s, %s)", [today - timedelta(days=1), today])
        row = connection.execute(
            "select sum(page_views)::int, sum(clicks)::int from analytics_daily_user_stats where user_code = %s",
            [visit.card],
        ).fetchone()
    assert row is not None
    return row


def test_a_visit(visit: Visit) -> None:
    visit.context.clock.install()
    page = visit.open()
    visit.does(page, "trackPageView('home')", "trackClick('contact', 'mail')")
    visit.context.set_offline(True)
    visit.does(page, "trackClick('social', 'x')")
    page.clock.fast_forward(30_000)
    visit.context.set_offline(False)
    page.click("#mail")
    visit.made += page.evaluate("made")
    page.reload()
    visit.does(page, "trackPageView('home')")
    visit.follows(page, "#next")
    visit.does(page, "trackPageView('profile')")
    page.close()
    visit.gate.has_brought(visit.made)
    visit.is_stored_once()
    assert aggregated(visit) == (3, 3)
    assert visit.sessions() == [("", 3, 3)]


@pytest.mark.parametrize("seed", range(4))
def test_drawn_visits(visit: Visit, seed: int) -> None:
    drawn = random.Random(seed)
    visit.context.clock.install(time=datetime.now(UTC) + timedelta(minutes=drawn.choice([0, 0, 3, -3])))
    pages: list[Page] = [visit.open()]
    for _ in range(STEPS):
        page = drawn.choice(pages)
        match drawn.choices(list(OFTEN), list(OFTEN.values()))[0]:
            case "events":
                visit.does(page, *drawn.choices(EVENTS, k=drawn.choice([1, 2, 5, 30])))
            case "wait":
                page.clock.fast_forward(drawn.choice([1_000, 10_000, 20_000]))
            case "flush":
                page.evaluate("void batcher.flush()")
            case "faults":
                visit.gate.faults = drawn.choice(FAULTS)
            case "line":
                # A page cannot be loaded without a line: it comes back before the next step.
                visit.context.set_offline(True)
                visit.does(page, *drawn.choices(EVENTS, k=3))
                page.clock.fast_forward(drawn.choice([1_000, 15_000]))
                visit.context.set_offline(False)
            case "reload":
                page.reload()
            case "next":
                visit.follows(page, "#next")
            case "open" if len(pages) < 3:
                pages.append(visit.open())
            case "close" if len(pages) > 1:
                pages.remove(page)
                page.close()
    visit.gate.faults = Faults()
    last = visit.open()
    for page in pages:
        page.close()
    last.clock.fast_forward(600_000)
    visit.sends_all(last)
    visit.is_stored_once()
