"""Random payloads for the SQL API: few people and few values, so that they meet."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from mixpanel_pipeline_tests.plain_upsert import COUNTS, FLAGS, NUMBERS, TEXTS, TIMES

START = datetime(2025, 11, 1, tzinfo=UTC)
NOTHING = (None, "")

people = st.sampled_from(["a", "b", "c'; drop table x --", "Ärger 🦊", 'quo"te', "7", 7])


@st.composite
def times(draw: st.DrawFn) -> str:
    """Twenty moments in the spellings that clients send."""
    moment = START + timedelta(hours=draw(st.integers(0, 19)), microseconds=draw(st.sampled_from([0, 0, 123000])))
    spelling = draw(st.sampled_from(["iso", "z", "naive", "postgres", "elsewhere"]))
    if spelling == "z":
        return moment.isoformat().replace("+00:00", "Z")
    if spelling == "naive":
        return moment.replace(tzinfo=None).isoformat()
    if spelling == "postgres":
        return moment.replace(tzinfo=None).isoformat(" ") + "+00"
    if spelling == "elsewhere":
        return (moment + timedelta(hours=5, minutes=30)).replace(tzinfo=None).isoformat() + "+05:30"
    return moment.isoformat()


counts = st.one_of(st.integers(0, 3), st.sampled_from([*NOTHING, "2", "3.0", 4.0, " 1 ", "+2", 10**15]))
flags = st.sampled_from([True, False, "true", "false", *NOTHING])
texts = st.sampled_from(["x", "y", "50k-100k", "naïve 🦊", " ", 5, True, *NOTHING])
numbers = st.one_of(st.integers(-2, 2), st.sampled_from([0.1, "0.1", "0.10", "1e3", "-.5", " 7 ", *NOTHING]))


def elements() -> st.SearchStrategy[dict[str, Any]]:
    """One profile; every key but the person's may be missing."""
    optional: dict[str, st.SearchStrategy[Any]] = {
        **dict.fromkeys(COUNTS, counts),
        **dict.fromkeys(FLAGS, flags),
        **dict.fromkeys(TEXTS, texts),
        **dict.fromkeys(NUMBERS, numbers),
        **dict.fromkeys((*TIMES, "updated_at"), st.one_of(times(), st.sampled_from(NOTHING))),
        "email": st.just("stray@example.com"),
    }
    return st.fixed_dictionaries({"distinct_id": people}, optional=optional)  # pyright: ignore[reportArgumentType]


# Most keys of an element are drawn at once: batches of up to six elements of some few people.
batches = st.lists(elements(), max_size=6)
calls = st.lists(st.tuples(st.sampled_from(["replace", "add"]), batches), min_size=1, max_size=5)
