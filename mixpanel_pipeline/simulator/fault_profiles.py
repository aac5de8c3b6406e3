"""Faults of pages of profiles: what surrounds the people, who is missing or twice, and odd people."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from mixpanel_pipeline.simulator.engage_page import Page
from mixpanel_pipeline.simulator.events import encode_json
from mixpanel_pipeline.simulator.fault_rows import ODDITIES, encode_odd
from mixpanel_pipeline.simulator.faults import ROWS_OF_PROFILES_TOO, Fault

HUGE_BYTES = 10_000_000
Profile = dict[str, Any]
Parameters = dict[str, Any]


def odd_page(page: Page, before: list[bytes], faults: Iterable[Fault]) -> None:
    """Applies the faults of whole pages; `before` holds the last person of the page before, if there is one."""
    for fault in faults:
        if fault.name in PAGES:
            PAGES[fault.name](page, before, fault.parameters)


def _other_session(page: Page, _before: list[bytes], _parameters: Parameters) -> None:
    page.session_id = f"{page.session_id}-OTHER"


def _status_not_ok(page: Page, _before: list[bytes], _parameters: Parameters) -> None:
    page.status = "error"


def _without_results(page: Page, _before: list[bytes], _parameters: Parameters) -> None:
    page.profiles = None


def _short(page: Page, _before: list[bytes], parameters: Parameters) -> None:
    if page.profiles:
        page.profiles = page.profiles[: -parameters.get("rows", 1)]


def _repeated_person(page: Page, before: list[bytes], _parameters: Parameters) -> None:
    """What paging without a frozen result set does: the number of people is right all the same."""
    if page.profiles:
        page.profiles = [*before, *page.profiles[len(before) :]]


def _wrong_total(page: Page, _before: list[bytes], parameters: Parameters) -> None:
    if page.total is not None:
        page.total += parameters.get("by", 1)


def _without_total(page: Page, _before: list[bytes], _parameters: Parameters) -> None:
    page.total = None


PAGES: dict[str, Callable[[Page, list[bytes], Parameters], None]] = {
    "other_session": _other_session,
    "status_not_ok": _status_not_ok,
    "page_without_results": _without_results,
    "short_page": _short,
    "repeated_person": _repeated_person,
    "wrong_total": _wrong_total,
    "without_total": _without_total,
}


def odd_profiles(lines: list[bytes], faults: Iterable[Fault]) -> list[bytes]:
    """The page's people with every fault of their contents applied."""
    for fault in faults:
        if fault.name in ROWS_OF_PROFILES_TOO or fault.name in PEOPLE:
            rows = len(lines) if fault.name == "integer_distinct_ids" else fault.parameters.get("rows", 1)
            lines = [_odd(line, fault) for line in lines[:rows]] + ([] if rows is None else lines[rows:])
    return lines


def _odd(line: bytes, fault: Fault) -> bytes:
    profile = json.loads(line)
    if fault.name in ROWS_OF_PROFILES_TOO:
        ODDITIES[fault.name](profile["$properties"])
        return encode_odd(profile, fault)
    PEOPLE[fault.name](profile, fault.parameters)
    return encode_json(profile)


def _without_last_seen(profile: Profile, _parameters: Parameters) -> None:
    profile["$properties"].pop("$last_seen", None)


def _without_distinct_id(profile: Profile, _parameters: Parameters) -> None:
    del profile["$distinct_id"]


def _integer_distinct_id(profile: Profile, _parameters: Parameters) -> None:
    """Only where the integer is the same id: a leading zero would be lost."""
    text = str(profile["$distinct_id"])
    if text.isdecimal() and str(int(text)) == text:
        profile["$distinct_id"] = int(text)


def _huge(profile: Profile, parameters: Parameters) -> None:
    profile["$properties"][parameters.get("property", "income")] = "x" * parameters.get("bytes", HUGE_BYTES)


def _value(default_property: str, value: Any) -> Callable[[Profile, Parameters], None]:
    def put(profile: Profile, parameters: Parameters) -> None:
        profile["$properties"][parameters.get("property", default_property)] = value

    return put


PEOPLE: dict[str, Callable[[Profile, Parameters], None]] = {
    "without_last_seen": _without_last_seen,
    "without_distinct_id": _without_distinct_id,
    "integer_distinct_ids": _integer_distinct_id,
    "huge_property": _huge,
    "list_for_text": _value("income", ["under_50k", {"since": 2024}]),
    "number_as_text": _value("buying_power", "1234.50"),
    "text_for_number": _value("buying_power", "n/a"),
}
