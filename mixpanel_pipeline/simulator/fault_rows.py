"""Faults in the content: complete but odd rows, each a shape that broke some client (reference A5)."""

import json
import random
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from mixpanel_pipeline.simulator.events import encode_json
from mixpanel_pipeline.simulator.faults import Fault

GARBAGE_LINE = b"<html>upstream connect error</html>\n"
IDENTITIES = ("distinct_id", "$distinct_id", "user_id", "$user_id", "identified_id", "$identified_id")
FIRST_MILLISECONDS = 10**11  # as seconds that would be the year 5138
Properties = dict[str, Any]


def _iso_time(properties: Properties) -> None:
    time = properties["time"]
    seconds = time / 1000 if time > FIRST_MILLISECONDS else time
    properties["time"] = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _without(*keys: str) -> Callable[[Properties], None]:
    def remove(properties: Properties) -> None:
        for key in keys:
            properties.pop(key, None)

    return remove


def _with(**added: Any) -> Callable[[Properties], None]:
    return lambda properties: properties.update(added)


def _empty_distinct_id(properties: Properties) -> None:
    _without(*IDENTITIES)(properties)
    properties["distinct_id"] = ""


ODDITIES: dict[str, Callable[[Properties], None]] = {
    "nul_character": _with(note="before\x00after"),
    "lone_surrogate": _with(note="before\ud83dafter"),
    "line_separator": _with(note="before\u2028after"),
    "big_integers": _with(big=2**63, bigger=2**64 + 1, biggest=-(10**30)),
    "case_colliding_keys": _with(userName="Ada", username="ada", USERNAME="ADA"),
    "iso_time": _iso_time,
    "missing_insert_id": _without("$insert_id"),
    "missing_distinct_id": _without(*IDENTITIES),
    "empty_distinct_id": _empty_distinct_id,
    "invalid_utf8": _with(note="before\ue000after"),
}


def odd_rows(lines: Iterable[bytes], faults: Iterable[Fault], seed: int) -> Iterator[bytes]:
    """The lines with every row fault applied, shuffled last if asked for."""
    shuffled = False
    for fault in faults:
        if fault.name == "garbage_line":
            lines = _with_garbage(lines)
        elif fault.name == "shuffled_rows":
            shuffled = True
        elif fault.name in ODDITIES:
            lines = _odd(lines, fault)
    if shuffled:
        lines = list(lines)
        random.Random(seed).shuffle(lines)
    yield from lines


def _with_garbage(lines: Iterable[bytes]) -> Iterator[bytes]:
    rest = iter(lines)
    yield from islice(rest, 1)
    yield GARBAGE_LINE
    yield from rest


def _odd(lines: Iterable[bytes], fault: Fault) -> Iterator[bytes]:
    rows = fault.parameters.get("rows", 1)
    for number, line in enumerate(lines):
        if rows is not None and number >= rows:
            yield line
            continue
        row = json.loads(line)
        ODDITIES[fault.name](row["properties"])
        yield encode_odd(row, fault) + b"\n"


def encode_odd(row: dict[str, Any], fault: Fault) -> bytes:
    """What JSON in Python cannot hold is put in afterwards."""
    encoded = encode_json(row)
    return encoded.replace("\ue000".encode(), b"\xff") if fault.name == "invalid_utf8" else encoded
