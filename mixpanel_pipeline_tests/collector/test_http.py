"""Every status, and what browsers need to be let in."""

import gzip
import json
import os
import socket
import subprocess
import zlib
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from mixpanel_pipeline.collector.rate_limit import RateLimit
from mixpanel_pipeline.collector.visitors import sender_of
from mixpanel_pipeline.collector.write_keys import end_key, list_keys, make_key
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.migrations import migrate, rollback
from mixpanel_pipeline_tests.collector.conftest import (
    BROWSER,
    ORIGIN,
    PROGRAM,
    TIMEOUT_SECONDS,
    RunningCollector,
    Start,
)
from mixpanel_pipeline_tests.collector.made_events import click, page_view
from mixpanel_pipeline_tests.web import site


def batch_of(collector: RunningCollector, *events: object) -> str:
    return json.dumps({"write_key": collector.key, "events": events})


def test_both_types_are_taken(shared: tuple[RunningCollector, Warehouse]) -> None:
    collector, _ = shared
    for content_type in ("application/json", "text/plain", "text/plain;charset=UTF-8", "Application/JSON"):
        assert collector.stored([page_view()], Content_Type=content_type)["accepted"] == 1


UNUSABLE = [
    ("", "expected a JSON object, got another value"),
    ("[]", "expected a JSON object, got another value"),
    ("7", "expected a JSON object, got another value"),
    ("{", "expected JSON, got text whose brackets do not match"),
    ('{"events": [}', "expected JSON, got text whose brackets do not match"),
    ("{}", "expected an object with write_key and events, got one without events"),
    ('{"events": {}}', "expected an array in events, got another value"),
    ('{"events": "[]"}', "expected an array in events, got another value"),
    ('{"events": [{]}', "expected JSON, got text"),
    ('{"events": [{"a" 1}]}', "expected JSON, got text"),
    ('{"events": [{"a": 1},]}', "expected JSON, got text"),
    ('{"events": [], }', "expected JSON, got "),
    ('{"events": []} {}', "expected JSON, got text whose brackets do not match"),
    ('{"events": [{"a": tru}]}', "expected JSON, got text"),
    (b'{"events": ["\xff"]}', "expected JSON in UTF-8"),
    (b"\xff\xfe", "expected JSON in UTF-8"),
    (b'{"events": ["\x00"]}', "expected JSON, got text"),
]


def test_an_unusable_body(shared: tuple[RunningCollector, Warehouse]) -> None:
    collector, _ = shared
    for body, message in UNUSABLE:
        text = body if isinstance(body, bytes) else body.encode()
        keyed = text.replace(b'"events"', b'"write_key": "%s", "events"' % collector.key.encode())
        answer = collector.post(keyed)
        assert (answer.status_code, answer.json()["error"][: len(message)]) == (400, message), body


def test_an_unknown_key(collector: RunningCollector, warehouse: Warehouse) -> None:
    for members in (
        {},
        {"write_key": "wk_other"},
        {"write_key": 7},
        {"write_key": None},
        {"write_key": collector.key[:-1]},
    ):
        answer = collector.post(json.dumps({**members, "events": [page_view()]}))
        assert answer.status_code == 401, members
        assert answer.json()["error"].startswith("expected a write key")
    assert collector.post(r'{"write_key": "\ud800", "events": []}').status_code == 401
    assert site.value(warehouse, "select count(*) from analytics_page_views") == 0
    assert collector.key not in collector.log.read_text()


def test_a_new_key_counts_without_a_restart(collector: RunningCollector, warehouse: Warehouse) -> None:
    key = make_key(warehouse, "other", [])
    body = json.dumps({"write_key": key, "events": [page_view()]})
    deadline = datetime.now(UTC).timestamp() + TIMEOUT_SECONDS
    while (answer := collector.post(body)).status_code != 200:
        assert answer.status_code == 401
        assert datetime.now(UTC).timestamp() < deadline


def test_an_ended_key_is_unknown(start: Start, warehouse: Warehouse, key: str) -> None:
    [listed] = list_keys(warehouse)
    assert end_key(warehouse, listed.hint)
    assert not end_key(warehouse, listed.hint)
    assert start().send([page_view()]).status_code == 401


def test_too_large(start: Start) -> None:
    collector = start(COLLECTOR_BODY_BYTES="2000")
    body = batch_of(collector, page_view())
    assert collector.post(body + " " * (2000 - len(body))).status_code == 200
    assert collector.post(body + " " * (2001 - len(body))).status_code == 413
    assert (
        collector.post(gzip.compress(body.encode() + b" " * (2001 - len(body))), Content_Encoding="gzip").status_code
        == 413
    )
    pieces = requests.post(
        f"{collector.url}/v1/batch", data=iter([body.encode(), b" " * 2001]),
        headers={"Content-Type": "text/plain", "User-Agent": BROWSER}, timeout=TIMEOUT_SECONDS,
    )  # fmt: skip
    assert pieces.status_code == 413
    assert collector.post(body).status_code == 200


def test_too_many_events(shared: tuple[RunningCollector, Warehouse]) -> None:
    collector, _ = shared
    assert collector.send([1] * 500).status_code == 200
    answer = collector.send([1] * 501)
    assert answer.status_code == 413
    assert answer.json() == {"error": "expected at most 500 events, got 501: send two batches"}


def test_packed_bodies(collector: RunningCollector, warehouse: Warehouse) -> None:
    packed = gzip.compress(batch_of(collector, page_view(), click()).encode())
    assert collector.post(packed, Content_Encoding="gzip").json()["accepted"] == 2
    for broken in (b"", b"no gzip", packed[:-9], packed + packed, zlib.compress(b"{}")):
        assert collector.post(broken, Content_Encoding="gzip").status_code == 400
    # A kilobyte that would be a megabyte, that would be a gigabyte.
    bomb = gzip.compress(gzip.compress(b" " * 2**28))
    assert collector.post(bomb, Content_Encoding="gzip").status_code == 400
    assert collector.post(gzip.compress(b" " * 2**28), Content_Encoding="gzip").status_code == 413
    assert site.value(warehouse, "select count(*) from analytics_page_views") == 1


def test_other_types_and_encodings(shared: tuple[RunningCollector, Warehouse]) -> None:
    collector, _ = shared
    for headers in ({"Content_Type": "multipart/form-data"}, {"Content_Type": ""}, {"Content_Encoding": "br"}):
        assert collector.post(batch_of(collector, page_view()), **headers).status_code == 415


def test_other_pages_and_methods(shared: tuple[RunningCollector, Warehouse]) -> None:
    collector, _ = shared
    for method, path, status in (("GET", "/v1/batch", 405), ("POST", "/v1/other", 404), ("DELETE", "/metrics", 405)):
        answer = requests.request(method, collector.url + path, timeout=TIMEOUT_SECONDS)
        assert answer.status_code == status
        assert list(answer.json()) == ["error"]


@pytest.mark.parametrize("setting", ["COLLECTOR_REQUESTS_PER_ADDRESS", "COLLECTOR_REQUESTS_PER_KEY"])
def test_too_fast(start: Start, setting: str) -> None:
    collector = start(**{setting: "3"})
    answers = [collector.send([page_view()]) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[-1].headers["Retry-After"]) <= 20


def test_a_bucket_fills_up_again() -> None:
    now = 0.0
    limit = RateLimit(60, clock=lambda: now)
    assert [limit.wait("a") for _ in range(61)] == [0] * 60 + [1]
    assert limit.wait("b") == 0
    now = 2.5
    assert [limit.wait("a") for _ in range(3)] == [0, 0, 1]


def test_whom_a_limit_counts() -> None:
    for address, sender in (
        ("192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"), (None, None),
    ):  # fmt: skip
        assert sender_of(address) == sender


def test_browsers_are_let_in_from_the_keys_origins(collector: RunningCollector, warehouse: Warehouse) -> None:
    preflight = requests.options(
        f"{collector.url}/v1/batch",
        headers={
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        },
        timeout=TIMEOUT_SECONDS,
    )
    assert preflight.status_code == 200
    assert preflight.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert preflight.headers["Access-Control-Max-Age"] == "7200"
    assert "Access-Control-Allow-Credentials" not in preflight.headers
    answer = collector.send([page_view()], Origin=ORIGIN)
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Origin" in answer.headers["Vary"]
    assert collector.post("{", Origin=ORIGIN).headers["Access-Control-Allow-Origin"] == ORIGIN


def test_other_origins_are_not(start: Start, warehouse: Warehouse) -> None:
    make_key(warehouse, "other", ["https://other.example"])
    collector = start()
    for origin, status in (("https://evil.example", 400), ("null", 400), ("https://other.example", 200)):
        preflight = requests.options(
            f"{collector.url}/v1/batch",
            headers={"Origin": origin, "Access-Control-Request-Method": "POST"},
            timeout=TIMEOUT_SECONDS,
        )
        assert preflight.status_code == status
        assert collector.send([page_view()], Origin=origin).status_code == 403
    assert "Access-Control-Allow-Origin" not in collector.send([page_view()], Origin="https://evil.example").headers
    assert site.value(warehouse, "select count(*) from analytics_page_views") == 0


def test_health_readiness_and_metrics(collector: RunningCollector, warehouse: Warehouse) -> None:
    assert collector.get("/healthz").json() == {"healthy": True}
    assert collector.get("/readyz").json() == {"ready": True, "problems": []}
    collector.stored([page_view(), click()])
    collector.post("{")
    assert collector.metric("collector_requests_total", status="200") == 1
    assert collector.metric("collector_requests_total", status="400") == 1
    assert collector.metric("collector_batch_events_sum") == 2
    assert collector.metric("collector_flush_seconds_count") == 1
    assert collector.metric("collector_queued_events") == 0
    assert "collector_oldest_queued_seconds 0" in collector.get("/metrics").text


def test_it_is_not_ready_without_its_migrations(start: Start, warehouse: Warehouse) -> None:
    collector = start()
    rollback(warehouse)
    answer = collector.get("/readyz")
    assert (answer.status_code, answer.json()["ready"]) == (503, False)
    assert answer.json()["problems"] == ["migrations were taken back"]
    migrate(warehouse)


def test_a_body_that_never_comes_holds_nobody_up(shared: tuple[RunningCollector, Warehouse]) -> None:
    collector, _ = shared
    place = urlsplit(collector.url)
    with socket.create_connection((place.hostname or "", place.port or 0)) as half:
        half.sendall(b"POST /v1/batch HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n{")
        assert collector.stored([page_view()])["accepted"] == 1
    assert collector.stored([page_view()])["accepted"] == 1
    assert "Traceback" not in collector.log.read_text()


def test_the_port_is_taken(collector: RunningCollector, database_url: str, tmp_path: Path) -> None:
    port = str(urlsplit(collector.url).port)
    finished = subprocess.run(
        [*PROGRAM, "--port", port], capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS,
        env={**os.environ, "PIPELINE_HOME": str(tmp_path), "DATABASE_URL": database_url},
    )  # fmt: skip
    assert finished.returncode == 2
    assert f"cannot listen on 127.0.0.1, port {port}" in finished.stderr
