"""The few lines that DuckDB cannot read: mended where that loses nothing, else quarantined with their reason.

The only place where Python touches single events.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from mixpanel_pipeline.lake.completeness import inflated_chunks, read_line, require_no_early_end, require_no_error

# An escaped backslash, a proper pair of surrogates, or half a pair: only the last is replaced.
SURROGATES = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


@dataclass
class RepairResult:
    """Counts of lines mended and of lines set aside; `quarantine_hash` is of the latter's texts, in any order."""

    repaired: int = 0
    quarantined: int = 0
    quarantine_hash: int = 0

    def quarantine(self, file: TextIO, line: int, reason: str, text: str) -> None:
        """Appends one line to a quarantine file."""
        file.write(json.dumps({"line": line, "reason": reason, "text": text}, ensure_ascii=True) + "\n")
        self.quarantined += 1
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
        self.quarantine_hash = (self.quarantine_hash + int.from_bytes(digest[:16])) % 2**128


def repair_lines(
    source: Path, encoding: str, place: str, bad_lines: Iterable[int], repaired: Path, quarantine: Path
) -> RepairResult:
    """Writes the lines numbered in `bad_lines` (ascending, from 1, blank lines not counted) to `repaired` as JSON
    lines, or to `quarantine` as JSON lines of {line, reason, text}.

    Raises:
        IncompleteExport: one of them says that the export ended early.
    """
    result = RepairResult()
    wanted = iter(bad_lines)
    next_bad = next(wanted, None)
    with repaired.open("w", encoding="utf-8") as good, quarantine.open("a", encoding="utf-8") as bad:
        for number, line in enumerate(filled_lines(source, encoding, place), start=1):
            if next_bad is None:
                break
            if number != next_bad:
                continue
            next_bad = next(wanted, None)
            text = line.decode("utf-8", errors="replace")
            require_no_early_end(text, place)
            require_no_error(read_line(text), place)
            mended = SURROGATES.sub(lambda found: r"\ufffd" if found["lone"] else found[0], text)
            reason = _why_unusable(mended)
            if reason is None and mended.strip() != line.decode("utf-8", errors="ignore").strip():
                good.write(mended.strip() + "\n")
                result.repaired += 1
            else:
                result.quarantine(bad, number, reason or "its time cannot be read", text)
    return result


def filled_lines(source: Path, encoding: str, place: str) -> Iterator[bytes]:
    """Lines that are not blank. Split on the byte of the line feed only: U+2028 stands inside texts (A1.3)."""
    rest = b""
    for chunk in inflated_chunks(source, encoding, place):
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line for line in lines if line.strip())
    if rest.strip():
        yield rest


def _why_unusable(text: str) -> str | None:
    try:
        event = json.loads(text, parse_int=str)
    except ValueError as error:
        return f"no JSON: {error}"
    except RecursionError:
        return "nested too deeply"
    if not isinstance(event, dict) or event.get("event") is None:
        return 'no event: a JSON object with "event" and "properties" is expected'
    properties = event.get("properties")
    if not isinstance(properties, dict):
        return 'its "properties" is no object'
    if properties.get("time") in (None, ""):
        return "it has no time"
    return None
