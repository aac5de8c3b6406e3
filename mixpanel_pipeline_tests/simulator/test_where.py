"""The `where` grammar (reference A1.10) and its undefined, and that an export obeys it."""

from typing import Any

import pytest

from mixpanel_pipeline.simulator import Project
from mixpanel_pipeline.simulator.where import UNDEFINED, evaluate, matches, processed_bounds
from mixpanel_pipeline.simulator.where_syntax import WhereError, parse_where
from mixpanel_pipeline_tests.simulator.client import NOON, Client

ROW = {
    "event": "Signed up",
    "properties": {
        "time": 1_704_765_659,
        "distinct_id": "user-1",
        "mp_processing_time_ms": 1_704_765_700_123,
        "number": 7,
        "half": 2.5,
        "numeric": "12.5",
        "text": "growth",
        "yes": True,
        "yes_text": "true",
        "nothing": None,
        "tags": ["a", "b"],
        'with "quotes"': 1,
    },
}


def value(text: str) -> Any:
    return evaluate(parse_where(text), ROW)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('properties["number"]', 7),
        ("properties['text']", "growth"),
        ('properties["with \\"quotes\\""]', 1),
        ('properties["missing"]', UNDEFINED),
        ('properties["time"]', UNDEFINED),
        ('properties["$distinct_id"]', "user-1"),
        ('user["$email"]', UNDEFINED),
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("7 - 2 - 1", 4),
        ("-7 % 3", -1),
        ("7 % -3", 1),
        ("7 / 2", 3.5),
        ("7 / 0", UNDEFINED),
        ("7 % 0", UNDEFINED),
        ('"a" + "b"', "ab"),
        ('"a" + 1', UNDEFINED),
        ('"a" - "b"', UNDEFINED),
        ('-properties["text"]', UNDEFINED),
        ("--2", 2),
        ("floor(2.5) + ceil(2.5) + round(2.5)", 8),
        ('floor("2")', UNDEFINED),
        ("1 == 1.0", True),
        ('1 == "1"', False),
        ('1 != "1"', True),
        ("true == 1", False),
        ('properties["missing"] == 1', False),
        ('properties["missing"] != 1', True),
        ('properties["number"] >= 7', True),
        ('properties["number"] < "7"', UNDEFINED),
        ('properties["missing"] > 1', UNDEFINED),
        ('properties["nothing"] > 1', UNDEFINED),
        ('properties["text"] < "h"', True),
        ('properties["number"] in [1, 7]', True),
        ('properties["number"] in ["7"]', False),
        ('properties["number"] in []', False),
        ('"row" in properties["text"]', True),
        ('"a" in properties["tags"]', True),
        ('1 in properties["text"]', UNDEFINED),
        ("not 1 == 2", True),
        ('not properties["missing"]', True),
        ('not properties["number"]', UNDEFINED),
        ("true or false and false", True),
        ('properties["missing"] or true', True),
        ('properties["missing"] and true', False),
        ("false and 1", False),
        ('defined(properties["text"])', True),
        ('defined(properties["missing"])', False),
        ('not defined(properties["nothing"])', True),
        ('number(properties["numeric"])', 12.5),
        ('number(properties["text"])', UNDEFINED),
        ('number(properties["nothing"])', UNDEFINED),
        ("number(true)", 1.0),
        ('string(properties["number"])', "7"),
        ('string(properties["half"])', "2.5"),
        ("string(true)", "true"),
        ('string(properties["nothing"])', None),
        ('boolean(properties["yes_text"]) == true', True),
        ('boolean(properties["number"])', True),
        ('boolean(properties["missing"])', False),
        ('boolean(properties["text"])', UNDEFINED),
        ('properties["$time"] >= datetime(1704765659)', True),
        ('properties["$time"] > datetime(1704765659)', False),
        ('event["$time"] == datetime("2024-01-09T02:00:59")', True),
        ('properties["$time"] >= 1', UNDEFINED),
        ('datetime("some day")', UNDEFINED),
    ],
)
def test_values(text: str, expected: Any) -> None:
    found = value(text)
    assert found == expected
    assert isinstance(found, bool) == isinstance(expected, bool)


@pytest.mark.parametrize(
    "text",
    ["", "1 +", "(1", "1)", 'properties["a"', "properties[1]", "price > 1", "1 = 1", "lower(1)", '"open', "1 2", "[1"],
)
def test_syntax_errors_say_what_is_wrong(text: str) -> None:
    with pytest.raises(WhereError, match=r"expected|unexpected|unknown|takes"):
        parse_where(text)


@pytest.mark.parametrize("text", ["1 and true", 'true and "a"', "false or 1"])
def test_logic_takes_booleans(text: str) -> None:
    with pytest.raises(WhereError, match="takes booleans"):
        value(text)


def test_only_true_matches() -> None:
    assert matches(parse_where('properties["number"] == 7'), ROW)
    assert not matches(parse_where('properties["number"]'), ROW)
    assert not matches(parse_where('properties["missing"]'), ROW)


PROCESSED = 'properties["mp_processing_time_ms"]'


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        (f"{PROCESSED} > 5", (5, float("inf"))),
        (f"{PROCESSED} > 5 and {PROCESSED} <= 9", (5, 9)),
        (f"5 < {PROCESSED} and 9 > {PROCESSED}", (5, 9)),
        (f"number({PROCESSED}) < 9", (float("-inf"), 9)),
        (f"{PROCESSED} >= 5 and properties['x'] == 1", (5, float("inf"))),
        (f"{PROCESSED} > 5 or true", (float("-inf"), float("inf"))),
        (f"not {PROCESSED} > 5", (float("-inf"), float("inf"))),
        ("user['mp_processing_time_ms'] > 5", (float("-inf"), float("inf"))),
    ],
)
def test_bounds_on_processing_time_are_found(text: str, bounds: tuple[float, float]) -> None:
    assert processed_bounds(parse_where(text)) == bounds


def test_an_export_is_filtered(project: Project, client: Client) -> None:
    for number in range(5):
        project.add(f"e{number}", "user", NOON, processed_ms=1000 + number, properties={"number": number})
    assert client.names(where=f"{PROCESSED} > 1001 and {PROCESSED} < 1004") == ["e2", "e3"]
    assert client.names(where='properties["number"] in [0, 4]') == ["e0", "e4"]
    assert client.names(where=f'properties["$time"] > datetime({NOON})') == []
    assert len(client.names(where=f'properties["$time"] >= datetime({NOON})', time_in_ms="true")) == 5
    assert client.names(where='properties["time"] > 1') == []
