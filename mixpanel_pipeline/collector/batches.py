"""The body of a request: its envelope, and each event as the text that it was sent as.

Events go to Postgres unread, so that no number or name changes on the way. What jsonb cannot hold would fail a whole
group of requests there, so it is found here, event by event.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

# A look at the bytes tells that an event needs a slower look: NUL, and numbers that Postgres may not hold.
NUL = rb"\u0000"
LARGE_EXPONENT = re.compile(rb"[eE][+-]?[0-9]{4}")
LONG_NUMBER = re.compile(rb"[0-9]{1000}")
LONGEST_NUMBER = 1000
LARGEST_EXPONENT = 1000

# A string that does not end is one token too: looked for again from each quote in it, it would take minutes.
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)|[\[\]{},]', re.DOTALL)
# As analytics_batch_time has it, and the document.
TIME = "^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.][0-9]{1,9})?)?([Zz]|[+-][0-9]{2}(:?[0-9]{2})?)$"

NUMBER_BEYOND = "expected numbers of double precision, got one beyond"


class UnusableBodyError(Exception):
    """The body is no batch; the message says what was expected and what came."""


class TooManyEventsError(Exception):
    """More events than one batch may have."""


class UnstorableError(Exception):
    """jsonb cannot hold this value; the message says why."""


@dataclass(frozen=True)
class Refusal:
    """Why one event is refused. `problem` comes after the event's place and field; `reason` is a metric's label."""

    field: str | None
    problem: str
    reason: str


@dataclass(frozen=True)
class SentEvent:
    """An event's text, and what it says (`value`), or why it cannot be read."""

    text: bytes
    value: Any = None
    refusal: Refusal | None = None


@dataclass(frozen=True)
class Batch:
    """What a request brought: events as texts, unread. No `write_key`: it has none that is text. `sent_at` is the
    sender's clock, if it says."""

    write_key: str | None
    sent_at: datetime | None
    events: list[bytes]


def read_batch(body: bytes, most_events: int) -> Batch:
    """Takes the body apart.

    Raises:
        UnusableBodyError: it is no JSON object with an array in `events`, or its `sent_at` is no time.
        TooManyEventsError: that array is too long.
    """
    members = _members_of_object(body)
    if "events" not in members:
        raise UnusableBodyError("expected an object with write_key and events, got one without events")
    elements = _elements_of_array(members["events"])
    if len(elements) > most_events:
        raise TooManyEventsError(f"expected at most {most_events} events, got {len(elements)}: send two batches")
    return Batch(_text(members.get("write_key", b"")), _time(members.get("sent_at", b"null")), elements)


def read_events(texts: list[bytes], most_levels: int) -> list[SentEvent]:
    """Reads the events of a batch. Values take many times the memory of their text: whoever has no key gets none read.

    Raises:
        UnusableBodyError: one is no JSON, and so the body was none.
    """
    return [_event(text, most_levels) for text in texts]


def _members_of_object(body: bytes) -> dict[str, bytes]:
    try:
        return {name: bytes(raw) for name, raw in msgspec.json.decode(body, type=dict[str, msgspec.Raw]).items()}
    except msgspec.ValidationError:
        raise UnusableBodyError("expected a JSON object, got another value") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return _members_one_by_one(_decoded(body))


def _elements_of_array(events: bytes) -> list[bytes]:
    try:
        return [bytes(raw) for raw in msgspec.json.decode(events, type=list[msgspec.Raw])]
    except msgspec.ValidationError:
        raise UnusableBodyError("expected an array in events, got another value") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        text = _decoded(events)
        if not text.startswith("["):
            raise UnusableBodyError("expected an array in events, got another value") from None
        return [part.encode() for part in _parts(text)]


def _members_one_by_one(text: str) -> dict[str, bytes]:
    """The same for a body in which some value is none of JSON's, or nested too deep: the others are taken."""
    if not text.startswith("{"):
        raise UnusableBodyError("expected a JSON object, got another value")
    members = {}
    for part in _parts(text):
        name = TOKEN.match(part)
        value = part[name.end() :].lstrip() if name else ""
        if name is None or not value.startswith(":"):
            raise UnusableBodyError("expected JSON, got a member without a name")
        members[_loaded(name.group())] = value[1:].strip().encode()
    return members


def _parts(text: str) -> list[str]:
    """What stands between the commas of an object or array, whatever it holds."""
    parts, start, depth, end = [], 1, 0, 0
    for token in TOKEN.finditer(text):
        symbol = token.group()
        if symbol in ("[", "{"):
            depth += 1
        elif symbol in ("]", "}"):
            depth -= 1
            end = token.start()
        if depth == 0:
            break
        if symbol == "," and depth == 1:
            parts.append(text[start : token.start()].strip())
            start = token.end()
    if depth != 0 or end != len(text) - 1:
        raise UnusableBodyError("expected JSON, got text whose brackets do not match")
    last = text[start:end].strip()
    return [*parts, last] if parts or last else []


def _event(text: bytes, most_levels: int) -> SentEvent:
    try:
        if not _is_suspicious(text):
            return SentEvent(text, msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass  # whatever msgspec does not read is looked at once more
    try:
        return SentEvent(text, _storable(_decoded(text), most_levels))
    except UnstorableError as problem:
        return SentEvent(text, refusal=Refusal(_guilty_field(_decoded(text), most_levels), str(problem), "json"))


def _is_suspicious(text: bytes) -> bool:
    return bool(NUL in text or LARGE_EXPONENT.search(text) or (len(text) > LONGEST_NUMBER and LONG_NUMBER.search(text)))


def _guilty_field(text: str, most_levels: int) -> str | None:
    """The field of an event whose value, or name, jsonb cannot hold."""
    if not text.startswith("{"):
        return None
    for name, value in _members_one_by_one(text).items():
        try:
            _storable(json.dumps(name), most_levels)
            _storable(value.decode(), most_levels)
        except UnstorableError:
            return re.sub("[\x00\ud800-\udfff]", "�", name)[:80]
    return None


def _storable(text: str, most_levels: int) -> Any:
    """The value of a JSON text.

    Raises:
        UnstorableError: jsonb cannot hold it.
    """
    try:
        value = json.loads(text, parse_constant=_no_number, parse_float=_real, parse_int=_whole)
        for each in _texts(value):
            if "\x00" in each:
                raise UnstorableError("expected text without NUL characters, got one")
            if any("\ud800" <= character <= "\udfff" for character in each):
                raise UnstorableError("expected whole characters, got half a surrogate pair")
    except RecursionError:
        raise UnstorableError(f"expected at most {most_levels} levels of objects and arrays, got more") from None
    except ValueError as error:
        raise UnusableBodyError(f"expected JSON, got text that is none: {error}") from None
    return value


def _texts(value: Any):
    """Every text in a value, names included."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, member in value.items():
            yield name
            yield from _texts(member)
    elif isinstance(value, list):
        for element in value:
            yield from _texts(element)


def _no_number(name: str) -> None:
    raise UnstorableError(f"expected a number, got {name}")


def _real(text: str) -> float:
    exponent = re.split("[eE]", text)[1:]
    if len(text) > LONGEST_NUMBER or any(len(each) > 6 or abs(int(each)) > LARGEST_EXPONENT for each in exponent):
        raise UnstorableError(NUMBER_BEYOND)
    return float(text)


def _whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise UnstorableError(NUMBER_BEYOND)
    return int(text)


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise UnusableBodyError(f"expected JSON, got text that is none: {error}") from None


def _decoded(body: bytes) -> str:
    try:
        return body.decode().strip()
    except UnicodeDecodeError:
        raise UnusableBodyError("expected JSON in UTF-8, got bytes that are none") from None


def _text(raw: bytes) -> str | None:
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def _time(raw: bytes) -> datetime | None:
    if raw == b"null":
        return None
    text = _text(raw)
    try:
        if text is not None and re.search(TIME, text):
            return datetime.fromisoformat(text.upper())
    except ValueError:
        pass  # a 30th of February
    said = raw.decode(errors="replace")
    raise UnusableBodyError(
        f"sent_at: expected a time with its zone, such as 2026-01-31T09:30:00.123Z, got {said[:60]}"
    )
