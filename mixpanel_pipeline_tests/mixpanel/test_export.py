"""Exports over real HTTP: what is asked, what lies on disk, and that a cut answer is never taken for a whole."""

import gzip
import hashlib
import json
import socket
from datetime import date
from pathlib import Path

import psycopg
import pytest

from mixpanel_pipeline.mixpanel.errors import ConnectionFailure, RateLimited, ServerFailure
from mixpanel_pipeline.mixpanel.export import READ_BYTES, Download, ExportClient, residency_urls
from mixpanel_pipeline.mixpanel.rate_limit import RequestBudget
from mixpanel_pipeline.mixpanel.retry import retrying
from mixpanel_pipeline.mixpanel.where import processed_between
from mixpanel_pipeline_tests.mixpanel.conftest import DAY, SECRET

LINE = b'{"event":"a","properties":{"time":1}}\n'


def test_a_small_day_comes_plain(download, budget) -> None:
    body = download()
    content = body.path.read_bytes()
    assert [json.loads(line)["properties"]["distinct_id"] for line in content.splitlines()] == [
        "person-0", "person-1", "person-2",
    ]  # fmt: skip
    assert (body.encoding, body.wire_bytes) == ("identity", len(content))
    assert body.wire_sha256 == hashlib.sha256(content).hexdigest()
    assert budget.acquired == 1


def test_a_large_day_stays_gzip_on_disk(download, project) -> None:
    for number in range(20_000):
        project.add(
            "Viewed Discover Tab", f"person-{number}", 1769860800 + number, hashlib.sha256(b"%d" % number).hexdigest()
        )
    body = download()
    content = body.path.read_bytes()
    assert len(content) > READ_BYTES, "more than one read"
    assert (body.encoding, body.wire_bytes) == ("gzip", len(content))
    assert body.wire_sha256 == hashlib.sha256(content).hexdigest()
    assert gzip.decompress(content).count(b"\n") == 20_003


def test_an_empty_day_is_an_empty_file(client, tmp_path) -> None:
    body = client.download(date(2026, 1, 1), date(2026, 1, 1), tmp_path / "body", events=None)
    assert (body.path.read_bytes(), body.wire_bytes) == (b"", 0)


def test_the_request_asks_for_days_events_and_filter(client, project, tmp_path) -> None:
    names = ["Viewed Discover Tab", "Ünïcode “event”"]
    client.download(DAY, date(2026, 2, 1), tmp_path / "body", events=names, where=processed_between(10, 20))
    [request] = project.requests
    assert json.loads(request.params.pop("event")) == names
    assert request.params == {
        "project_id": "12345",
        "from_date": "2026-01-31",
        "to_date": "2026-02-01",
        "where": 'properties["mp_processing_time_ms"] > 10 and properties["mp_processing_time_ms"] <= 20',
    }


def test_the_late_sweep_finds_what_was_processed_in_the_window(client, project, tmp_path) -> None:
    project.add("late", "person", 1769860800, processed_ms=1_769_990_000_000)
    project.add("at the start", "person", 1769860800, processed_ms=1_769_980_000_000)
    body = client.download(
        date(2025, 12, 1), DAY, tmp_path / "body", events=None,
        where=processed_between(1_769_980_000_000, 1_769_990_000_000),
    )  # fmt: skip
    assert [json.loads(line)["event"] for line in body.path.read_bytes().splitlines()] == ["late"]


@pytest.mark.parametrize("username", [None, ""])
def test_without_a_username_the_secret_is_the_project_s(server, project, budget, tmp_path, username) -> None:
    client = ExportClient(server.url, 12345, username, SECRET, budget)
    assert client.download(DAY, DAY, tmp_path / "body", events=None).wire_bytes > 0
    assert "project_id" not in project.requests[0].params


@pytest.mark.parametrize("suffix", ["", "/", "/api/2.0/export", "/api/2.0/export/"])
def test_the_data_url_may_be_a_base_or_the_whole_address(server, project, budget, tmp_path, suffix) -> None:
    client = ExportClient(server.url + suffix, 12345, "account", SECRET, budget)
    client.download(DAY, DAY, tmp_path / "body", events=None)
    assert project.requests[0].path == "/api/2.0/export"


def test_residencies_have_their_hosts() -> None:
    assert residency_urls("us") == ("https://data.mixpanel.com", "https://mixpanel.com")
    assert residency_urls("eu") == ("https://data-eu.mixpanel.com", "https://eu.mixpanel.com")
    assert residency_urls("in") == ("https://data-in.mixpanel.com", "https://in.mixpanel.com")


def test_the_client_shows_no_secret(client) -> None:
    assert repr(client) == "ExportClient(project 12345 at 127.0.0.1)"


def test_a_slow_first_byte_is_waited_for(download, project) -> None:
    project.faults.add("slow_first_byte", seconds=0.3)
    assert download().wire_bytes > 0


def test_a_read_timeout_is_a_connection_failure(server, project, budget, tmp_path) -> None:
    project.faults.add("slow_first_byte", seconds=1)
    client = ExportClient(server.url, 12345, "account", SECRET, budget, read_timeout=0.1)
    with pytest.raises(ConnectionFailure, match=r"2026-01-31.*Read timed out.*read timeout=0\.1"):
        client.download(DAY, DAY, tmp_path / "body", events=None)


def test_nobody_listening_is_a_connection_failure(budget, tmp_path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    client = ExportClient(f"http://127.0.0.1:{port}", 12345, "account", SECRET, budget)
    with pytest.raises(ConnectionFailure, match=r"Connection refused.*MIXPANEL_DATA_URL") as raised:
        client.download(DAY, DAY, tmp_path / "body", events=None)
    assert "/api/2.0" not in str(raised.value), "no layers of requests' own words"


def test_a_cut_stream_leaves_nothing(download, project, tmp_path) -> None:
    project.faults.add("cut_stream", after_rows=2)
    with pytest.raises(ConnectionFailure, match="Connection broken"):
        download()
    assert list(tmp_path.iterdir()) == []


CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%b\r\n" % (len(LINE), LINE)
WITH_LENGTH = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
# Each ends at a line's end or holds no body at all: only HTTP's own account tells it from a whole export.
CUT_ANSWERS = {
    "no answer at all": b"",
    "in the status line": b"HTTP/1.1 20",
    "in the headers": b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransf",
    "after the headers": CHUNKED,
    "in a chunk": CHUNKED + b"%x\r\n%b" % (2 * len(LINE), LINE),
    "behind a chunk's data": CHUNKED + CHUNK[:-2],
    "between two chunks": CHUNKED + CHUNK + CHUNK,
    "in a chunk's size": CHUNKED + CHUNK + b"2",
    "a size that is no number": CHUNKED + CHUNK + b"zz\r\n",
    "before Content-Length": WITH_LENGTH % (2 * len(LINE)) + LINE,
    "before the first byte of Content-Length": WITH_LENGTH % len(LINE),
    "no chunks and no length": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + LINE,
}


@pytest.mark.parametrize("answer", CUT_ANSWERS.values(), ids=CUT_ANSWERS.keys())
def test_an_answer_that_may_be_cut_is_a_connection_failure(serve_bytes, budget, tmp_path, answer) -> None:
    client = ExportClient(serve_bytes(answer), 12345, "account", SECRET, budget)
    with pytest.raises(ConnectionFailure, match=r"^The connection to Mixpanel failed \(project 12345, 2026-01-31\)"):
        client.download(DAY, DAY, tmp_path / "body", events=None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "answer",
    [CHUNKED + CHUNK + CHUNK + b"0\r\n\r\n", WITH_LENGTH % (2 * len(LINE)) + 2 * LINE],
    ids=["chunked", "length"],
)
def test_an_answer_that_ends_properly_is_whole(serve_bytes, budget, tmp_path, answer) -> None:
    client = ExportClient(serve_bytes(answer), 12345, "account", SECRET, budget)
    body = client.download(DAY, DAY, tmp_path / "body", events=None)
    assert body.path.read_bytes() == 2 * LINE


def test_a_web_page_is_no_export(serve_bytes, budget, tmp_path) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"
    client = ExportClient(serve_bytes(page), 12345, "account", SECRET, budget)
    with pytest.raises(ServerFailure, match="web page"):
        client.download(DAY, DAY, tmp_path / "body", events=None)


def test_a_full_disk_is_an_os_error_and_leaves_nothing(client, tmp_path: Path) -> None:
    destination = tmp_path / "body"
    destination.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        client.download(DAY, DAY, destination, events=None)
    assert list(tmp_path.iterdir()) == []
    assert Path("/dev/full").exists()


def test_after_an_hourly_429_all_runs_wait_and_the_retry_succeeds(server, project, waits, tmp_path) -> None:
    def new_budget() -> RequestBudget:
        return RequestBudget(lambda: psycopg.connect(waits.url), 12345, sleep=waits, log=lambda _message: None)

    client = ExportClient(server.url, 12345, "account", SECRET, new_budget())

    def attempt() -> Download:
        return client.download(DAY, DAY, tmp_path / "body", events=None)

    project.faults.add("rate_limited_hour", times=2)
    with pytest.raises(RateLimited):
        attempt()
    assert new_budget().used_in_last_hour() == 1, "a refused request counts, for it may at Mixpanel's"
    new_budget().acquire()  # another run
    assert waits.seconds == [pytest.approx(3600, abs=5)]
    assert retrying(attempt, sleep=waits, log=lambda _message: None).wire_bytes > 0
    assert waits.seconds[1:] == [3600]
