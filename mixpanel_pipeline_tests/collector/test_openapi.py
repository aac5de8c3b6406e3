"""The service's description, held against what it does: whatever is sent, it answers as it says, and never 5xx."""

import json
import re
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.collector.conftest import PROJECT, RunningCollector
from mixpanel_pipeline_tests.collector.made_events import click, event, now, page_view, session
from mixpanel_pipeline_tests.web import site

EXAMPLES = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]}


@pytest.fixture(scope="module")
def document(shared: tuple[RunningCollector, Warehouse]) -> dict[str, Any]:
    return shared[0].get("/openapi.json").json()


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return document["components"]["schemas"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def mismatches(document: dict[str, Any], schema: dict[str, Any], value: Any) -> list[str]:
    """Where a value is not what the schema says: of JSON Schema as much as the document uses for answers."""
    schema = resolved(document, schema)
    kinds = {"object": dict, "array": list, "string": str, "integer": int, "boolean": bool, "null": type(None)}
    named = [schema["type"]] if isinstance(schema["type"], str) else schema["type"]
    if not isinstance(value, tuple(kinds[name] for name in named)) or (value is True and "boolean" not in named):
        return [f"{value!r} is no {named}"]
    found = []
    if isinstance(value, dict) and "properties" in schema:
        if set(schema["required"]) - set(value) or set(value) - set(schema["properties"]):
            found.append(f"{sorted(value)} is not {sorted(schema['properties'])}")
        found += [
            each for name, member in value.items() for each in mismatches(document, schema["properties"][name], member)
        ]
    elif isinstance(value, list):
        found += [each for element in value for each in mismatches(document, schema["items"], element)]
    elif isinstance(value, int) and value < schema.get("minimum", value):
        found.append(f"{value} is below {schema['minimum']}")
    return found


def check(document: dict[str, Any], answer: requests.Response, path: str = "/v1/batch", method: str = "post") -> None:
    """The answer is one that the document has."""
    described = document["paths"][path][method]["responses"]
    assert str(answer.status_code) in described, answer.text
    response = described[str(answer.status_code)]
    for content_type, content in response.get("content", {}).items():
        assert answer.headers["Content-Type"].startswith(content_type)
        if "schema" in content:
            assert mismatches(document, content["schema"], answer.json()) == []
    for name, header in response.get("headers", {}).items():
        assert int(answer.headers[name]) >= header["schema"]["minimum"]


def test_the_pages_answer_as_they_say(shared: tuple[RunningCollector, Warehouse], document: dict[str, Any]) -> None:
    assert document["openapi"] == "3.1.0"
    for path, methods in document["paths"].items():
        if "get" in methods:
            check(document, shared[0].get(path), path, "get")
    preflight = requests.options(f"{shared[0].url}/v1/batch", timeout=10)
    check(document, preflight, method="options")


def of_schema(document: dict[str, Any], schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that the document takes, as far as a schema can say it."""
    schema = resolved(document, schema)
    if "anyOf" in schema:
        return st.one_of(*(of_schema(document, each) for each in schema["anyOf"]))
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum", [schema.get("const")]))
    if "properties" not in schema:
        return PLAIN_KINDS[schema["type"]](schema)
    parts = {name: of_schema(document, each) for name, each in schema["properties"].items()}
    needed = {name: part for name, part in parts.items() if name in schema["required"]}
    return st.fixed_dictionaries(needed, optional={name: part for name, part in parts.items() if name not in needed})


def of_text(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    if schema.get("format") == "uuid":
        return st.uuids().map(str)
    if "pattern" in schema:
        return st.just(now()).filter(re.compile(schema["pattern"]).search)
    if "maxLength" not in schema:
        return st.ip_addresses().map(str)
    return st.text(PLAIN, min_size=schema["minLength"], max_size=min(schema["maxLength"], 50))


PLAIN = st.characters(min_codepoint=32, max_codepoint=0x24F)
PLAIN_KINDS: dict[str, Callable[[dict[str, Any]], st.SearchStrategy[Any]]] = {
    "null": lambda _: st.none(),
    "integer": lambda schema: st.integers(schema["minimum"], schema["maximum"]),
    "object": lambda _: st.dictionaries(
        st.text(PLAIN, max_size=5), st.integers() | st.text(PLAIN, max_size=5), max_size=3
    ),
    "string": of_text,
}


def test_what_the_document_takes_is_taken(shared: tuple[RunningCollector, Warehouse], document: dict[str, Any]) -> None:
    collector, _ = shared
    kinds = [
        of_schema(document, each)
        for each in document["components"]["schemas"]["Batch"]["properties"]["events"]["items"]["oneOf"]
    ]

    @settings(max_examples=40, **EXAMPLES)
    @given(batch=st.lists(st.one_of(kinds), max_size=8))
    def take(batch: list[dict[str, Any]]) -> None:
        answer = collector.send(
            [{**sent, "project_id": PROJECT} if sent["type"] == "event" else sent for sent in batch]
        )
        check(document, answer)
        found = answer.json()
        assert found["rejected"] == []
        assert found["accepted"] + found["duplicates"] == len(batch)

    take()


# With NUL and half surrogates.
ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=8)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(), max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
NAMES = sorted({*page_view(), *click(), *event(), *session(), "ip_address", "event_data", "page_views", "shareCode"})
HALF_RIGHT = st.builds(
    lambda made, fields: {**made(), **fields},
    st.sampled_from([page_view, click, event, session]), st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=3),
)  # fmt: skip


@settings(max_examples=120, **EXAMPLES)
@given(events=st.lists(HALF_RIGHT | ANYTHING, max_size=6))
def test_whatever_events_say_each_is_accounted_for_and_a_good_one_is_stored(
    shared: tuple[RunningCollector, Warehouse], document: dict[str, Any], events: list[Any]
) -> None:
    """json.dumps writes NaN, half surrogates and NUL as they are: nothing of it may hold up the good one."""
    collector, warehouse = shared
    good = page_view()
    answer = collector.send([*events, good])
    check(document, answer)
    assert answer.status_code == 200
    found = answer.json()
    assert found["accepted"] + found["duplicates"] + len(found["rejected"]) == len(events) + 1
    assert len(events) not in [each["index"] for each in found["rejected"]]
    assert site.value(warehouse, "select count(*) from analytics_page_views where id = %s", [good["id"]]) == 1


SYMBOLS = st.sampled_from([b"[", b"}", b'"', b"\\", b","])


@st.composite
def damaged(draw: st.DrawFn, text: bytes) -> bytes:
    """A good body with some bytes taken out, changed or put in."""
    body = bytearray(text)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body) - 1))
        body[at : at + draw(st.integers(0, 3))] = draw(
            st.binary(max_size=3) | st.sampled_from([b"[", b"}", b'"', b"\\", b","])
        )
    return bytes(body)


@settings(max_examples=150, **EXAMPLES)
@given(data=st.data())
def test_damaged_bodies_leave_a_whole_batch_or_what_they_were_told(
    shared: tuple[RunningCollector, Warehouse], document: dict[str, Any], data: st.DataObject
) -> None:
    collector, warehouse = shared
    batch = [page_view(id=str(uuid4())) for _ in range(3)]
    text = json.dumps({"write_key": collector.key, "events": batch}).encode()
    before = site.value(warehouse, "select count(*) from analytics_page_views")
    answer = collector.post(data.draw(damaged(text) | st.binary(max_size=40)))
    check(document, answer)
    assert answer.status_code < 500
    stored = site.value(warehouse, "select count(*) from analytics_page_views") - before
    assert stored == (answer.json()["accepted"] if answer.status_code == 200 else 0)


@settings(max_examples=60, **EXAMPLES)
@given(
    headers=st.dictionaries(
        st.sampled_from(["Content-Type", "Content-Encoding", "Origin", "User-Agent", "X-Forwarded-For", "Accept"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30)
        | st.sampled_from(["gzip", "application/json", "text/plain; charset=latin-1", "identity"]),
    ),
    packed=st.binary(max_size=60),
)
def test_whatever_the_headers_say(
    shared: tuple[RunningCollector, Warehouse], document: dict[str, Any], headers: dict[str, str], packed: bytes
) -> None:
    answer = requests.post(f"{shared[0].url}/v1/batch", data=packed, headers=headers, timeout=30)
    check(document, answer)
    assert answer.status_code < 500
