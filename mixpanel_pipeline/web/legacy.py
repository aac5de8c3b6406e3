"""Card events from inside `event_data` to sessions, page views and clicks, and the comparison of both forms."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from psycopg.rows import dict_row

from mixpanel_pipeline.warehouse.connection import Warehouse, database_time
from mixpanel_pipeline.warehouse.sql_files import read_sql

ROWS_AT_ONCE = 10_000
LEGACY_LOCK = 7_241_013


class LegacyMigrationError(Exception):
    """Migrating would count events twice, or cannot know whether it would; says of which day, and what to do."""


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
    both_forms_since: datetime | None = None,
    rows_at_once: int = ROWS_AT_ONCE,
    on_day: Callable[[LegacyDay], None] = lambda _: None,
) -> list[LegacyDay]:
    """Normalizes the UTC days from `first` to `last`, oldest first, in batches that commit. Rows keep their ids, and a
    batch takes what is not there yet: ended anywhere it goes on where it was, and run again it finds late rows only.

    Where clients write both forms, an event's two rows have different ids, and nothing tells that they are one event.
    So legacy rows since `both_forms_since` are left to the clients, and a day on which clients wrote before is refused.

    Raises:
        LegacyMigrationError: a day has legacy rows to normalize and normalized ones that clients wrote; or it is not
            over, so that clients may yet write such rows.
    """
    _refuse_what_is_not_over(warehouse, last)
    before = both_forms_since or "infinity"
    done = []
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        _refuse_to_count_twice(warehouse, day, before)
        page_views = _in_batches(warehouse, "web/legacy_page_views.sql", day, before, rows_at_once)
        clicks = _in_batches(warehouse, "web/legacy_clicks.sql", day, before, rows_at_once)
        with warehouse.connect() as connection:
            parameters = {"day": day, "before": before}
            row = connection.execute(read_sql("web/legacy_sessions.sql"), parameters).fetchone()
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


def _refuse_what_is_not_over(warehouse: Warehouse, last: date) -> None:
    with warehouse.connect() as connection:
        today = database_time(connection).astimezone(UTC).date()
    if last >= today:
        raise LegacyMigrationError(
            f"{last} is not over (UTC), and clients may yet begin to write both forms on it: choose a last day before "
            f"{today}. Nothing was changed."
        )


def _refuse_to_count_twice(warehouse: Warehouse, day: date, before: datetime | str) -> None:
    with warehouse.connect() as connection:
        parameters = {"day": day, "before": before}
        rows = connection.execute(read_sql("web/legacy_written_twice.sql"), parameters).fetchall()
    ((waiting, of_clients, began),) = rows
    if waiting and of_clients:
        raise LegacyMigrationError(
            f"{day} has {waiting:,} legacy rows to normalize, and {of_clients:,} page views and clicks that clients "
            f"wrote to the normalized tables themselves, the first at {began.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}Z; "
            "an event that they wrote in both forms would be counted twice. Give the moment since which they write "
            "both (both_forms_since), not later than that one: legacy rows since then are left alone. Nothing of this "
            "day was changed."
        )


def _in_batches(warehouse: Warehouse, file: str, day: date, before: datetime | str, rows_at_once: int) -> int:
    total = 0
    while True:
        with warehouse.connect() as connection:
            # Two at once would take the same rows, and the slower one take its few for the day's end.
            connection.execute("select pg_advisory_xact_lock(%s)", [LEGACY_LOCK])
            added = connection.execute(read_sql(file), {"day": day, "before": before, "limit": rows_at_once}).rowcount
        total += added
        if added < rows_at_once:
            return total
