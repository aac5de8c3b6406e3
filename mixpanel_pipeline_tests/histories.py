"""Random histories of a Mixpanel project and of the syncs that follow it."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from mixpanel_pipeline.simulator import ABSENT, Event, Project
from mixpanel_pipeline.subscribers.event_sync import EventSync
from mixpanel_pipeline.subscribers.profile_sync import ProfileResult, ProfileSync
from mixpanel_pipeline_tests.plain_recomputation import PlainProfiles, profiles
from mixpanel_pipeline_tests.workbench import exported_lines, shown_profiles

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
        # Many events bear a time just before, just after or right at the newest snapshot of profiles.
        "seconds_after_snapshot": st.sampled_from([None, None, -1, 0, 0, 1]),
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
# Some of them never send an event.
PEOPLE_WITH_PROFILES = ["ann", "ann", "ann", "bob", "bob", "carl", "carl", "zoë \U0001f600", "$device:1", "dora"]
person_with_profile = st.sampled_from(PEOPLE_WITH_PROFILES)
profile_properties = st.fixed_dictionaries(
    {"income": st.sampled_from(TEXT_VALUES)},
    optional={
        "netWorth": st.sampled_from(TEXT_VALUES),
        "net_worth": st.sampled_from(TEXT_VALUES),
        "buyingPower": st.sampled_from(NUMBER_VALUES),
        "buying_power": st.sampled_from(NUMBER_VALUES),
        "total_deposits": st.sampled_from(NUMBER_VALUES),
        "$name": st.sampled_from(["Ann", "nul\0l", "", None]),
        "plans": st.sampled_from([[], [1, None, ""], {"a": {"b": None}}, ""]),
    },
)
profile_change = st.one_of(
    st.tuples(st.just("set_profile"), st.tuples(person_with_profile, profile_properties)),
    st.tuples(st.just("change_profile"), st.tuples(person_with_profile, profile_properties)),
    st.tuples(st.just("delete_profile"), person_with_profile),
    st.tuples(st.just("restore_profile"), st.none()),
)
fetch = st.one_of(
    st.tuples(st.just("fetch"), st.sampled_from(DAYS)),
    st.tuples(st.just("fetch_at_once"), st.tuples(st.sampled_from(DAYS), st.sampled_from(DAYS))),
)
snapshot = st.one_of(
    st.tuples(st.just("snapshot"), st.none()),
    st.tuples(st.just("snapshot_and_fetch"), st.sampled_from(DAYS)),
)
# First loads of several events and profiles, then rounds of changes to both, and fetches and snapshots that should
# notice them.
loads = st.tuples(st.lists(fetch, min_size=1, max_size=2), st.lists(snapshot, min_size=1, max_size=1)).flatmap(
    lambda parts: st.permutations([*parts[0], *parts[1]])
)
changes = st.tuples(st.lists(change, min_size=1, max_size=2), st.lists(profile_change, min_size=1, max_size=3)).map(
    lambda parts: [*parts[0], *parts[1]]
)
steps = st.tuples(
    st.lists(stored_event, min_size=4, max_size=10),
    st.lists(st.tuples(person_with_profile, profile_properties), min_size=2, max_size=4),
    loads,
    st.lists(st.tuples(changes, loads), min_size=1, max_size=3),
).map(
    lambda parts: [
        ("add", parts[0]),
        *(("set_profile", profile) for profile in parts[1]),
        *parts[2],
        *(step for changed, loaded in parts[3] for step in (*changed, *loaded)),
    ]
)


@dataclass
class History:
    """Plays steps on a project and a pipeline; `fetched` holds what Mixpanel had of each day when last fetched,
    `snapshots` what it said of people, whenever it was asked, and `known` what follows from them."""

    project: Project
    sync: EventSync
    url: str
    profile_sync: ProfileSync | None = None
    fetched: dict[date, list[bytes]] = field(default_factory=dict)
    snapshots: list[tuple[datetime, list[dict[str, Any]]]] = field(default_factory=list)
    known: PlainProfiles = field(default_factory=PlainProfiles)
    events: list[Event] = field(default_factory=list)
    deleted_profiles: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    processed: int = int(NOW.timestamp() * 1000) - 10**9

    def __post_init__(self) -> None:
        # A snapshot without anybody is refused, and has tests of its own.
        self.project.set_profile("stays for ever", {"income": "50k"})

    def play(self, history: list[tuple[str, Any]]) -> None:
        for step, argument in history:
            getattr(self, step)(argument)

    def add(self, events: list[dict[str, Any]]) -> None:
        for details in events:
            day, second = details["moment"]
            at = int(datetime.combine(day, datetime.min.time(), UTC).timestamp()) + second
            # Every event is processed at its own moment, as in life: no two versions are equally new.
            self.processed += 1
            properties, apart = dict(details["properties"]), details.get("seconds_after_snapshot")
            if apart is not None and self.snapshots:
                properties["time"] = self.snapshots[-1][0].timestamp() + apart
            event = self.project.add(
                details["event_name"], details["distinct_id"], at, details["insert_id"], self.processed,
                properties=properties,
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

    def set_profile(self, profile: tuple[str, dict[str, Any]]) -> None:
        self.project.set_profile(*profile)

    def change_profile(self, change: tuple[str, dict[str, Any]]) -> None:
        self.project.profiles.update(*change)

    def delete_profile(self, person: str) -> None:
        properties = self.project.profiles.get(person)
        if properties is not None:
            self.deleted_profiles.append((person, properties))
            self.project.delete_profile(person)

    def restore_profile(self, _: None) -> None:
        if self.deleted_profiles:
            self.project.set_profile(*self.deleted_profiles.pop())

    def snapshot(self, _: None) -> None:
        shown = shown_profiles(self.url)
        self._note(shown, self._profile_sync().synchronize())

    def snapshot_and_fetch(self, day: date) -> None:
        shown, self.fetched[day] = shown_profiles(self.url), exported_lines(self.url, day)
        with ThreadPoolExecutor(2) as threads:
            fetched = threads.submit(self.sync.materialize_day, day)
            read = threads.submit(self._profile_sync().synchronize)
            fetched.result()
            self._note(shown, read.result())

    def _profile_sync(self) -> ProfileSync:
        assert self.profile_sync, "a history with snapshots needs a profile_sync"
        return self.profile_sync

    def _note(self, shown: list[dict[str, Any]], result: ProfileResult) -> None:
        self.snapshots.append((result.snapshot.taken_at, shown))
        self.known = profiles(self.snapshots)
        assert {name: getattr(result, name) for name in self.known.counts} == self.known.counts
        assert result.comparison_error is None
