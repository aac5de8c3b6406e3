"""Proves that an export arrived whole before anything is done with it (spec section 4).

Mixpanel's stream can end early and still be a well-formed 200: with a line of plain text, with a cut line, or with
a gzip body that stops (reference/mixpanel.md A1.4). No peer checks all of these.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from isal import isal_zlib

from mixpanel_pipeline.mixpanel.errors import IncompleteExport

CHUNK_BYTES = 1 << 20
GZIP_WINDOW = 31  # header and trailer are checked, the trailer's checksum included
INFLATE_ERROR: Any = isal_zlib.error  # its stub declares a variable, not a class
EARLY_ENDS = ("terminated early", "export terminated early")


@dataclass(frozen=True)
class CompleteExport:
    """An export that is whole. `lines` counts line feeds and an unterminated last line, blank lines too."""

    lines: int
    bytes: int


def prove_complete(path: Path, encoding: str, place: str) -> CompleteExport:
    """Reads the whole body once and returns its size; `place` names project and day in errors.

    Raises:
        IncompleteExport: gzip ends without its trailer or fails its checksum, or the last line is no JSON.
    """
    lines = size = 0
    tail = b""  # from the start of the last line that was begun
    for chunk in inflated_chunks(path, encoding, place):
        size += len(chunk)
        lines += chunk.count(b"\n")
        cut = chunk.rstrip(b"\n").rfind(b"\n")
        tail = chunk[cut + 1 :] if cut >= 0 else tail + chunk
    last_line = tail.rstrip(b"\n").rsplit(b"\n", 1)[-1].strip()
    if last_line:
        _require_event(last_line, place)
    return CompleteExport(lines + (1 if tail and not tail.endswith(b"\n") else 0), size)


def inflated_chunks(path: Path, encoding: str, place: str) -> Iterator[bytes]:
    """The body's bytes, inflated when `encoding` is gzip.

    Raises:
        IncompleteExport: see `prove_complete`.
    """
    with path.open("rb") as body:
        chunks = iter(lambda: body.read(CHUNK_BYTES), b"")
        yield from (_inflate(chunks, place) if encoding == "gzip" else chunks)


def require_no_early_end(line: str, place: str) -> None:
    """A line that says the export ended early makes the whole fetch worthless, wherever it stands.

    Raises:
        IncompleteExport: the line is one of the spellings of A1.4.
    """
    if line.strip().lower() in EARLY_ENDS:
        raise IncompleteExport(place, f'it says "{line.strip()}"')


def _inflate(chunks: Iterator[bytes], place: str) -> Iterator[bytes]:
    inflater = isal_zlib.decompressobj(GZIP_WINDOW)
    for chunk in chunks:
        data = chunk
        while data:
            if inflater.eof:  # gzip allows several members one after the other
                inflater = isal_zlib.decompressobj(GZIP_WINDOW)
            try:
                yield inflater.decompress(data)
            except INFLATE_ERROR as error:
                raise IncompleteExport(place, f"its gzip stream is damaged ({error})") from None
            data = inflater.unused_data
    if not inflater.eof:
        raise IncompleteExport(place, "its gzip stream has no trailer")


def require_no_error(line: Any, place: str) -> None:
    """`{"error": …}` in place of an event is how some answers of 200 say that they failed (A1.6).

    Raises:
        IncompleteExport: the parsed line is such an object.
    """
    if isinstance(line, dict) and "error" in line and "event" not in line:
        raise IncompleteExport(place, f"it says {str(line['error'])[:200]!r} instead of an event")


def read_line(text: str) -> Any:
    """A line's JSON; None when it is none, or nested deeper than Python reads: that is not cut."""
    try:
        # Digits stay text: Python refuses to convert more than 4,300 of them.
        return json.loads(text, strict=False, parse_int=str)
    except (ValueError, RecursionError):
        return None


def _require_event(line: bytes, place: str) -> None:
    text = line.decode("utf-8", errors="replace")
    require_no_early_end(text, place)
    try:
        parsed = json.loads(text, strict=False, parse_int=str)
    except RecursionError:
        return
    except ValueError:
        raise IncompleteExport(place, f"its last line is cut or no event: {text[:60]!r}") from None
    require_no_error(parsed, place)
