"""Every fault as a client meets it (reference A1.4, A1.6, A1.7, A5)."""

import json
import time
import zlib
from collections.abc import Callable
from typing import Any

import pytest
import requests

from mixpanel_pipeline.simulator import FAULTS, FaultPlan, Project, fault_table
from mixpanel_pipeline_tests.simulator.client import DAY, NOON, Client, add_events

PLAIN = {"Accept-Encoding": "identity"}
ROWS = 40


@pytest.fixture
def filled(project: Project) -> Project:
    add_events(project, ROWS)
    return project


ANSWERS = [
    ("rate_limited_hour", 429, "61/60 queries running in the last hour", "3600"),
    ("rate_limited_short", 429, "Query rate limit exceeded for project_id: 12345", "1"),
    ("rate_limited_without_headers", 429, "Query rate limit exceeded for project_id: 12345", None),
    ("too_many_exports", 429, "too many export requests in progress for this project", None),
    ("unknown_error_500", 500, "unknown error", None),
    ("bad_gateway_502", 502, "Bad Gateway", None),
    ("unavailable_503", 503, "Service Unavailable", None),
    ("gateway_timeout_504", 504, "Gateway Timeout", None),
    ("plan_without_export", 402, "Your plan does not support raw data export", None),
    ("expired_account", 400, "Unable to authenticate request", None),
    ("forbidden", 403, "no access to project 12345", None),
    ("wrong_region", 401, "Invalid credentials", None),
]


@pytest.mark.parametrize(("name", "status", "text", "retry_after"), ANSWERS)
def test_faults_that_answer(
    filled: Project, client: Client, name: str, *, status: int, text: str, retry_after: str | None
) -> None:
    filled.faults.add(name)
    response = client.export()
    assert response.status_code == status
    assert text in response.text
    assert response.headers.get("Retry-After") == retry_after
    assert ("RateLimit" in response.headers) == (retry_after is not None)
    assert len(client.rows()) == ROWS


LAST_WORDS = [
    ("terminated_early", 3, b"terminated early\n"),
    ("export_terminated_early", 3, b"export terminated early\n"),
    ("terminated_early_alone", 0, b"terminated early\n"),
    ("export_terminated_early_alone", 0, b"export terminated early\n"),
    ("error_line", 3, b'{"error":'),
]


@pytest.mark.parametrize(("name", "rows", "last"), LAST_WORDS)
@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_bodies_that_end_in_words(
    filled: Project, client: Client, coding: str, name: str, *, rows: int, last: bytes
) -> None:
    filled.faults.add(name, after_rows=3)
    response = client.export(headers={"Accept-Encoding": coding})
    assert response.status_code == 200
    lines = response.content.splitlines(keepends=True)
    assert lines[rows:] == [last]
    assert [json.loads(line)["properties"]["$insert_id"] for line in lines[:rows]] == [
        f"id-{number}" for number in range(rows)
    ]


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_cut_stream_breaks_the_connection_after_some_rows(filled: Project, client: Client, coding: str) -> None:
    filled.faults.add("cut_stream", after_rows=20)
    response = client.export(stream=True, headers={"Accept-Encoding": coding})
    assert response.status_code == 200
    received: list[bytes] = []
    with pytest.raises(requests.exceptions.ChunkedEncodingError, match="IncompleteRead"):
        received.extend(response.iter_content(100))
    if coding == "identity":
        assert b"".join(received).count(b"\n") == 20
    assert len(client.rows()) == ROWS


def test_cut_gzip_is_good_http_and_a_gzip_without_end(filled: Project, client: Client) -> None:
    filled.faults.add("cut_gzip")
    response = client.export(stream=True)
    assert response.headers["Content-Encoding"] == "gzip"
    decompressor = zlib.decompressobj(wbits=31)
    partial = decompressor.decompress(response.raw.read(decode_content=False))
    assert not decompressor.eof
    assert partial.count(b"\n") < ROWS


def test_cut_gzip_of_a_small_body(project: Project, client: Client) -> None:
    add_events(project, 1)
    project.faults.add("cut_gzip")
    raw = client.export(stream=True).raw.read(decode_content=False)
    assert raw[:2] == b"\x1f\x8b"
    assert not zlib.decompressobj(wbits=31).decompress(raw).endswith(b"\n")


@pytest.mark.parametrize("name", ["cut_line", "cut_gzip"])
def test_cut_line_is_good_http_and_half_a_line(filled: Project, client: Client, name: str) -> None:
    filled.faults.add(name)
    lines = client.export(headers=PLAIN).content.split(b"\n")
    assert len(lines) == ROWS
    with pytest.raises(json.JSONDecodeError):
        json.loads(lines[-1])


def test_slow_first_byte(filled: Project, client: Client) -> None:
    filled.faults.add("slow_first_byte", seconds=0.3)
    started = time.monotonic()
    assert len(client.rows()) == ROWS
    assert time.monotonic() - started >= 0.3


def test_shuffled_rows_are_all_there(filled: Project, client: Client) -> None:
    ordered = client.rows()
    filled.faults.add("shuffled_rows")
    shuffled = client.rows()
    assert shuffled != ordered
    assert sorted(map(str, shuffled)) == sorted(map(str, ordered))


def test_materialisation_lag_hides_what_was_processed_last(project: Project, client: Client) -> None:
    now_ms = project.clock.now_ms()
    project.add("early", "user", NOON, processed_ms=now_ms - 31 * 60_000)
    project.add("recent", "user", NOON, processed_ms=now_ms - 29 * 60_000)
    project.faults.add("materialisation_lag", minutes=30)
    assert client.names() == ["early"]
    assert client.names() == ["early", "recent"]


def first_line(client: Client) -> bytes:
    return client.export(headers=PLAIN).content.split(b"\n")[0]


def properties(line: bytes) -> dict[str, Any]:
    return json.loads(line)["properties"]


ODDITIES: dict[str, Callable[[bytes], bool]] = {
    "nul_character": lambda line: b"\\u0000" in line and "\x00" in properties(line)["note"],
    "lone_surrogate": lambda line: b"\\ud83d" in line,
    "line_separator": lambda line: b"\xe2\x80\xa8" in line,
    "big_integers": lambda line: properties(line)["bigger"] == 2**64 + 1,
    "case_colliding_keys": lambda line: {"userName", "username"} <= set(properties(line)),
    "iso_time": lambda line: properties(line)["time"] == "2026-03-10T12:00:00",
    "missing_insert_id": lambda line: "$insert_id" not in properties(line),
    "missing_distinct_id": lambda line: "distinct_id" not in properties(line),
    "empty_distinct_id": lambda line: properties(line)["distinct_id"] == "",
    "invalid_utf8": lambda line: b"before\xffafter" in line,
}


@pytest.mark.parametrize("name", ODDITIES)
def test_odd_rows(filled: Project, client: Client, name: str) -> None:
    assert b"note" not in first_line(client)
    filled.faults.add(name)
    response = client.export(headers=PLAIN)
    lines = response.content.split(b"\n")[:-1]
    assert len(lines) == ROWS
    assert ODDITIES[name](lines[0])
    for line in lines[1:]:
        assert properties(line)["distinct_id"]


def test_all_rows_can_be_odd(filled: Project, client: Client) -> None:
    filled.faults.add("missing_insert_id", rows=None)
    assert not any("$insert_id" in row["properties"] for row in client.rows())


def test_iso_time_in_milliseconds(filled: Project, client: Client) -> None:
    filled.faults.add("iso_time")
    assert client.rows(time_in_ms="true")[0]["properties"]["time"] == "2026-03-10T12:00:00"


def test_garbage_line(filled: Project, client: Client) -> None:
    filled.faults.add("garbage_line")
    lines = client.export().content.splitlines()
    assert len(lines) == ROWS + 1
    assert [line for line in lines if not line.startswith(b"{")] == [lines[1]]


def test_every_fault_of_exports_has_a_test_and_a_sentence() -> None:
    tested = (
        {case[0] for case in (*ANSWERS, *LAST_WORDS)}
        | set(ODDITIES)
        | {
            "cut_stream",
            "cut_gzip",
            "cut_line",
            "slow_first_byte",
            "shuffled_rows",
            "materialisation_lag",
            "garbage_line",
        }
    )
    assert tested == {name for name, kind in FAULTS.items() if "export" in kind.apis}
    assert all(name in fault_table() for name in FAULTS)


def test_faults_count_down_and_can_be_cleared(filled: Project, client: Client) -> None:
    filled.faults.add("bad_gateway_502", times=2)
    filled.faults.add("terminated_early", times=1)
    assert [client.export().status_code for _ in range(2)] == [502, 502]
    assert client.export().content.endswith(b"terminated early\n")
    assert len(client.rows()) == ROWS
    filled.faults.add("bad_gateway_502", times=None)
    assert [client.export().status_code for _ in range(3)] == [502] * 3
    filled.faults.clear()
    assert len(client.rows()) == ROWS


def test_faults_of_one_day_leave_others_alone(filled: Project, client: Client) -> None:
    filled.faults.add("unavailable_503", day=DAY)
    assert client.export(from_date="2026-03-09").status_code == 200
    assert client.export().status_code == 503


def test_row_faults_combine_and_an_earlier_ending_comes_before_an_answer() -> None:
    plan = FaultPlan()
    plan.add("shuffled_rows", times=None)
    plan.add("big_integers")
    plan.add("cut_line")
    plan.add("cut_gzip")
    plan.add("bad_gateway_502")
    taken = [[fault.name for fault in plan.take("export", DAY)] for _ in range(4)]
    assert taken == [
        ["shuffled_rows", "big_integers", "cut_line"],
        ["shuffled_rows", "cut_gzip"],
        ["bad_gateway_502"],
        ["shuffled_rows"],
    ]


def test_faults_are_written_as_name_and_times() -> None:
    plan = FaultPlan()
    for text in ("cut_line", "cut_gzip:3", "shuffled_rows:always"):
        plan.add_from_text(text)
    assert [(fault.name, fault.times) for fault in plan.active()] == [
        ("cut_line", 1),
        ("cut_gzip", 3),
        ("shuffled_rows", None),
    ]
    with pytest.raises(ValueError, match="no fault is called"):
        plan.add_from_text("earthquake")
    with pytest.raises(ValueError, match="a number of requests"):
        plan.add_from_text("cut_line:often")
