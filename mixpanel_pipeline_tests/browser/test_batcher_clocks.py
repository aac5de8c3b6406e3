"""Clocks that are wrong, sessions that end, and pages from which nothing may be stored or sent."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from mixpanel_pipeline_tests.browser.conftest import Visit
from mixpanel_pipeline_tests.browser.gate import Faults, Passed
from mixpanel_pipeline_tests.browser.test_batcher import SOME

pytestmark = pytest.mark.slow

HOUR = 3600
TIMES = ("viewed_at", "clicked_at", "created_at")


def clock_is_wrong(visit: Visit, seconds: float) -> None:
    visit.context.clock.install(time=datetime.now(UTC) + timedelta(seconds=seconds))


def times_in(passed: Passed) -> dict[str, str]:
    return {
        event["id"]: event[field] for event in passed.body["events"] for field in TIMES if field in event
    }  # fmt: skip


def statuses(visit: Visit) -> list[int]:
    return [passed.status for passed in visit.gate.passed]


@pytest.mark.parametrize("wrong_by", [HOUR, -HOUR])
def test_a_clock_that_is_an_hour_wrong(visit: Visit, wrong_by: int) -> None:
    clock_is_wrong(visit, wrong_by)
    page = visit.open()
    before = time.time()
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    assert statuses(visit) == [409, 200]
    visit.follows(page, "#next")
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    assert statuses(visit) == [409, 200, 200]  # the tab remembers
    visit.is_stored_once()
    assert all(before - 1 <= stored <= time.time() + 1 for stored in visit.stored().values())
    [session] = visit.sessions()
    assert session[1:] == (2, 2)


@pytest.mark.parametrize("wrong_by", [HOUR, -HOUR])
def test_the_beacon_of_a_page_whose_clock_is_wrong(visit: Visit, wrong_by: int) -> None:
    clock_is_wrong(visit, wrong_by)
    page = visit.open()
    visit.does(page, *SOME)
    sent_as = time.time() + wrong_by
    page.close()
    assert [passed.status for passed in visit.gate.has_passed(1)] == [409]
    later = visit.open()
    visit.does(later, "trackPageView('home')")
    later.evaluate("batcher.flush()")
    visit.is_stored_once()
    # Whether the beacon was stored is not known here, so its times stay, unless the collector refuses them.
    assert statuses(visit) == ([409, 409, 200, 200] if wrong_by > 0 else [409, 409, 200])
    *first, last = [visit.stored()[each] for each in visit.made]
    assert last == pytest.approx(time.time(), abs=5)
    assert first == pytest.approx([time.time() if wrong_by > 0 else sent_as] * 3, abs=5)


def test_an_event_that_may_be_stored_keeps_its_time(visit: Visit) -> None:
    visit.context.clock.install()
    page = visit.open()
    visit.gate.faults = Faults(answers_are_lost=True)
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    visit.gate.faults = Faults()
    sent = len(visit.gate.passed)
    page.clock.set_system_time(datetime.now(UTC) - timedelta(hours=1))
    visit.does(page, "trackPageView('home')")
    page.evaluate("batcher.flush()")
    visit.sends_all(page)
    assert statuses(visit)[sent:] == [409, 200]
    first, *_, last = visit.gate.passed
    assert times_in(first).items() <= times_in(last).items()
    visit.is_stored_once()
    assert visit.stored()[visit.made[-1]] == pytest.approx(time.time(), abs=5)


@pytest.mark.parametrize("known", [False, True])
def test_a_clock_that_was_ahead_and_is_put_right_before_anything_is_sent(visit: Visit, known: bool) -> None:
    """As when a computer wakes: what it said meanwhile is more than the collector takes, and is lost with the event."""
    clock_is_wrong(visit, HOUR)
    page = visit.open()
    if known:  # the collector said how wrong
        visit.does(page, "trackPageView('home')")
        page.evaluate("batcher.flush()")
    visit.does(page, *SOME)
    page.clock.set_system_time(datetime.now(UTC))
    page.evaluate("batcher.flush()")
    visit.is_stored_once()
    assert page.evaluate("problems") == []
    assert statuses(visit) == ([409, 200, 409, 200] if known else [200])
    assert visit.stored()[visit.made[-1]] == pytest.approx(time.time(), abs=10)


def test_a_clock_that_is_put_back_prolongs_no_pause(visit: Visit) -> None:
    visit.context.clock.install()
    page = visit.open()
    visit.gate.faults = Faults(answers_are_lost=True)
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    visit.gate.faults = Faults(status=503)
    page.clock.fast_forward(10_000)
    page.wait_for_function("'analytics:shop:until' in localStorage")
    visit.gate.faults = Faults()
    page.clock.set_system_time(datetime.now(UTC) - timedelta(hours=1))
    page.evaluate("batcher.flush()")
    visit.is_stored_once()
    assert statuses(visit)[-2:] == [409, 200]


def test_consent_that_is_withdrawn_while_events_are_on_their_way(visit: Visit) -> None:
    page = visit.open()
    visit.gate.faults = Faults(status=503)
    visit.does(page, *SOME)
    page.evaluate("const sent = batcher.flush(); batcher.setConsent(false); sent")
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]


def test_a_clock_that_the_collector_cannot_put_right(visit: Visit) -> None:
    page = visit.open()
    visit.gate.faults = Faults(status=409, body=b'{"error": "no", "server_time": "2001-01-01T00:00:00Z"}')
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    assert statuses(visit) == [409, 409]
    assert visit.queued(page) == 4


def test_a_session_ends_after_thirty_minutes_without_an_event(visit: Visit) -> None:
    clock_is_wrong(visit, -3 * HOUR)
    page = visit.open()
    visit.context.set_offline(True)
    visit.does(page, *SOME)
    page.clock.fast_forward(29 * 60_000)
    visit.does(page, *SOME)
    page.clock.fast_forward(31 * 60_000)
    visit.does(page, *SOME)
    page.clock.fast_forward(2 * HOUR * 1000)
    visit.context.set_offline(False)
    visit.sends_all(page)
    visit.is_stored_once()
    assert [session[1:] for session in visit.sessions()] == [(2, 2), (1, 1)]


def test_a_session_ends_after_a_day(visit: Visit) -> None:
    clock_is_wrong(visit, -26 * HOUR)
    page = visit.open()
    visit.context.set_offline(True)
    for _ in range(52):
        visit.does(page, "trackPageView('home')")
        page.clock.fast_forward(29 * 60_000)
    page.clock.fast_forward((26 * 60 - 52 * 29) * 60_000)
    visit.context.set_offline(False)
    visit.sends_all(page)
    visit.is_stored_once()
    assert [session[1] for session in visit.sessions()] == [50, 2]


def test_another_card_is_another_session(visit: Visit) -> None:
    page = visit.open()
    visit.does(page, *SOME)
    page.evaluate("batcher.card = {userCode: 'bob'}")
    page.evaluate("batcher.trackPageView('home')")
    page.evaluate(f"batcher.card = {{userCode: '{visit.card}'}}")
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    visit.is_stored_once()
    assert [session[1:] for session in visit.sessions()] == [(2, 2)]


def test_nothing_is_stored_or_sent_before_consent(visit: Visit) -> None:
    visit.site.settings["consent"] = False
    visit.context.clock.install()
    page = visit.open()
    assert page.evaluate("batcher.trackPageView('home')") is None
    page.clock.fast_forward(60_000)
    page.evaluate("batcher.flush()")
    stored = "[localStorage.length, sessionStorage.length]"
    assert page.evaluate(stored) == [0, 0]
    page.reload()
    assert page.evaluate(stored) == [0, 0]
    assert visit.gate.passed == []

    page.evaluate("batcher.setConsent(true)")
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    visit.is_stored_once()

    page.evaluate("batcher.trackPageView('home')")
    page.evaluate("batcher.setConsent(false)")
    assert page.evaluate(stored) == [0, 0]
    page.close()
    visit.is_stored_once()


def test_opting_out_lasts(visit: Visit) -> None:
    page = visit.open()
    page.evaluate("batcher.trackPageView('home'); batcher.optOut()")
    page.reload()
    page.evaluate("batcher.setConsent(false); batcher.setConsent(true)")  # what a banner says is not what they said
    assert page.evaluate("batcher.trackPageView('home')") is None
    page.evaluate("batcher.flush()")
    assert visit.gate.passed == []
    assert page.evaluate("Object.entries(localStorage)") == [["analytics:shop:out", "1"]]
    page.evaluate("batcher.optIn()")
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    visit.is_stored_once()


@pytest.mark.parametrize("said", ["doNotTrack: {value: '1'}", "globalPrivacyControl: {value: true}"])
def test_browsers_that_ask_not_to_be_tracked(visit: Visit, said: str) -> None:
    visit.context.add_init_script(f"Object.defineProperties(navigator, {{{said}}})")
    page = visit.open()
    assert page.evaluate("batcher.trackPageView('home')") is None
    page.evaluate("batcher.flush()")
    assert page.evaluate("[localStorage.length, sessionStorage.length]") == [0, 0]
    assert visit.gate.passed == []
    visit.site.settings["honourDoNotTrack"] = False
    page.reload()
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    visit.is_stored_once()


def test_storage_that_is_full(visit: Visit) -> None:
    visit.site.script = """
        if (!localStorage.full) for (let size = 2 ** 22; size >= 1; size /= 2) {
            try { for (;;) localStorage.full = (localStorage.full ?? '') + 'x'.repeat(size); } catch {}
        }
    """
    page = visit.open()
    assert page.evaluate("localStorage.full.length") > 5_000_000
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    visit.is_stored_once()
    visit.does(page, *SOME)
    page.close()
    visit.gate.has_passed(2)
    visit.is_stored_once()


def test_storage_that_is_forbidden(visit: Visit) -> None:
    forbidden = "{get() { throw new DOMException('The operation is insecure.', 'SecurityError'); }}"
    visit.context.add_init_script(
        f"Object.defineProperties(window, {{localStorage: {forbidden}, sessionStorage: {forbidden}}})"
    )
    page = visit.open()
    visit.does(page, *SOME)
    page.evaluate("batcher.flush()")
    visit.is_stored_once()
    assert page.evaluate("batcher.flush()") is None
    visit.does(page, *SOME)
    page.close()
    visit.gate.has_passed(2)
    visit.is_stored_once()
    assert len(visit.sessions()) == 1


@pytest.mark.parametrize("policy", ["kept", "session"])
def test_who_visits(visit: Visit, policy: str) -> None:
    del visit.site.settings["visitorId"]
    visit.site.settings["visitor"] = policy
    first, second = visit.open(), visit.open()
    for page in (first, second):
        page.evaluate("batcher.track('seen', location.pathname)")
    second.evaluate("batcher.flush()")
    second.wait_for_function("!Object.keys(localStorage).some((key) => key.includes(':queue:'))")
    events = [event for event in visit.gate.passed[0].body["events"] if event["type"] == "event"]
    visitors = {event["visitor_id"] for event in events}
    assert len(visitors) == (1 if policy == "kept" else 2)
    assert (visitors == {event["session_id"] for event in events}) == (policy == "session")


def test_nothing_of_it_breaks_the_page(visit: Visit) -> None:
    page = visit.open()
    broken: list[str] = []
    page.on("pageerror", lambda error: broken.append(str(error)))
    assert page.evaluate("const a = {}; a.a = a; batcher.track('cyclic', 'x', a)") is None
    assert page.evaluate("batcher.track('big', 'x', {n: 10n})") is None
    assert len(page.evaluate("problems")) == 2
    page.evaluate(
        """async () => {
            const onProblem = () => { throw Error('own'); };
            const settings = {endpoint: 'https://[', writeKey: 'k', projectId: 'other', onProblem};
            const other = AnalyticsBatcher.createBatcher(settings);
            other.trackPageView('home');
            other.track('seen');
            await other.flush();
            crypto.getRandomValues = () => { throw Error('none'); };
            other.track('seen');
        }"""
    )
    assert broken == []
