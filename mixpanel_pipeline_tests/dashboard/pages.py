"""Reads pages as people see them: the cells of their tables, and figures by the id of what they stand in."""

import csv
import io
import re
from html.parser import HTMLParser


class _Tables(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self._cell: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._cell = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.tables[-1][-1].append(" ".join("".join(self._cell).split()))
            self._cell = None

    def handle_data(self, data: str) -> None:
        if self._cell is not None:
            self._cell.append(data)


def tables_of(html: str) -> list[list[list[str]]]:
    """Of each table its rows, of each row its cells' text, the header first."""
    reader = _Tables()
    reader.feed(html)
    return reader.tables


def figure_of(html: str, place: str) -> str:
    """The number in the link with that id."""
    found = re.search(rf'id="{place}".*?<strong>([^<]*)</strong>', html, re.DOTALL)
    assert found, place
    return found[1]


def csv_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))
