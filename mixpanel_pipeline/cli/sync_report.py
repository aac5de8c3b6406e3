"""What a sync did, by day, as table sync_logs tells it."""

from dataclasses import dataclass, field
from datetime import date

from psycopg.rows import class_row
from rich.console import Console

from mixpanel_pipeline.cli.output import count, table
from mixpanel_pipeline.dagster_project.launch import LaunchResult
from mixpanel_pipeline.warehouse.connection import Warehouse

FRESHNESS_CHECK = "watermark_advances"


@dataclass(frozen=True)
class DayOutcome:
    """One day's newest row of sync_logs; `status` is completed, failed, or running when its process died."""

    export_day: date
    status: str
    unchanged: bool | None
    rows: int | None
    new_events: int | None
    changed_people: int | None
    duplicates: int | None
    quarantined: int | None
    seconds: float | None
    error: str | None


@dataclass(frozen=True)
class RunOutcome:
    """A Dagster run of this sync; the UI shows it under the same id."""

    run_id: str
    what: str
    success: bool
    failed_checks: list[str]
    error: str | None

    def complaints(self) -> list[str]:
        """What a person must read of it, nothing when it went well."""
        told = [f"{self.what}: {check}" for check in self.failed_checks]
        if not self.success and not told:
            told = [f"{self.what}: {self.error or 'failed'} (run {self.run_id[:8]} in Dagster)"]
        return told


@dataclass
class SyncReport:
    """`runs` are Dagster's, with what failed in them. `corrected` is what REPLACE had to write (--full)."""

    mode: str
    late_days: dict[str, int] = field(default_factory=dict)
    days: list[DayOutcome] = field(default_factory=list)
    runs: list[RunOutcome] = field(default_factory=list)
    not_reached: list[date] = field(default_factory=list)
    corrected: dict[str, int] | None = None
    seconds: float = 0.0

    @property
    def succeeded(self) -> bool:
        return all(run.success and not run.failed_checks for run in self.runs) and not self.not_reached

    def add(self, result: LaunchResult, what: str, *, fresh: bool = True) -> None:
        """Notes a run that ended. `fresh`: it should have left nothing behind the clock; a backfill of old days, or
        of late days before the newest, does not."""
        checks = [text for text in result.failed_checks if fresh or not text.startswith(FRESHNESS_CHECK)]
        self.runs.append(RunOutcome(result.run_id, what, result.success, checks, result.error))

    def show(self, console: Console) -> None:
        """The days as a table, then what it comes to."""
        columns = ("day", "status", "unchanged", "events", "new", "people", "duplicates", "quarantined", "seconds")
        rows = [
            (
                day.export_day, day.status, day.unchanged, day.rows, day.new_events, day.changed_people,
                day.duplicates, day.quarantined, day.seconds,
            )
            for day in self.days
        ]  # fmt: skip
        if rows:
            console.print(table(columns, rows))
        for run in self.runs:
            for complaint in run.complaints():
                console.print(f"failed {complaint}", style="red", soft_wrap=True, markup=False)
        console.print(self.summary(), soft_wrap=True, markup=False)

    def summary(self) -> str:
        """One paragraph for people."""
        new = sum(day.new_events or 0 for day in self.days)
        unchanged = sum(bool(day.unchanged) for day in self.days)
        parts = [
            f"{count(len(self.days), 'day')} in {self.seconds:.1f} s: {count(new, 'new event')}, "
            f"{count(unchanged, 'day')} unchanged."
        ]
        if self.late_days:
            events = sum(self.late_days.values())
            parts.append(f"Late events found by the sweep: {events:,} on {count(len(self.late_days), 'day')}.")
        if self.corrected is not None:
            parts.append(
                f"REPLACE corrected {self.corrected.get('totals', 0)} totals and "
                f"{self.corrected.get('contributions', 0)} contributions."
            )
        if self.not_reached:
            parts.append(f"Not reached because an earlier day failed: {count(len(self.not_reached), 'day')}.")
        return " ".join(parts)


def newest_log_id(warehouse: Warehouse) -> int:
    """A mark: rows written later have larger ids."""
    with warehouse.connect() as connection:
        row = connection.execute("select coalesce(max(id), 0) from sync_logs").fetchone()
    return row[0] if row else 0


def day_outcomes(warehouse: Warehouse, after_id: int, days: list[date]) -> list[DayOutcome]:
    """What became of those days since the mark; days that were not reached have no row."""
    with warehouse.connect() as connection, connection.cursor(row_factory=class_row(DayOutcome)) as cursor:
        return cursor.execute(
            "select distinct on (export_day) (sync_metadata ->> 'export_day')::date as export_day, status, error, "
            "(sync_metadata ->> 'unchanged')::boolean as unchanged, (sync_metadata ->> 'rows')::bigint as rows, "
            "(sync_metadata ->> 'new_events')::bigint as new_events, "
            "(sync_metadata ->> 'changed_people')::bigint as changed_people, "
            "(sync_metadata ->> 'duplicates')::bigint as duplicates, "
            "(sync_metadata ->> 'quarantined')::bigint as quarantined, "
            "extract(epoch from completed_at - created_at)::float8 as seconds "
            "from sync_logs where id > %s and (sync_metadata ->> 'export_day')::date = any(%s) "
            "order by export_day, id desc",
            [after_id, days],
        ).fetchall()
