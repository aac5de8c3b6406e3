"""What a page makes: figures once, shown as HTML, JSON or CSV."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from unicodedata import normalize

import psycopg
from starlette.requests import Request

# What a spreadsheet takes for a formula when a cell begins with it (OWASP, "CSV Injection").
FORMULA = ("=", "+", "-", "@")
CONTROLS = ("\t", "\r", "\n")


@dataclass(frozen=True)
class Table:
    """Rows as CSV gives them."""

    columns: Sequence[str]
    rows: Iterable[Sequence[Any]]


@dataclass(frozen=True)
class View:
    """One page's content. `context` is what only the template needs; it has `data` and `tables` as well."""

    template: str
    data: dict[str, Any]
    tables: dict[str, Table] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)


# What a page module has: it reads on the reader's connection, and raises NotFoundError or BadParameterError.
Page = Callable[[psycopg.Connection, Request], View]


class NotFoundError(Exception):
    """There is no such thing, or it is not the reader's: the answer is the same."""


class ForbiddenError(Exception):
    """The page is there, and is for others; the message says for whom."""


def csv_text(table: Table) -> str:
    """RFC 4180. A text that a spreadsheet would run gets an apostrophe before it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(table.columns)
    writer.writerows([_cell(value) for value in row] for row in table.rows)
    return text.getvalue()


def _cell(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    # Neither white space before it nor full width makes it another character to a spreadsheet.
    begins = normalize("NFKC", value.lstrip()[:1])
    return f"'{value}" if begins in FORMULA or value.startswith(CONTROLS) else value
