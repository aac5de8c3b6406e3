"""How numbers, changes and times read."""

from datetime import UTC, date, datetime
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
