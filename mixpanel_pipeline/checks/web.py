"""Web aggregates are fresh, equal the raw rows, are quick to read; legacy and normalized rows say the same."""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, LiteralString

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL

from mixpanel_pipeline.checks.verdict import ROWS_SHOWN, Verdict
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql
from mixpanel_pipeline.web.legacy import LegacyComparison, compare_with_legacy
from mixpanel_pipeline.web.marks import HOUR
from mixpanel_pipeline.web.progress import Progress, read_progress
from mixpanel_pipeline.web.uniques import uniques_that_differ

STALE_HOURS_WARNING, STALE_HOURS_ERROR = 2, 3
# After a day's end; its run is at 02:00 UTC.
LATE_HOURS_WARNING, LATE_HOURS_ERROR = 4, 28
DASHBOARD_MILLISECONDS = 500
TIMES_READ = 3

WRITTEN_PAST = (
    "Rows were written past the triggers (TRUNCATE, a write to a partition itself, an aggregate changed by hand). "
    "Make sure that the raw rows are what they should be, for the aggregates follow them; then run "
    "`mixpanel-pipeline aggregate --from {} --to {}`"
)

# What cards_that_differ.sql gives as arrays.
FACETS_OF = {
    "user": (None, None),
    "group": ("share_code", None),
    "contact": (None, "contact_id"),
    "group and contact": ("share_code", "contact_id"),
    "page": ("share_code", "contact_id", "page_type"),
    "click target": ("share_code", "contact_id", "click_category", "click_target"),
}
COUNTS_OF = {"page": ("page_views",), "click target": ("clicks",)}


def hourly_is_fresh(warehouse: Warehouse, now: datetime) -> Verdict:
    """Hourly aggregates reach to within two hours of now (three: an error)."""
    return judge_freshness(read_progress(warehouse), now)


def judge_freshness(progress: Progress, now: datetime) -> Verdict:
    """What hourly_is_fresh finds, of progress that is known."""
    name = "hourly_is_fresh"
    reached = progress.hours_until or _first_hour_that_waits(progress)
    figures = {"marks_waiting": progress.marks_waiting, "aggregated_until": str(progress.hours_until)}
    if not progress.in_use and not progress.marks_waiting:
        return Verdict(name, True, "no web events yet", "warning", figures=figures)
    if reached is None:
        return Verdict(name, True, "nothing waits to be aggregated", "warning", figures=figures)
    behind = (now - reached) / HOUR
    figures["hours_behind"] = round(behind, 2)
    if behind <= STALE_HOURS_WARNING:
        return Verdict(name, True, f"aggregated until {_minute(reached)}", "warning", figures=figures)
    what = f"aggregated until {_minute(reached)}" if progress.hours_until else f"rows wait since {_minute(reached)}"
    return Verdict(
        name, False,
        f"{what}, {behind:.1f} hours ago; expected at most {STALE_HOURS_WARNING}",
        "error" if behind > STALE_HOURS_ERROR else "warning",
        fix="See the last runs of web_hourly_job in Dagster and whether `mixpanel-pipeline up` runs, or run "
        "`mixpanel-pipeline aggregate --hourly`.",
        figures=figures,
    )  # fmt: skip


def judge_days_aggregated(progress: Progress, now: datetime) -> Verdict:
    """Whether days, of events and of cards, are aggregated some hours after their end. Figures of them are right
    nevertheless, for they are counted live, but ever slower."""
    name = "days_are_aggregated"
    reached = days_reached(progress)
    if reached is None:
        return Verdict(name, True, "no day waits to be aggregated", "warning")
    late = (now - reached) / HOUR - 24
    if late <= LATE_HOURS_WARNING:
        return Verdict(name, True, f"days are aggregated until {_minute(reached)}", "warning")
    return Verdict(
        name, False,
        f"days are aggregated until {_minute(reached)}; the next one ended {late:.1f} hours ago, expected at most "
        f"{LATE_HOURS_WARNING}",
        "error" if late > LATE_HOURS_ERROR else "warning",
        fix="See the last runs of web_daily_job in Dagster and whether `mixpanel-pipeline up` runs, or run "
        "`mixpanel-pipeline aggregate --daily`.",
    )  # fmt: skip


def days_reached(progress: Progress) -> datetime | None:
    """Up to when days of events and of cards are both aggregated; before the first run, the first day that waits."""
    waits = progress.oldest_marked_day
    first = datetime.combine(waits, datetime.min.time(), UTC) if waits else None
    reached = [until or first for until in (progress.days_until, progress.cards_until)]
    return min((moment for moment in reached if moment), default=None)


def _first_hour_that_waits(progress: Progress) -> datetime | None:
    """Before the first run: the end of the oldest hour that somebody wrote to."""
    return progress.oldest_marked_hour + HOUR if progress.oldest_marked_hour else None


def hourly_equals_raw(warehouse: Warehouse, start: datetime | None = None, end: datetime | None = None) -> Verdict:
    """Every hourly row is what the raw rows say: counts, unique visitors, unique sessions."""
    found = _differences(warehouse, "hours_that_differ.sql", "(hour_bucket at time zone 'UTC')::date", start, end)
    if not found.number:
        return Verdict("hourly_equals_raw", True, "hourly aggregates equal the raw rows")
    rows = [{"hour": _partition(row.pop("hour_bucket")), **row} for row in found.rows]
    return Verdict(
        "hourly_equals_raw", False,
        f"{found.number:,} hourly rows are not what the raw rows say, the first on {found.days[0]}",
        rows=rows, fix=_aggregate_again(found.days), figures={"rows_wrong": found.number},
        wrong_days=(found.days[0], found.days[-1]),
    )  # fmt: skip


def daily_equals_raw(warehouse: Warehouse, first: date | None = None, last: date | None = None) -> Verdict:
    """Every row of the daily tables is what the raw rows say, of events and of cards, and so are the members and
    newcomers from which uniques of ranges are made."""
    end = last + timedelta(days=1) if last else None
    events = _differences(warehouse, "days_that_differ.sql", "day", first, end)
    cards = _differences(warehouse, "cards_that_differ.sql", "date", first, end)
    uniques = uniques_that_differ(warehouse, first, end)
    if not events.number and not cards.number and not uniques:
        return Verdict("daily_equals_raw", True, "daily aggregates equal the raw rows")
    days = [*events.days, *cards.days, *(row["day"] for row in uniques)]
    return Verdict(
        "daily_equals_raw", False,
        f"{events.number:,} daily rows of events, {cards.number:,} of cards and the uniques of ranges of "
        f"{len(uniques):,} days of projects or cards are not what the raw rows say, the first on {min(days)}",
        rows=events.rows or [_named(row) for row in cards.rows] or uniques[:ROWS_SHOWN], fix=_aggregate_again(days),
        figures={
            "event_rows_wrong": events.number, "card_rows_wrong": cards.number, "days_of_wrong_uniques": len(uniques),
        },
        wrong_days=(min(days), max(days)),
    )  # fmt: skip


def normalized_equals_legacy(warehouse: Warehouse, first: date | None = None, last: date | None = None) -> Verdict:
    """Card events inside `event_data` and the normalized tables say the same, on every day that has the former."""
    name, known = "normalized_equals_legacy", _legacy_days(warehouse)
    days = (max(known[0], first or known[0]), min(known[1], last or known[1])) if known else None
    if known is None or days is None or days[0] > days[1]:
        return Verdict(name, True, "no card events in their legacy form")
    comparison = compare_with_legacy(warehouse, *days)
    differences = [row for row in comparison.differences if not _is_beyond(row, known[1])]
    figures = {"card_days_wrong": len(differences), "rows_left_out": _left_out(comparison)}
    if differences:
        return Verdict(
            name, False,
            f"{len(differences):,} card-days from {days[0]} to {days[1]} differ between the legacy form and the "
            f"normalized tables, the first on {differences[0]['day']}",
            rows=differences[:ROWS_SHOWN],
            fix="Where the normalized tables have less, run legacy_migration_job over those days in Dagster: it adds "
            "what is missing. Where they have more while clients write both forms, legacy writes got lost, or that job "
            "was told a both_forms_since that is too late.",
            figures=figures,
            wrong_days=(min(row["day"] for row in differences), max(row["day"] for row in differences)),
        )  # fmt: skip
    if comparison.problems:
        return Verdict(
            name, False,
            f"both forms are equal from {days[0]} to {days[1]} but for {_left_out(comparison):,} legacy rows that have "
            "no place in the normalized tables",
            "warning", rows=comparison.problems[:ROWS_SHOWN],
            fix="Each row says why. Correct event_data in analytics_events, then run legacy_migration_job over those "
            "days; or leave them: they count for no card.",
            figures=figures,
        )  # fmt: skip
    return Verdict(name, True, f"both forms are equal from {days[0]} to {days[1]}", figures=figures)


def dashboard_is_fast(warehouse: Warehouse) -> Verdict:
    """Each query of the dashboard answers within 500 ms for the project with the most events, under row-level security:
    read as somebody who sees that project."""
    name = "dashboard_is_fast"
    with warehouse.connect() as connection:
        busiest = connection.execute(read_sql("web/busiest_series.sql")).fetchone()
    if busiest is None:
        return Verdict(name, True, "no web events in the last 30 days", "warning")
    project, event_type = busiest
    today = datetime.now(UTC).date()
    of_days = {"project_id": project, "from": today - timedelta(days=90), "to": today + timedelta(days=1)}
    queries: dict[str, dict[str, Any]] = {
        "events_by_hour": {"project_id": project, "now": None},
        "events_by_type": {"project_id": project, "today": None},
        "events_by_label": {**of_days, "event_type": event_type},
        "event_kpis": of_days,
    }
    with warehouse.connect() as connection:
        reader = _become_reader(connection, project)
        rows = [
            {"query": query, "milliseconds": _milliseconds(connection, query, parameters)}
            for query, parameters in queries.items()
        ]
        connection.rollback()
    slowest = max(rows, key=lambda row: row["milliseconds"])
    figures = {row["query"]: row["milliseconds"] for row in rows}
    summary = f"{slowest['query']} takes {slowest['milliseconds']:.0f} ms for {project}, read {reader}"
    if slowest["milliseconds"] <= DASHBOARD_MILLISECONDS:
        return Verdict(name, True, f"the slowest query, {summary}", "warning", figures=figures)
    return Verdict(
        name, False, f"{summary}; expected at most {DASHBOARD_MILLISECONDS}", "warning", rows=rows,
        fix="See how far aggregation is (`mixpanel-pipeline status`): what it has not reached is read from raw rows. "
        "Then `vacuum analyze` the analytics tables, and look at the plan with `explain (analyze, buffers)`.",
        figures=figures,
    )  # fmt: skip


@dataclass(frozen=True)
class _Found:
    """How many rows differ, the first of them, and the first and the last day of all (none: none)."""

    number: int
    rows: list[dict[str, Any]]
    days: list[date]


def _differences(warehouse: Warehouse, file: str, day: LiteralString, start: date | None, end: date | None) -> _Found:
    """What differs from `start` to before `end` (None: without bound). Counted in Postgres: after a TRUNCATE every row
    there ever was differs. `day` gives a row's day."""
    bounds = {"from": start or "-infinity", "to": end or "infinity"}
    query = SQL(
        "select differing.*, count(*) over () as number, "
        "min({day}) over () as first_day, max({day}) over () as last_day from ({differing}) as differing limit {shown}"
    ).format(day=SQL(day), differing=SQL(read_sql(f"web/{file}").rstrip().removesuffix(";")), shown=ROWS_SHOWN)
    with warehouse.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query, bounds).fetchall()
    of_all = [(row.pop("number"), row.pop("first_day"), row.pop("last_day")) for row in rows]
    return _Found(of_all[0][0], rows, list(of_all[0][1:])) if of_all else _Found(0, [], [])


def _aggregate_again(days: Sequence[date]) -> str:
    return f"{WRITTEN_PAST.format(min(days), max(days))}."


def _named(row: dict[str, Any]) -> dict[str, Any]:
    """A card's row with its facets and counts by name."""
    part = row["part"]
    counts = COUNTS_OF.get(part, ("page_views", "clicks", "sessions_started", "unique_sessions"))
    return {
        "day": row["date"],
        "user_code": row["user_code"],
        "part": part,
        "of": _in_words(FACETS_OF[part], row["what"]),
        "raw rows say": _in_words(counts, row["raw_counts"]),
        "stored": _in_words(counts, row["stored_counts"]),
    }


def _in_words(names: Sequence[str | None], values: Sequence[Any] | None) -> str:
    if values is None:
        return "no row"
    named = [(name, value) for name, value in zip(names, values, strict=True) if name]
    return ", ".join(f"{name} {'none' if value is None else value}" for name, value in named)


def _legacy_days(warehouse: Warehouse) -> tuple[date, date] | None:
    """The first and the last day that have legacy rows."""
    with warehouse.connect() as connection:
        row = connection.execute(read_sql("web/legacy_days.sql")).fetchone()
    return row if row and row[0] else None


def _is_beyond(row: dict[str, Any], last_day: date) -> bool:
    """On the last day with legacy rows, clients may have ceased to write them: that the normalized tables have more
    is no difference then."""
    names = ("page_views", "clicks", "sessions")
    return row["day"] == last_day and all(row[name] >= row[f"legacy_{name}"] for name in names)


def _left_out(comparison: LegacyComparison) -> int:
    return sum(row["rows"] for row in comparison.problems)


def _become_reader(connection: psycopg.Connection, project: str) -> str:
    """Makes the transaction somebody's who sees the project, where that can be; answers how it reads now."""
    person = connection.execute(read_sql("web/person_who_sees.sql"), {"project_id": project}).fetchone()
    if person is None:
        return "past row-level security: nobody may see it"
    try:
        with connection.transaction():
            connection.execute(read_sql("web/become_reader.sql"), {"user_id": person[0]})
    except psycopg.errors.InsufficientPrivilege:
        return f"past row-level security: {connection.info.user} may not set role authenticated"
    return "as a signed-in person"


def _milliseconds(connection: psycopg.Connection, query: str, parameters: dict[str, Any]) -> float:
    """The middle one of three times: the first finds the cache cold, and any may be disturbed."""
    taken = []
    for _ in range(TIMES_READ):
        began = time.perf_counter()
        connection.execute(read_sql(f"queries/{query}.sql"), parameters).fetchall()
        taken.append(time.perf_counter() - began)
    return round(statistics.median(taken) * 1000, 1)


def _minute(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _partition(hour: datetime) -> str:
    """As the partition of the asset is called."""
    return f"{hour.astimezone(UTC):%Y-%m-%d-%H:%M}"
