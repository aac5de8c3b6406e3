"""Proves that pages of profiles are one whole (reference/mixpanel.md A2).

A page is judged before it counts, so that a bad one can be asked for again in the same session:

- it is a list of people, `ok`, of the session and page number that were asked for;
- nobody in it came before, on this page or another;
- it is full, unless it is the last: the first one less than full. Where Mixpanel tells the `total`, the
  number of people on each page follows from it, so a page cut short in the middle does not end the reading.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mixpanel_pipeline.mixpanel.errors import IncompleteAnswer

ID = "$distinct_id"
PROPERTIES = "$properties"
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
    _ids: set[str] = field(default_factory=set)

    def add(self, document: Mapping[str, Any]) -> list[Person]:
        """The people of the next page, their ids as text.

        Raises:
            IncompleteAnswer: the page cannot be part of the whole; then nothing has changed here.
        """
        people = self._people(document)
        self._check_surroundings(document)
        page_size = self._page_size(document)
        total = self._total(document)
        session_id = self._session_id(document)
        self._check_count(len(people), page_size, total)
        finished = len(people) < page_size
        if not finished and session_id is None:
            raise self._bad("a full page without a session_id, so the next one cannot be asked for")
        ids = self._new_ids(people)
        self.page_size, self.total, self.session_id = page_size, total, session_id
        self._ids |= ids
        self.unidentified += len(people) - len(ids)
        self.people += len(people)
        self.pages += 1
        self.finished = finished
        return people

    def _bad(self, what: str) -> IncompleteAnswer:
        return IncompleteAnswer(self.place, f"page {self.pages} of the profiles: {what}")

    def _people(self, document: Mapping[str, Any]) -> list[Person]:
        results = document.get("results")
        if not isinstance(results, list):
            raise self._bad("no `results` in it")
        for position, person in enumerate(results):
            if not isinstance(person, dict) or not isinstance(person.get(PROPERTIES, {}), dict):
                raise self._bad(f"what stands in place {position} is no profile")
        return [_identified(person) for person in results]

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

    def _total(self, document: Mapping[str, Any]) -> int | None:
        """Told on the first page; where a later one tells it again, it is the same."""
        total = document.get("total", self.total)
        if total is not None and (not isinstance(total, int) or (self.pages and total != self.total)):
            raise self._bad(f"its total is {total!r}, after {self.total}")
        return total

    def _session_id(self, document: Mapping[str, Any]) -> str | None:
        session_id = document.get("session_id", self.session_id)
        if self.pages and session_id != self.session_id:
            raise self._bad("it belongs to another session")
        return session_id or None

    def _check_count(self, count: int, page_size: int, total: int | None) -> None:
        if count > page_size:
            raise self._bad(f"{count} people where {page_size} fit")
        expected = count if total is None else max(0, min(page_size, total - self.people))
        if count != expected:
            raise self._bad(f"{count} people where {expected} belong: {self.people} of {total} came before")

    def _new_ids(self, people: list[Person]) -> set[str]:
        ids: set[str] = set()
        for person in people:
            distinct_id = person.get(ID)
            if isinstance(distinct_id, str) and distinct_id:
                if distinct_id in ids or distinct_id in self._ids:
                    raise self._bad(f"{distinct_id[:200]!r} came before")
                ids.add(distinct_id)
        return ids


def _identified(person: Person) -> Person:
    """The documentation's schema has integers for ids, production has text (reference A2)."""
    distinct_id = person.get(ID)
    if isinstance(distinct_id, int) and not isinstance(distinct_id, bool):
        distinct_id = str(distinct_id)
    return {**person, ID: distinct_id, PROPERTIES: person.get(PROPERTIES, {})}
