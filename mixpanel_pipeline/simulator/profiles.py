"""The profiles of a project: generated ones, and what tests set, change, merge and delete."""

import copy
import json
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixpanel_pipeline.catalog import ANONYMOUS_PREFIX
from mixpanel_pipeline.simulator.events import ABSENT, encode_json
from mixpanel_pipeline.simulator.generated_profiles import GeneratedProfiles
from mixpanel_pipeline.simulator.where import matches
from mixpanel_pipeline.simulator.where_syntax import Expression

Properties = dict[str, Any]


@dataclass(frozen=True)
class Profile:
    """A profile that somebody set. It never changes: a new one takes its place, and whoever pages through a
    frozen result set goes on seeing the old one."""

    distinct_id: str | int
    properties: Properties


# A result set keeps generated profiles as their numbers: they are rendered when their page is asked for.
Row = int | Profile


class Profiles:
    """Who has a profile. An id is text; 123 and "123" are the same person, sent as whichever was set."""

    def __init__(self, generated: GeneratedProfiles) -> None:
        self._generated = generated
        self._replaced: dict[int, Profile | None] = {}
        self._added: dict[str, Profile] = {}
        self._lock = threading.RLock()

    def set(self, distinct_id: str | int, properties: Mapping[str, Any]) -> None:
        """The whole profile, whatever was there before."""
        profile = Profile(distinct_id, copy.deepcopy(dict(properties)))
        with self._lock:
            number = self._generated.numbers.get(str(distinct_id))
            if number is None:
                self._added[str(distinct_id)] = profile
            else:
                self._replaced[number] = profile

    def update(self, distinct_id: str | int, changes: Mapping[str, Any]) -> None:
        """Some properties of it, as `$set` does; ABSENT removes one, as `$unset` does."""
        with self._lock:
            changed = {**(self.get(distinct_id) or {}), **changes}
            self.set(distinct_id, {name: value for name, value in changed.items() if value is not ABSENT})

    def delete(self, distinct_id: str | int) -> None:
        """No trace stays of it, and the person's events do (docs: user-profiles.mdx)."""
        with self._lock:
            number = self._generated.numbers.get(str(distinct_id))
            if number is None:
                self._added.pop(str(distinct_id), None)
            else:
                self._replaced[number] = None

    def merge(self, old_id: str, new_id: str) -> None:
        """Only the canonical id keeps a profile; what a device set is not carried to its user (reference A2)."""
        with self._lock:
            old = self.get(old_id)
            if old is None:
                return
            self.delete(old_id)
            if not old_id.startswith(ANONYMOUS_PREFIX):
                self.set(new_id, {**old, **(self.get(new_id) or {})})

    def get(self, distinct_id: str | int) -> Properties | None:
        """A copy of the properties, or None if there is no such profile."""
        with self._lock:
            row = self._row(str(distinct_id))
        return None if row is None else self.properties(row)

    def ids(self) -> list[str]:
        """Everybody, in the order in which a snapshot has them."""
        return [self._id(row) for row in self.select()]

    def select(self, ids: Collection[str] | None = None, where: Expression | None = None) -> list[Row]:
        """Who is asked for, now."""
        with self._lock:
            rows = list(self._rows()) if ids is None else [row for row in map(self._row, ids) if row is not None]
        if where is None:
            return rows
        return [row for row in rows if matches(where, self._as_event(row))]

    def lines(self, rows: Sequence[Row]) -> list[bytes]:
        """The JSON of those rows, as a page has it."""
        generated = iter(self._generated.lines(row for row in rows if isinstance(row, int)))
        return [
            next(generated)
            if isinstance(row, int)
            else encode_json({"$distinct_id": row.distinct_id, "$properties": row.properties})
            for row in rows
        ]

    def properties(self, row: Row) -> Properties:
        return self._generated.properties(row) if isinstance(row, int) else copy.deepcopy(row.properties)

    def _rows(self) -> Iterator[Row]:
        for number in range(self._generated.count):
            row = self._replaced.get(number, number)
            if row is not None:
                yield row
        yield from self._added.values()

    def _row(self, distinct_id: str) -> Row | None:
        number = self._generated.numbers.get(distinct_id)
        return self._added.get(distinct_id) if number is None else self._replaced.get(number, number)

    def _id(self, row: Row) -> str:
        return self._generated.ids[row] if isinstance(row, int) else str(row.distinct_id)

    def _as_event(self, row: Row) -> dict[str, Any]:
        """What `where` looks at: `properties["…"]` and `user["…"]` are the same for a profile."""
        properties = self.properties(row)
        return {"properties": {**properties, "distinct_id": self._id(row)}, "user": properties}


def with_properties(line: bytes, names: Collection[str]) -> bytes:
    """The profile with only those properties (`output_properties`)."""
    profile = json.loads(line)
    kept = {name: value for name, value in profile["$properties"].items() if name in names}
    return encode_json({**profile, "$properties": kept})
