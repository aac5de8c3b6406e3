"""Counts per event and day over real HTTP."""

import json
from datetime import date

import pytest

from mixpanel_pipeline.mixpanel import errors
from mixpanel_pipeline.mixpanel.event_counts import EventCountsClient
from mixpanel_pipeline_tests.mixpanel.conftest import DAY, SECRET

EVENT = "Viewed Discover Tab"


@pytest.fixture
def counts(server, project, budget) -> EventCountsClient:
    return EventCountsClient(server.url, 12345, "account", SECRET, budget)


def test_every_event_has_a_count_on_every_day(counts, project, budget) -> None:
    project.add("Ünïcode “event”", "person", 1769860800 + 86400)
    assert counts.event_counts([EVENT, "Ünïcode “event”", "never"], DAY, date(2026, 2, 1)) == {
        (EVENT, DAY): 3,
        (EVENT, date(2026, 2, 1)): 0,
        ("Ünïcode “event”", DAY): 0,
        ("Ünïcode “event”", date(2026, 2, 1)): 1,
        ("never", DAY): 0,
        ("never", date(2026, 2, 1)): 0,
    }
    assert budget.acquired == 1
    [request] = project.requests
    assert request.path == "/api/query/events"
    assert json.loads(request.params.pop("event")) == [EVENT, "Ünïcode “event”", "never"]
    assert request.params == {
        "project_id": "12345",
        "type": "general",
        "unit": "day",
        "from_date": "2026-01-31",
        "to_date": "2026-02-01",
    }


def test_a_disagreement_shows(counts, project) -> None:
    project.faults.add("counts_disagree", by=5, event=EVENT, on="2026-01-31")
    assert counts.event_counts([EVENT], DAY, DAY) == {(EVENT, DAY): 8}
    assert counts.event_counts([EVENT], DAY, DAY) == {(EVENT, DAY): 3}


FAULTS = [
    ("cut_json", errors.IncompleteAnswer),
    ("dropped_json", errors.ConnectionFailure),
    ("error_in_200", errors.ServerFailure),
    ("unavailable_503", errors.ServerFailure),
    ("plan_without_export", errors.PlanWithoutExport),
    ("rate_limited_hour", errors.RateLimited),
]


@pytest.mark.parametrize(("fault", "kind"), FAULTS)
def test_faults_are_typed_errors(counts, project, fault: str, kind: type[errors.MixpanelError]) -> None:
    project.faults.add(fault)
    with pytest.raises(kind, match=r"\(project 12345, 2026-01-31\)"):
        counts.event_counts([EVENT], DAY, DAY)
    assert counts.event_counts([EVENT], DAY, DAY) == {(EVENT, DAY): 3}


OTHER_SHAPES = [
    "[]",
    "{}",
    '{"data": []}',
    '{"data": {"values": {"a": 3}}}',
    '{"data": {"values": {"a": {"2026-01-31": "3"}}}}',
]


@pytest.mark.parametrize("text", OTHER_SHAPES)
def test_json_of_another_shape_is_no_count(serve_bytes, budget, text: str) -> None:
    body = text.encode()
    url = serve_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    with pytest.raises(errors.IncompleteAnswer):
        EventCountsClient(url, 12345, "account", SECRET, budget).event_counts(["a"], DAY, DAY)


def test_a_count_of_other_words_is_told_cut_and_without_the_secret(serve_bytes, budget) -> None:
    body = json.dumps({"data": {"values": {"a": {"2026-01-31": f"{SECRET} {'x' * 10_000}"}}}}).encode()
    url = serve_bytes(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    with pytest.raises(errors.IncompleteAnswer, match=r"the count of 'a' on 2026-01-31 is '\*\*\* xxx") as raised:
        EventCountsClient(url, 12345, "account", SECRET, budget).event_counts(["a"], DAY, DAY)
    assert len(raised.value.detail) == 200


def in_200(text: str) -> bytes:
    body = json.dumps({"error": text}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


IN_200: list[tuple[str, type[errors.MixpanelError]]] = [
    ("Unable to authenticate request", errors.WrongCredentials),
    ("Your plan does not support raw data export.", errors.PlanWithoutExport),
    ("to_date cannot be later than today", errors.DateInTheFuture),
    ("Query rate limit exceeded for project_id: 12345. (61/60 queries running in the last hour)", errors.RateLimited),
    ("something nobody has seen before", errors.ServerFailure),
]


@pytest.mark.parametrize(("text", "kind"), IN_200)
def test_an_error_in_a_200_has_its_type(serve_bytes, budget, text: str, kind: type[errors.MixpanelError]) -> None:
    client = EventCountsClient(serve_bytes(in_200(text)), 12345, "account", SECRET, budget)
    with pytest.raises(kind, match="HTTP 200 with the error"):
        client.event_counts(["a"], DAY, DAY)
    assert budget.blocked_for == ([3600] if kind is errors.RateLimited else [])


def test_a_secret_in_a_200_is_blotted_out(serve_bytes, budget) -> None:
    client = EventCountsClient(serve_bytes(in_200(f"no {SECRET} here")), 12345, "account", SECRET, budget)
    with pytest.raises(errors.ServerFailure, match=r"no \*\*\* here") as raised:
        client.event_counts(["a"], DAY, DAY)
    assert SECRET not in str(raised.value)
    assert repr(client).startswith("EventCountsClient(project 12345 at ")
