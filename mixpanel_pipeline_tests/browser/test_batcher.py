"""A page's events reach Postgres, each once: compared by the ids that the page says it made."""

import time

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from mixpanel_pipeline_tests.browser.conftest import QUEUE, Visit
from mixpanel_pipeline_tests.browser.gate import Faults

pytestmark = pytest.mark.slow

SOME = ("trackPageView('home')", "trackClick('contact', 'mail')", "track('widget_visible', 'banner', {place: 3})")


def test_clicks_and_navigations(visit: Visit) -> None:
    visit.site.settings["card"].update(shareCode="spring-fair", contactId="c-17")
    visit.context.clock.install()
    page = visit.open("/?utm_source=letter")
    visit.does(page, "trackPageView('home')")
    page.click("#mail")
    visit.made += page.evaluate("made")
    visit.follows(page, "#next")
    visit.does(page, "trackPageView('profile')", "track('widget_visible', 'banner', {place: 3})")
    assert page.evaluate("problems") == []
    page.clock.fast_forward(10_000)
    visit.sends_all(page)
    visit.is_stored_once()
    assert visit.sessions() == [("spring-fair", 2, 1)]


def test_ten_seconds_or_fifty_events(visit: Visit) -> None:
    visit.context.clock.install()
    page = visit.open()
    page.clock.pause_at(time.time() + 1)
    visit.does(page, *SOME)
    page.clock.run_for(9_900)
    assert visit.gate.passed == []
    page.clock.run_for(200)
    [first] = visit.gate.has_passed(1)
    assert sorted(first.ids) == sorted(visit.made)
    visit.sends_all(page)

    visit.does(page, *["trackClick('social')"] * 48)
    assert len(visit.gate.passed) == 1
    visit.does(page, "trackClick('social')")  # with the session it is the fiftieth
    assert len(visit.gate.has_passed(2)[1].ids) == 49
    visit.sends_all(page)
    visit.is_stored_once()


def test_batches_stay_below_what_a_closing_page_may_send(visit: Visit) -> None:
    page = visit.open()
    visit.does(page, *["track('long', 'ü', {text: 'ä'.repeat(7000)})"] * 9)
    page.evaluate("batcher.flush()")
    visit.is_stored_once()
    assert [len(passed.ids) for passed in visit.gate.passed] == [4, 4, 1]
    assert page.evaluate("batcher.track('too long', 'x', {text: 'a'.repeat(20000)})") is None
    assert page.evaluate("problems") == ["event: expected at most 20000 characters, got more"]


def test_offline_and_back(visit: Visit) -> None:
    visit.context.clock.install()
    page = visit.open()
    visit.context.set_offline(True)
    visit.does(page, *SOME)
    page.clock.fast_forward(60_000)
    visit.does(page, *SOME)
    assert visit.gate.passed == []
    visit.context.set_offline(False)
    visit.sends_all(page)
    visit.is_stored_once()


def test_a_reload_with_a_full_queue(visit: Visit) -> None:
    visit.context.clock.install()
    page = visit.open()
    visit.gate.faults = Faults(status=503, headers={"Retry-After": "30"})
    visit.does(page, *["trackClick('social', 'a')"] * 120)
    visit.gate.has_passed(1)
    page.wait_for_function("Object.keys(localStorage).some((key) => key.endsWith(':until'))")
    page.reload()
    visit.gate.faults = Faults()
    page.clock.fast_forward(20_000)
    assert len(visit.gate.passed) == 1  # a reload does not end the pause
    page.clock.fast_forward(20_000)
    visit.sends_all(page)
    visit.is_stored_once()
    assert [passed.status for passed in visit.gate.passed] == [503, 200, 200, 200]


def test_a_queue_that_is_full_drops_the_oldest(visit: Visit) -> None:
    page = visit.open()
    visit.context.set_offline(True)
    for _ in range(26):
        visit.does(page, *["trackClick('social')"] * 20)
        page.wait_for_timeout(2)  # ids made within a millisecond have no order
    assert (page.evaluate("batcher.dropped"), visit.queued(page)) == (21, 500)
    visit.context.set_offline(False)
    visit.sends_all(page)
    stored = visit.stored().keys()
    assert (len(stored), stored > set(visit.made[40:])) == (499, True)

    visit.context.set_offline(True)
    page.evaluate("for (let i = 0; i < 30; i++) batcher.track('long', 'x', {text: 'a'.repeat(15000)})")
    assert page.evaluate(f"{QUEUE}.map((key) => localStorage[key].length).reduce((a, b) => a + b)") <= 200_000
    assert visit.queued(page) == 14


def test_a_tab_that_is_closed(visit: Visit) -> None:
    page = visit.open()
    visit.does(page, *SOME)
    page.close()
    [beacon] = visit.gate.has_passed(1)
    assert sorted(beacon.ids) == sorted(visit.made)
    visit.is_stored_once()
    # Nobody heard the answer, so it is sent again.
    later = visit.open()
    visit.sends_all(later)
    assert [sorted(passed.ids) for passed in visit.gate.passed] == [sorted(visit.made)] * 2
    visit.is_stored_once()


def test_a_page_that_is_hidden(visit: Visit) -> None:
    visit.context.clock.install()
    page = visit.open()
    hide = "document.dispatchEvent(new Event('visibilitychange'))"
    page.evaluate("Object.defineProperty(document, 'visibilityState', {value: 'hidden'})")
    visit.does(page, *SOME)
    page.evaluate(hide)
    assert len(visit.gate.has_passed(1)[0].ids) == 3
    assert visit.queued(page) == 4
    visit.does(page, "trackPageView('profile')")
    page.evaluate(hide)
    assert visit.gate.has_passed(2)[1].ids == visit.made[3:]  # nothing goes as a beacon twice
    page.clock.fast_forward(10_000)
    visit.sends_all(page)
    visit.is_stored_once()


def test_more_than_a_closing_tab_may_send(visit: Visit) -> None:
    visit.context.clock.install()
    page = visit.open()
    visit.does(page, *["track('long', 'x', {text: 'a'.repeat(12000)})"] * 8)
    page.close()
    first = visit.gate.has_passed(1)
    assert 0 < len(first[0].ids) < 8
    later = visit.open()
    later.clock.fast_forward(1_000)
    visit.sends_all(later)
    visit.is_stored_once()


def test_two_tabs(visit: Visit) -> None:
    one, other = visit.open(), visit.open()
    visit.does(one, *SOME)
    visit.does(other, *SOME)
    for page in (one, other):
        page.evaluate("void batcher.flush()")
    visit.sends_all(one)
    visit.is_stored_once()
    assert [session[1:] for session in visit.sessions()] == [(1, 1), (1, 1)]


def test_what_a_closed_tab_left_is_sent_by_another(visit: Visit) -> None:
    visit.context.clock.install()
    one, other = visit.open(), visit.open()
    other.evaluate("navigator.sendBeacon = () => false")
    visit.does(other, *SOME)
    one.wait_for_function(f"{QUEUE}.length")
    other.close()
    assert visit.gate.passed == []
    one.clock.fast_forward(15_000)
    visit.sends_all(one)
    visit.is_stored_once()


def test_a_copied_tab_has_a_session_of_its_own(visit: Visit) -> None:
    page = visit.open()
    visit.does(page, "trackPageView('home')")
    with visit.context.expect_page() as opened:
        page.evaluate("void open('/profile')")
    copy = opened.value
    copy.wait_for_function("window.batcher")
    visit.does(copy, "trackPageView('profile')")
    visit.does(page, "trackPageView('home')")
    page.evaluate("batcher.flush()")
    visit.is_stored_once()
    assert sorted(session[1] for session in visit.sessions()) == [1, 2]


def test_without_locks(visit: Visit) -> None:
    visit.context.add_init_script("Object.defineProperty(navigator, 'locks', {value: undefined})")
    visit.context.clock.install()
    one, other = visit.open(), visit.open()
    visit.does(one, *SOME)
    visit.does(other, *SOME)
    visit.context.clock.fast_forward(10_000)
    visit.sends_all(one)
    visit.is_stored_once()


def test_a_tab_that_sleeps_with_the_lock(visit: Visit) -> None:
    minutes_are_short = "AbortSignal.timeout = ((own) => (ms) => own.call(AbortSignal, ms / 100))(AbortSignal.timeout)"
    visit.context.add_init_script(minutes_are_short)
    asleep, awake = visit.open(), visit.open()
    asleep.evaluate(
        "new Promise((held) => navigator.locks.request('analytics:shop:', () => new Promise(() => held())))"
    )
    visit.does(awake, *SOME)
    awake.evaluate("batcher.flush()")
    visit.is_stored_once()


def test_answers_that_are_lost(visit: Visit) -> None:
    visit.context.clock.install()
    page = visit.open()
    visit.gate.faults = Faults(answers_are_lost=True)
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    assert visit.queued(page) == 4
    visit.gate.faults = Faults()
    page.clock.fast_forward(10_000)
    visit.sends_all(page)
    assert [passed.status for passed in visit.gate.passed] in ([0, 200], [0, 0, 200])  # browsers try a cut line again
    visit.is_stored_once()


def test_postgres_away(visit: Visit) -> None:
    """The collector's own 503."""
    visit.context.clock.install()
    page = visit.open()
    with visit.warehouse.connect() as connection:
        name = connection.info.dbname
    with psycopg.connect(visit.warehouse.url, dbname="postgres", autocommit=True) as server:
        allow = SQL("alter database {} allow_connections {}")
        server.execute(allow.format(Identifier(name), SQL("false")))
        server.execute("select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [name])
        try:
            visit.does(page, *SOME)
            page.evaluate("batcher.flush()")
            assert [passed.status for passed in visit.gate.passed] == [503]
            page.evaluate("batcher.flush()")
            assert len(visit.gate.passed) == 1
        finally:
            server.execute(allow.format(Identifier(name), SQL("true")))
    page.clock.fast_forward(10_000)
    visit.sends_all(page)
    visit.is_stored_once()


OTHERS_ENTRIES = [
    '["x"]',
    "[null]",
    "[{}]",
    "{}",
    "[",
    '[{"type": "session", "id": "y"}, 0]',
    '[{"id": "z"}]',
    "null",
    "7",
]


def test_texts_in_the_queue_that_are_no_events_of_it(visit: Visit) -> None:
    """They can be settled under no name, and what can never be settled would be sent for ever."""
    page = visit.open()
    page.evaluate(
        "(texts) => texts.forEach((text, n) => localStorage[`analytics:shop:queue:${n}`] = text)", OTHERS_ENTRIES
    )
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    visit.is_stored_once()
    assert visit.queued(page) == 0
    assert len(visit.gate.passed) == 1


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_retry_after(visit: Visit, form: str) -> None:
    visit.context.clock.install()
    page = visit.open()
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 100))
    visit.gate.faults = Faults(status=429, headers={"Retry-After": "100" if form == "seconds" else date})
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    visit.gate.faults = Faults()
    page.clock.fast_forward(60_000)
    assert len(visit.gate.passed) == 1
    page.clock.fast_forward(60_000)
    visit.sends_all(page)
    visit.is_stored_once()


def test_pauses_double_up_to_ten_minutes(visit: Visit) -> None:
    visit.context.clock.install()
    page = visit.open()
    page.clock.pause_at(time.time() + 1)
    visit.gate.faults = Faults(status=503)
    visit.does(page, *SOME)
    pauses = []
    for count in range(1, 11):
        page.evaluate("batcher.flush()")
        assert len(visit.gate.passed) == count
        pauses.append(page.evaluate("localStorage['analytics:shop:until'] - Date.now()") / 1000)
        page.clock.run_for(round(pauses[-1] * 1000) + 1)
        visit.gate.has_passed(count)
    assert all(5 * 2**n / 2 <= pause <= min(5 * 2**n, 600) for n, pause in enumerate(pauses[:7]))
    assert all(300 <= pause <= 600 for pause in pauses[7:])


def test_a_batch_that_is_too_large_is_halved(visit: Visit) -> None:
    page = visit.open()
    visit.gate.faults = Faults(most_events=3)
    visit.does(page, *["trackClick('social')"] * 9)
    page.evaluate("batcher.flush()")
    visit.sends_all(page)
    visit.is_stored_once()
    assert {passed.status for passed in visit.gate.passed} == {200, 413}


@pytest.mark.parametrize("status", [400, 415])
def test_a_batch_that_is_refused_for_good_is_dropped(visit: Visit, status: int) -> None:
    page = visit.open()
    visit.gate.faults = Faults(status=status)
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    assert visit.queued(page) == 0
    assert page.evaluate("problems") == [f"{status} expected otherwise"] * 4
    assert visit.stored() == {}


def test_an_event_that_is_rejected_is_dropped_alone(visit: Visit) -> None:
    page = visit.open()
    visit.does(page, "trackPageView('home')", "trackPageView('Home')")
    page.evaluate("batcher.flush()")
    [problem] = page.evaluate("problems")
    assert "page_type: expected one of home, contact, profile, portfolio" in problem
    assert visit.queued(page) == 0
    assert list(visit.stored()) == visit.made[:1]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_page_that_is_refused_is_silent_until_it_is_loaded_again(visit: Visit, status: int) -> None:
    visit.context.clock.install()
    page = visit.open()
    visit.gate.faults = Faults(status=status)
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    visit.does(page, *SOME)
    page.clock.fast_forward(3_600_000)
    page.evaluate("batcher.flush()")
    assert len(visit.gate.passed) == 1
    assert len(page.evaluate("problems")) == 1
    visit.gate.faults = Faults()
    page.reload()
    page.clock.fast_forward(1_000)
    visit.sends_all(page)
    visit.is_stored_once()


def test_a_network_that_answers_itself(visit: Visit) -> None:
    visit.context.clock.install()
    page = visit.open()
    visit.gate.faults = Faults(status=200, body=b"<html>Please log in</html>")
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    visit.gate.faults = Faults()
    page.clock.fast_forward(10_000)
    visit.sends_all(page)
    visit.is_stored_once()


def test_a_page_from_the_back_forward_cache(visit: Visit) -> None:
    visit.site.script = "addEventListener('pageshow', (event) => { if (event.persisted) document.title = 'restored'; })"
    page = visit.open()
    visit.does(page, "trackPageView('home')")
    visit.follows(page, "#next")
    visit.gate.has_passed(1)  # its beacon
    visit.does(page, "trackPageView('profile')")
    page.evaluate("void setTimeout(() => history.back(), 0)")
    page.wait_for_url(visit.site.url + "/", wait_until="commit")
    page.wait_for_function("document.title === 'restored'")
    visit.does(page, "trackClick('social')")
    page.evaluate("batcher.flush()")
    visit.sends_all(page)
    visit.is_stored_once()
    assert visit.sessions() == [("", 2, 1)]
