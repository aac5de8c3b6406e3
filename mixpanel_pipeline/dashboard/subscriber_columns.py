"""The columns of subscribers' totals, as the database has them: a new metric shows by itself."""

from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

import psycopg

from mixpanel_pipeline.warehouse.sql_files import read_sql

Kind = Literal["count", "number", "flag", "text", "time"]

KINDS: dict[str, Kind] = {
    "bigint": "count", "numeric": "number", "boolean": "flag", "text": "text", "timestamp with time zone": "time",
}  # fmt: skip
TAKES: dict[Kind, str] = {
    "count": "whole numbers", "number": "numbers", "flag": "yes or no", "text": "texts", "time": "times",
}  # fmt: skip
SHORT_FORMS = {"pdp": "PDP", "ach": "ACH"}
# As many as the largest double has: an address has to take what the database holds.
MOST_DIGITS = 400
LARGEST_COUNT = 2**63 - 1


@dataclass(frozen=True)
class Column:
    """A column, how people call it, and what its values are."""

    name: str
    title: str
    kind: Kind

    @property
    def takes(self) -> str:
        return TAKES[self.kind]

    def parse(self, written: str) -> Any:
        """A value as somebody writes it, or an address has it.

        Raises:
            ValueError, decimal.InvalidOperation: it is none of this column.
        """
        match self.kind:
            case "count":
                return _count(written)
            case "number":
                return _number(written)
            case "flag":
                return _flag(written)
            case "time":
                return _time(written)
        return written

    def written(self, value: Any) -> str:
        """What `parse` reads as the same value."""
        if self.kind == "flag":
            return "yes" if value else "no"
        return value.isoformat() if isinstance(value, date) else str(value)  # a time is a date too


def read_columns(connection: psycopg.Connection) -> list[Column]:
    """In the table's order."""
    rows = connection.execute(read_sql("dashboard/subscribers_columns.sql")).fetchall()
    return [Column(name, title_of(name), KINDS[of_type]) for name, of_type in rows if of_type in KINDS]


def title_of(name: str) -> str:
    """total_pdp_views as Total PDP views."""
    words = " ".join(SHORT_FORMS.get(word, word) for word in name.split("_"))
    return words[:1].upper() + words[1:]


def _count(written: str) -> int:
    if len(written) > MOST_DIGITS or not written.isascii():
        raise ValueError
    value = int(written)
    if abs(value) > LARGEST_COUNT:
        raise ValueError
    return value


def _number(written: str) -> Decimal:
    value = Decimal(written)
    if len(written) > MOST_DIGITS or not value.is_finite() or abs(value.adjusted()) > MOST_DIGITS:
        raise ValueError
    return value


def _flag(written: str) -> bool:
    if written not in ("yes", "no"):
        raise ValueError
    return written == "yes"


def _time(written: str) -> datetime:
    value = datetime.fromisoformat(written)
    return value if value.tzinfo else value.replace(tzinfo=UTC)
