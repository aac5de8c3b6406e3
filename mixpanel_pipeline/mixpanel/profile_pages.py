"""Proves that pages of profiles are one whole (reference/mixpanel.md A2).

A page is judged before it counts, so that a bad one can be asked for again in the same session:

- it is a list of people, `ok`, of the session and page number that were asked for;
- nobody in it came before, on this page or another;
- it has as many people as follow from the `total` that the first page tells: it is full, unless it is the last, the
  first one less than full. Without a total nothing tells a first page that was cut short from a small project's only
  one (the page after both is empty), so it proves nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard

from mixpanel_pipeline.mixpanel.errors import IncompleteAnswer

ID = "$distinct_id"
PROPERTIES = "$properties"
REFUSED = "$refused"
Person = dict[str, Any]


@dataclass
class ProvenPages:
    """What is known of a snapshot so far. `page_size` is what Mixpanel made of the one that is asked for."""

    place: str
    asked_page_size: int
    page_size: int = 0
    session_id: str | None = None
    total: int | None = None
    pages: int = 0
    people: int = 0
    unidentified: int = 0
    finished: bool = False
    _ids: set[str | int] = field(default_factory=set)
    _texts: set[str] = field(default_factory=set)

    def add(self, document: Mapping[str, Any]) -> list[Person]:
        """The people of the next page, their ids as text. Who has the id of somebody before, told apart by its type
        alone, bears the reason to refuse them.

        Raises:
            IncompleteAnswer: the page cannot be part of the whole; then nothing has changed here.
        """
        results = self._results(document)
        self._check_surroundings(document)
        page_size = self._page_size(document)
        total = self._total(document)
        session_id = self._session_id(document)
        self._check_count(len(results), page_size, total)
        finished = len(results) < page_size
        if not finished and session_id is None:
            raise self._bad("a full page without a session_id, so the next one cannot be asked for")
        ids = self._new_ids(results)
        self.page_size, self.total, self.session_id = page_size, total, session_id
        self._ids.update(ids)
        self.unidentified += len(results) - len(ids)
        self.people += len(results)
        self.pages += 1
        self.finished = finished
        return [self._identified(person) for person in results]

    def _bad(self, what: str) -> IncompleteAnswer:
        return IncompleteAnswer(self.place, f"page {self.pages} of the profiles: {what}")

    def _results(self, document: Mapping[str, Any]) -> list[Person]:
        results = document.get("results")
        if not isinstance(results, list):
            raise self._bad("no `results` in it")
        for position, person in enumerate(results):
            if not isinstance(person, dict) or not isinstance(person.get(PROPERTIES, {}), dict):
                raise self._bad(f"what stands in place {position} is no profile")
        return results

    def _check_surroundings(self, document: Mapping[str, Any]) -> None:
        status, page = document.get("status", "ok"), document.get("page", self.pages)
        if status != "ok":
            raise self._bad(f"its status is {status!r}")
        if page != self.pages:
            raise self._bad(f"it says it is page {page!r}")

    def _page_size(self, document: Mapping[str, Any]) -> int:
        page_size = document.get("page_size", self.page_size or self.asked_page_size)
        if not isinstance(page_size, int) or page_size < 1 or (self.pages and page_size != self.page_size):
            raise self._bad(f"its page_size is {page_size!r}, after {self.page_size or self.asked_page_size}")
        return page_size

    def _total(self, document: Mapping[str, Any]) -> int:
        """Told on the first page; where a later one tells it again, it is the same."""
        total = document.get("total")
        if total is None:
            total = self.total
        if total is None:
            raise self._bad("no `total` in it, so nobody can tell whether people are missing")
        if not isinstance(total, int) or total < 0 or (self.pages and total != self.total):
            raise self._bad(f"its total is {total!r}, after {self.total}")
        return total

    def _session_id(self, document: Mapping[str, Any]) -> str | None:
        session_id = document.get("session_id", self.session_id)
        if self.pages and session_id != self.session_id:
            raise self._bad("it belongs to another session")
        return session_id or None

    def _check_count(self, count: int, page_size: int, total: int) -> None:
        if count > page_size:
            raise self._bad(f"{count} people where {page_size} fit")
        expected = min(page_size, total - self.people)
        if count != expected:
            raise self._bad(f"{count} people where {expected} belong: {self.people} of {total} came before")

    def _new_ids(self, results: list[Person]) -> set[str | int]:
        """As they came: 123 and "123" are two people to Mixpanel."""
        ids: set[str | int] = set()
        for distinct_id in filter(_is_id, (person.get(ID) for person in results)):
            if distinct_id in ids or distinct_id in self._ids:
                raise self._bad(f"{distinct_id!r} came before")
            ids.add(distinct_id)
        return ids

    def _identified(self, person: Person) -> Person:
        """The documentation's schema has integers for ids, production has text (reference A2)."""
        distinct_id, properties = person.get(ID), person.get(PROPERTIES, {})
        if not _is_id(distinct_id):
            return {ID: distinct_id, PROPERTIES: properties}
        text = str(distinct_id)
        if text in self._texts:
            kind = "text" if isinstance(distinct_id, int) else "an integer"
            return {ID: text, PROPERTIES: properties, REFUSED: f"another profile has the same id as {kind}"}
        self._texts.add(text)
        return {ID: text, PROPERTIES: properties}


def _is_id(distinct_id: Any) -> TypeGuard[str | int]:
    return isinstance(distinct_id, str | int) and not isinstance(distinct_id, bool) and distinct_id != ""
