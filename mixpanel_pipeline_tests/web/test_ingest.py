"""`ingest_analytics_batch`: whatever is sent, in whatever order and however often, is stored once."""

import json
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tenacity import Retrying, stop_after_delay, wait_fixed

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.aggregation import aggregate_all
from mixpanel_pipeline_tests.web import site
from mixpanel_pipeline_tests.web.plain_ingest import Event, Store
from mixpanel_pipeline_tests.web.test_access import as_role

UNCHECKED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
FEW = {"max_examples": 10, "deadline": None, "suppress_health_check": UNCHECKED}

NONE_OR = st.sampled_from([None, "", "a", "é"])
# Weeks and days that differ, and times of one moment in two zones.
TIMES = st.builds(
    lambda day, minute, zone: site.at(day, 23, minute).astimezone(zone).isoformat(),
    st.sampled_from([80, 83, 84, 85]), st.sampled_from([0, 59]),
    st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-3))]),
)  # fmt: skip
IDS = st.integers(1, 6).map(lambda number: str(UUID(int=number)))
CARD = {
    "session_id": st.sampled_from("xyz"), "user_code": st.sampled_from("cd"), "share_code": NONE_OR,
    "contact_id": NONE_OR,
}  # fmt: skip
PAGE_VIEWS = st.fixed_dictionaries(
    {
        "type": st.just("page_view"), "id": IDS, **CARD, "page_type": st.sampled_from(["home", "contact"]),
        "viewed_at": TIMES,
    }
)  # fmt: skip
CLICKS = st.fixed_dictionaries(
    {
        "type": st.just("click"), "id": IDS, **CARD, "click_target": NONE_OR,
        "click_category": st.sampled_from(["social", "aiAgent"]), "clicked_at": TIMES,
    }
)  # fmt: skip
EVENTS = st.fixed_dictionaries(
    {
        "type": st.just("event"), "id": IDS, "project_id": st.sampled_from("pq"), "visitor_id": st.sampled_from("vw"),
        "session_id": st.sampled_from("xyz"), "event_type": st.sampled_from(["visible", "click"]),
        "event_label": NONE_OR, "event_data": st.sampled_from([{}, {"n": [1, {"é": None}]}]), "created_at": TIMES,
    }
)  # fmt: skip
SESSIONS = st.fixed_dictionaries(
    {"type": st.just("session"), "id": IDS, **CARD, "first_seen": TIMES},
    optional={
        "page_views": st.sampled_from([0, 3, 7.0]), "clicks": st.integers(0, 3),
        "user_agent": st.sampled_from([None, "", "Firefox", "Échelle"]), "referrer": NONE_OR,
        "ip_address": st.sampled_from([None, "", "192.0.2.1", "192.0.2.9"]),
    },
)  # fmt: skip
POISON = st.sampled_from(
    [("id", "none"), ("session_id", 7), ("session_id", "s" * 201), ("type", "visit"), ("sessionId", "x"), ("user", {})]
)
GOOD = st.one_of(PAGE_VIEWS, CLICKS, EVENTS, SESSIONS, SESSIONS)

WAITING = "select count(*) from pg_locks where locktype = 'advisory' and classid = 7241012 and not granted"


def poisoned(event: Event, poison: tuple[str, Any]) -> Event:
    field, value = poison
    return {**event, field: value, "refused": field}


ANY = st.one_of(GOOD, GOOD, GOOD, st.builds(poisoned, GOOD, POISON))


def send(warehouse: Warehouse, events: Any) -> dict[str, Any]:
    sent = [{name: value for name, value in event.items() if name != "refused"} for event in events]
    with warehouse.connect() as connection:
        row = connection.execute("select ingest_analytics_batch(%s)", [json.dumps(sent)]).fetchone()
    return row[0] if row else {}


def stored(warehouse: Warehouse) -> dict[str, dict[Any, Event]]:
    """Raw rows as the plain rule has them; a row that is there twice is an error."""
    rows = site.raw_rows(warehouse)
    found = {}
    for kind, key in (("page_views", "id"), ("clicks", "id"), ("events", "id"), ("sessions", "session_id")):
        for row in rows[kind]:
            row.pop("received_at", None)
            if row.get("ip_address"):
                row["ip_address"] = str(row["ip_address"])
        found[kind] = {row[key]: row for row in rows[kind]}
        assert len(found[kind]) == len(rows[kind]), kind
    return found


@settings(**FEW)
@given(batches=st.lists(st.lists(ANY, max_size=12), min_size=1, max_size=5))
def test_batches_leave_what_a_plain_rule_leaves(warehouse: Warehouse, batches: list[list[Event]]) -> None:
    site.clear(warehouse)
    plain = Store()
    for batch in [*batches, batches[0]]:
        accepted, duplicates, refused = plain.ingest(batch)
        answer = send(warehouse, batch)
        assert (answer["accepted"], answer["duplicates"]) == (accepted, duplicates)
        assert [(each["index"], each["field"]) for each in answer["rejected"]] == refused
        assert answer.keys() == {"accepted", "duplicates", "rejected"}
        assert stored(warehouse) == vars(plain)
    aggregate_all(warehouse)
    site.check_aggregates(warehouse, site.raw_rows(warehouse))


@settings(**FEW)
@given(events=st.lists(GOOD, min_size=1, max_size=14), chance=st.randoms(use_true_random=False))
def test_neither_order_nor_the_cut_into_batches_matters(
    warehouse: Warehouse, events: list[Event], chance: random.Random
) -> None:
    """Of events whose ids say one thing each; aggregated between, so that marks are late ones."""
    events = [
        {**event, "id": str(UUID(int=number))} if event["type"] != "session" else event
        for number, event in enumerate(events)
    ]
    plain = Store()
    plain.ingest(events)
    site.clear(warehouse)
    shuffled = [*events, *chance.sample(events, len(events) // 2)]
    chance.shuffle(shuffled)
    while shuffled:
        cut = chance.randint(1, len(shuffled))
        send(warehouse, shuffled[:cut])
        del shuffled[:cut]
        aggregate_all(warehouse)
    assert stored(warehouse) == vars(plain)
    site.check_aggregates(warehouse, site.raw_rows(warehouse))


def test_overlapping_batches_at_once_store_everything_once(warehouse: Warehouse) -> None:
    """Four senders, the same events in their own order, each batch twice, sessions that begin earlier each time."""
    events: list[Event] = []
    for number in range(150):
        card = {"id": str(uuid4()), "session_id": f"s{number % 40}", "user_code": "c"}
        when = site.at(84, 12, number % 60).isoformat()
        events += [
            {"type": "page_view", **card, "page_type": "home", "viewed_at": when},
            {"type": "click", **card, "click_category": "other", "clicked_at": when},
            {"type": "session", **card, "first_seen": when, "clicks": number % 7},
            {
                "type": "event", "id": card["id"], "session_id": card["session_id"], "project_id": "p",
                "visitor_id": "v", "event_type": "visible", "created_at": when,
            },
        ]  # fmt: skip

    def play(seed: int) -> int:
        chance = random.Random(seed)
        own = events[:]
        chance.shuffle(own)
        accepted = 0
        for start in range(0, len(own), 60):
            for _ in range(2):
                answer = send(warehouse, own[start : start + 60])
                assert answer["rejected"] == []
                accepted += answer["accepted"]
        return accepted

    with ThreadPoolExecutor(4) as pool:
        accepted = sum(pool.map(play, range(4)))
    plain = Store()
    plain.ingest(events)
    assert stored(warehouse) == vars(plain)
    assert accepted >= 450 + 40
    aggregate_all(warehouse)
    site.check_aggregates(warehouse, site.raw_rows(warehouse))


def test_a_batch_waits_for_the_one_that_holds_its_events(warehouse: Warehouse) -> None:
    """Decided by what commits: the same batch is all duplicates after a commit, and stored after a rollback."""
    batch = [page_view(), session(first_seen=site.at(84).isoformat())]
    moved = [{**batch[0], "viewed_at": site.at(84, 13).isoformat()}, session(first_seen=site.at(83).isoformat())]
    for commits in (False, True):
        with warehouse.connect() as first, ThreadPoolExecutor(1) as pool:
            first.execute("select ingest_analytics_batch(%s)", [json.dumps(batch)])
            second = pool.submit(send, warehouse, batch if not commits else moved)
            for attempt in Retrying(stop=stop_after_delay(30), wait=wait_fixed(0.02)):
                with attempt:
                    assert site.value(warehouse, WAITING) == 1
            if commits:
                first.commit()
            else:
                first.rollback()
            answer = second.result()
            assert (answer["accepted"], answer["duplicates"]) == ((1, 1) if commits else (2, 0))
        found = stored(warehouse)
        assert len(found["page_views"]) == len(found["sessions"]) == 1
        if not commits:
            site.clear(warehouse)
    assert next(iter(found["sessions"].values()))["first_seen"] == site.at(83)


def page_view(**given: Any) -> Event:
    return {
        "type": "page_view", "id": str(uuid4()), "session_id": "s", "user_code": "c", "page_type": "home",
        "viewed_at": site.at(84).isoformat(), **given,
    }  # fmt: skip


def session(**given: Any) -> Event:
    return {
        "type": "session", "id": str(uuid4()), "session_id": "s", "user_code": "c",
        "first_seen": site.at(84).isoformat(), **given,
    }  # fmt: skip


def test_an_id_is_known_although_its_time_was_corrected(warehouse: Warehouse) -> None:
    first = page_view(viewed_at=site.at(83, 23, 58).isoformat())
    send(warehouse, [first])
    for later in (timedelta(minutes=5), timedelta(days=-7), timedelta(days=6, hours=23)):
        again = {**first, "viewed_at": (datetime.fromisoformat(first["viewed_at"]) + later).isoformat()}
        assert send(warehouse, [again, page_view()])["duplicates"] == 1
    [row] = [row for row in site.raw_rows(warehouse)["page_views"] if str(row["id"]) == first["id"]]
    assert row["viewed_at"] == site.at(83, 23, 58)
    # An id is one of its kind: a click may have a page view's.
    click = {
        "type": "click", "id": first["id"], "session_id": "s", "user_code": "c", "click_category": "other",
        "clicked_at": first["viewed_at"],
    }  # fmt: skip
    assert send(warehouse, [click])["accepted"] == 1


def test_a_session_that_somebody_wrote_twice_becomes_one(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        rows = [site.session_row(site.at(80), clicks=9), site.session_row(site.at(85), user_code="d", page_views=4)]
        site.insert(connection, "sessions", rows)
    aggregate_all(warehouse)
    send(warehouse, [session(first_seen=site.at(82).isoformat(), last_seen=site.at(86).isoformat())])
    [row] = site.raw_rows(warehouse)["sessions"]
    assert (row["first_seen"], row["last_seen"], row["user_code"]) == (site.at(80), site.at(86), "c")
    assert (row["page_views"], row["clicks"]) == (4, 9)
    aggregate_all(warehouse)
    site.check_aggregates(warehouse, site.raw_rows(warehouse))


def test_the_time_of_receipt_is_ours(warehouse: Warehouse) -> None:
    event = {
        "type": "event", "id": str(uuid4()), "session_id": "s", "project_id": "p", "visitor_id": "v",
        "event_type": "visible", "created_at": site.at(84).isoformat(),
    }  # fmt: skip
    send(warehouse, [event])
    assert site.value(warehouse, "select now() - received_at < '1 minute' from analytics_events")
    assert site.value(warehouse, "select event_data from analytics_events") == {}


def test_only_the_service_role_may_call(warehouse: Warehouse) -> None:
    call = "select ingest_analytics_batch(%s)"
    for role in ("anon", "authenticated"):
        with as_role(warehouse, role, "owner") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(call, ["[]"])
    with as_role(warehouse, "service_role") as connection:
        row = connection.execute(call, [json.dumps({"events": [page_view()], "sent_at": "ignored"})]).fetchone()
        assert row == ({"accepted": 1, "duplicates": 0, "rejected": []},)
        assert connection.execute("select count(*) from analytics_batch_fields()").fetchone() == (35,)
    with as_role(warehouse, "service_role") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("select ingest_collected_sessions('[]')")


def test_an_old_snapshot_is_refused(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        with pytest.raises(psycopg.errors.InvalidTransactionState, match=r"needs READ COMMITTED.*REPEATABLE READ"):
            connection.execute("select ingest_analytics_batch('[]')")
