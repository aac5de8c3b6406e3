"""Bodies that come late, in part, in crowds, or not as announced."""

import json
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from tenacity import Retrying, stop_after_delay, wait_fixed

from mixpanel_pipeline.collector.requests import RefusedError, Room
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.collector.conftest import (
    BROWSER,
    TIMEOUT_SECONDS,
    RunningCollector,
    Start,
    StartProcess,
    running,
)
from mixpanel_pipeline_tests.collector.made_events import page_view
from mixpanel_pipeline_tests.web import site

PATIENTLY = Retrying(stop=stop_after_delay(TIMEOUT_SECONDS), wait=wait_fixed(0.05), reraise=True)
QUICKLY = "from mixpanel_pipeline.collector import requests as r; r.BODY_SECONDS = 0.5; "


def head_of(length: object, *more: str) -> bytes:
    lines = ["POST /v1/batch HTTP/1.1", "Host: x", "Content-Type: text/plain", f"User-Agent: {BROWSER}", *more]
    return "\r\n".join([*lines, *([] if length is None else [f"Content-Length: {length}"]), "", ""]).encode()


def body_of(collector: RunningCollector, size: int = 0) -> bytes:
    """A batch of one event, and spaces behind it up to this size."""
    return json.dumps({"write_key": collector.key, "events": [page_view()]}).encode().ljust(size)


@contextmanager
def connected(collector: RunningCollector) -> Iterator[socket.socket]:
    place = urlsplit(collector.url)
    with socket.create_connection((place.hostname or "", place.port or 0), timeout=TIMEOUT_SECONDS) as open_one:
        yield open_one


def statuses(open_one: socket.socket) -> list[int]:
    """Of all answers until the service closes; a reset after the answer is closing too."""
    said = b""
    try:
        while part := open_one.recv(65_536):
            said += part
    except ConnectionResetError:
        pass
    return [int(each[:3]) for each in said.split(b"HTTP/1.1 ")[1:]]


def rows(warehouse: Warehouse) -> int:
    return site.value(warehouse, "select count(*) from analytics_page_views")


def test_a_body_that_comes_too_slowly(database_url: str, key: str, tmp_path: Path, warehouse: Warehouse) -> None:
    with running(database_url, tmp_path, key, first=QUICKLY) as collector:
        body = body_of(collector)
        for more in ([], ["Content-Encoding: gzip"]):
            with connected(collector) as slow:
                slow.sendall(head_of(len(body), *more) + body[:-1])
                assert statuses(slow) == [408]  # and the connection is closed: nobody waits for the rest
        assert collector.metric("collector_requests_total", status="408") == 2
        assert collector.metric("collector_reading_bytes") == 0
        assert collector.send([page_view()]).status_code == 200
    assert rows(warehouse) == 1


def test_many_large_bodies_that_come_slowly_take_no_more_than_their_room(
    start_process: StartProcess, warehouse: Warehouse
) -> None:
    room, size, senders = 16_777_216, 1_900_000, 40
    collector = start_process(COLLECTOR_QUEUE_BYTES=str(room), COLLECTOR_BODY_BYTES="2000000")
    collector.stored([page_view()])
    process = psutil.Process(collector.process.pid)
    before = process.memory_info().rss
    body = body_of(collector, size)

    def begin(open_one: socket.socket) -> None:
        open_one.sendall(head_of(size) + body[:-1])

    with ExitStack() as opened, ThreadPoolExecutor(senders) as threads:
        sockets = [opened.enter_context(connected(collector)) for _ in range(senders)]
        list(threads.map(begin, sockets))
        held = 0.0
        for attempt in PATIENTLY:
            with attempt:
                held = senders - collector.metric("collector_requests_total", status="503")
                assert collector.metric("collector_reading_bytes") == held * (size - 1)
        assert 1 <= held <= room // (size - 1)
        assert process.memory_info().rss - before < 6 * room
        assert collector.stored([page_view()])["accepted"] == 1  # there is room for a small one
        finished = [number for number, open_one in enumerate(sockets) if finishes(open_one, body[-1:])]
        assert len(finished) == held
    assert collector.metric("collector_reading_bytes") == 0
    assert rows(warehouse) == 3  # they all were the same event


def send_chunks(open_one: socket.socket, chunks: int) -> None:
    for _ in range(chunks):
        open_one.sendall(b"2710\r\n" + b" " * 10_000 + b"\r\n")


def finishes(open_one: socket.socket, rest: bytes) -> bool:
    """Whether the body is taken once its last byte has come; those that were sent away have been told so."""
    open_one.sendall(rest)
    said = open_one.recv(65_536)
    assert said.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503"))
    return said.startswith(b"HTTP/1.1 200")


def test_whoever_is_alone_has_room() -> None:
    room = Room(10)
    with room.share() as one:
        one.take(50)
        with room.share() as other:
            with pytest.raises(RefusedError) as refused:
                other.take(1)
            assert (refused.value.status, refused.value.retry_after) == (503, 5)
    with room.share() as one, room.share() as other:
        one.take(9)
        other.take(1)
    assert room.held_bytes == 0


LENGTHS = ["-1", "abc", "1e3", "+10", "0x10", "1 0", "10, 11", "10\r\nContent-Length: 11", str(10**30), ""]


def test_lengths_that_are_none(shared: tuple[RunningCollector, Warehouse]) -> None:
    collector, warehouse = shared
    for length in LENGTHS:
        with connected(collector) as liar:
            liar.sendall(head_of(length) + body_of(collector))
            liar.shutdown(socket.SHUT_WR)
            said = statuses(liar)
            assert said, length
            assert all(400 <= status < 500 for status in said), (length, said)
    assert rows(warehouse) == 0
    assert "Traceback" not in collector.log.read_text()


def test_a_length_and_chunks_are_not_both_believed(shared: tuple[RunningCollector, Warehouse]) -> None:
    """Where a proxy believes the one and the service the other, somebody's request ends in another's."""
    collector, warehouse = shared
    body = body_of(collector)
    for chunked in (b"0\r\n\r\n" + body, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)):
        with connected(collector) as liar:
            liar.sendall(head_of(len(chunked), "Transfer-Encoding: chunked") + chunked)
            liar.shutdown(socket.SHUT_WR)
            assert all(400 <= status < 500 for status in statuses(liar))
    assert rows(warehouse) == 0


def test_more_than_was_announced_is_no_part_of_the_batch(shared: tuple[RunningCollector, Warehouse]) -> None:
    collector, warehouse = shared
    for announced in (0, 1, 40):
        with connected(collector) as liar:
            liar.sendall(head_of(announced) + body_of(collector))
            liar.shutdown(socket.SHUT_WR)
            assert set(statuses(liar)) == {400}
    assert rows(warehouse) == 0


def test_less_than_was_announced_is_no_batch(shared: tuple[RunningCollector, Warehouse]) -> None:
    collector, warehouse = shared
    body, before = body_of(collector), collector.metric("collector_requests_total", status="400")
    for more in (1, 100_000):
        with connected(collector) as liar:
            liar.sendall(head_of(len(body) + more) + body)
            liar.shutdown(socket.SHUT_WR)
            assert set(statuses(liar)) <= {400}
    for attempt in PATIENTLY:
        with attempt:
            assert collector.metric("collector_requests_total", status="400") == before + 2
    assert collector.metric("collector_reading_bytes") == 0
    assert rows(warehouse) == 0
    assert "Traceback" not in collector.log.read_text()


def test_chunks_without_an_end_are_read_no_further_than_a_body_may_be(start: Start) -> None:
    collector = start(COLLECTOR_BODY_BYTES="20000")
    with connected(collector) as endless:
        endless.sendall(head_of(None, "Transfer-Encoding: chunked"))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            send_chunks(endless, 10_000)
    assert collector.metric("collector_requests_total", status="413") == 1
