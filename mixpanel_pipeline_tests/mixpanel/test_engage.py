"""Profiles over real HTTP: all of them for one counted query, or an error; never a part taken for the whole."""

import gzip
import hashlib
import json
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mixpanel_pipeline.mixpanel import errors
from mixpanel_pipeline.mixpanel.engage import EngageClient, Snapshot
from mixpanel_pipeline.mixpanel.rate_limit import RequestBudget
from mixpanel_pipeline.mixpanel.retry import RetryPolicy
from mixpanel_pipeline.simulator import Limits, Project
from mixpanel_pipeline_tests.mixpanel.conftest import SECRET
from mixpanel_pipeline_tests.mixpanel.test_export import CUT_ANSWERS

PEOPLE = 7


@pytest.fixture
def people(project: Project) -> Project:
    for number in range(PEOPLE):
        project.set_profile(f"person-{number}", {"income": f"i{number}", "nested": {"a": [1, None, 2.5]}})
    return project


class Reading:
    """A client of the shared server, and what it slept and logged."""

    def __init__(self, url: str, budget: Any, **options: Any) -> None:
        self.sleeps: list[float] = []
        self.messages: list[str] = []
        options = {"policy": RetryPolicy(jitter=(0, 0)), "sleep": self.sleeps.append, **options}
        self.client = EngageClient(url, 12345, "account", SECRET, budget, log=self.messages.append, **options)


@pytest.fixture
def reading(server, people, budget) -> Reading:
    return Reading(server.url, budget)


@pytest.fixture
def snapshot(reading: Reading, tmp_path: Path) -> Callable[..., Snapshot]:
    return lambda page_size=3: reading.client.download_snapshot(tmp_path / "profiles.jsonl.gz", page_size=page_size)


def lines(snapshot: Snapshot) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(snapshot.path.read_bytes()).split(b"\n")[:-1]]


def test_a_snapshot_is_everybody_for_one_counted_query(snapshot, people, budget, reading) -> None:
    taken = snapshot()
    assert lines(taken) == [
        {"$distinct_id": f"person-{n}", "$properties": {"income": f"i{n}", "nested": {"a": [1, None, 2.5]}}}
        for n in range(PEOPLE)
    ]
    assert (taken.people, taken.unidentified, taken.pages, taken.page_size, taken.total) == (PEOPLE, 0, 3, 3, PEOPLE)
    assert taken.queries == budget.acquired == 1
    assert taken.content_sha256 == hashlib.sha256(gzip.decompress(taken.path.read_bytes())).hexdigest()
    assert taken.wire_bytes > 500
    assert reading.messages == []
    assert [(entry.method, entry.path) for entry in people.requests] == [("POST", "/api/query/engage")] * 3
    first, second, third = (entry.params for entry in people.requests)
    assert first == {"project_id": "12345", "page_size": "3"}
    assert (second["page"], third["page"]) == ("1", "2")
    assert second["session_id"] == third["session_id"] == taken.session_id


@pytest.mark.parametrize(("page_size", "pages"), [(1, 8), (7, 2), (8, 1), (5000, 1)])
def test_an_exact_multiple_ends_with_an_empty_page(snapshot, page_size: int, pages: int) -> None:
    taken = snapshot(page_size)
    assert (taken.people, taken.pages) == (PEOPLE, pages)


def test_nobody_is_a_whole_snapshot_too(server, project, budget, tmp_path) -> None:
    taken = Reading(server.url, budget).client.download_snapshot(tmp_path / "none")
    assert (taken.people, taken.pages, taken.total, lines(taken)) == (0, 1, 0, [])


def test_pages_come_with_filters(reading) -> None:
    found = list(
        reading.client.pages(page_size=1, where='properties["income"] in ["i1", "i2"]', output_properties=["income"])
    )
    assert found == [
        [{"$distinct_id": "person-1", "$properties": {"income": "i1"}}],
        [{"$distinct_id": "person-2", "$properties": {"income": "i2"}}],
        [],
    ]


def test_equal_profiles_have_equal_content(snapshot, people) -> None:
    first = snapshot()
    assert snapshot(5).content_sha256 == first.content_sha256
    people.profiles.update("person-3", {"income": "other"})
    assert snapshot().content_sha256 != first.content_sha256


def test_changes_while_reading_do_not_show(reading, people) -> None:
    pages = reading.client.pages(page_size=3)
    everybody = next(pages)
    people.delete_profile("person-0")
    people.set_profile("person-9", {})
    people.profiles.update("person-6", {"income": "new"})
    for page in pages:
        everybody += page
    assert [person["$distinct_id"] for person in everybody] == [f"person-{n}" for n in range(PEOPLE)]
    assert everybody[-1]["$properties"]["income"] == "i6"


PAGE_FAULTS = [
    ("error_in_200", {}),
    ("cut_json", {}),
    ("dropped_json", {}),
    ("status_not_ok", {}),
    ("page_without_results", {}),
    ("short_page", {}),
    ("repeated_person", {}),
    ("other_session", {}),
    ("unknown_error_500", {}),
    ("bad_gateway_502", {}),
    ("gateway_timeout_504", {}),
    ("rate_limited_short", {}),
    ("rate_limited_without_headers", {}),
    ("error_in_200", {"error": "Query rate limit exceeded for project_id: 12345"}),
]


@pytest.mark.parametrize(("fault", "parameters"), PAGE_FAULTS)
def test_a_page_that_fails_is_asked_for_again_in_its_session(
    snapshot, people, budget, reading, fault: str, parameters: dict[str, str]
) -> None:
    people.faults.add(fault, page=1, **parameters)
    taken = snapshot()
    assert [person["$distinct_id"] for person in lines(taken)] == [f"person-{n}" for n in range(PEOPLE)]
    assert taken.queries == budget.acquired == 1
    assert len(people.requests) == 4
    assert len(reading.sleeps) == 1


@pytest.mark.parametrize("fault", ["unknown_error_500", "cut_json", "page_without_results", "wrong_total"])
def test_a_first_page_asked_for_again_is_counted_again(snapshot, people, budget, fault: str) -> None:
    people.faults.add(fault, page=0)
    if fault == "wrong_total":
        people.faults.add("cut_json", page=0)
        taken = snapshot(page_size=10)
    else:
        taken = snapshot()
    assert taken.people == PEOPLE
    assert taken.queries == budget.acquired == 2


def uncached() -> list[tuple[str, dict[str, str]]]:
    return [("session_lost", {}), ("error_in_200", {"error": "request for page in uncached query for params"})]


@pytest.mark.parametrize(("fault", "parameters"), uncached())
def test_a_lost_session_begins_anew_without_waiting(
    snapshot, people, budget, reading, fault: str, parameters: dict[str, str]
) -> None:
    people.faults.add(fault, page=2, **parameters)
    taken = snapshot()
    assert (taken.people, len(lines(taken)), taken.queries, budget.acquired) == (PEOPLE, PEOPLE, 2, 2)
    assert reading.sleeps == []
    [message] = reading.messages
    assert "anew, after attempt 1 of 3" in message
    assert "uncached query" in message


def test_a_session_that_is_always_lost_is_an_error_and_leaves_nothing(snapshot, people, budget, tmp_path) -> None:
    people.faults.add("session_lost", times=None, page=1)
    with pytest.raises(errors.SessionLost, match=r"in the middle.*project 12345, profiles.*Run it again later"):
        snapshot()
    assert budget.acquired == 3
    assert list(tmp_path.iterdir()) == []


def test_a_first_page_cut_short_without_a_total_is_asked_for_again(snapshot, people, budget) -> None:
    """On one page as on several: the page after it would be empty even so."""
    for page_size in (3, 5000):
        people.faults.add("without_total", page=0)
        people.faults.add("short_page", page=0, rows=2)
        assert snapshot(page_size).people == PEOPLE
    assert budget.acquired == 4


def test_without_a_total_there_is_no_snapshot(snapshot, people, tmp_path) -> None:
    people.faults.add("without_total", times=None)
    with pytest.raises(errors.IncompleteAnswer, match=r"project 12345, profiles.*no `total`.*ask Mixpanel's support"):
        snapshot()
    assert list(tmp_path.iterdir()) == []


def test_a_total_that_stays_wrong_begins_anew_and_then_is_right(snapshot, people, budget, reading) -> None:
    people.faults.add("wrong_total", by=1)
    assert snapshot().people == PEOPLE
    assert budget.acquired == 2
    assert reading.sleeps == [2, 4, 8, 16, 32], "the last page was asked for again first"
    assert "page 2 of the profiles: 1 people where 2 belong: 6 of 8 came before" in reading.messages[-1]


@pytest.mark.parametrize("fault", ["short_page", "repeated_person", "cut_json"])
def test_a_page_that_stays_bad_is_never_taken_for_good(snapshot, people, tmp_path, fault: str) -> None:
    people.faults.add(fault, times=None, page=1)
    with pytest.raises(errors.IncompleteAnswer):
        snapshot()
    assert list(tmp_path.iterdir()) == []


def test_pages_do_not_begin_anew_by_themselves(reading, people) -> None:
    people.faults.add("session_lost", page=1)
    pages = reading.client.pages(page_size=3)
    assert len(next(pages)) == 3
    with pytest.raises(errors.SessionLost):
        next(pages)


PERMANENT = [
    ("wrong_region", errors.WrongCredentials),
    ("expired_account", errors.WrongCredentials),
    ("forbidden", errors.NoAccess),
    ("plan_without_export", errors.PlanWithoutExport),
]


@pytest.mark.parametrize(("fault", "kind"), PERMANENT)
def test_what_a_person_has_to_change_is_not_asked_again(snapshot, people, reading, fault: str, kind: type) -> None:
    people.faults.add(fault)
    with pytest.raises(kind) as raised:
        snapshot()
    assert "(project 12345, profiles): " in str(raised.value)
    assert SECRET not in str(raised.value)
    assert reading.sleeps == []


ODD = [
    ("nul_character", "note", "before\x00after"),
    ("lone_surrogate", "note", "before\ud83dafter"),
    ("line_separator", "note", "before\u2028after"),
    ("big_integers", "bigger", 2**64 + 1),
    ("invalid_utf8", "note", "before\ufffdafter"),
    ("huge_property", "income", "x" * 10_000_000),
    ("list_for_text", "income", ["under_50k", {"since": 2024}]),
    ("number_as_text", "buying_power", "1234.50"),
]


@pytest.mark.parametrize(("fault", "name", "value"), ODD)
def test_odd_contents_arrive_and_nobody_else_is_lost(snapshot, people, fault: str, name: str, value: Any) -> None:
    people.faults.add(fault, page=1)
    everybody = lines(snapshot())
    assert everybody[3]["$properties"][name] == value
    assert [person["$distinct_id"] for person in everybody] == [f"person-{n}" for n in range(PEOPLE)]


def test_ids_become_text_and_people_without_one_are_counted(snapshot, people) -> None:
    people.set_profile(4711, {})
    people.set_profile("", {})
    people.faults.add("without_distinct_id", page=0)
    taken = snapshot()
    assert (taken.people, taken.unidentified) == (PEOPLE + 2, 2)
    assert [person["$distinct_id"] for person in lines(taken)] == [
        None, *(f"person-{n}" for n in range(1, PEOPLE)), "4711", "",
    ]  # fmt: skip


def test_an_id_is_the_same_as_text_and_as_integer(snapshot, people) -> None:
    people.set_profile("42", {})
    people.faults.add("integer_distinct_ids", times=None)
    assert lines(snapshot())[-1]["$distinct_id"] == "42"


@pytest.mark.parametrize("answer", CUT_ANSWERS.values(), ids=CUT_ANSWERS.keys())
def test_an_answer_that_may_be_cut_is_a_connection_failure(serve_bytes, budget, tmp_path, answer) -> None:
    once = Reading(serve_bytes(answer), budget, policy=RetryPolicy(attempts=1), snapshot_attempts=1)
    with pytest.raises(errors.ConnectionFailure, match=r"\(project 12345, profiles\)"):
        once.client.download_snapshot(tmp_path / "body")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_an_os_error_and_leaves_nothing(reading, tmp_path: Path) -> None:
    destination = tmp_path / "body"
    destination.symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left on device"):
        reading.client.download_snapshot(destination)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["", "/", "/api/query", "/api/query/", "/api/query/engage"])
def test_the_base_may_be_given_with_its_path(server, people, budget, suffix: str) -> None:
    [page] = Reading(server.url + suffix, budget).client.pages()
    assert len(page) == PEOPLE
    assert people.requests[0].path == "/api/query/engage"


def test_without_a_username_the_secret_is_the_project_s(server, people, budget) -> None:
    client = EngageClient(server.url, 12345, None, SECRET, budget)
    assert [len(page) for page in client.pages()] == [PEOPLE]
    assert "project_id" not in people.requests[0].params
    assert repr(client) == "EngageClient(project 12345 at 127.0.0.1)"


def test_a_snapshot_costs_one_of_the_hour_s_queries(server, people, waits, tmp_path) -> None:
    people.query_limits = Limits.of_queries()
    budget = RequestBudget(lambda: psycopg.connect(waits.url), 12345, "query", sleep=waits, log=lambda _message: None)
    taken = Reading(server.url, budget).client.download_snapshot(tmp_path / "profiles", page_size=1)
    assert (taken.people, taken.pages, budget.used_in_last_hour()) == (PEOPLE, PEOPLE + 1, 1)


def test_a_429_is_told_to_all_runs(snapshot, people, budget) -> None:
    people.faults.add("rate_limited_short", page=0)
    assert snapshot().people == PEOPLE
    assert budget.blocked_for == [1]


@pytest.mark.slow
def test_a_hundred_thousand_people(server, budget, tmp_path) -> None:
    """All are made and read in seconds; the bound is generous, for machines that have more to do."""
    server.project = Project(username="account", secret=SECRET, profiles=100_000)
    started = time.monotonic()
    taken = Reading(server.url, budget).client.download_snapshot(tmp_path / "profiles")
    assert (taken.people, taken.pages, taken.queries) == (100_000, 21, 1)
    assert time.monotonic() - started < 60


def answer(body: str) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body.encode()), body.encode())


def reading_once(url: str, budget: Any) -> EngageClient:
    return Reading(url, budget, policy=RetryPolicy(attempts=1), snapshot_attempts=1).client


PERSON = {"$distinct_id": f"{SECRET} {'x' * 10_000}"}
REPEATED = [PERSON, PERSON]
ODD_WORDS: dict[str, dict[str, Any]] = {
    **{name: {name: f"{SECRET} {'x' * 10_000}"} for name in ("status", "page", "page_size", "total")},
    "many digits": {"total": 10**600},
    "a list": {"page": [SECRET] * 1000},
    "a person": {"results": REPEATED, "total": 2},
    # The cut comes after the scrubbing, or half a secret would stay.
    "a secret where it is cut": {"status": f"{'x' * 155}{SECRET}"},
}


@pytest.mark.parametrize("members", ODD_WORDS.values(), ids=ODD_WORDS.keys())
def test_mixpanel_s_words_are_told_cut_and_without_the_secret(serve_bytes, budget, tmp_path, members) -> None:
    url = serve_bytes(answer(json.dumps({"results": [], "total": 0, **members}, ensure_ascii=False)))
    with pytest.raises(errors.IncompleteAnswer) as raised:
        reading_once(url, budget).download_snapshot(tmp_path / "body")
    told = "".join(traceback.format_exception(raised.value))
    assert SECRET[:4] not in told
    assert len(raised.value.detail) <= 200
    assert raised.value.detail.startswith("page 0 of the profiles: ")


DIGITS, DEEP = "9" * 5000, "[" * 3000 + '"a"' + "]" * 3000
BEYOND_PYTHON = f"""{{"total":2,"results":[
    {{"$distinct_id":"a","$properties":{{"digits":{DIGITS},"deep":{DEEP},"after":[1]}}}},
    {{"$distinct_id":"b"}}
]}}"""


def test_what_python_cannot_read_is_text(serve_bytes, budget, tmp_path) -> None:
    client = reading_once(serve_bytes(answer(BEYOND_PYTHON)), budget)
    assert lines(client.download_snapshot(tmp_path / "body")) == [
        {"$distinct_id": "a", "$properties": {"digits": DIGITS, "deep": DEEP, "after": [1]}},
        {"$distinct_id": "b", "$properties": {}},
    ]


def test_a_page_cut_where_it_is_deep_is_not_whole(serve_bytes, budget, tmp_path) -> None:
    client = reading_once(serve_bytes(answer(BEYOND_PYTHON.partition('"a"]')[0])), budget)
    with pytest.raises(errors.IncompleteAnswer, match="no whole JSON"):
        client.download_snapshot(tmp_path / "body")
