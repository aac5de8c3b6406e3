"""What a check found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

# Enough rows to see the pattern; the count says how many there are.
ROWS_SHOWN = 20
# One person of whom everything is wrong must not hide all others.
ROWS_A_PERSON = 3

Days = tuple[date, date]


@dataclass(frozen=True)
class Verdict:
    """`summary` is one sentence: what differs and by how much. `rows` are examples, `fix` is what to do.

    `wrong_days`: the first and the last day that are wrong, where the check knows. `looked_at`: the days that it looked
    at, where they are others than those it was asked about. Not `conclusive`: it could not look.
    """

    check: str
    passed: bool
    summary: str
    severity: Literal["error", "warning"] = "error"
    rows: list[dict[str, Any]] = field(default_factory=list)
    fix: str = ""
    figures: Mapping[str, int | float | str] = field(default_factory=dict)
    wrong_days: Days | None = None
    looked_at: Days | None = None
    conclusive: bool = True

    def __str__(self) -> str:
        if self.passed:
            return f"{self.check}: {self.summary}"
        return f"{self.check}: {self.summary}. {self.fix}"
