"""What a batch leaves in the database, and what its sender is told."""

import json
from typing import Any

import psycopg
import pytest

from mixpanel_pipeline.collector.visitors import kept_address
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.collector.conftest import BROWSER, PROJECT, RunningCollector, Start
from mixpanel_pipeline_tests.collector.made_events import click, event, page_view, session
from mixpanel_pipeline_tests.web import site

NOTHING = {"accepted": 0, "duplicates": 0, "rejected": []}
TABLES = ("analytics_sessions", "analytics_page_views", "analytics_clicks", "analytics_events")


def rows(warehouse: Warehouse) -> int:
    return sum(site.value(warehouse, f"select count(*) from {table}") for table in TABLES)


def test_each_kind_lands_in_its_table_and_marks_its_bucket(collector: RunningCollector, warehouse: Warehouse) -> None:
    batch = [session(), page_view(), click(), event(event_data={"é": [1.5, 12345678901234567890123]})]
    assert collector.stored(batch) == {**NOTHING, "accepted": 4}
    assert [site.value(warehouse, f"select count(*) from {table}") for table in TABLES] == [1, 1, 1, 1]
    data = site.value(warehouse, "select event_data::text from analytics_events")
    assert data == '{"é": [1.5, 12345678901234567890123]}'
    assert site.value(warehouse, "select count(*) from analytics_dirty_hours") == 1
    assert collector.stored([]) == NOTHING


def test_a_batch_that_is_sent_again_changes_nothing(collector: RunningCollector, warehouse: Warehouse) -> None:
    batch = [session(), page_view(), click(), event()]
    collector.stored(batch)
    assert collector.stored([*batch, batch[1]]) == {**NOTHING, "duplicates": 5}
    one = page_view()
    assert collector.stored([one, one]) == {"accepted": 1, "duplicates": 1, "rejected": []}
    assert rows(warehouse) == 5


def test_what_is_wrong_is_refused_by_index_and_field_and_the_rest_is_stored(
    collector: RunningCollector, warehouse: Warehouse
) -> None:
    batch = [page_view(), page_view(page_type="Home"), 7, event(project_id="another"), click()]
    assert collector.stored(batch) == {
        "accepted": 2,
        "duplicates": 0,
        "rejected": [
            {
                "index": 1, "field": "page_type",
                "error": 'events[1].page_type: expected one of home, contact, profile, portfolio, got "Home"',
            },
            {"index": 2, "field": None, "error": "events[2]: expected an object, got 7"},
            {
                "index": 3, "field": "project_id",
                "error": 'events[3].project_id: expected the write key\'s own project, got "another"',
            },
        ],
    }  # fmt: skip
    assert rows(warehouse) == 2
    assert collector.metric("collector_events_total", outcome="rejected", reason="page_type") == 1
    assert collector.metric("collector_events_total", outcome="accepted") == 2


def test_refusals_are_those_of_the_function(collector: RunningCollector, warehouse: Warehouse) -> None:
    """Of the same batch, word for word: the service has no rules of its own."""
    wrong = [
        {}, [], None, "x", page_view(shareCode="g"), event(visitor_id=""), click(id="no"), session(page_views=-1),
        event(event_data=[1]), page_view(viewed_at="now"), event(event_data={"n": 10**400}), session(ip_address="here"),
        event(project_id=""), event(project_id=None), event(project_id=7),
    ]  # fmt: skip
    with warehouse.connect() as connection:
        row = connection.execute("select ingest_analytics_batch(%s)", [json.dumps(wrong)]).fetchone()
    assert row is not None
    assert len(row[0]["rejected"]) == len(wrong)
    assert collector.stored(wrong) == row[0]


POISON: list[tuple[str, str | None, str]] = [
    (r'{"event_data": {"a": "\u0000"}}', "event_data", "expected text without NUL characters, got one"),
    (r'{"event_data": {"\u0000": 1}}', "event_data", "expected text without NUL characters, got one"),
    (r'{"a\u0000b": 1}', "a\ufffdb", "expected text without NUL characters, got one"),
    (r'{"session_id": "\ud800"}', "session_id", "expected whole characters, got half a surrogate pair"),
    (r'{"event_data": {"a": ["\udc00\ud800"]}}', "event_data", "expected whole characters, got half a surrogate pair"),
    ('{"event_data": {"a": NaN}}', "event_data", "expected a number, got NaN"),
    ('{"event_data": {"a": -Infinity}}', "event_data", "expected a number, got -Infinity"),
    ('{"event_data": {"a": 1e200000}}', "event_data", "expected numbers of double precision, got one beyond"),
    ('{"event_data": {"a": -1e-200000}}', "event_data", "expected numbers of double precision, got one beyond"),
    (
        '{"event_data": {"a": 1%s}}' % ("0" * 200_000),
        "event_data",
        "expected numbers of double precision, got one beyond",
    ),
    (
        '{"event_data": {"a": %s}}' % ("[" * 20_000 + "]" * 20_000),
        "event_data",
        "expected at most 8 levels of objects and arrays, got more",
    ),
    (r'["\u0000"]', None, "expected text without NUL characters, got one"),
]


def test_what_jsonb_cannot_hold_is_refused_alone(collector: RunningCollector, warehouse: Warehouse) -> None:
    good = json.dumps(page_view(user_code=r'a \u0000 "]},{', share_code="😀"))
    events = ",".join([good, *(text for text, _, _ in POISON)])
    answer = collector.post(f'{{"other": NaN, "write_key": "{collector.key}", "events": [{events}]}}')
    assert answer.status_code == 200, answer.text
    assert answer.json()["accepted"] == 1
    assert [(each["index"], each["field"], each["error"]) for each in answer.json()["rejected"]] == [
        (place, field, f"events[{place}]{f'.{field}' if field else ''}: {problem}")
        for place, (_, field, problem) in enumerate(POISON, 1)
    ]
    assert site.value(warehouse, "select user_code || share_code from analytics_page_views") == r'a \u0000 "]},{😀'
    for text, field, problem in POISON:
        [refused] = collector.post(f'{{"write_key": "{collector.key}", "events": [{text}]}}').json()["rejected"]
        assert (refused["field"], refused["error"].partition(": ")[2]) == (field, problem)


def test_an_event_that_only_the_database_finds_is_refused_alone(
    collector: RunningCollector, warehouse: Warehouse
) -> None:
    with warehouse.connect() as connection:
        connection.execute("alter table analytics_clicks add check (click_target <> 'poison')")
    batch = [click(), page_view(), click(click_target="poison"), event(project_id=""), session(), click()]
    answer = collector.stored(batch)
    assert answer["accepted"] == 4
    [poisoned, wrong] = answer["rejected"]
    assert (poisoned["index"], poisoned["field"]) == (2, None)
    assert poisoned["error"].startswith("events[2]: expected JSON that Postgres can hold: new row for relation")
    assert (wrong["index"], wrong["error"][:20]) == (3, "events[3].project_id")
    assert rows(warehouse) == 4


def sessions(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    with warehouse.connect() as connection:
        return connection.execute(
            "select user_agent, host(ip_address) from analytics_sessions order by user_code"
        ).fetchall()


@pytest.mark.parametrize(
    ("setting", "own", "of_request"),
    [("drop", None, None), ("truncate", "2001:db8:1::", "127.0.0.0"), ("keep", "2001:db8:1:2::3", "127.0.0.1")],
)
def test_a_session_has_the_requests_browser_and_as_much_of_the_address_as_it_may(
    start: Start, warehouse: Warehouse, setting: str, own: str | None, of_request: str | None
) -> None:
    collector = start(COLLECTOR_IP_ADDRESSES=setting)
    given = session(user_code="a", user_agent="Firefox", ip_address="2001:db8:1:2::3")
    assert collector.stored([given, session(user_code="b", user_agent="", ip_address=None)])["accepted"] == 2
    assert sessions(warehouse) == [("Firefox", own), (BROWSER, of_request)]


@pytest.mark.parametrize("setting", ["drop", "truncate"])
def test_no_way_of_writing_an_address_keeps_more_of_it(start: Start, warehouse: Warehouse, setting: str) -> None:
    """Postgres reads these as addresses, whole ones; the others are read here."""
    collector = start(COLLECTOR_IP_ADDRESSES=setting)
    spellings = ["192.0.2.7/32", "010.0.0.7", "192.0.2.07", "::1/128", "2001:db8::1/128", "::ffff:192.0.2.07"]
    answer = collector.stored([session(ip_address=each) for each in spellings])
    assert [(each["index"], each["field"]) for each in answer["rejected"]] == [(n, "ip_address") for n in range(6)]
    assert answer["rejected"][0]["error"] == 'events[0].ip_address: expected an IP address, got "192.0.2.7/32"'
    assert sessions(warehouse) == []


@pytest.mark.parametrize(
    ("address", "truncated", "kept"),
    [
        ("::ffff:192.0.2.7", "192.0.2.0", "192.0.2.7"),
        ("2002:c000:207::1", "192.0.2.0", "2002:c000:207::1"),
        ("fe80::1%eth0", "fe80::", "fe80::1"),
        ("unix", None, None),
    ],
)
def test_what_is_kept_of_addresses(address: str, truncated: str | None, kept: str | None) -> None:
    assert [kept_address(address, how) for how in ("drop", "truncate", "keep")] == [None, truncated, kept]


def test_addresses_come_from_trusted_proxies_only(start: Start, warehouse: Warehouse) -> None:
    forwarded = {"X_Forwarded_For": "203.0.113.9"}
    start(COLLECTOR_IP_ADDRESSES="keep").stored([session(user_code="a")], **forwarded)
    trusting = start(COLLECTOR_IP_ADDRESSES="keep", COLLECTOR_TRUSTED_PROXIES="127.0.0.7/8")
    trusting.stored([session(user_code="b")], **forwarded)
    assert [address for _, address in sessions(warehouse)] == ["127.0.0.1", "203.0.113.9"]


@pytest.mark.parametrize("agent", ["Googlebot/2.1", "curl/8.5", ""])
def test_bots_are_counted_and_not_stored(collector: RunningCollector, warehouse: Warehouse, agent: str) -> None:
    answer = collector.stored([page_view(), click()], User_Agent=agent)
    assert [each["error"].partition(": ")[0] for each in answer["rejected"]] == ["events[0]", "events[1]"]
    assert rows(warehouse) == 0
    assert collector.metric("collector_events_total", outcome="rejected", reason="bot") == 2


def test_programs_are_stored_where_a_setting_says_so(start: Start, warehouse: Warehouse) -> None:
    assert start(COLLECTOR_BOTS="store").stored([page_view()], User_Agent="curl/8.5")["accepted"] == 1
    assert rows(warehouse) == 1


def test_the_project_of_a_key_is_stored(collector: RunningCollector, warehouse: Warehouse) -> None:
    collector.stored([event()])
    assert site.value(warehouse, "select project_id from analytics_events") == PROJECT


def test_keys_are_kept_as_hashes_alone(warehouse: Warehouse, key: str) -> None:
    with psycopg.connect(warehouse.url) as connection:
        row = connection.execute(
            "select hint, key_hash, collector_write_keys::text from collector_write_keys"
        ).fetchone()
    assert row is not None
    assert key.startswith(row[0])
    assert key not in row[2]
    assert key.encode() not in bytes(row[1])
