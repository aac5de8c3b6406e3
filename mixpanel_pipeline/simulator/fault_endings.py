"""Faults in how a body ends: the server says 200 and then does not deliver everything (reference A1.4)."""

from collections.abc import Iterable, Iterator
from itertools import islice

from mixpanel_pipeline.simulator.faults import Fault

DEFAULT_AFTER_ROWS = 10
GZIP_HEADER_BYTES = 10
GZIP_CUT_BYTES = 64  # the trailer's eight and some of the data before it

LAST_WORDS = {
    "terminated_early": b"terminated early\n",
    "export_terminated_early": b"export terminated early\n",
    "terminated_early_alone": b"terminated early\n",
    "export_terminated_early_alone": b"export terminated early\n",
    "error_line": b'{"error":',
}


def ended_lines(lines: Iterable[bytes], ending: Fault | None, gzip: bool) -> Iterator[bytes]:
    """The lines as that ending lets them through."""
    name = ending.name if ending else None
    after_rows = 0 if ending is None else ending.parameters.get("after_rows", DEFAULT_AFTER_ROWS)
    if name in LAST_WORDS:
        yield from islice(lines, 0 if name.endswith("_alone") else after_rows)
        yield LAST_WORDS[name]
    elif name == "cut_stream":
        yield from islice(lines, after_rows)
    elif name == "cut_line" or (name == "cut_gzip" and not gzip):
        yield from _last_line_cut(lines)
    else:
        yield from lines


def _last_line_cut(lines: Iterable[bytes]) -> Iterator[bytes]:
    held = b""
    for line in lines:
        if held:
            yield held
        held = line
    yield held[: len(held) // 2]


def without_end(compressed: Iterable[bytes]) -> Iterator[bytes]:
    """A gzip stream without its trailer and without its last bytes of data, but never without its header."""
    held = b""
    start = GZIP_HEADER_BYTES
    for chunk in compressed:
        held += chunk
        if len(held) > start + GZIP_CUT_BYTES:
            yield held[:-GZIP_CUT_BYTES]
            held = held[-GZIP_CUT_BYTES:]
            start = 0
    if start:
        yield held[: max(start, len(held) - GZIP_CUT_BYTES)]
