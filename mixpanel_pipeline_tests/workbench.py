"""A pipeline on its own lake against a simulator, for tests of rules."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import requests
from psycopg.rows import dict_row

from mixpanel_pipeline import catalog
from mixpanel_pipeline.lake.calendar import ExportCalendar
from mixpanel_pipeline.lake.storage import LakeStorage
from mixpanel_pipeline.mixpanel.engage import PAGE_SIZE, EngageClient
from mixpanel_pipeline.mixpanel.export import ExportClient
from mixpanel_pipeline.mixpanel.retry import RetryPolicy
from mixpanel_pipeline.subscribers.event_sync import EventSync
from mixpanel_pipeline.subscribers.profile_sync import ProfileSync
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests import plain_recomputation

PROJECT_ID = 12345
USERNAME = "demo-account"
SECRET = "demo-secret"
TABLES = (
    "raw_partitions, subscriber_daily_contributions, subscribers_insights_v2, sync_watermarks, sync_logs, late_days, "
    "late_sweeps, subscriber_profiles, subscriber_profile_changes, profile_snapshots"
)

# Errors are what is tested, not patience.
IMPATIENT = RetryPolicy(attempts=3, first_wait=0, longest_wait=0, jitter=(0, 0), longest_rate_limit_wait=5)


class NoBudget:
    """The hourly limit has tests of its own."""

    def acquire(self) -> None: ...

    def settle(self, *, sent: bool) -> None: ...

    def block_for(self, seconds: float) -> None: ...


def build_sync(
    warehouse: Warehouse,
    directory: Path,
    url: str,
    *,
    calendar: ExportCalendar = ExportCalendar("utc", "UTC"),
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    tracked_only: bool = True,
    log: Callable[[str], None] = lambda message: None,
) -> EventSync:
    return EventSync(
        warehouse=warehouse,
        storage=LakeStorage(str(directory / "lake"), directory / "scratch"),
        client=ExportClient(url, PROJECT_ID, USERNAME, SECRET, NoBudget()),
        calendar=calendar,
        tracked_only=tracked_only,
        policy=IMPATIENT,
        sleep=lambda seconds: None,
        log=log,
        now=now,
    )


def build_profile_sync(
    warehouse: Warehouse,
    directory: Path,
    url: str,
    *,
    page_size: int = PAGE_SIZE,
    log: Callable[[str], None] = lambda message: None,
) -> ProfileSync:
    """On the same lake as `build_sync` of that directory."""
    return ProfileSync(
        warehouse=warehouse,
        storage=LakeStorage(str(directory / "lake"), directory / "scratch"),
        client=EngageClient(
            url, PROJECT_ID, USERNAME, SECRET, NoBudget(), policy=IMPATIENT, sleep=lambda seconds: None, log=log
        ),
        page_size=page_size,
        log=log,
    )


def clear(warehouse: Warehouse) -> None:
    """An empty warehouse again, faster than a new database."""
    with warehouse.connect() as connection:
        connection.execute(f"truncate {TABLES}")  # pyright: ignore[reportArgumentType]


def exported_lines(url: str, day: date, *, tracked_only: bool = True) -> list[bytes]:
    """What Mixpanel has of a day now, by a plain request of the test's own."""
    parameters = {"project_id": str(PROJECT_ID), "from_date": str(day), "to_date": str(day)}
    if tracked_only:
        parameters["event"] = json.dumps(catalog.TRACKED_EVENTS)
    answer = requests.get(f"{url}/api/2.0/export", params=parameters, auth=(USERNAME, SECRET), timeout=30)
    answer.raise_for_status()
    return [line for line in answer.content.split(b"\n") if line.strip()]


def shown_profiles(url: str) -> list[dict[str, Any]]:
    """All of Mixpanel's profiles now, by a plain request of the test's own."""
    answer = requests.post(
        f"{url}/api/query/engage", params={"project_id": str(PROJECT_ID)}, data={"page_size": "100000"},
        auth=(USERNAME, SECRET), timeout=60,
    )  # fmt: skip
    answer.raise_for_status()
    return answer.json()["results"]


def rows_of(warehouse: Warehouse, query: str) -> list[dict[str, Any]]:
    with warehouse.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(query).fetchall()  # pyright: ignore[reportArgumentType, reportCallIssue]


def stored_totals(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    """subscribers_insights_v2 as {person: {column: value}}, less when a row was last written."""
    rows = rows_of(warehouse, "select * from subscribers_insights_v2")
    return {row.pop("distinct_id"): {name: row[name] for name in row if name != "updated_at"} for row in rows}


def stored_profiles(warehouse: Warehouse) -> dict[str, dict[str, Any]]:
    """subscriber_profiles as {person: {column: value}}, less properties that say nothing."""
    rows = rows_of(warehouse, "select * from subscriber_profiles")
    return {
        row.pop("distinct_id"): {**row, "properties": plain_recomputation.filled(row["properties"])} for row in rows
    }


def stored_changes(warehouse: Warehouse) -> list[dict[str, Any]]:
    """subscriber_profile_changes in the order in which they were written."""
    return [
        # Whether what says nothing was null, the empty text or missing does not matter.
        {name: None if value == "" else value for name, value in row.items() if name != "id"}
        for row in rows_of(warehouse, "select * from subscriber_profile_changes order by id")
    ]


def expected_totals(
    days: Mapping[date, list[bytes]],
    zone: ZoneInfo | None = None,
    profiles: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, dict[str, Any]]:
    """The plain recomputation; with `zone`, stored times are that zone's wall clock."""
    if zone is None:
        people = plain_recomputation.totals(days)
    else:
        people = plain_recomputation.totals(days, lambda wall: wall_clock_to_utc(wall, zone))
    return plain_recomputation.totals_with_profiles(people, profiles or {})


def wall_clock_to_utc(wall_seconds: float, zone: ZoneInfo) -> float:
    """PEP 495's fold 0: the first of an hour that occurs twice, and forward out of one that does not exist."""
    naive = datetime.fromtimestamp(wall_seconds, UTC).replace(tzinfo=None)
    return naive.replace(tzinfo=zone, fold=0).timestamp()
