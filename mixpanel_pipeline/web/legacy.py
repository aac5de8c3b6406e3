"""Card events from inside `event_data` to sessions, page views and clicks, and the comparison of both forms."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from psycopg.rows import dict_row

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql

ROWS_AT_ONCE = 10_000


@dataclass(frozen=True)
class LegacyDay:
    """What the migration of one day added; all zero when it had been migrated."""

    day: date
    page_views: int
    clicks: int
    sessions: int


def migrate_legacy(
    warehouse: Warehouse,
    first: date,
    last: date,
    rows_at_once: int = ROWS_AT_ONCE,
    on_day: Callable[[LegacyDay], None] = lambda _: None,
) -> list[LegacyDay]:
    """Normalizes the UTC days from `first` to `last`, oldest first, in batches that commit. Rows keep their ids, and a
    batch takes what is not there yet: ended anywhere it goes on where it was, and run again it finds late rows only.

    Where clients write both forms at once, `last` is the day before they began: their rows have ids of their own.
    """
    done = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        page_views = _in_batches(warehouse, "web/legacy_page_views.sql", day, rows_at_once)
        clicks = _in_batches(warehouse, "web/legacy_clicks.sql", day, rows_at_once)
        with warehouse.connect() as connection:
            row = connection.execute(read_sql("web/legacy_sessions.sql"), {"day": day}).fetchone()
        done.append(LegacyDay(day, page_views, clicks, row[0] if row else 0))
        on_day(done[-1])
    return done


@dataclass(frozen=True)
class LegacyComparison:
    """Card-days on which the forms differ, and legacy rows that cannot be normalized, by day and reason."""

    differences: list[dict[str, Any]]
    problems: list[dict[str, Any]]


def compare_with_legacy(warehouse: Warehouse, first: date, last: date) -> LegacyComparison:
    """Both forms of the UTC days from `first` to `last`, day by day and card by card."""
    days = {"from": first, "to": last + timedelta(days=1)}
    with warehouse.connect() as connection:
        rows = connection.cursor(row_factory=dict_row)
        return LegacyComparison(
            rows.execute(read_sql("web/legacy_differences.sql"), days).fetchall(),
            rows.execute(read_sql("web/legacy_problems.sql"), days).fetchall(),
        )


def _in_batches(warehouse: Warehouse, file: str, day: date, rows_at_once: int) -> int:
    total = 0
    while True:
        with warehouse.connect() as connection:
            added = connection.execute(read_sql(file), {"day": day, "limit": rows_at_once}).rowcount
        total += added
        if added < rows_at_once:
            return total
