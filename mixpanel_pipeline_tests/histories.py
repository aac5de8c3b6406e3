"""Random histories of a Mixpanel project and of the syncs that follow it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from mixpanel_pipeline.simulator import ABSENT, Event, Project
from mixpanel_pipeline.subscribers.event_sync import EventSync
from mixpanel_pipeline_tests.workbench import exported_lines

FIRST_DAY = date(2025, 3, 8)
DAYS = [FIRST_DAY + timedelta(days=number) for number in range(3)]
NOW = datetime(2025, 3, 20, 12, tzinfo=UTC)
PEOPLE = ["ann", "ann", "bob", "O'Brien; drop table x", "zoë \U0001f600", "$device:1", "7", "", None]
EVENTS = [
    "DubAutoCopyInitiated",
    "Viewed Portfolio Details",
    "SubscriptionCreated",
    "$ae_session",
    "BankAccountLinked",
    "App Opened",
]
TEXT_VALUES = ["", None, "50k", "100k", 5, True, ["a", {"b": 1}], "nul\0l", 'quote "', "ünï\u2028code"]
NUMBER_VALUES = [0, 5, -2.5, "17", " 3.50 ", "1e3", "abc", "", None, True, [1], {"a": 1}, 2**70, 12345678.25, "NaN"]

properties = st.fixed_dictionaries(
    {"income": st.sampled_from(TEXT_VALUES)},
    optional={
        "netWorth": st.sampled_from(TEXT_VALUES),
        "net_worth": st.sampled_from(TEXT_VALUES),
        "buyingPower": st.sampled_from(NUMBER_VALUES),
        "buying_power": st.sampled_from(NUMBER_VALUES),
        "total_deposits": st.sampled_from(NUMBER_VALUES),
        "$user_id": st.sampled_from(["", "ann", "carl", 42]),
    },
)
# Few seconds a day, so that times meet.
moments = st.tuples(st.sampled_from(DAYS), st.integers(0, 5).map(lambda step: step * 17_279))
stored_event = st.fixed_dictionaries(
    {
        "event_name": st.sampled_from(EVENTS),
        "distinct_id": st.sampled_from(PEOPLE),
        "moment": moments,
        "insert_id": st.sampled_from([None, ABSENT]),
        "properties": properties,
    }
)
change = st.one_of(
    st.tuples(st.just("add"), st.lists(stored_event, min_size=1, max_size=3)),
    st.tuples(st.just("duplicate"), st.integers(0, 50)),
    st.tuples(
        st.just("merge"), st.tuples(st.sampled_from(["ann", "bob", "$device:1"]), st.sampled_from(["carl", "7"]))
    ),
    st.tuples(st.just("delete"), st.integers(0, 50)),
    st.tuples(st.just("delete_person"), st.sampled_from(["ann", "bob"])),
)
fetch = st.one_of(
    st.tuples(st.just("fetch"), st.sampled_from(DAYS)),
    st.tuples(st.just("fetch_at_once"), st.tuples(st.sampled_from(DAYS), st.sampled_from(DAYS))),
)
# A first load of several events, then rounds of changes and the fetches that should notice them.
steps = st.tuples(
    st.lists(stored_event, min_size=4, max_size=10),
    st.lists(fetch, min_size=1, max_size=3),
    st.lists(
        st.tuples(st.lists(change, min_size=1, max_size=3), st.lists(fetch, min_size=1, max_size=3)),
        min_size=1,
        max_size=3,
    ),
).map(
    lambda parts: [("add", parts[0]), *parts[1], *(step for changes, fetches in parts[2] for step in changes + fetches)]
)


@dataclass
class History:
    """Plays steps on a project and a pipeline; `fetched` holds what Mixpanel had of each day when last fetched."""

    project: Project
    sync: EventSync
    url: str
    fetched: dict[date, list[bytes]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    processed: int = int(NOW.timestamp() * 1000) - 10**9

    def play(self, history: list[tuple[str, Any]]) -> None:
        for step, argument in history:
            getattr(self, step)(argument)

    def add(self, events: list[dict[str, Any]]) -> None:
        for details in events:
            day, second = details["moment"]
            at = int(datetime.combine(day, datetime.min.time(), UTC).timestamp()) + second
            # Every event is processed at its own moment, as in life: no two versions are equally new.
            self.processed += 1
            event = self.project.add(
                details["event_name"], details["distinct_id"], at, details["insert_id"], self.processed,
                properties=details["properties"],
            )  # fmt: skip
            self.events.append(event)

    def duplicate(self, number: int) -> None:
        if self.events:
            self.processed += 1
            event = self.events[number % len(self.events)]
            changed = {**event.properties, "income": f"changed {number}"}
            self.events.append(self.project.duplicate(event, self.processed, properties=changed))

    def merge(self, pair: tuple[str, str]) -> None:
        self.project.merge(*pair)

    def delete(self, number: int) -> None:
        if self.events:
            self.project.delete(events=[self.events[number % len(self.events)]])

    def delete_person(self, person: str) -> None:
        self.project.delete(distinct_id=person)

    def fetch(self, day: date) -> None:
        self.fetched[day] = exported_lines(self.url, day)
        self.sync.materialize_day(day)

    def fetch_at_once(self, days: tuple[date, date]) -> None:
        for day in days:
            self.fetched[day] = exported_lines(self.url, day)
        with ThreadPoolExecutor(2) as threads:
            for done in [threads.submit(self.sync.materialize_day, day) for day in days]:
                done.result()
