"""How numbers, changes and times read."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

MINUS = "\N{MINUS SIGN}"
NO_NUMBER = "\N{EM DASH}"
NARROW_SPACE = "\N{NARROW NO-BREAK SPACE}"


def number(value: float | Decimal | None) -> str:
    """1234567 as 1,234,567; none as a dash."""
    if value is None:
        return NO_NUMBER
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.2f}".rstrip("0").rstrip(".")
    return text.replace("-", MINUS)


def percent(share: float | None) -> str:
    """0.0823 as 8.2 %; none as a dash."""
    return NO_NUMBER if share is None else f"{share * 100:.1f}{NARROW_SPACE}%"


def change(share: float | None) -> str:
    """0.083 as +8 %; none, when there was nothing before, as a dash."""
    if share is None:
        return NO_NUMBER
    rounded = round(share * 100)
    sign = "+" if rounded > 0 else MINUS if rounded < 0 else "±"
    return f"{sign}{abs(rounded):,}{NARROW_SPACE}%"


def day(value: date) -> str:
    """21 Nov 2026."""
    return f"{value.day} {value:%b %Y}"


def moment(value: datetime) -> str:
    """21 Nov 2026, 14:05 UTC. Scripts write the reader's own time over it."""
    utc = value.astimezone(UTC)
    return f"{utc.day} {utc:%b %Y, %H:%M} UTC"


def span_of_days(start: datetime, end: datetime) -> str:
    """8 to 13 Nov 2026 with a dash, of the days from a start to before an end."""
    last = (end - timedelta(microseconds=1)).date()
    first = start.date()
    if first == last:
        return day(last)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day}\N{EN DASH}{day(last)}"
    if first.year == last.year:
        return f"{first.day} {first:%b}\N{NARROW NO-BREAK SPACE}\N{EN DASH}\N{NARROW NO-BREAK SPACE}{day(last)}"
    return f"{day(first)}\N{NARROW NO-BREAK SPACE}\N{EN DASH}\N{NARROW NO-BREAK SPACE}{day(last)}"


def bucket_days(start: datetime, end: datetime) -> str:
    """Mon 16 Nov 2026, or the days of a week."""
    return f"{start:%a} {day(start)}" if end - start == timedelta(days=1) else span_of_days(start, end)


def share_of(part: float, whole: float) -> float | None:
    """None of nothing."""
    return part / whole if whole else None
