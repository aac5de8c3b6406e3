"""What is nested too deeply becomes text, and nothing else is touched."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_pipeline.mixpanel.deep_json import LEVEL_OF_VALUES, MOST_LEVELS, flattened

# As deep as a property's value may be, with a page of profiles around it.
ROOM = MOST_LEVELS - LEVEL_OF_VALUES + 1


def page(value: str) -> bytes:
    properties = r'{"a":"[[\\","x":VALUE,"y":[{"z":"]\""}]}'.replace("VALUE", value)
    return f'{{"results":[{{"$properties":{properties}}}],"n":1}}'.encode()


def read(value: str) -> Any:
    document = json.loads(flattened(page(value)))
    (person,) = document["results"]
    assert (person["$properties"]["a"], person["$properties"]["y"], document["n"]) == ("[[\\", [{"z": ']"'}], 1)
    return person["$properties"]["x"]


def nested(levels: int, opening: str = "[", inside: str = "1", closing: str = "]") -> str:
    return opening * levels + inside + closing * levels


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('["]",', "]"), ('{"}\\"{":', "}")])
def test_as_deep_as_may_be_and_deeper(opening: str, closing: str) -> None:
    whole = nested(ROOM, opening, closing=closing)
    assert flattened(page(whole)) == page(whole)
    assert read(whole) == json.loads(whole)
    for levels in (ROOM + 1, 3_000, 20_000):
        text = nested(levels, opening, closing=closing)
        assert read(text) == text


def test_only_the_deep_value_is_text() -> None:
    deep = nested(3_000, inside='"\xfc\\u0000\\ud83d ]"')
    assert read(f'1,"u":{deep},"v":[2,[3]],"w":{deep},"last":null') == 1
    properties = json.loads(flattened(page(f'1,"u":{deep},"v":[2,[3]],"w":{deep}')))["results"][0]["$properties"]
    assert (properties["u"], properties["v"], properties["w"]) == (deep, [2, [3]], deep)


def test_what_is_deep_elsewhere_does_not_harm() -> None:
    document = json.loads(flattened(nested(3_000).encode()))
    assert document == [[[[nested(3_000 - LEVEL_OF_VALUES + 1)]]]]


@pytest.mark.parametrize(
    "cut", [nested(3_000)[:3_000], nested(3_000)[:-1], "[" * 3_000 + '"', "]" * 3_000, "}{" * 3_000]
)
def test_what_is_no_json_stays_none(cut: str) -> None:
    for body in (cut, page(cut).decode().partition(cut)[0] + cut):
        with pytest.raises(json.JSONDecodeError):
            json.loads(flattened(body.encode()))


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.text(alphabet='[]{}"\\'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(alphabet='[]{}"\\ab'), inner),
)


@given(values, st.booleans(), st.integers(0, 300))
def test_any_json_says_the_same(value: Any, escaped: bool, levels: int) -> None:
    text = nested(levels, inside=json.dumps(value, ensure_ascii=escaped))
    assert read(text) in (json.loads(text), text)
