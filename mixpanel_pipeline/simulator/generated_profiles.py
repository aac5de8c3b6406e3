"""Profiles made up from a seed: the same seed and numbers give the same people, byte for byte.

As with the generated days nothing is serialised one by one: what many people share is rendered once, numpy
draws who has what, and a profile is a few fragments put together when its page is asked for.
"""

import json
import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mixpanel_pipeline.catalog import PROPERTIES
from mixpanel_pipeline.simulator.fragments import PLACES, fragments_for, members, spelling_of, value_of
from mixpanel_pipeline.simulator.generated_days import DayShape

STREAM = 7_001  # keeps these draws apart from those of the days, which follow the same seed
VARIANTS = 1_024
# Fixed, so that a profile does not change by itself from one day to the next.
FIRST_SECOND = 1_672_531_200  # 2023-01-01
LAST_SECOND = 1_767_225_600  # 2026-01-01
WITHOUT_LAST_SEEN = 0.01  # "profiles can lack it" (docs: default-properties.mdx)
NAMES = ("Ada", "Björn", "Chloé", "Dmitri", "Élise", "Farah", "Grace", "Håkon", "李", "Miyuki")
OWN_PROPERTY = "buying_power"
ANSWERS = tuple(line for line in PROPERTIES if line.kind == "text")
BALANCES = tuple(line for line in PROPERTIES if line.kind == "number" and line.column != OWN_PROPERTY)

LINE = (
    b'{"$distinct_id":"%b","$properties":{"$created":"%b"%b,"$email":"person-%d@example.com",'
    b'"$name":"%b","buyingPower":%d.%02d%b%b}}'
)


@dataclass(frozen=True)
class _Columns:
    created: list[str]
    last_seen: list[str]
    seen: list[bool]
    cents: list[int]
    answers: list[int]
    balances: list[int]


class GeneratedProfiles:
    """`count` profiles, numbered from zero; the first are those of the people in the generated days."""

    def __init__(self, count: int, shape: DayShape) -> None:
        self.count = count
        self._shape = shape

    @cached_property
    def ids(self) -> list[str]:
        shape = self._shape
        known: list[str] = []
        if self.count:
            persons = fragments_for(shape.people, shape.seed, shape.properties).persons[: shape.people]
            known = [json.loads(b"{" + person[1:] + b"}")["distinct_id"] for person in persons[: self.count]]
        token = self._random(1).bytes(4 * (self.count - len(known))).hex()
        others = range(len(known), self.count)
        return known + [f"user-{number:06d}-{token[8 * place : 8 * place + 8]}" for place, number in enumerate(others)]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """Which number a person has."""
        return {distinct_id: number for number, distinct_id in enumerate(self.ids)}

    def properties(self, number: int) -> dict[str, Any]:
        return json.loads(self.lines([number])[0])["$properties"]

    def lines(self, numbers: Iterable[int]) -> list[bytes]:
        """The JSON of those profiles, as a page has it."""
        columns, answers, balances = self._columns, self._answers, self._balances
        return [
            LINE
            % (
                self.ids[number].encode(),
                columns.created[number].encode(),
                b',"$last_seen":"%b"' % columns.last_seen[number].encode() if columns.seen[number] else b"",
                number,
                NAMES[number % len(NAMES)].encode(),
                *divmod(columns.cents[number], 100),
                answers[columns.answers[number]],
                balances[columns.balances[number]],
            )
            for number in numbers
        ]

    @cached_property
    def _columns(self) -> _Columns:
        generator = self._random(2)
        created = generator.integers(FIRST_SECOND, LAST_SECOND, self.count)
        last_seen = created + (generator.random(self.count) * (LAST_SECOND - created)).astype(np.int64)
        return _Columns(
            created=_texts(created),
            last_seen=_texts(last_seen),
            seen=(generator.random(self.count) >= WITHOUT_LAST_SEEN).tolist(),
            cents=generator.integers(0, 5_000_000, self.count).tolist(),
            answers=generator.integers(0, VARIANTS, self.count).tolist(),
            balances=generator.integers(0, VARIANTS, self.count).tolist(),
        )

    @cached_property
    def _answers(self) -> list[bytes]:
        generator = random.Random(f"answers {self._shape.seed}")
        return [b"," + members([*_place(generator), *_answered(ANSWERS, generator)]) for _ in range(VARIANTS)]

    @cached_property
    def _balances(self) -> list[bytes]:
        generator = random.Random(f"balances {self._shape.seed}")
        own = [("plan", "premium"), ("tags", ["beta", 7, None]), ("settings", {"theme": "dark", "alerts": True})]
        return [b"," + members([*_answered(BALANCES, generator), *own]) for _ in range(VARIANTS)]

    def _random(self, purpose: int) -> np.random.Generator:
        return np.random.default_rng([self._shape.seed, STREAM, purpose])


def _texts(seconds: np.ndarray) -> list[str]:
    """As profiles have dates: ISO text without a zone (reference A2)."""
    return np.datetime_as_string(seconds.astype("datetime64[s]"), unit="s").tolist()


def _place(generator: random.Random) -> list[tuple[str, Any]]:
    city, region, country = generator.choice(PLACES)
    return [("$city", city), ("$region", region), ("$country_code", country)]


def _answered(lines: Iterable[Any], generator: random.Random) -> list[tuple[str, Any]]:
    """Values as odd as those of events; some people never got the property at all."""
    return [(spelling_of(line, generator), value_of(line, generator)) for line in lines if generator.random() < 0.9]
