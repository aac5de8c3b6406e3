"""Keeps what each check found, for the health page (table check_verdicts)."""

import logging
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import psycopg
from psycopg.rows import class_row
from psycopg.types.json import Jsonb
from psycopg.types.range import TimestamptzRange

from mixpanel_pipeline.checks.equivalence import (
    contributions_equal_lake,
    events_lie_within_their_day,
    no_quarantined_events,
)
from mixpanel_pipeline.checks.matches_mixpanel import matches_mixpanel
from mixpanel_pipeline.checks.verdict import Days, Verdict
from mixpanel_pipeline.checks.web import daily_equals_raw, hourly_equals_raw, normalized_equals_legacy
from mixpanel_pipeline.warehouse.connection import Warehouse, WarehouseError
from mixpanel_pipeline.warehouse.sql_files import read_sql

logger = logging.getLogger(__name__)

# Of these a run of some days asks about those days; of the others about everything, whatever its days are.
OF_DAYS = frozenset(
    check.__name__
    for check in (
        contributions_equal_lake,
        daily_equals_raw,
        events_lie_within_their_day,
        hourly_equals_raw,
        matches_mixpanel,
        no_quarantined_events,
        normalized_equals_legacy,
    )
)
KEPT = 100
LONGEST_TEXT = 2000
# A check has done its work: it waits this long for the log at most.
PATIENCE = "5s"

Window = tuple[datetime, datetime] | None


def record_verdict(warehouse: Warehouse, verdict: Verdict, asked_about: Window = None) -> None:
    """Writes what a check found when it was asked about a window of time (None: about all). The rows that differ hold
    people's data, and are left out. A log that cannot be written is said, and fails nothing."""
    looked_at = _days(verdict.looked_at) or _range(asked_about if verdict.check in OF_DAYS else None)
    row = {
        "check": verdict.check,
        "looked_at": looked_at,
        "wrong": _days(verdict.wrong_days),
        "passed": verdict.passed,
        "conclusive": verdict.conclusive,
        "severity": verdict.severity,
        "summary": _text(verdict.summary),
        "fix": _text(verdict.fix),
        "figures": Jsonb({
            name: _text(value) if isinstance(value, str) else value for name, value in verdict.figures.items()
        }),
    }  # fmt: skip
    try:
        with warehouse.connect() as connection:
            connection.execute("select set_config('lock_timeout', %s, true)", [PATIENCE])
            connection.execute(read_sql("checks/settle_verdicts.sql"), row)
            connection.execute(read_sql("checks/write_verdict.sql"), row)
            connection.execute(read_sql("checks/forget_verdicts.sql"), {"check": verdict.check, "kept": KEPT})
    except (psycopg.Error, WarehouseError) as error:
        logger.warning("what %s found is not on the health page: %s", verdict.check, " ".join(str(error).split()))


@dataclass(frozen=True)
class LoggedVerdict:
    """What a check says now. What it found wrong lies from `stands_from` to before `stands_until` (None: open); when it
    `looked_last_at` something, that may have been other days."""

    check: str
    checked_at: datetime
    looked_last_at: datetime
    passed: bool
    conclusive: bool
    severity: Literal["warning", "error"]
    summary: str
    fix: str
    figures: dict[str, int | float | str]
    stands_from: datetime | None
    stands_until: datetime | None


def read_verdicts(connection: psycopg.Connection) -> list[LoggedVerdict]:
    """Of every check that ever ran, by name."""
    with connection.cursor(row_factory=class_row(LoggedVerdict)) as cursor:
        return cursor.execute(read_sql("checks/read_verdicts.sql")).fetchall()


def window_of_days(first: date | None, last: date | None) -> Window:
    """From the first day to the end of the last; none when either is open."""
    if first is None or last is None:
        return None
    start = datetime.combine(first, datetime.min.time(), UTC)
    return start, datetime.combine(last, datetime.min.time(), UTC) + timedelta(days=1)


def _days(days: Days | None) -> TimestamptzRange | None:
    return _range(window_of_days(*days)) if days else None


def _range(window: Window) -> TimestamptzRange:
    return TimestamptzRange(*window) if window else TimestamptzRange(None, None, "()")


def _text(said: str) -> str:
    """What another service answered may be in it, long, and with characters that Postgres has none of."""
    return said.replace("\0", "\ufffd").encode("utf-8", errors="replace").decode()[:LONGEST_TEXT]
