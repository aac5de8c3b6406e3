"""JSON nested too deeply for what reads it next: such a value becomes its own text, and all around it stays.

Readers recurse. Python's ends at less than 1,000 levels, Postgres' jsonb at some 10,000, and whoever reads that jsonb
ends sooner than both; Mixpanel promises no limit.
"""

import json
import re
from collections.abc import Iterator

MOST_LEVELS = 256
# In a page of profiles the document, its results, a person and the properties are around a property's value.
LEVEL_OF_VALUES = 5

BRACKETS = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|(?P<open>[\[{])|(?P<close>[\]}])', re.DOTALL)
SQUARE = bytes.maketrans(b"{}", b"[]")
NEITHER_BRACKETS_NOR_QUOTES = bytes(set(range(256)) - set(b'[]{}"'))


def flattened(body: bytes) -> bytes:
    """The same JSON, but that values which reach below MOST_LEVELS are texts: their JSON, as it came."""
    if not _is_deep(body):
        return body
    parts, end = [], 0
    for first, last in _deep_values(body):
        text = body[first:last].decode("utf-8", errors="replace")
        parts += [body[end:first], json.dumps(text).encode()]
        end = last
    return b"".join([*parts, body[end:]])


def _is_deep(body: bytes) -> bool:
    """Takes the innermost brackets away, level by level: the quickest way to know of a page that all is well."""
    quotes_end_texts = body.replace(rb"\\", b"").replace(rb"\"", b"")
    structure = quotes_end_texts.translate(SQUARE, NEITHER_BRACKETS_NOR_QUOTES).replace(b'""', b"")
    brackets = b"".join(structure.split(b'"')[::2])
    for _ in range(MOST_LEVELS):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _deep_values(body: bytes) -> Iterator[tuple[int, int]]:
    """Where they begin and end; one that is cut ends with the body."""
    level = first = deepest = 0
    for found in BRACKETS.finditer(body):
        if found["open"]:
            level += 1
            if level == LEVEL_OF_VALUES:
                first, deepest = found.start(), level
            deepest = max(deepest, level)
        elif found["close"]:
            if level == LEVEL_OF_VALUES and deepest > MOST_LEVELS:
                yield first, found.end()
            level -= 1
    if level >= LEVEL_OF_VALUES and deepest > MOST_LEVELS:
        yield first, len(body)
