"""10,000 bodies that were good until something was done to them. Each is refused whole or accounted for event by event,
and in the end the database holds what was acknowledged, no more and no less."""

import gzip
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mixpanel_pipeline.collector.write_keys import make_key
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.collector.conftest import BROWSER, PROJECT, RunningCollector, running
from mixpanel_pipeline_tests.collector.made_events import click, event, page_view
from mixpanel_pipeline_tests.web import site

EXAMPLES, BODIES = 500, 20  # a hypothesis example is so many bodies, sent by so many senders at once
SENDERS = 8
BODY_BYTES = 65_536
REFUSED = {400, 401, 409, 413, 415}
IDS = (
    "select id::text from analytics_page_views union all select id::text from analytics_clicks union all "
    "select id::text from analytics_events"
)

Value = Any


@dataclass(frozen=True)
class Body:
    """As it is sent, how it was damaged, and the ids that it had when it was good."""

    how: str
    data: bytes
    ids: list[str]
    headers: dict[str, str] = field(default_factory=dict)


ODD_TEXT = st.sampled_from([
    "", " ", "\x00", "a\x00b", "\ud800", "\udfff\ud800", "\u202eabc", "é" * 101, "x" * 201, "x" * 20_000, "😀" * 126,
    "null", "now", "infinity", "-infinity", "2026-02-30T00:00:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z",
    "' or 1=1 --", "%s", "\\", '"', "{}", "019a9c5e-7d3c-7a31-8f5b-0242ac120002x", "\ufeff", "\u2028",
    "00000000-0000-0000-0000-000000000000",
])  # fmt: skip
ODD_NUMBER = st.sampled_from([
    0, -1, 2**31, 2**63, 2**64, -(2**63) - 1, 10**400, 1e308, 5e-324, float("nan"), float("inf"), -float("inf"), 0.5,
])  # fmt: skip
ODD: st.SearchStrategy[Value] = st.one_of(
    ODD_TEXT,
    ODD_NUMBER,
    st.sampled_from([None, True, False, [], {}, [[]], {"": {}}, {"a": [None]}, [1, "a"]]),
    st.text(max_size=5),
    st.integers(),
)


@st.composite
def replaced(draw: st.DrawFn, batch: dict[str, Value]) -> bytes:
    """Some value, wherever it stands, is another one; or is gone, or has another name."""
    places = list(places_in(batch))
    for _ in range(draw(st.integers(1, 3))):
        holder, name = draw(st.sampled_from(places))
        match draw(st.sampled_from(["other", "gone", "renamed", "wrapped"])):
            case "gone" if isinstance(holder, dict):
                holder.pop(name, None)
            case "renamed" if isinstance(holder, dict) and name in holder:
                holder[draw(ODD_TEXT)] = holder.pop(name)
            case "wrapped" if not isinstance(holder, dict) or name in holder:
                holder[name] = [holder[name]]
            case _:
                holder[name] = draw(ODD)
    return json.dumps(batch, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass")


def places_in(value: Value) -> Iterator[tuple[Any, Any]]:
    """Every place of a value within another; but the key's own, or few bodies would be looked at further."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, member in list(members):
        if name != "write_key":
            yield value, name
        yield from places_in(member)


@st.composite
def damaged(draw: st.DrawFn, text: bytes) -> bytes:
    """Bytes are taken out, put in, exchanged or repeated."""
    body = bytearray(text)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, 5000)) % max(1, len(body))  # of whatever length gzip made it of these ids
        end = min(len(body), start + draw(st.integers(0, 40)))
        match draw(st.sampled_from(["out", "in", "other", "again", "cut"])):
            case "out":
                del body[start:end]
            case "in":
                body[start:start] = draw(st.binary(max_size=4) | SYMBOLS)
            case "other":
                body[start : start + 1] = draw(st.binary(min_size=1, max_size=1) | SYMBOLS)
            case "again":
                body[start:start] = body[start:end]
            case _:
                del body[start:]
    return bytes(body)


SYMBOLS = st.sampled_from([
    b"[", b"]", b"{", b"}", b'"', b"\\", b",", b":", b"null", b"NaN", b"1e999999", b"\\u0000", b"\\ud800", b"\xff",
    b"\x00", b"\xef\xbb\xbf", b"[" * 5000, b"/*", b"'", b"\xc0\x80", b"\xed\xa0\x80",
])  # fmt: skip

PACKED: dict[str, Callable[[bytes], bytes]] = {
    "cut": lambda text: gzip.compress(text)[:-5],
    "twice": lambda text: gzip.compress(text) * 2,
    "with a tail": lambda text: gzip.compress(text) + b"tail",
    "not at all": lambda text: text,
    "as zlib": zlib.compress,
    "wrong checksum": lambda text: gzip.compress(text)[:-8] + bytes(8),
    "a bomb": lambda text: gzip.compress(text + b" " * 10_000_000, 1),
    "packed again": lambda text: gzip.compress(gzip.compress(text)),
    "nothing": lambda _: b"",
}
SIZES: dict[str, Callable[[dict[str, Value]], bytes]] = {
    "too many events": lambda batch: json.dumps({**batch, "events": [7] * 501}).encode(),
    "too many bytes": lambda batch: json.dumps(batch).encode().ljust(BODY_BYTES + 1),
    "nothing": lambda _: b"",
    "data too large": lambda batch: json.dumps(
        {**batch, "events": [event(event_data={"a": "x" * 17_000})]}
    ).encode(),
    "data too deep": lambda batch: json.dumps(
        {**batch, "events": [event(event_data=json.loads('{"a":' * 9 + "1" + "}" * 9))]}
    ).encode(),
    "levels": lambda batch: json.dumps({**batch, "events": []}).encode()[:-2] + b"[" * 9000 + b"]" * 9000 + b"]}",
    "digits": lambda batch: json.dumps({**batch, "events": []}).encode()[:-2] + b"9" * 30_000 + b"]}",
}  # fmt: skip
HEADERS = st.sampled_from([
    {"Content-Type": "text/html"}, {"Content-Type": "multipart/form-data"}, {"Content-Type": ""},
    {"Content-Encoding": "br"}, {"Content-Encoding": "gzip"}, {"Content-Encoding": "gzip, gzip"},
    {"Content-Encoding": "deflate"},
])  # fmt: skip
CLOCKS = st.one_of(ODD, st.sampled_from(["2001-01-01T00:00:00Z", "2099-01-01T00:00:00+14:00"]))


@st.composite
def bodies(draw: st.DrawFn, key: str) -> Body:
    """A batch of good events, and then something is wrong."""
    made = [make() for make in draw(st.lists(st.sampled_from([page_view, click, event]), min_size=1, max_size=4))]
    batch: dict[str, Value] = {"write_key": key, "events": made}
    ids = [str(each["id"]) for each in made]
    text = json.dumps(batch).encode()
    how = draw(st.sampled_from(
        ["bytes", "bytes", "values", "values", "values", "gzip", "packed bytes", "sizes", "clock", "headers", "twice"]
    ))  # fmt: skip
    data, headers = text, {}
    match how:
        case "bytes":
            data = draw(damaged(text))
        case "values":
            data = draw(replaced(batch))
        case "gzip":
            way = draw(st.sampled_from(sorted(PACKED)))
            how, data, headers = f"gzip: {way}", PACKED[way](text), {"Content-Encoding": "gzip"}
        case "packed bytes":
            data, headers = draw(damaged(gzip.compress(text, mtime=0))), {"Content-Encoding": "gzip"}
        case "sizes":
            way = draw(st.sampled_from(sorted(SIZES)))
            how, data = f"sizes: {way}", SIZES[way](batch)
        case "clock":
            data = json.dumps({**batch, "sent_at": draw(CLOCKS)}).encode()
        case "headers":
            headers = draw(HEADERS)
        case _:
            data = text[:-1] + b"," + draw(damaged(text[1:-1])) + b"}"  # each name two times
    return Body(how, data, ids, headers)


@dataclass
class Ledger:
    """What was answered."""

    accepted: int = 0
    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    refused_ids: list[str] = field(default_factory=list)

    def enter(self, body: Body, answer: requests.Response) -> None:
        self.statuses[body.how, answer.status_code] += 1
        assert answer.headers["Content-Type"] == "application/json", body
        found = answer.json()
        if answer.status_code != 200:
            assert answer.status_code in REFUSED, (body, answer.text)
            assert found["error"]
            self.refused_ids += body.ids
            return
        self.accepted += found["accepted"]
        told = found["accepted"] + found["duplicates"] + len(found["rejected"])
        assert told == events_in(body, told), body
        for refused in found["rejected"]:
            assert 0 <= refused["index"] < told
            assert refused["error"].startswith(f"events[{refused['index']}]")


def events_in(body: Body, told: int) -> int:
    """As Python counts them; whole numbers as texts, for it takes no more than 4,300 digits. What was told where it
    cannot: of a member that comes two times the service reads the last, whatever the first is."""
    if body.how == "sizes: levels":
        return 1
    packed = body.headers.get("Content-Encoding") == "gzip"
    text = (gzip.decompress(body.data) if packed else body.data).decode()
    try:
        return len(json.loads(text, parse_int=str)["events"])
    except (ValueError, RecursionError):
        if body.how != "twice":
            raise
        return told


def post(session: requests.Session, collector: RunningCollector, body: Body) -> requests.Response:
    headers = {"User-Agent": BROWSER, "Content-Type": "text/plain", **body.headers}
    return session.post(f"{collector.url}/v1/batch", data=body.data, headers=headers, timeout=60)


@pytest.mark.slow
def test_10_000_malformed_bodies(database_url: str, tmp_path: Path) -> None:
    warehouse = Warehouse(database_url)
    key = make_key(warehouse, PROJECT, [])
    ledger = Ledger()
    options = {"COLLECTOR_REQUESTS_PER_ADDRESS": "9999999", "COLLECTOR_BODY_BYTES": str(BODY_BYTES)}
    with (
        running(database_url, tmp_path, key, **options) as collector,
        ThreadPoolExecutor(SENDERS) as senders,
        requests.Session() as session,
    ):

        @settings(
            max_examples=EXAMPLES, deadline=None, phases=[Phase.generate], database=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
        )  # fmt: skip
        @given(sent=st.lists(bodies(key), min_size=BODIES, max_size=BODIES))
        def send(sent: list[Body]) -> None:
            answers = senders.map(lambda body: post(session, collector, body), sent)
            for body, answer in zip(sent, answers, strict=True):
                ledger.enter(body, answer)

        send()
        assert collector.stored([page_view()])["accepted"] == 1
        assert collector.metric("collector_reading_bytes") == 0
        assert collector.metric("collector_queued_events") == 0
        assert collector.metric("collector_database_errors_total") == 0
        log = collector.log.read_text()
    assert "Traceback" not in log
    assert sum(ledger.statuses.values()) >= EXAMPLES * BODIES
    assert {status for _, status in ledger.statuses} == {200, *REFUSED}
    with warehouse.connect() as connection:
        stored = [found for (found,) in connection.execute(IDS).fetchall()]
    assert len(stored) == ledger.accepted + 1
    assert len(set(stored)) == len(stored)
    assert not set(stored) & set(ledger.refused_ids)
    assert site.value(warehouse, "select count(*) from analytics_sessions") == 0
