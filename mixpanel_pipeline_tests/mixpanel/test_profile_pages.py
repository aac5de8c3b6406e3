"""What a page must be to be part of the whole, and that a bad one changes nothing."""

from typing import Any

import pytest

from mixpanel_pipeline.mixpanel.errors import IncompleteAnswer
from mixpanel_pipeline.mixpanel.profile_pages import ProvenPages


def page(number: int, *ids: Any, **members: Any) -> dict[str, Any]:
    results = [{"$distinct_id": distinct_id, "$properties": {}} for distinct_id in ids]
    return {"page": number, "page_size": 2, "results": results, "session_id": "S", "status": "ok", **members}


def begun(total: int = 3) -> ProvenPages:
    pages = ProvenPages("project 1, profiles", 2)
    pages.add(page(0, "a", "b", total=total))
    return pages


@pytest.mark.parametrize("total", [{}, {"total": None}])
@pytest.mark.parametrize("ids", [(), ("a",), ("a", "b")])
def test_without_a_total_a_first_page_proves_nothing(total: dict[str, Any], ids: tuple[str, ...]) -> None:
    pages = ProvenPages("project 1, profiles", 2)
    with pytest.raises(IncompleteAnswer, match="no `total` in it, so nobody can tell whether people are missing"):
        pages.add(page(0, *ids, **total))
    assert (pages.pages, pages.finished) == (0, False)


@pytest.mark.parametrize("total", [{}, {"total": None}, {"total": 3}])
def test_a_later_page_need_not_repeat_the_total(total: dict[str, Any]) -> None:
    pages = begun()
    pages.add(page(1, "c", **total))
    assert (pages.finished, pages.people, pages.total) == (True, 3, 3)


def test_nobody_is_proven_by_a_total_of_none() -> None:
    pages = ProvenPages("project 1, profiles", 2)
    assert pages.add(page(0, total=0, session_id=None)) == []
    assert pages.finished


def test_an_exact_multiple_still_ends_with_an_empty_page() -> None:
    pages = begun(total=2)
    assert not pages.finished
    pages.add(page(1))
    assert pages.finished


def test_mixpanel_may_make_its_pages_smaller_than_asked() -> None:
    pages = ProvenPages("project 1, profiles", 5_000)
    pages.add(page(0, "a", "b", total=3))
    pages.add(page(1, "c"))
    assert (pages.finished, pages.page_size) == (True, 2)


BAD: dict[str, dict[str, Any]] = {
    "no results": {**page(1), "results": None},
    "no profile": {**page(1), "results": ["c"]},
    "no properties": {**page(1), "results": [{"$distinct_id": "c", "$properties": []}]},
    "status": page(1, "c", status="error"),
    "another page": page(0, "c"),
    "another session": page(1, "c", session_id="T"),
    "no session": page(1, "c", session_id=None),
    "another page size": page(1, "c", page_size=3),
    "another total": page(1, "c", total=4),
    "too many": page(1, "c", "d", "e"),
    "twice on the page": page(1, "c", "c"),
    "on an earlier page": page(1, "b"),
    "the same integer": page(1, 7, 7),
    "fewer than belong": page(1),
}


@pytest.mark.parametrize("document", BAD.values(), ids=BAD.keys())
def test_a_bad_page_changes_nothing(document: dict[str, Any]) -> None:
    pages = begun(total=4) if len(document["results"] or ()) > 1 else begun(total=3)
    with pytest.raises(IncompleteAnswer, match="page 1 of the profiles"):
        pages.add(document)
    assert (pages.pages, pages.people, pages.finished) == (1, 2, False)
    rest = page(1, "c", "d") if pages.total == 4 else page(1, "c")
    pages.add(rest)
    assert pages.people == pages.total


@pytest.mark.parametrize(
    "members",
    [
        {"session_id": None},
        {"page_size": "2"},
        {"page_size": 0},
        {"total": "2"},
        {"total": 1},
        {"total": -2},
        {"page": 1},
    ],
)
def test_a_bad_first_page(members: dict[str, Any]) -> None:
    pages = ProvenPages("project 1, profiles", 2)
    with pytest.raises(IncompleteAnswer):
        pages.add(page(0, "a", "b", **{"total": 2, **members}))
    assert (pages.pages, pages.people) == (0, 0)


def test_ids_of_odd_kinds_are_nobody_s() -> None:
    pages = ProvenPages("project 1, profiles", 10)
    people = pages.add(page(0, 5, "", None, True, 1.5, {"a": 1}, page_size=10, total=6))
    assert [person["$distinct_id"] for person in people] == ["5", "", None, True, 1.5, {"a": 1}]
    assert (pages.people, pages.unidentified) == (6, 5)


@pytest.mark.parametrize(
    ("first", "second", "kind"), [("7", 7, "text"), (7, "7", "an integer"), (-7, "-7", "an integer")]
)
def test_an_integer_and_a_text_that_are_one_id(first: Any, second: Any, kind: str) -> None:
    """On one page or on two: the first is kept, the other one is for whoever lands it to refuse."""
    refused = {
        "$distinct_id": str(second), "$properties": {}, "$refused": f"another profile has the same id as {kind}",
    }  # fmt: skip
    together = ProvenPages("project 1, profiles", 3)
    assert together.add(page(0, first, second, page_size=3, total=2))[1] == refused
    apart = ProvenPages("project 1, profiles", 2)
    assert apart.add(page(0, first, "a", total=3))[0] == {"$distinct_id": str(first), "$properties": {}}
    assert apart.add(page(1, second)) == [refused]
    assert (apart.people, apart.unidentified, apart.finished) == (3, 0, True)


def test_nothing_but_the_id_and_the_properties_is_a_person() -> None:
    """Else Mixpanel's page could say what only we say of it."""
    pages = ProvenPages("project 1, profiles", 2)
    sent = page(0, "a", total=1)
    sent["results"][0] |= {"$refused": "x", "$storable": {}}
    assert pages.add(sent) == [{"$distinct_id": "a", "$properties": {}}]
