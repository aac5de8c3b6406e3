"""Loads days from a simulator into an empty warehouse and prints what it took as JSON. A process of its own, so
that its peak memory is the load's alone."""

import json
import sys
import time
from datetime import date
from pathlib import Path

from mixpanel_pipeline.lake.calendar import ExportCalendar
from mixpanel_pipeline.lake.storage import LakeStorage
from mixpanel_pipeline.mixpanel.export import ExportClient
from mixpanel_pipeline.mixpanel.rate_limit import RequestBudget
from mixpanel_pipeline.subscribers.event_sync import EventSync
from mixpanel_pipeline.subscribers.replace import replace_from_lake, totals_that_differ
from mixpanel_pipeline.warehouse.connection import Warehouse

PROJECT_ID = 12345


def build(database_url: str, directory: Path, url: str) -> EventSync:
    """A pipeline whose budget is counted in Postgres like any, but without an end."""
    warehouse = Warehouse(database_url)
    budget = RequestBudget(warehouse.connect, PROJECT_ID, per_hour=10**6, per_second=10**6, log=print)
    return EventSync(
        warehouse=warehouse,
        storage=LakeStorage(str(directory / "lake"), directory / "scratch"),
        client=ExportClient(url, PROJECT_ID, "demo-account", "demo-secret", budget),
        calendar=ExportCalendar("utc", "UTC"),
        tracked_only=False,
    )


def peak_megabytes() -> int:
    """The most memory this process ever held. Not ru_maxrss: that begins with what the parent held at the fork."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))) // 1024


def main(what: str, database_url: str, directory: str, url: str, *days: str) -> None:
    """`load` materializes the days; `replace` compares and repairs all totals from the lake."""
    sync = build(database_url, Path(directory), url)
    report: dict[str, object] = {}
    started = time.monotonic()
    if what == "load":
        results = [sync.materialize_day(date.fromisoformat(day)) for day in days]
        report["stages"] = {name: round(seconds, 2) for name, seconds in results[-1].seconds.items()}
        report["unchanged"] = results[-1].unchanged
        report["rows"] = sum(result.partition.rows for result in results)
        report["parquet_bytes"] = sum(result.partition.bytes for result in results)
    else:
        result = replace_from_lake(sync.warehouse, sync.storage)
        report["people"] = result.people
        report["rows_corrected"] = result.contributions_changed + result.totals_changed
        report["replace_seconds"] = time.monotonic() - started
        report["differences"] = len(totals_that_differ(sync.warehouse, sync.storage))
    report["seconds"] = time.monotonic() - started
    report["peak_megabytes"] = peak_megabytes()
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
