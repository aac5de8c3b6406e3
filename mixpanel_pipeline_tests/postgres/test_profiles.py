"""Profiles as they come, change, go and come back, and what that does to the totals; each snapshot is held against a
plain recomputation."""

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pytest

from mixpanel_pipeline.lake.storage import LakeStorage
from mixpanel_pipeline.mixpanel.engage import EngageClient
from mixpanel_pipeline.mixpanel.errors import MixpanelError
from mixpanel_pipeline.simulator import FAULTS, Project, SimulatorServer
from mixpanel_pipeline.simulator.events import ABSENT
from mixpanel_pipeline.subscribers.event_sync import EventSync
from mixpanel_pipeline.subscribers.identity import WrongProjectError
from mixpanel_pipeline.subscribers.profile_sync import SOURCE, EmptySnapshotError, ProfileResult, ProfileSync
from mixpanel_pipeline.subscribers.replace import replace_from_lake, totals_that_differ
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline.warehouse.migrations import migrate, rollback
from mixpanel_pipeline_tests.conftest import fresh_database
from mixpanel_pipeline_tests.plain_recomputation import PlainProfiles, profiles
from mixpanel_pipeline_tests.workbench import (
    NoBudget,
    build_profile_sync,
    build_sync,
    clear,
    expected_totals,
    exported_lines,
    rows_of,
    shown_profiles,
    stored_changes,
    stored_profiles,
    stored_totals,
)

DAY = date(2025, 3, 8)
NEXT_DAY = date(2025, 3, 9)
NOW = datetime(2025, 3, 20, 12, tzinfo=UTC)
NOON = int(datetime(2025, 3, 8, 12, tzinfo=UTC).timestamp())
WRITTEN = ("subscriber_profiles", "subscriber_profile_changes", "subscribers_insights_v2")


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(Project()) as server:
        yield server


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres) -> Iterator[Warehouse]:
    """One for all of these tests: making one takes longer than a snapshot."""
    with fresh_database(postgres) as url:
        yield Warehouse(url)


@pytest.fixture
def warehouse(database: Warehouse) -> Warehouse:
    clear(database)
    return database


@pytest.fixture
def project(server: SimulatorServer) -> Project:
    server.project = Project(today=lambda: NOW)
    return server.project


@dataclass
class Bench:
    """A project, its pipeline, and what the plain recomputation knows of them."""

    project: Project
    warehouse: Warehouse
    events: EventSync
    profiles: ProfileSync
    url: str
    fetched: dict[date, list[bytes]] = field(default_factory=dict)
    snapshots: list[tuple[datetime, list[dict[str, Any]]]] = field(default_factory=list)
    known: PlainProfiles = field(default_factory=PlainProfiles)

    def add(self, person: str, *, day: date = DAY, **properties: Any) -> None:
        """An event of the day's noon, unless `time` says otherwise."""
        seconds = NOON + (day - DAY).days * 86_400
        self.project.add("SubscriptionCreated", person, seconds, properties=properties)

    def fetch(self, day: date = DAY) -> None:
        self.fetched[day] = exported_lines(self.url, day)
        self.events.materialize_day(day)
        self.agree()

    def snapshot(self, **arguments: Any) -> ProfileResult:
        shown = shown_profiles(self.url)
        result = self.profiles.synchronize(**arguments)
        self.snapshots.append((result.snapshot.taken_at, shown))
        self.known = profiles(self.snapshots)
        assert counts(result) == tuple(self.known.counts.values())
        assert result.comparison_error is None
        self.agree()
        return result

    def agree(self) -> None:
        """The pipeline and the plain recomputation, ADD and REPLACE."""
        assert stored_profiles(self.warehouse) == self.known.people
        assert stored_totals(self.warehouse) == expected_totals(self.fetched, profiles=self.known.people)
        assert totals_that_differ(self.warehouse, self.events.storage) == []


def counts(result: ProfileResult) -> tuple[int, int, int, int]:
    return result.new, result.changed, result.unchanged, result.deleted


@pytest.fixture
def bench(warehouse: Warehouse, server: SimulatorServer, project: Project, tmp_path: Path) -> Bench:
    events = build_sync(warehouse, tmp_path, server.url, now=lambda: NOW)
    return Bench(project, warehouse, events, build_profile_sync(warehouse, tmp_path, server.url), server.url)


def versions(warehouse: Warehouse) -> list[tuple]:
    """Every row of what snapshots write, as Postgres tells its versions apart."""
    return [
        (table, *row)
        for table in WRITTEN
        for row in rows_as_tuples(warehouse, f"select ctid::text, xmin::text, xmax::text from {table} order by 1")
    ]


def rows_as_tuples(warehouse: Warehouse, query: str) -> list[tuple]:
    return [tuple(row.values()) for row in rows_of(warehouse, query)]


def everything(warehouse: Warehouse) -> list[list[tuple]]:
    """All that a failed snapshot must leave as it was; the log of syncs alone tells of it."""
    tables = (*WRITTEN, "profile_snapshots", "sync_watermarks", "subscriber_daily_contributions")
    return [rows_as_tuples(warehouse, f"select * from {table} order by 1, 2") for table in tables]


def last_log(warehouse: Warehouse) -> dict[str, Any]:
    return rows_of(warehouse, "select * from sync_logs order by id desc limit 1")[0]


def refusals(bench: Bench) -> list[dict[str, Any]]:
    """What lies beside the newest snapshot in the lake."""
    (row,) = rows_of(bench.warehouse, "select refused_file from profile_snapshots order by taken_at desc limit 1")
    if row["refused_file"] is None:
        return []
    storage = bench.profiles.storage
    text = storage.filesystem.cat_file(f"{storage.root}/{row['refused_file']}").decode()
    return [json.loads(line) for line in text.splitlines()]


# What is stored of people.


def test_a_first_snapshot(bench: Bench) -> None:
    bench.project.set_profile("ann", {"income": "50k", "buyingPower": " 3.50 ", "$email": "a@b.c", "plan": {"a": [1]}})
    bench.project.set_profile(42, {"net_worth": 7, "investingActivity": True, "total_deposits": None})
    result = bench.snapshot()
    assert (counts(result), result.written, result.totals_changed, result.refused) == ((2, 0, 0, 0), 2, 2, 0)
    ann = stored_profiles(bench.warehouse)["ann"]
    assert (ann["income"], ann["buying_power"], ann["net_worth"]) == ("50k", Decimal("3.50"), None)
    assert ann["properties"] == {
        "income": "50k", "buyingPower": " 3.50 ", "$email": "a@b.c", "plan": {"a": [1]},
    }  # fmt: skip
    assert ann["first_seen_at"] == ann["changed_at"] == result.snapshot.taken_at
    assert [(change["distinct_id"], change["change"], change["property"]) for change in changes(bench)] == [
        ("42", "new", None),
        ("ann", "new", None),
    ]
    total = stored_totals(bench.warehouse)["ann"]
    assert (total["income"], total["income_at"]) == ("50k", result.snapshot.taken_at)
    assert (total["events_processed"], total["linked_bank_account"], total["first_event_time"]) == (0, False, None)


def changes(bench: Bench) -> list[dict[str, Any]]:
    """Stored changes by person, held against the plain recomputation's."""
    stored = stored_changes(bench.warehouse)
    as_text = [
        sorted(json.dumps(row, default=str, sort_keys=True) for row in of) for of in (stored, bench.known.changes)
    ]
    assert as_text[0] == as_text[1]
    return sorted(stored, key=lambda row: (row["changed_at"], row["distinct_id"], row["property"] or ""))


def test_a_changed_property_is_noted_and_makes_all_of_them_new(bench: Bench) -> None:
    bench.project.set_profile("ann", {"income": "50k", "net_worth": "1m", "gone": [1]})
    bench.project.set_profile("bob", {"income": "50k"})
    first = bench.snapshot()
    bench.project.set_profile("ann", {"income": "100k", "net_worth": "1m", "came": {"a": 1}})
    second = bench.snapshot()
    assert (counts(second), second.written) == ((0, 1, 1, 0), 1)
    assert [(row["change"], row["property"], row["old_value"], row["new_value"]) for row in changes(bench)[2:]] == [
        ("changed", "came", None, {"a": 1}),
        ("changed", "gone", [1], None),
        ("changed", "income", "50k", "100k"),
    ]
    stored = stored_profiles(bench.warehouse)
    assert (stored["ann"]["first_seen_at"], stored["ann"]["changed_at"]) == (
        first.snapshot.taken_at,
        second.snapshot.taken_at,
    )
    assert stored["bob"]["changed_at"] == first.snapshot.taken_at
    assert stored_totals(bench.warehouse)["ann"]["net_worth_at"] == second.snapshot.taken_at


def test_null_missing_and_empty_are_one(bench: Bench) -> None:
    ways = [None, "", ABSENT]
    result = None
    for step in (0, 1):
        for pair in itertools.product(ways, ways):
            properties = {"income": pair[step], "$name": pair[step], "plan": "free"}
            said = {key: value for key, value in properties.items() if value is not ABSENT}
            bench.project.set_profile(f"from {pair[0]!r} to {pair[1]!r}", said)
        result = bench.snapshot()
    assert result
    assert (counts(result), result.written, result.totals_changed) == ((0, 0, 9, 0), 0, 0)


SAME = [
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"a": {"b": 1, "c": 2}}, {"a": {"c": 2, "b": 1}}),
]
DIFFERENT = [
    ({"a": [1, 2]}, {"a": [2, 1]}),
    ({"a": {"b": None}}, {"a": {}}),
    ({"a": 0}, {}),
    ({"a": False}, {}),
    ({"a": []}, {}),
    ({"a": 1}, {"a": True}),
    ({"a": 1}, {"a": "1"}),
    ({"a": " "}, {}),
    ({"a": 2**70}, {"a": 2**70 + 1}),
    ({"Plan": "x"}, {"plan": "x"}),
    ({"a": "\u00e9"}, {"a": "e\u0301"}),
]


def test_what_else_is_the_same_and_what_differs(bench: Bench) -> None:
    for step in (0, 1):
        for pair in (*SAME, *DIFFERENT):
            bench.project.set_profile(str(pair), pair[step])
        bench.snapshot()
    assert {row["distinct_id"] for row in changes(bench) if row["change"] == "changed"} == set(map(str, DIFFERENT))


def test_extraction_follows_the_rules_of_events(bench: Bench) -> None:
    values = [
        "",
        None,
        "50k",
        5,
        1.5,
        True,
        ["a", {"b": 1}],
        {"a": None},
        [],
        "nul\0l",
        " ",
        "NaN",
        "1e3",
        -0.5,
        10**20,
    ]
    for number, value in enumerate(values):
        for camel, snake in (("netWorth", "net_worth"), ("buyingPower", "buying_power")):
            bench.project.set_profile(f"{camel} {number}", {camel: value, snake: "7"})
            bench.project.set_profile(f"{snake} {number}", {snake: value})
            # The same of an event.
            bench.add(f"event {camel} {number}", **{camel: value, snake: "7"})
            bench.add(f"event {snake} {number}", **{snake: value})
    bench.snapshot()
    bench.fetch()
    totals = stored_totals(bench.warehouse)
    for person in stored_profiles(bench.warehouse):
        for column in ("net_worth", "buying_power"):
            assert totals[person][column] == totals[f"event {person}"][column]


def test_bad_numbers_are_counted_and_told(bench: Bench) -> None:
    bench.project.set_profile("ann", {"buyingPower": "n/a", "buying_power": 5, "totalDeposits": True, "income": "x"})
    result = bench.snapshot()
    assert result.snapshot.bad_values == 2
    assert result.refused == 2
    assert stored_profiles(bench.warehouse)["ann"]["buying_power"] == 5
    assert [(row["distinct_id"], row["field"]) for row in refusals(bench)] == [
        ("ann", "buyingPower"),
        ("ann", "totalDeposits"),
    ]
    assert last_log(bench.warehouse)["sync_metadata"]["refusals"] == refusals(bench)


def test_a_person_who_goes_and_comes_back(bench: Bench) -> None:
    bench.project.set_profile("ann", {"income": "50k", "plan": "free"})
    bench.project.set_profile("bob", {})
    first = bench.snapshot()
    bench.project.delete_profile("ann")
    gone = bench.snapshot()
    assert (counts(gone), gone.written) == ((0, 0, 1, 1), 1)
    ann = stored_profiles(bench.warehouse)["ann"]
    assert (ann["deleted_at"], ann["changed_at"], ann["income"]) == (
        gone.snapshot.taken_at,
        first.snapshot.taken_at,
        "50k",
    )
    assert "ann" not in stored_totals(bench.warehouse)
    still_gone = bench.snapshot()
    assert (counts(still_gone), still_gone.written) == ((0, 0, 1, 0), 0)
    assert stored_profiles(bench.warehouse)["ann"] == ann

    bench.project.set_profile("ann", {"income": "50k", "plan": "free"})
    back = bench.snapshot()
    assert (counts(back), back.written, back.totals_changed) == ((0, 1, 1, 0), 1, 1)
    ann = stored_profiles(bench.warehouse)["ann"]
    assert (ann["deleted_at"], ann["changed_at"]) == (None, back.snapshot.taken_at)
    assert ann["first_seen_at"] == first.snapshot.taken_at
    assert [(row["change"], row["property"]) for row in changes(bench)[2:]] == [("deleted", None), ("restored", None)]

    bench.project.delete_profile("ann")
    bench.snapshot()
    bench.project.set_profile("ann", {"income": "100k", "plan": "free"})
    bench.snapshot()
    came_back = [(row["property"], row["new_value"]) for row in changes(bench) if row["change"] != "deleted"][3:]
    assert came_back == [(None, None), ("income", "100k")]


def test_a_person_who_goes_is_one_row_of_the_totals(bench: Bench) -> None:
    bench.project.set_profile("stays", {})
    bench.project.set_profile("ann", {"income": "50k"})
    bench.snapshot()
    bench.project.delete_profile("ann")
    assert bench.snapshot().totals_changed == 1


def clock_that_ran_ahead(bench: Bench) -> datetime:
    """As if the newest snapshot had been taken by a clock that has been put right since."""
    ahead = datetime.now(UTC).replace(microsecond=250_000) + timedelta(days=1)
    with bench.warehouse.connect() as connection:
        connection.execute(
            "update subscriber_profiles set changed_at = %(ahead)s, first_seen_at = %(ahead)s", {"ahead": ahead}
        )
        connection.execute("update subscriber_profile_changes set changed_at = %s", [ahead])
    replace_from_lake(bench.warehouse, bench.events.storage)
    ((_, shown),) = bench.snapshots
    bench.snapshots = [(ahead, shown)]
    bench.known = profiles(bench.snapshots)
    bench.agree()
    return ahead


def test_changed_at_never_goes_backwards(bench: Bench) -> None:
    for person in ("ann", "bob", "carl"):
        bench.project.set_profile(person, {"income": "50k"})
    bench.snapshot()
    ahead = clock_that_ran_ahead(bench)
    bench.project.set_profile("ann", {"income": "100k"})
    bench.project.delete_profile("bob")
    bench.snapshot()
    ann = stored_profiles(bench.warehouse)["ann"]
    assert (ann["changed_at"], ann["income"]) == (ahead, "100k")
    bench.project.set_profile("bob", {"income": "100k"})
    bench.snapshot()
    assert stored_totals(bench.warehouse)["bob"]["income_at"] == ahead


# Who counts, and who is refused.


def test_who_counts_for_nobody_and_who_is_refused(bench: Bench) -> None:
    longest = "é" * 1000
    bench.project.set_profile("ann", {"income": "1"})
    bench.project.set_profile("$device:1", {"income": "2"})
    bench.project.set_profile(longest, {"income": "3"})
    bench.project.set_profile(longest + "x", {"income": "4"})
    bench.project.set_profile("", {"income": "5"})
    bench.project.set_profile("nul\0l", {"income": "6"})
    bench.project.set_profile("nul\ufffdl", {"income": "7"})
    bench.project.set_profile("half \ud83d", {"income": "8"})
    result = bench.snapshot()
    assert set(stored_profiles(bench.warehouse)) == {"ann", longest, "nul\ufffdl", "half \ufffd"}
    assert stored_profiles(bench.warehouse)["nul\ufffdl"]["income"] == "6"
    assert (result.snapshot.people, result.snapshot.anonymous, result.refused) == (4, 1, 3)
    told = refusals(bench)
    reasons = ("$distinct_id", "longer than", "same id")
    assert [sum(reason in row["reason"] for row in told) for reason in reasons] == [1, 1, 1]
    assert {row["field"] for row in told} == {None}
    assert last_log(bench.warehouse)["sync_metadata"]["refusals"] == told
    # Read again, nothing of it is new.
    again = bench.snapshot()
    assert (again.written, again.refused) == (0, 3)


def test_only_the_first_refusals_are_in_the_log(bench: Bench) -> None:
    for number in range(50):
        bench.project.set_profile(f"{number} " + "x" * 2000, {})
    bench.project.set_profile("ann", {})
    assert bench.snapshot().refused == 50
    assert len(refusals(bench)) == 50
    assert last_log(bench.warehouse)["sync_metadata"]["refusals"] == refusals(bench)[:20]


@pytest.mark.parametrize("who_is_left", ["", "$device:1", "x" * 2001])
def test_a_snapshot_without_anybody_is_refused_unless_said_to_be_true(bench: Bench, who_is_left: str) -> None:
    """People whom a service account may no longer see are not deleted people."""
    bench.add("ann", income="event")
    bench.fetch()
    bench.project.set_profile("ann", {"income": "50k"})
    bench.project.set_profile("bob", {"income": "50k"})
    bench.snapshot()
    for person in ("ann", "bob"):
        bench.project.delete_profile(person)
    if who_is_left:
        bench.project.set_profile(who_is_left, {})
    before = everything(bench.warehouse)
    with pytest.raises(EmptySnapshotError, match=r"2 (people )?are stored"):
        bench.profiles.synchronize()
    assert everything(bench.warehouse) == before
    assert last_log(bench.warehouse)["status"] == "failed"
    assert bench.snapshot(all_deleted=True).deleted == 2
    assert stored_totals(bench.warehouse)["ann"]["income"] == "event"
    assert "bob" not in stored_totals(bench.warehouse)
    assert bench.snapshot().deleted == 0


def test_a_project_without_profiles(bench: Bench) -> None:
    assert counts(bench.snapshot()) == (0, 0, 0, 0)


# One value from two sources.


def test_the_newest_of_event_and_profile_wins_whatever_the_order(bench: Bench) -> None:
    later = (datetime.now(UTC) + timedelta(days=1)).timestamp()
    bench.add("event newer", income="event", time=later)
    bench.add("event older", income="event")
    bench.add("event says nothing", income="", time=later)
    bench.add("profile says nothing", income="event")
    for person in ("event newer", "event older", "event says nothing"):
        bench.project.set_profile(person, {"income": "profile"})
    bench.project.set_profile("profile says nothing", {"income": ""})
    expected = {
        "event newer": "event", "event older": "profile", "event says nothing": "profile",
        "profile says nothing": "event",
    }  # fmt: skip
    bench.snapshot()
    bench.fetch()
    assert {person: row["income"] for person, row in stored_totals(bench.warehouse).items()} == expected


@pytest.mark.parametrize("profile_last", [True, False])
def test_at_the_same_time_the_profile_wins(bench: Bench, profile_last: bool) -> None:
    bench.project.set_profile("ann", {"income": "profile", "net_worth": ""})
    bench.snapshot()
    same = clock_that_ran_ahead(bench)
    bench.add("ann", income="event", net_worth="event", time=same.timestamp())
    bench.fetch()
    if profile_last:
        bench.project.set_profile("ann", {"income": "newer profile", "net_worth": ""})
        bench.snapshot()
    row = stored_totals(bench.warehouse)["ann"]
    assert row["income"] == ("newer profile" if profile_last else "profile")
    assert row["net_worth"] == "event"
    assert row["income_at"] == row["net_worth_at"] == same
    # An event that is fetched again, changed, does not win either.
    bench.add("ann", income="another event", time=same.timestamp())
    bench.fetch()
    bench.project.delete(distinct_id="ann")
    bench.fetch()


def test_a_value_taken_back_by_one_source_is_the_others(bench: Bench) -> None:
    later = (datetime.now(UTC) + timedelta(days=1)).timestamp()
    for person in ("ann", "bob", "carl"):
        bench.project.set_profile(person, {"income": "profile", "buying_power": 5})
    bench.add("ann", income="event", time=later)
    bench.add("bob", day=NEXT_DAY, income="event")
    for day in (DAY, NEXT_DAY):
        bench.fetch(day)
    bench.snapshot()
    bench.project.delete(distinct_id="ann")
    bench.fetch()
    assert stored_totals(bench.warehouse)["ann"]["income"] == "profile"
    assert stored_totals(bench.warehouse)["ann"]["events_processed"] == 0
    bench.project.set_profile("bob", {"income": "", "buying_power": "6"})
    bench.snapshot()
    assert stored_totals(bench.warehouse)["bob"]["income"] == "event"
    bench.project.delete(distinct_id="bob")
    bench.fetch(NEXT_DAY)
    bench.project.delete_profile("bob")
    bench.project.delete_profile("ann")
    bench.snapshot()
    assert set(stored_totals(bench.warehouse)) == {"carl"}


def test_a_person_stays_as_long_as_either_says_so(bench: Bench) -> None:
    bench.project.set_profile("stays", {})
    bench.add("ann", income="event")
    bench.fetch()
    bench.project.set_profile("ann", {"net_worth": "1m"})
    bench.snapshot()
    bench.project.delete(distinct_id="ann")
    bench.fetch()
    assert "ann" in stored_totals(bench.warehouse)
    bench.project.delete_profile("ann")
    bench.snapshot()
    assert "ann" not in stored_totals(bench.warehouse)
    bench.add("ann", income="again")
    bench.fetch()
    assert stored_totals(bench.warehouse)["ann"]["net_worth"] is None


def test_a_merge_moves_events_and_profile(bench: Bench) -> None:
    bench.project.set_profile("ann", {"income": "ann's"})
    bench.add("ann", net_worth="1m")
    bench.fetch()
    bench.snapshot()
    bench.project.merge("ann", "carl")
    bench.snapshot()
    assert set(stored_totals(bench.warehouse)) == {"ann", "carl"}
    bench.fetch()
    carl = stored_totals(bench.warehouse)["carl"]
    assert (carl["income"], carl["net_worth"], carl["total_subscriptions"]) == ("ann's", "1m", 1)
    assert "ann" not in stored_totals(bench.warehouse)


def test_replace_repairs_what_somebody_broke(bench: Bench) -> None:
    bench.add("ann", income="event")
    bench.add("bob", income="event")
    bench.fetch()
    for person in ("ann", "carl", "dora"):
        bench.project.set_profile(person, {"income": "profile", "buying_power": 5})
    bench.snapshot()
    expected = stored_totals(bench.warehouse)
    with bench.warehouse.connect() as connection:
        for statement in (
            "update subscribers_insights_v2 set income = 'wrong' where distinct_id = 'ann'",
            "update subscribers_insights_v2 set buying_power_at = now() where distinct_id = 'carl'",
            "delete from subscribers_insights_v2 where distinct_id = 'dora'",
            "insert into subscribers_insights_v2 (distinct_id) values ('nobody')",
        ):
            connection.execute(statement)
    differences = totals_that_differ(bench.warehouse, bench.events.storage)
    found = {(difference.distinct_id, difference.column) for difference in differences}
    assert {person for person, _ in found} == {"ann", "carl", "dora", "nobody"}
    assert ("ann", "income") in found
    replaced = replace_from_lake(bench.warehouse, bench.events.storage)
    assert (replaced.totals_changed, replaced.contributions_changed) == (4, 0)
    assert stored_totals(bench.warehouse) == expected
    before = versions(bench.warehouse)
    again = replace_from_lake(bench.warehouse, bench.events.storage)
    assert (again.totals_changed, again.contributions_changed) == (0, 0)
    assert versions(bench.warehouse) == before


# What is written, and what is not.


@pytest.fixture
def three_thousand(bench: Bench, server: SimulatorServer) -> Bench:
    """3,000 people with profiles, 100 of whom sent events."""
    server.project = Project(
        today=lambda: NOW, profiles=3000, events_per_day=500, people=100, first_day=DAY, last_day=DAY, seed=11
    )
    bench.project = server.project
    bench.fetch()
    assert bench.snapshot().new == 3000
    return bench


def test_an_unchanged_snapshot_writes_nothing(three_thousand: Bench) -> None:
    bench = three_thousand
    with bench.warehouse.connect(autocommit=True) as connection:
        # What the first reader tidies up, and logs, is done.
        connection.execute("vacuum (analyze) subscriber_profiles, subscribers_insights_v2, subscriber_profile_changes")
        before = versions(bench.warehouse)
        written = []
        for _ in range(3):
            started = wal_position(connection)
            result = bench.profiles.synchronize()
            written.append(wal_position(connection) - started)
            assert (counts(result), result.written, result.totals_changed) == ((0, 0, 3000, 0), 0, 0)
    assert versions(bench.warehouse) == before
    # Whenever Postgres makes a checkpoint, catalog pages that temporary tables touch are logged whole once more.
    assert min(written) < 100_000
    metadata = last_log(bench.warehouse)["sync_metadata"]
    assert (metadata["unchanged"], metadata["written"], metadata["skipped_percent"]) == (3000, 0, 100.0)


def wal_position(connection: psycopg.Connection) -> int:
    row = connection.execute("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint").fetchone()
    assert row
    return row[0]


def test_of_a_snapshot_with_one_in_twenty_changed_the_rest_is_skipped(three_thousand: Bench) -> None:
    bench = three_thousand
    people = bench.project.profiles.ids()
    for person in people[::20]:
        bench.project.profiles.update(person, {"income": f"changed {person}"})
    unchanged = (
        "select distinct_id, ctid::text, xmin::text from subscriber_profiles "
        "where income is null or income not like 'changed%'"
    )
    before = {row["distinct_id"]: row for row in rows_of(bench.warehouse, unchanged)}
    result = bench.snapshot()
    assert (counts(result), result.written, result.totals_changed) == ((0, 150, 2850, 0), 150, 150)
    assert result.unchanged / 3000 >= 0.95
    after = {row["distinct_id"]: row for row in rows_of(bench.warehouse, unchanged)}
    assert len(after) == 2850
    assert all(before[person] == row for person, row in after.items())


def test_a_snapshot_costs_one_counted_query_however_many_pages(three_thousand: Bench) -> None:
    bench = three_thousand
    asked = len(bench.project.requests)
    result = replace(bench.profiles, page_size=1000).synchronize()
    fresh = bench.project.requests[asked:]
    assert len(fresh) == 4  # the third page is full, so a fourth says that it was the last
    assert (result.snapshot.queries, result.snapshot.pages) == (1, 4)
    assert counts(result) == (0, 0, 3000, 0)


def test_each_snapshot_has_files_of_its_own_and_none_that_is_named_is_garbage(bench: Bench) -> None:
    bench.project.set_profile("ann", {"income": "50k"})
    bench.project.set_profile("", {})
    files = {bench.snapshot().snapshot.file for _ in range(3)}
    assert len(files) == 3
    in_two_days = replace(bench.events, now=lambda: datetime.now(UTC) + timedelta(days=2))
    assert in_two_days.remove_garbage() == []
    storage = bench.profiles.storage
    for row in rows_of(bench.warehouse, "select file, refused_file, bytes from profile_snapshots"):
        assert storage.holds(row["file"], row["bytes"])
        assert storage.filesystem.exists(f"{storage.root}/{row['refused_file']}")


def test_files_of_old_snapshots_go_and_their_figures_stay(bench: Bench) -> None:
    for number in range(12):
        bench.project.set_profile("ann", {"income": f"{number}"})
        bench.snapshot()
    in_two_days = replace(bench.events, now=lambda: datetime.now(UTC) + timedelta(days=2))
    removed = in_two_days.remove_garbage()
    rows = rows_of(bench.warehouse, "select file, people from profile_snapshots order by taken_at")
    assert len(rows) == 12
    assert {row["people"] for row in rows} == {1}
    kept = [row["file"] for row in rows if row["file"]]
    assert len(removed) + len(kept) == 12
    assert all(bench.profiles.storage.filesystem.exists(f"{bench.profiles.storage.root}/{name}") for name in kept)
    bench.snapshot()


def test_a_lost_file_of_the_lake_is_written_again(bench: Bench) -> None:
    bench.project.set_profile("ann", {"income": "50k"})
    name = bench.snapshot().snapshot.file
    storage = bench.profiles.storage
    storage.filesystem.rm_file(f"{storage.root}/{name}")
    result = bench.snapshot()
    assert result.snapshot.file
    assert storage.holds(result.snapshot.file, result.snapshot.bytes)
    assert result.written == 0


def test_a_lake_that_is_not_on_this_machines_disk(bench: Bench, tmp_path: Path) -> None:
    storage = LakeStorage(f"memory://{tmp_path.name}", tmp_path / "scratch")
    bench.profiles = replace(bench.profiles, storage=storage)
    bench.project.set_profile("ann", {"income": "50k", "buying_power": "x"})
    result = bench.snapshot()
    assert result.snapshot.file
    assert storage.holds(result.snapshot.file, result.snapshot.bytes)
    assert [row["field"] for row in refusals(bench)] == ["buying_power"]
    assert counts(bench.snapshot()) == (0, 0, 1, 0)


# The log of syncs.


def test_what_the_log_says(bench: Bench) -> None:
    bench.project.set_profile("ann", {"income": "50k"})
    bench.project.set_profile("bob", {"buying_power": "x"})
    bench.project.set_profile("$device:1", {})
    bench.snapshot()
    log = last_log(bench.warehouse)
    assert (log["source"], log["mode"], log["status"], log["error"]) == (SOURCE, "snapshot", "completed", None)
    assert SOURCE == "mixpanel_user_profiles"
    assert log["completed_at"] > log["created_at"]
    expected = {"new": 2, "changed": 0, "unchanged": 0, "deleted": 0, "written": 2, "anonymous": 1, "queries": 1}
    assert {name: log["sync_metadata"][name] for name in expected} == expected
    assert "comparison_error" not in log["sync_metadata"] or log["sync_metadata"]["comparison_error"] is None


# What goes wrong.

OF_ENGAGE = {name for name, kind in FAULTS.items() if "engage" in kind.apis}
FATAL = {
    "plan_without_export": "plan",
    "expired_account": "MIXPANEL_SECRET",
    "forbidden": "MIXPANEL_PROJECT_ID",
    "wrong_region": "MIXPANEL_RESIDENCY",
}
# An hour is longer than these tests' patience.
TOO_LONG_TO_WAIT = {"rate_limited_hour": "Run it again after"}
# The snapshot is whole; who is in it is odd.
ODD_PEOPLE = {name for name in OF_ENGAGE if FAULTS[name].stage in ("profiles", "rows")}
PASSING = sorted(OF_ENGAGE - set(FATAL) - set(TOO_LONG_TO_WAIT) - ODD_PEOPLE)
LASTING = sorted({*PASSING, *FATAL, *TOO_LONG_TO_WAIT} - {"slow_first_byte"})
# Faults of what lies between two pages need two.
PAGE_SIZE = 4


@pytest.fixture
def ten_people(bench: Bench) -> Bench:
    bench.profiles = replace(bench.profiles, page_size=PAGE_SIZE)
    for number in range(10):
        bench.project.set_profile(f"person {number}", {"income": f"{number}", "buying_power": number})
    return bench


@pytest.mark.parametrize("fault", PASSING)
def test_a_passing_fault_ends_in_the_right_profiles(ten_people: Bench, fault: str) -> None:
    bench = ten_people
    shown = shown_profiles(bench.url)
    bench.project.faults.add(fault, times=1, page=0 if fault.endswith("_total") else 1, api="engage")
    result = bench.profiles.synchronize()
    assert not bench.project.faults.active(), "the fault never struck"
    bench.snapshots.append((result.snapshot.taken_at, shown))
    bench.known = profiles(bench.snapshots)
    assert counts(result) == (10, 0, 0, 0)
    bench.agree()


@pytest.mark.parametrize("fault", LASTING)
def test_a_lasting_fault_fails_and_changes_nothing(ten_people: Bench, fault: str) -> None:
    bench = ten_people
    bench.add("person 1", income="event")
    bench.fetch()
    bench.snapshot()
    bench.project.set_profile("person 2", {"income": "changed"})
    bench.project.delete_profile("person 3")
    bench.project.set_profile("new", {})
    before = everything(bench.warehouse)
    files = bench.profiles.storage.filesystem.find(bench.profiles.storage.root)
    bench.project.faults.add(fault, times=None, api="engage")
    with pytest.raises(MixpanelError) as failure:
        bench.profiles.synchronize()
    message = str(failure.value)
    assert "demo-secret" not in message
    assert ({**FATAL, **TOO_LONG_TO_WAIT}).get(fault, ".") in message
    assert everything(bench.warehouse) == before
    assert bench.profiles.storage.filesystem.find(bench.profiles.storage.root) == files
    log = last_log(bench.warehouse)
    assert (log["source"], log["mode"], log["status"]) == (SOURCE, "snapshot", "failed")
    assert "demo-secret" not in log["error"]
    bench.project.faults.clear()
    assert counts(bench.snapshot()) == (1, 1, 8, 1)


@pytest.mark.parametrize("fault", sorted(ODD_PEOPLE))
def test_odd_people_cost_nobody_else(ten_people: Bench, fault: str) -> None:
    bench = ten_people
    bench.snapshot()
    bench.project.faults.add(fault, times=None, api="engage", rows=1, bytes=1_000_000)
    bench.project.set_profile("last", {"income": "new"})
    result = bench.profiles.synchronize()
    stored = stored_profiles(bench.warehouse)
    assert result.new >= 1
    assert stored["last"]["income"] == "new"
    kept = {person for person, row in stored.items() if row["deleted_at"] is None}
    on_top = {"person 0", "person 4", "person 8"}
    assert {*(f"person {number}" for number in range(10)), "last"} - on_top <= kept
    assert totals_that_differ(bench.warehouse, bench.events.storage) == []
    bench.project.faults.clear()
    bench.profiles.synchronize()
    back = stored_profiles(bench.warehouse)
    assert {person: row["properties"] for person, row in back.items() if row["deleted_at"] is None} == {
        person["$distinct_id"]: person["$properties"] for person in shown_profiles(bench.url)
    }


@contextmanager
def comparison_that_fails(warehouse: Warehouse) -> Iterator[None]:
    """Postgres itself refuses what the comparison alone does."""
    with warehouse.connect(autocommit=True) as connection:
        connection.execute(
            "create function refuse() returns event_trigger language plpgsql as $$ begin "
            "if exists (select from pg_event_trigger_ddl_commands() where object_identity like '%profile_differences') "
            "then raise exception 'no room for a comparison'; end if; end $$"
        )
        connection.execute(
            "create event trigger refuse on ddl_command_end when tag in ('CREATE TABLE AS') execute function refuse()"
        )
        try:
            yield
        finally:
            connection.execute("drop event trigger refuse")
            connection.execute("drop function refuse()")


def test_a_comparison_that_cannot_run_writes_all_and_says_so(bench: Bench) -> None:
    for person in ("ann", "bob", "carl", "dora"):
        bench.project.set_profile(person, {"income": "50k", "net_worth": "1m"})
    bench.add("ann", income="event")
    bench.fetch()
    bench.snapshot()
    bench.project.set_profile("bob", {"income": "100k"})
    bench.project.delete_profile("carl")
    bench.project.set_profile("new", {"income": "1"})
    with comparison_that_fails(bench.warehouse):
        result = bench.profiles.synchronize()
    assert "no room for a comparison" in (result.comparison_error or "")
    assert result.written == 4
    assert "no room for a comparison" in last_log(bench.warehouse)["sync_metadata"]["comparison_error"]
    stored = stored_profiles(bench.warehouse)
    incomes = {person: stored[person]["income"] for person in ("ann", "bob", "dora", "new")}
    assert incomes == {"ann": "50k", "bob": "100k", "dora": "50k", "new": "1"}
    assert stored["ann"]["changed_at"] < result.snapshot.taken_at, "nothing of hers changed"
    assert stored["bob"]["changed_at"] == result.snapshot.taken_at
    assert totals_that_differ(bench.warehouse, bench.events.storage) == []
    # The next one is right again.
    following = bench.profiles.synchronize()
    assert following.comparison_error is None
    assert counts(following) == (0, 0, 4, 1)
    carl = stored_profiles(bench.warehouse)["carl"]
    assert carl["deleted_at"] == following.snapshot.taken_at
    assert "carl" not in stored_totals(bench.warehouse)
    assert totals_that_differ(bench.warehouse, bench.events.storage) == []
    assert bench.profiles.synchronize().written == 0


@pytest.mark.parametrize("table", ["profile_snapshots", "subscriber_profiles", "subscribers_insights_v2", "sync_logs"])
def test_what_fails_at_the_commit_leaves_everything_as_it_was(bench: Bench, table: str) -> None:
    bench.project.set_profile("ann", {"income": "50k"})
    bench.project.set_profile("bob", {"income": "50k"})
    bench.add("ann", income="event")
    bench.fetch()
    bench.snapshot()
    bench.project.set_profile("ann", {"income": "100k"})
    bench.project.delete_profile("bob")
    before = everything(bench.warehouse)
    with commit_that_fails(bench.warehouse, table):
        with pytest.raises(psycopg.Error, match="the disk is full"):
            bench.profiles.synchronize()
        assert everything(bench.warehouse) == before
        log = last_log(bench.warehouse)
        assert log["status"] == "failed"
        assert "the disk is full" in log["error"]
    assert counts(bench.snapshot()) == (0, 1, 0, 1)


@contextmanager
def commit_that_fails(warehouse: Warehouse, table: str) -> Iterator[None]:
    """Postgres refuses at the commit, when all is written."""
    condition = "when (new.status = 'completed')" if table == "sync_logs" else ""
    with warehouse.connect(autocommit=True) as connection:
        connection.execute(
            "create function refuse() returns trigger language plpgsql as $$ begin "
            "raise exception 'the disk is full'; end $$"
        )
        connection.execute(
            f"create constraint trigger refuse after insert or update on {table} deferrable initially deferred "  # pyright: ignore[reportArgumentType, reportCallIssue]
            f"for each row {condition} execute function refuse()"
        )
        try:
            yield
        finally:
            connection.execute("drop function refuse() cascade")


def test_a_log_row_of_a_process_that_died_is_completed(bench: Bench) -> None:
    bench.project.set_profile("ann", {})
    bench.snapshot()
    bench.fetch()
    with bench.warehouse.connect() as connection:
        connection.execute("update sync_logs set status = 'running'")
    bench.snapshot()
    rows = rows_of(bench.warehouse, "select source, status, error from sync_logs order by id")
    assert [(row["source"] == SOURCE, row["status"]) for row in rows] == [
        (True, "failed"), (False, "running"), (True, "completed"),
    ]  # fmt: skip


def test_two_projects_do_not_share_a_database(bench: Bench) -> None:
    bench.project.set_profile("ann", {})
    bench.snapshot()
    other = EngageClient(bench.url, 999, "demo-account", "demo-secret", NoBudget())
    before = everything(bench.warehouse)
    with pytest.raises(WrongProjectError, match="project 12345, and MIXPANEL_PROJECT_ID is 999"):
        replace(bench.profiles, client=other).synchronize()
    assert everything(bench.warehouse) == before


# At once.


def test_two_snapshots_at_once_are_two_one_after_the_other(bench: Bench) -> None:
    for number in range(50):
        bench.project.set_profile(f"person {number}", {"income": f"{number}"})
    shown = shown_profiles(bench.url)
    with ThreadPoolExecutor(4) as threads:
        results = [future.result() for future in [threads.submit(bench.profiles.synchronize) for _ in range(4)]]
    results.sort(key=lambda result: result.snapshot.taken_at)
    assert [counts(result) for result in results] == [(50, 0, 0, 0)] + [(0, 0, 50, 0)] * 3
    bench.snapshots = [(result.snapshot.taken_at, shown) for result in results]
    bench.known = profiles(bench.snapshots)
    bench.agree()


def test_snapshots_and_days_at_once(bench: Bench) -> None:
    """Rounds of changes, each followed by days and a snapshot in a race."""
    later = (datetime.now(UTC) + timedelta(days=1)).timestamp()
    days = [DAY, NEXT_DAY]
    for round_number in range(6):
        for number in range(30):
            person = f"person {number}"
            if number % 6 == round_number:
                bench.project.delete_profile(person)
                bench.project.delete(distinct_id=person)
            elif number % 2 == round_number % 2:
                bench.project.set_profile(person, {"income": f"profile {round_number}", "buying_power": number})
                bench.add(person, day=days[number % 2], income=f"event {round_number}")
            else:
                bench.project.set_profile(person, {"net_worth": f"profile {round_number}"})
                bench.add(person, day=days[number % 2], net_worth=f"event {round_number}", time=later + round_number)
        shown = shown_profiles(bench.url)
        bench.fetched = {day: exported_lines(bench.url, day) for day in days}
        with ThreadPoolExecutor(3) as threads:
            snapshot = threads.submit(bench.profiles.synchronize)
            for fetched in [threads.submit(bench.events.materialize_day, day) for day in days]:
                fetched.result()
        bench.snapshots.append((snapshot.result().snapshot.taken_at, shown))
        bench.known = profiles(bench.snapshots)
        assert counts(snapshot.result()) == tuple(bench.known.counts.values())
        bench.agree()


# The migration.


def test_rolling_back_and_forward_with_data(bench: Bench, second_warehouse: Warehouse) -> None:
    bench.warehouse = second_warehouse
    bench.events = replace(bench.events, warehouse=second_warehouse)
    bench.profiles = replace(bench.profiles, warehouse=second_warehouse)
    bench.add("ann", income="event")
    bench.add("bob", income="event")
    bench.fetch()
    for person in ("ann", "carl"):
        bench.project.set_profile(person, {"income": "profile", "buying_power": 5})
    bench.snapshot()
    rollback(bench.warehouse, to="0004_sql_api")
    totals = stored_totals(bench.warehouse)
    assert set(totals) == {"ann", "bob"}
    assert totals["ann"]["total_subscriptions"] == 1
    migrate(bench.warehouse)
    replace_from_lake(bench.warehouse, bench.events.storage)
    bench.snapshots, bench.known = [], PlainProfiles()
    bench.agree()
    assert counts(bench.snapshot()) == (2, 0, 0, 0)
