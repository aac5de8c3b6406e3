"""What `ingest_analytics_batch` refuses, and how it says so: each reason by an example, and each limit at its edge."""

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from mixpanel_pipeline.settings import PROJECT_ROOT
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import binaries
from mixpanel_pipeline_tests.web import site
from mixpanel_pipeline_tests.web.plain_ingest import Event
from mixpanel_pipeline_tests.web.test_ingest import page_view, send, session

NOON = site.at(84).isoformat()
TIME = "expected a time with its zone, such as 2026-01-31T09:30:00.123Z, got "
MOST_DATA = 16384


def click(**given: Any) -> Event:
    return {
        "type": "click", "id": str(uuid4()), "session_id": "s", "user_code": "c", "click_category": "other",
        "clicked_at": NOON, **given,
    }  # fmt: skip


def event(**given: Any) -> Event:
    return {
        "type": "event", "id": str(uuid4()), "project_id": "p", "visitor_id": "v", "session_id": "s",
        "event_type": "visible", "created_at": NOON, **given,
    }  # fmt: skip


def without(event: Event, field: str) -> Event:
    return {name: value for name, value in event.items() if name != field}


def nested(levels: int) -> Any:
    return {"a": nested(levels - 1)} if levels > 1 else {}


REFUSED = [
    (1, None, "expected an object, got 1"),
    ([page_view()], None, "expected an object, got an array"),
    (None, None, "expected an object, got nothing"),
    ({}, "type", "expected one of session, page_view, click, event, got nothing"),
    (page_view(type="pageView"), "type", 'expected one of session, page_view, click, event, got "pageView"'),
    (page_view(type=["page_view"]), "type", "expected one of session, page_view, click, event, got an array"),
    (
        page_view(shareCode="g"), "shareCode",
        "expected no such field; page_view has id, session_id, user_code, share_code, contact_id, page_type, viewed_at",
    ),
    (event(received_at=NOON), "received_at", re.compile("expected no such field; event has id, .*, created_at")),
    (page_view(**{"k" * 100: 1}), "k" * 80, re.compile("expected no such field")),
    (without(click(), "id"), "id", "expected a UUID such as 019a9c5e-7d3c-7a31-8f5b-0242ac120002, got nothing"),
    (click(id="{019a9c5e-7d3c-7a31-8f5b-0242ac120002}"), "id", re.compile("expected a UUID such as .*, got ")),
    (click(id="019a9c5e7d3c7a318f5b0242ac120002\n"), "id", re.compile("expected a UUID such as .*, got ")),
    (click(session_id=7), "session_id", "expected text of 1 to 200 bytes, got 7"),
    (click(user_code=""), "user_code", 'expected text of 1 to 200 bytes, got ""'),
    (click(user_code=None), "user_code", "expected text of 1 to 200 bytes, got nothing"),
    (click(share_code={"a": 1}), "share_code", "expected text of at most 200 bytes, got an object"),
    (click(contact_id=True), "contact_id", "expected text of at most 200 bytes, got true"),
    (click(contact_id="é" * 101), "contact_id", f'expected text of at most 200 bytes, got "{"é" * 60}…" (202 bytes)'),
    (click(click_target="x" * 501), "click_target", re.compile(r"at most 500 bytes, got .*\(501 bytes\)")),
    (
        click(click_category="email"), "click_category",
        'expected one of contact, messaging, social, portfolio, aiAgent, other, got "email"',
    ),
    (page_view(page_type="Home"), "page_type", 'expected one of home, contact, profile, portfolio, got "Home"'),
    (page_view(page_type=1e99), "page_type", re.compile(r"got 1(0){59}$")),
    (event(event_label=0), "event_label", "expected text of at most 500 bytes, got 0"),
    (event(visitor_id="v" * 501), "visitor_id", re.compile("expected text of 1 to 500 bytes")),
    (session(user_agent="u" * 2001), "user_agent", re.compile("at most 2000 bytes")),
    (session(referrer="r" * 10_000_000), "referrer", re.compile(r"at most 4000 bytes, got .{64}\(10000000 bytes\)")),
    (session(page_views=-1), "page_views", "expected a whole number from 0 to 2147483647, got -1"),
    (session(page_views="3"), "page_views", 'expected a whole number from 0 to 2147483647, got "3"'),
    (session(clicks=1.5), "clicks", "expected a whole number from 0 to 2147483647, got 1.5"),
    (session(clicks=2**31), "clicks", "expected a whole number from 0 to 2147483647, got 2147483648"),
    (session(ip_address="192.0.2.0/24"), "ip_address", 'expected an IP address, got "192.0.2.0/24"'),
    (session(ip_address="localhost"), "ip_address", 'expected an IP address, got "localhost"'),
    (page_view(viewed_at=None), "viewed_at", TIME + "nothing"),
    (page_view(viewed_at=1767225600), "viewed_at", TIME + "1767225600"),
    (page_view(viewed_at="2026-11-21T12:00:00"), "viewed_at", TIME + '"2026-11-21T12:00:00"'),
    (page_view(viewed_at="2026-02-30T12:00:00Z"), "viewed_at", TIME + '"2026-02-30T12:00:00Z"'),
    (page_view(viewed_at="2026-02-20T25:00:00Z"), "viewed_at", TIME + '"2026-02-20T25:00:00Z"'),
    (page_view(viewed_at="2026-02-20T12:00:00+99"), "viewed_at", TIME + '"2026-02-20T12:00:00+99"'),
    (page_view(viewed_at="0000-01-01T00:00:00Z"), "viewed_at", TIME + '"0000-01-01T00:00:00Z"'),
    (page_view(viewed_at="now"), "viewed_at", TIME + '"now"'),
    (page_view(viewed_at="infinity"), "viewed_at", TIME + '"infinity"'),
    (
        page_view(viewed_at="2099-01-01T00:00:00Z"), "viewed_at",
        re.compile(r'expected a time no more than 5 minutes ahead of ours, 20\S+Z, got "2099-01-01T00:00:00Z"'),
    ),
    (session(last_seen="2099-01-01T00:00:00Z"), "last_seen", re.compile("no more than 5 minutes ahead of ours")),
    (session(last_seen=site.at(83).isoformat()), "last_seen", "expected a time from first_seen on, got one before it"),
    (
        click(clicked_at="2001-01-01T00:00:00Z"), "clicked_at",
        re.compile(r"expected a time that has a partition \(analytics_clicks has them from \S+ to before \S+\), got "),
    ),
    (session(first_seen="2001-01-01T00:00:00Z"), "first_seen", re.compile("expected a time that has a partition")),
    (event(event_data=[]), "event_data", "expected an object, got an array"),
    (event(event_data="{}"), "event_data", 'expected an object, got "{}"'),
    (event(event_data=nested(9)), "event_data", "expected at most 8 levels of objects and arrays, got more"),
    (event(event_data={"a": "x" * MOST_DATA}), "event_data", "expected at most 16384 bytes of JSON, got 16393"),
    (event(event_data={"a": "x" * 10_000_000}), "event_data", "expected at most 16384 bytes of JSON, got more"),
    (event(event_data={"a": 10**400}), "event_data", "expected numbers of double precision, got one beyond"),
    (event(event_data={"a": [{"b": -(10**309)}]}), "event_data", re.compile("double precision")),
]  # fmt: skip


def test_each_reason_names_place_field_what_was_expected_and_what_came(warehouse: Warehouse) -> None:
    """All at once between good ones, which are stored."""
    batch = [page_view(), *(each for each, _, _ in REFUSED), click()]
    answer = send_raw(warehouse, json.dumps(batch))
    assert (answer["accepted"], answer["duplicates"]) == (2, 0)
    assert [each["index"] for each in answer["rejected"]] == list(range(1, len(REFUSED) + 1))
    for said, (_, field, error) in zip(answer["rejected"], REFUSED, strict=True):
        place = f"events[{said['index']}]" + (f".{field}" if field else "") + ": "
        assert said["field"] == field
        assert said["error"].startswith(place)
        reason = said["error"].removeprefix(place)
        assert error.search(reason) if isinstance(error, re.Pattern) else reason == error
    assert len(site.raw_rows(warehouse)["events"]) == 0


def send_raw(warehouse: Warehouse, text: str) -> dict[str, Any]:
    with warehouse.connect() as connection:
        row = connection.execute("select ingest_analytics_batch(%s)", [text]).fetchone()
    return row[0] if row else {}


def test_numbers_that_unfold_to_megabytes_cost_nothing(warehouse: Warehouse) -> None:
    """Six bytes of JSON each, 131,072 digits as text."""
    bomb = "[" + ",".join(["1e131071"] * 5000) + "]"
    tiny = bomb.replace("1e131071", "1e-16000")
    batch = json.dumps(
        [event(event_data={"a": "BOMB"}), event(event_data={"a": "TINY"}), event(project_id="BOMB")] * 20
    )
    answer = send_raw(warehouse, batch.replace('"BOMB"', bomb).replace('"TINY"', tiny))
    assert {each["error"].partition(": ")[2] for each in answer["rejected"]} == {
        "expected numbers of double precision, got one beyond", "expected text of 1 to 200 bytes, got an array"
    }  # fmt: skip
    assert len(answer["rejected"]) == 60


def test_what_is_at_the_edge_is_stored(warehouse: Warehouse) -> None:
    """The raw tables take what the rules allow: the longest texts, the highest counts, the newest and oldest times."""
    with warehouse.connect() as connection:
        rules = connection.execute("select type, field, holds, most, choices from analytics_batch_fields()").fetchall()
    make = {"session": session, "page_view": page_view, "click": click, "event": event}
    batch: list[Event] = []
    for kind, field, holds, most, choices in rules:
        edges: dict[str, list[Any]] = {
            "text": ["é" * (most // 2) if most else ""],
            "choice": choices,
            "count": [0, 2147483647, 5.0],
            "address": ["255.255.255.255", "2001:db8::1", "::ffff:192.0.2.1"],
            "time": [
                (datetime.now(UTC) + timedelta(minutes=4)).isoformat(), f"{site.OLDEST}T23:59:59.123456789z",
                f"{site.OLDEST} 12:00+0530", f"{site.OLDEST + timedelta(1)}t24:00:00-03",
            ],
            "data": [None, nested(8), {"a": "x" * (MOST_DATA - 9)}, {"a": [1.7976931348623157e308, 5e-324, 0, -1]}],
            "uuid": [str(uuid4()), str(uuid4()).upper()],
        }  # fmt: skip
        batch += [make[kind](**{field: value}) for value in edges[holds] if field != "last_seen"]
    for sent in batch:
        if sent["type"] == "session" and sent["session_id"] == "s":
            sent["session_id"] = str(uuid4())
    assert send(warehouse, batch) == {"accepted": len(batch), "duplicates": 0, "rejected": []}
    rows = site.raw_rows(warehouse)
    assert sum(len(each) for each in rows.values()) == len(batch)
    assert {len(row["event_data"].get("a", "")) for row in rows["events"]} >= {MOST_DATA - 9}
    # One byte more: the table itself would refuse it, too.
    for kind, field, holds, most, _ in rules:
        if holds == "text":
            table = {"session": "sessions", "page_view": "page_views", "click": "clicks", "event": "events"}[kind]
            constraint = site.value(
                warehouse, "select pg_get_constraintdef(oid) from pg_constraint where conrelid = %s::regclass "
                "and contype = 'c' and conkey = (select array[attnum] from pg_attribute "
                "where attrelid = conrelid and attname = %s)", [f"analytics_{table}", field],
            )  # fmt: skip
            assert re.search(rf"octet_length\({field}\) <= {most}\)", constraint), (kind, field)


def test_the_rules_know_every_column_and_no_other(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        columns = connection.execute(
            "select case relname when 'analytics_page_views' then 'page_view' "
            "else regexp_replace(relname, '^analytics_(.*)s$', '\\1') end, attname "
            "from pg_attribute join pg_class on pg_class.oid = attrelid where attnum > 0 and not attisdropped "
            "and attrelid = any(%s::regclass[]) and attname <> 'received_at'",
            [[f"analytics_{kind}" for kind in site.TIME_COLUMN]],
        ).fetchall()
        rules = connection.execute("select type, field from analytics_batch_fields()").fetchall()
    assert set(rules) == {*columns, ("session", "id")}


def test_times_behind_the_raw_floor_are_refused(warehouse: Warehouse) -> None:
    site.value(warehouse, "select cleanup_old_raw_events(30)")
    floor = site.value(warehouse, "select raw_floor from analytics_retention")
    before = (floor - timedelta(microseconds=1)).isoformat()
    batch = [page_view(viewed_at=before), event(created_at=before), session(first_seen=before, last_seen=NOON)]
    answer = send(warehouse, [*batch, page_view(viewed_at=floor.isoformat())])
    assert answer["accepted"] == 1
    assert [each["error"] for each in answer["rejected"]] == [
        f"events[{place}].{field}: expected a time from {floor:%Y-%m-%dT%H:%M:%SZ} on, before which raw rows are gone, "
        f'got "{before}"'
        for place, field in enumerate(("viewed_at", "created_at", "first_seen"))
    ]


NO_BATCH = [
    (None, "an array of events, or an object with one in events, got nothing"),
    ("null", "an array of events, or an object with one in events, got nothing"),
    ("7", "an array of events, or an object with one in events, got 7"),
    ('"[]"', 'an array of events, or an object with one in events, got "[]"'),
    ("{}", "an array of events, or an object with one in events, got an object without events"),
    ('{"events": {}}', "an array of events, or an object with one in events, got an object in events"),
    ('{"events": "x"}', 'an array of events, or an object with one in events, got "x" in events'),
    (json.dumps([1] * 501), "at most 500 events, got 501"),
    (json.dumps({"events": [1] * 501}), "at most 500 events, got 501"),
]


def test_what_is_no_batch_is_refused_whole(warehouse: Warehouse) -> None:
    for batch, expected in NO_BATCH:
        message = re.escape(f"ingest_analytics_batch: expected {expected}\n")
        with pytest.raises(psycopg.errors.InvalidParameterValue, match=f"^{message}HINT: .*nothing of it is stored"):
            site.value(warehouse, "select ingest_analytics_batch(%s)", [batch])


def test_an_empty_batch_is_one(warehouse: Warehouse) -> None:
    nothing = {"accepted": 0, "duplicates": 0, "rejected": []}
    assert send_raw(warehouse, "[]") == send_raw(warehouse, '{"events": [], "sent_at": 1}') == nothing


def with_value(value: str, field: str = "event_data") -> str:
    """A good event, and one whose field is this text of JSON."""
    return json.dumps([page_view(), event(**{field: "HERE"})]).replace('"HERE"', value)


def test_what_jsonb_cannot_hold_never_comes_to_the_function(warehouse: Warehouse) -> None:
    """Postgres refuses the argument; who takes JSON from others looks for it event by event."""
    for value, error in (
        (r'{"a": "\u0000"}', psycopg.errors.UntranslatableCharacter),
        (r'{"\u0000": 1}', psycopg.errors.UntranslatableCharacter),
        (r'{"a": "\ud800"}', psycopg.errors.InvalidTextRepresentation),
        ("NaN", psycopg.errors.InvalidTextRepresentation),
        ("[" * 100_000 + "]" * 100_000, psycopg.errors.StatementTooComplex),
    ):
        with pytest.raises(error):
            send_raw(warehouse, with_value(value))
    assert site.raw_rows(warehouse)["page_views"] == []


def test_what_jsonb_just_holds_is_refused_by_event(warehouse: Warehouse) -> None:
    bomb = '{"a":' + "[" * 3000 + "]" * 3000 + "}"
    for field in ("event_data", "project_id", "unknown"):
        answer = send_raw(warehouse, with_value(bomb, field))
        assert answer["accepted"] == 1
        assert [(each["index"], each["field"]) for each in answer["rejected"]] == [(1, field)]


def test_the_example_of_the_documentation_answers_as_it_says(warehouse: Warehouse) -> None:
    page = (PROJECT_ROOT / "docs" / "web.md").read_text()
    [batch] = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    day = f"{site.at(84):%Y-%m-%d}"
    assert send_raw(warehouse, batch.replace("2026-01-31", day)) == {"accepted": 4, "duplicates": 0, "rejected": []}
    [example] = re.findall(r"```sql\n(select ingest_analytics_batch.*?)```", page, re.DOTALL)
    finished = subprocess.run(
        [str(binaries() / "psql"), "-X", "-A", "-t", "-d", warehouse.url],
        input=example, text=True, capture_output=True, check=True,
    )  # fmt: skip
    assert finished.stdout.strip() == re.findall(r"^-- (.*)$", example, re.MULTILINE)[0]


def test_the_documentation_names_every_field_with_its_limits(warehouse: Warehouse) -> None:
    page = (PROJECT_ROOT / "docs" / "web.md").read_text().partition("## What an event says")[2]
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    with warehouse.connect() as connection:
        rules = connection.execute("select type, field, most, choices from analytics_batch_fields()").fetchall()
    for kind, field, most, choices in rules:
        [row] = [row for row in rows if f"`{field}`" in row.split("|")[1]]
        assert kind in row.split("|")[2] or "all" in row.split("|")[2]
        assert most is None or f"{most:,}" in row
        assert all(f"`{choice}`" in row for choice in choices or [])
