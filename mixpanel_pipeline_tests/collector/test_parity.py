"""The collector and the function `ingest_analytics_batch`: told the same, they say the same and store the same."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.sql import SQL, Identifier

from mixpanel_pipeline.collector.write_keys import make_key
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline_tests.collector.conftest import PROJECT, RunningCollector, serving
from mixpanel_pipeline_tests.collector.made_events import click, event, page_view, session
from mixpanel_pipeline_tests.conftest import fresh_database

TABLES = ("analytics_page_views", "analytics_clicks", "analytics_events", "analytics_sessions")
OUR_TIME = re.compile(r"ahead of ours, [^,]+,")
# The collector adds the request's to sessions without; both are given, and stay as they are.
VISITOR = {"user_agent": "Firefox", "ip_address": "192.0.2.7"}


@dataclass
class Both:
    """A collector with its database, and another database for the function."""

    collector: RunningCollector
    collected: Warehouse
    called: Warehouse

    def call(self, batch: list[Any]) -> dict[str, Any]:
        with self.called.connect() as connection:
            row = connection.execute("select ingest_analytics_batch(%s)", [json.dumps(batch)]).fetchone()
        assert row is not None
        return row[0]


@pytest.fixture(scope="module")
def both(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    with ExitStack() as opened:
        one, other = (opened.enter_context(fresh_database(postgres)) for _ in range(2))
        key = make_key(Warehouse(one), PROJECT, [])
        options = {"COLLECTOR_REQUESTS_PER_ADDRESS": "9999999", "COLLECTOR_IP_ADDRESSES": "keep"}
        collector = opened.enter_context(serving(one, tmp_path_factory.mktemp("collector"), key, **options))
        yield Both(collector, Warehouse(one), Warehouse(other))


def moment(**how_far: float) -> str:
    return (datetime.now(UTC) + timedelta(**how_far)).isoformat()


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
LENGTHS = st.sampled_from([199, 200, 201, 500, 501, 2000, 4000, 4001]).map(lambda length: "é" * (length // 2) + "x")
TIMES = st.sampled_from([
    {"minutes": 4}, {"minutes": 6}, {"days": -1}, {"days": -3000}, {"days": 3000}, {"seconds": -1},
]).map(lambda how_far: moment(**how_far))  # fmt: skip
# Few ids and sessions, so that many are met again.
FEW = st.integers(1, 30).map(lambda number: f"019a9c5e-7d3c-7a31-8f5b-{number:012d}")
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "id": FEW | ANYTHING,
    "session_id": FEW | ANYTHING,
    **dict.fromkeys(["user_code", "share_code", "contact_id", "click_target", "event_label"], LENGTHS | ANYTHING),
    **dict.fromkeys(["viewed_at", "clicked_at", "created_at", "first_seen", "last_seen"], TIMES | ANYTHING),
    **dict.fromkeys(["page_type", "click_category", "type", "visitor_id", "event_type", "referrer"], ANYTHING),
    **dict.fromkeys(["page_views", "clicks"], st.integers(-1, 3) | ANYTHING),
    "event_data": st.dictionaries(TEXT, ANYTHING, max_size=3) | ANYTHING,
}
OPTIONAL = {
    page_view: ["share_code", "contact_id"],
    click: ["share_code", "contact_id", "click_target"],
    event: ["event_label", "event_data"],
    session: ["share_code", "contact_id", "last_seen", "page_views", "clicks", "referrer"],
}


@st.composite
def events(draw: st.DrawFn) -> Any:
    """Right, or wrong in a field or two, or anything."""
    if draw(st.integers(0, 9)) == 0:
        return draw(ANYTHING)
    make = draw(st.sampled_from(list(OPTIONAL)))
    another_types = draw(st.integers(0, 5)) == 0
    names = FIELDS if another_types else [name for name in (*make(), *OPTIONAL[make]) if name in FIELDS]
    changed = draw(st.lists(st.sampled_from(sorted(names)), max_size=2))
    given = {name: draw(FIELDS[name]) for name in changed}
    return make(**{"id": draw(FEW), **(VISITOR if make is session else {}), **given})


def rows(warehouse: Warehouse, table: str) -> list[dict[str, Any]]:
    """Without the time of their arrival, which is each database's own."""
    query = SQL("select to_jsonb(stored) - 'received_at' from {} as stored").format(Identifier(table))
    with warehouse.connect() as connection:
        found = connection.execute(query).fetchall()
    return sorted((row for (row,) in found), key=lambda row: json.dumps(row, sort_keys=True))


def test_they_answer_and_store_alike(both: Both) -> None:
    met = Counter()

    @settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(batch=st.lists(events(), max_size=12))
    def check(batch: list[Any]) -> None:
        answers = [both.collector.stored(batch), both.call(batch)]
        collected, called = (json.loads(OUR_TIME.sub("ahead of ours", json.dumps(answer))) for answer in answers)
        assert collected == called
        met.update(accepted=called["accepted"], duplicates=called["duplicates"], rejected=len(called["rejected"]))

    check()
    assert min(met["accepted"], met["duplicates"], met["rejected"]) > 0
    for table in TABLES:
        assert rows(both.collected, table) == rows(both.called, table) != []
