"""Profiles that nobody promised would not occur: stored right, or refused with the person and the field named, and
nobody else is lost."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mixpanel_pipeline import catalog
from mixpanel_pipeline.mixpanel.errors import IncompleteAnswer
from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline.simulator.profiles import Profiles, Row
from mixpanel_pipeline.subscribers.profile_sync import ProfileResult, ProfileSync
from mixpanel_pipeline.subscribers.replace import totals_that_differ
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline_tests.conftest import fresh_database
from mixpanel_pipeline_tests.plain_recomputation import filled, mended
from mixpanel_pipeline_tests.workbench import build_profile_sync, clear, rows_of, stored_profiles, stored_totals

MEGABYTE = 1 << 20


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
    """With a person before and one after whoever is hostile, who must not be lost."""
    server.project = Project()
    server.project.set_profile("before", {"income": "50k", "buying_power": 1})
    return server.project


@pytest.fixture
def sync(warehouse: Warehouse, server: SimulatorServer, project: Project, tmp_path: Path) -> ProfileSync:
    return build_profile_sync(warehouse, tmp_path, server.url)


def taken(sync: ProfileSync, project: Project, hostile: Mapping[str, Any] | None = None) -> ProfileResult:
    """A snapshot with these properties of `hostile`; read again, it says nothing new."""
    if hostile is not None:
        project.set_profile("hostile", hostile)
    project.set_profile("after", {"income": "100k", "buying_power": 2})
    result = sync.synchronize()
    assert result.comparison_error is None
    stored = stored_profiles(sync.warehouse)
    assert (stored["before"]["income"], stored["before"]["buying_power"]) == ("50k", 1)
    assert (stored["after"]["income"], stored["after"]["buying_power"]) == ("100k", 2)
    assert totals_that_differ(sync.warehouse, sync.storage) == []
    again = sync.synchronize()
    assert (again.written, again.unchanged, again.totals_changed) == (0, len(stored), 0)
    return result


def hostile_row(sync: ProfileSync) -> dict[str, Any]:
    return stored_profiles(sync.warehouse)["hostile"]


class RawProfiles(Profiles):
    """Puts JSON that Python would not write where a text stands for it."""

    def __init__(self, ordinary: Profiles, raw: Mapping[bytes, bytes]) -> None:
        self.__dict__.update(ordinary.__dict__)
        self.raw = raw

    def lines(self, rows: Sequence[Row]) -> list[bytes]:
        return [self._replaced_in(line) for line in super().lines(rows)]

    def _replaced_in(self, line: bytes) -> bytes:
        for stand_in, raw in self.raw.items():
            line = line.replace(b'"%b"' % stand_in, raw)
        return line


STRANGE_TEXTS = {
    "nul": "a\0b\0",
    "an escaped nul": "a\\u0000b",
    "half surrogate": "a\ud83d b\udc00",
    "sql": "'; drop table subscriber_profiles; --",
    "quotes": "\"a\" 'b' `c` $$d$$ E'\\n'",
    "backslashes": "\\ \\\\ \\n \\N",
    "end of a copy": "\\.",
    "end of a copy on a line": "a\n\\.\nb",
    "newlines and tabs": "a\nb\r\nc\rd\te\x0bf\x0cg",
    "control characters": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
    "line separators": "a\u2028b\u2029c\u0085d",
    "emoji": "👩‍👩‍👧‍👦 🇨🇭 😀",
    "right to left": "\u202eabc שלום",
    "byte order mark": "\ufeffa\ufffe\uffff",
    "csv": 'a,b;"c""d"\n,',
    "json": '{"a": [1, "b"]}',
    "null": "null",
    "blanks": "  a  ",
    "percent and braces": "%s %(a)s {0} {{}} :name ?",
    "the longest number": "9" * 200,
}


def test_strange_texts_are_stored_as_they_came(sync: ProfileSync, project: Project) -> None:
    """But for NUL and half surrogate pairs, which Postgres has no characters for."""
    for case, text in STRANGE_TEXTS.items():
        project.set_profile(case, {"income": text, "$name": text, "nested": [{"a": text}]})
    assert taken(sync, project).refused == 0
    stored, totals = stored_profiles(sync.warehouse), stored_totals(sync.warehouse)
    for case, text in STRANGE_TEXTS.items():
        expected = mended(text)
        said = {"income": expected, "$name": expected, "nested": [{"a": expected}]}
        assert (stored[case]["income"], stored[case]["properties"]) == (expected, said), case
        assert totals[case]["income"] == expected, case


def test_strange_ids_are_ids(sync: ProfileSync, project: Project) -> None:
    for person in STRANGE_TEXTS.values():
        project.set_profile(person, {"income": person})
    assert taken(sync, project).refused == 0
    expected = {mended(person) for person in STRANGE_TEXTS.values()} | {"before", "after"}
    assert set(stored_profiles(sync.warehouse)) == set(stored_totals(sync.warehouse)) == expected
    assert {
        row["distinct_id"] for row in rows_of(sync.warehouse, "select * from subscriber_profile_changes")
    } == expected
    for person in STRANGE_TEXTS.values():
        project.delete_profile(person)
    assert sync.synchronize().deleted == len(STRANGE_TEXTS)
    assert set(stored_totals(sync.warehouse)) == {"before", "after"}


def test_strange_names_of_properties_are_names(sync: ProfileSync, project: Project) -> None:
    names = [*STRANGE_TEXTS.values(), "", " ", "x" * 10_000, "$distinct_id", "$properties", "$storable", "distinct_id"]
    taken(sync, project, {**dict.fromkeys(names, 1), "income": "50k", "nested": dict.fromkeys(names, 2)})
    expected = [mended(name) for name in names]
    assert hostile_row(sync)["properties"] == {
        **dict.fromkeys(expected, 1), "income": "50k", "nested": dict.fromkeys(expected, 2),
    }  # fmt: skip
    project.set_profile("hostile", {**dict.fromkeys(names, 3), "income": "50k", "nested": dict.fromkeys(names, 2)})
    assert sync.synchronize().changed == 1
    changed = rows_of(sync.warehouse, "select * from subscriber_profile_changes where change = 'changed'")
    assert {(row["property"], row["old_value"], row["new_value"]) for row in changed} == {
        (name, 1, 3) for name in expected
    }


def test_names_that_differ_in_case_are_different(sync: ProfileSync, project: Project) -> None:
    said = {"INCOME": "no", "Income": "no", "NetWorth": "no", "NET_WORTH": "no", "netWorth": "yes", "BuyingPower": 5}
    taken(sync, project, said)
    row = hostile_row(sync)
    assert (row["income"], row["net_worth"], row["buying_power"]) == (None, "yes", None)
    assert row["properties"] == said


def test_names_that_are_one_in_postgres(sync: ProfileSync, project: Project) -> None:
    taken(sync, project, {"a\0": 1, "a\ufffd": 2, "income": "50k"})
    row = hostile_row(sync)
    assert row["income"] == "50k"
    assert row["properties"]["a\ufffd"] in (1, 2)


ODD_VALUES: dict[str, Any] = {
    "true": True,
    "false": False,
    "a list": ["a", 1, None, {"b": []}],
    "an object": {"a": {"b": None}},
    "an empty list": [],
    "an empty object": {},
    "a large integer": 2**70,
    "a long integer": -(10**100),
    "zero": 0,
    "minus zero": -0.0,
    "a fraction": 0.1,
    "a tiny one": 5e-324,
    "a large one": 1e20,
}


def test_other_types_where_a_text_is_expected(sync: ProfileSync, project: Project) -> None:
    for case, value in ODD_VALUES.items():
        project.set_profile(case, {"income": value, "x": value})
    assert taken(sync, project).refused == 0
    stored = stored_profiles(sync.warehouse)
    for case, value in ODD_VALUES.items():
        assert json.loads(stored[case]["income"]) == value, case
        assert stored[case]["properties"] == {"income": value, "x": value}, case


NUMBERS: dict[str, tuple[Any, Any]] = {
    **{name: (value, value if isinstance(value, float) else None) for name, value in ODD_VALUES.items()},
    "zero": (0, 0),
    "a large integer": (2**70, 2**70),
    "a number as text": ("17", 17),
    "blanks around it": (" \t3.50\n", 3.5),
    "an exponent": ("1e3", 1000),
    "a plus": ("+5.", 5),
    "NaN": ("NaN", None),
    "infinity": ("Infinity", None),
    "too large": ("1e400", None),
    "a word": ("n/a", None),
    "a currency": ("$5", None),
    "a thousands separator": ("1,000", None),
    "an underscore": ("1_000", None),
    "hexadecimal": ("0x10", None),
    "other digits": ("١٢", None),
    "nothing but blanks": ("  ", None),
    "two numbers": ("1 2", None),
    "sql": ("1); drop table x; --", None),
}


def test_where_a_number_is_expected(sync: ProfileSync, project: Project) -> None:
    """Anything else is null, counted, and told with the person and the field."""
    for case, (value, _) in NUMBERS.items():
        project.set_profile(case, {"buyingPower": value, "x": value})
    result = taken(sync, project)
    stored = stored_profiles(sync.warehouse)
    for case, (value, expected) in NUMBERS.items():
        number = stored[case]["buying_power"]
        assert (None if number is None else float(number)) == expected, case
        assert stored[case]["properties"] == {"buyingPower": value, "x": value}, case
    refused = {case for case, (_, expected) in NUMBERS.items() if expected is None}
    assert result.snapshot.bad_values == result.refused == len(refused)
    told = {(row["distinct_id"], row["field"]) for row in result.refusals}
    assert told <= {(case, "buyingPower") for case in refused}
    assert len(told) == min(20, len(refused))


RAW_NUMBERS = {
    "a number too large for a double": (b"1e400", "1e400"),
    "a negative one": (b"-1e400", "-1e400"),
    "not a number": (b"NaN", "NaN"),
    "infinity": (b"-Infinity", "-Infinity"),
    "an exponent of five digits": (b"1e99999", "1e99999"),
    "a tiny number": (b"1e-99999", 0.0),
    "a number of many decimals": (b"0." + b"1" * 400, 0.1111111111111111),
}


def raw_profiles(project: Project, raw: Mapping[str, bytes]) -> None:
    """For each case a person of that name with that JSON in a text, a number and another property."""
    for case in raw:
        project.set_profile(case, {**dict.fromkeys(["investmentType", "buying_power", "other"], f"RAW {case}"), "x": 1})
    project.profiles = RawProfiles(project.profiles, {f"RAW {case}".encode(): sent for case, sent in raw.items()})


def test_numbers_that_are_none_everywhere(sync: ProfileSync, project: Project) -> None:
    raw_profiles(project, {case: sent for case, (sent, _) in RAW_NUMBERS.items()})
    taken(sync, project)
    stored = stored_profiles(sync.warehouse)
    for case, (_, expected) in RAW_NUMBERS.items():
        assert stored[case]["properties"]["other"] == expected, case
        assert stored[case]["properties"]["x"] == 1, case


RAW_VALUES = {
    "200 levels": b"[" * 200 + b"]" * 200,
    "200 levels of objects": b'{"a":' * 200 + b"1" + b"}" * 200,
    "a name twice": b'{"a":1,"a":2}',
    "bytes that are no UTF-8": b'"a\xff\xfeb"',
    "an overlong NUL": b'"a\xc0\x80b"',
    "an escaped slash": b'"a\\/b"',
    "escaped half surrogates": b'"\\ud83d\\ud83d \\ude00\\ude00"',
    "an escaped pair": b'"\\ud83d\\ude00"',
    "an escaped NUL": b'"a\\u0000b"',
    "a backslash before what looks like one": b'"a\\\\u0000b"',
}


def test_json_that_python_would_not_write(sync: ProfileSync, project: Project) -> None:
    raw_profiles(project, RAW_VALUES)
    taken(sync, project)
    stored = stored_profiles(sync.warehouse)
    for case, sent in RAW_VALUES.items():
        expected = mended(json.loads(sent.decode(errors="replace")))
        assert stored[case]["properties"]["other"] == expected, case
        if isinstance(expected, str):
            assert stored[case]["investment_type"] == expected, case


BEYOND_PYTHON = {
    "more digits than Python reads": b"9" * 5000,
    "more digits than Postgres keeps": b"9" * 200_000,
    "3,000 levels": b"[" * 3000 + b"]" * 3000,
    "100,000 levels": b"[" * 100_000 + b"]" * 100_000,
}


@pytest.mark.parametrize("case", BEYOND_PYTHON)
def test_json_that_python_does_not_read_costs_nobody_else(sync: ProfileSync, project: Project, case: str) -> None:
    sent = BEYOND_PYTHON[case].decode()
    raw_profiles(project, {case: BEYOND_PYTHON[case]})
    result = taken(sync, project)
    stored = stored_profiles(sync.warehouse)[case]
    assert stored["properties"] == {"investmentType": sent, "buying_power": sent, "other": sent, "x": 1}
    assert (stored["investment_type"], stored["buying_power"]) == (sent, None)
    assert [(told["distinct_id"], told["field"]) for told in result.refusals] == [(case, "buying_power")]


@pytest.mark.parametrize(("first", "second", "kind"), [(b"123", b'"123"', "an integer"), (b'"123"', b"123", "text")])
def test_an_integer_and_a_text_that_are_one_id(
    sync: ProfileSync, project: Project, first: bytes, second: bytes, kind: str
) -> None:
    """The first is kept, the other one is refused; whoever is missing is deleted all the same."""
    project.set_profile("RAW first", {"income": "first"})
    project.set_profile("RAW second", {"income": "second", "buying_power": "no number"})
    project.set_profile("gone", {})
    project.profiles = RawProfiles(project.profiles, {b"RAW first": first, b"RAW second": second})
    result = taken(sync, project)
    assert (result.snapshot.people, result.refused, result.snapshot.unidentified) == (4, 1, 0)
    reason = f"another profile has the same id as {kind}"
    assert result.refusals == [{"distinct_id": "123", "field": None, "reason": reason}]
    assert stored_profiles(sync.warehouse)["123"]["income"] == "first"
    project.delete_profile("gone")
    assert sync.synchronize().deleted == 1


def test_a_cut_first_page_without_a_total_deletes_nobody(sync: ProfileSync, project: Project) -> None:
    for number in range(28):
        project.set_profile(f"person {number}", {"income": "50k"})
    taken(sync, project)
    project.faults.add("without_total", times=None)
    project.faults.add("short_page", times=None, rows=29)
    with pytest.raises(IncompleteAnswer, match="no `total` in it"):
        sync.synchronize()
    assert len(stored_profiles(sync.warehouse)) == 30
    project.faults.clear()
    result = sync.synchronize()
    assert (result.unchanged, result.deleted) == (30, 0)


def test_a_catalog_property_sent_twice(sync: ProfileSync, project: Project) -> None:
    """The columns and the properties say the same of it."""
    project.profiles = RawProfiles(project.profiles, {b"RAW": b'"first","income":"last"'})
    taken(sync, project, {"income": "RAW"})
    row = hostile_row(sync)
    assert row["income"] == row["properties"]["income"] == "last"


def test_two_thousand_properties(sync: ProfileSync, project: Project) -> None:
    properties = {f"property {number}": [number, {"a": None}] for number in range(2000)}
    taken(sync, project, properties)
    assert hostile_row(sync)["properties"] == properties
    project.set_profile("hostile", {name: f"changed {name}" for name in properties})
    assert sync.synchronize().changed == 1
    (noted,) = rows_of(sync.warehouse, "select count(*) as number from subscriber_profile_changes where property <> ''")
    assert noted["number"] == 2000


def test_three_times_ten_megabytes_in_one_person(sync: ProfileSync, project: Project) -> None:
    text = random.Random(1).randbytes(5 * MEGABYTE).hex()
    properties = dict.fromkeys(["other", "netWorth", "income"], text)
    project.set_profile("hostile", properties)
    project.set_profile("after", {"income": "100k"})
    result = sync.synchronize()
    assert (result.new, result.refused) == (3, 0)
    stored = stored_profiles(sync.warehouse)
    assert (stored["before"]["income"], stored["after"]["income"]) == ("50k", "100k")
    assert stored["hostile"]["properties"] == properties
    assert stored_totals(sync.warehouse)["hostile"]["net_worth"] == stored["hostile"]["income"] == text


@pytest.mark.slow
def test_many_large_people(sync: ProfileSync, project: Project) -> None:
    """As large as Mixpanel takes them."""
    chance = random.Random(1)
    for number in range(100):
        project.set_profile(f"large {number}", {"text": chance.randbytes(MEGABYTE // 2).hex(), "income": f"{number}"})
    assert taken(sync, project).new == 102


def bad_everywhere() -> dict[str, Any]:
    """A value that is none of a number in every column of numbers."""
    return {line.column: ["no", "number"] for line in catalog.PROPERTIES if line.kind == "number"}


def test_a_person_of_whom_every_field_is_refused_stays(sync: ProfileSync, project: Project) -> None:
    numbers = len(bad_everywhere())
    result = taken(sync, project, {**bad_everywhere(), "income": "50k"})
    assert result.refused == numbers
    assert {row["distinct_id"] for row in result.refusals} == {"hostile"}
    assert hostile_row(sync)["income"] == "50k"
    assert filled(hostile_row(sync)["properties"]) == {**bad_everywhere(), "income": "50k"}


def test_odd_people_are_people(sync: ProfileSync, project: Project) -> None:
    people = [0, -7, 2**63, "  ", "$device", "x" * 2000]
    for person in people:
        project.set_profile(person, {})
    assert taken(sync, project).refused == 0
    assert set(stored_profiles(sync.warehouse)) == {"before", "after", *map(str, people)}


def test_ids_that_are_none_are_refused(sync: ProfileSync, project: Project) -> None:
    ids = [b"null", b"true", b"1.5", b'["a"]', b'{"a":1}', b'""', b"[]"]
    for number in range(len(ids)):
        project.set_profile(f"RAW {number}", {"income": "50k"})
    raw = {f"RAW {number}".encode(): sent for number, sent in enumerate(ids)}
    project.profiles = RawProfiles(project.profiles, raw)
    result = taken(sync, project)
    assert (result.snapshot.people, result.refused) == (2, len(ids))
    assert all(told["reason"] for told in result.refusals)
    assert set(stored_profiles(sync.warehouse)) == {"before", "after"}
