"""The Dagster runs that aggregate web events, and what came of them."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

import dagster as dg
from rich.console import Console

from mixpanel_pipeline.cli.output import count, say, table
from mixpanel_pipeline.cli.sync_report import RunOutcome
from mixpanel_pipeline.cli.sync_runs import SyncRuns
from mixpanel_pipeline.dagster_project.launch import OnEvent, launch_web
from mixpanel_pipeline.dagster_project.web_assets import partition_key
from mixpanel_pipeline.dagster_project.web_jobs import WEB_DAILY_JOB, WEB_HOURLY_JOB
from mixpanel_pipeline.dagster_project.web_specs import WEB_KEYS
from mixpanel_pipeline.lake.calendar import utc_now
from mixpanel_pipeline.web.marks import HOUR, hour_of, start_of
from mixpanel_pipeline.web.plan import days_due, hours_due
from mixpanel_pipeline.web.progress import read_progress

OF_RUN = "run_"


@dataclass
class AssetOutcome:
    """What a run did to an asset: `partitions` that were asked for, `late_partitions` that late rows had come to. The
    other figures are of the op, which may write several assets."""

    asset: str
    partitions: int
    late_partitions: int
    rows: int
    buckets: int
    marks_taken: int
    rows_written: int
    rows_deleted: int
    rows_refused: int
    seconds: float


@dataclass
class AggregationReport:
    """`runs` are Dagster's, with what failed in them."""

    assets: list[AssetOutcome] = field(default_factory=list)
    runs: list[RunOutcome] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def succeeded(self) -> bool:
        return all(run.success and not run.failed_checks for run in self.runs)

    def outcome(self, asset: str) -> AssetOutcome:
        """Of one asset that was aggregated."""
        return next(outcome for outcome in self.assets if outcome.asset == asset)

    def show(self, console: Console) -> None:
        """The assets as a table, then what failed."""
        columns = (
            "asset", "partitions", "late_partitions", "rows", "buckets", "marks_taken", "rows_written", "rows_deleted",
            "rows_refused", "seconds",
        )  # fmt: skip
        if self.assets:
            headings = [name.replace("_", " ") for name in columns]
            console.print(table(headings, [[getattr(asset, name) for name in columns] for asset in self.assets]))
        for run in self.runs:
            for complaint in run.complaints():
                console.print(f"failed {complaint}", style="red", soft_wrap=True, markup=False)
        if not self.runs:
            console.print("nothing is due: no hour has ended since the first partition")
        console.print(f"{count(len(self.runs), 'run')} in {self.seconds:.1f} s")


@dataclass(frozen=True)
class WebRuns:
    """Launches them in this process."""

    runs: SyncRuns

    def due(self, *, hourly: bool = True, daily: bool = True) -> AggregationReport:
        """What the schedules would ask for now."""
        warehouse, now, start = self.runs.warehouse, utc_now(), self.runs.settings.web_first_day
        report, started = AggregationReport(), time.monotonic()
        if hourly and (hours := hours_due(read_progress(warehouse), now, start)):
            self._run(report, WEB_HOURLY_JOB, *hours, everything=False)
        if daily and (days := days_due(read_progress(warehouse), now, start)):
            self._run(report, WEB_DAILY_JOB, *days, everything=False)
        report.seconds = time.monotonic() - started
        return report

    def again(self, first: date, last: date, *, hourly: bool = True, daily: bool = True) -> AggregationReport:
        """These days once more, both included; of today the hours that are over."""
        report, started = AggregationReport(), time.monotonic()
        last_hour = min(start_of(last + timedelta(days=1)), hour_of(utc_now())) - HOUR
        if hourly and start_of(first) <= last_hour:
            self._run(report, WEB_HOURLY_JOB, start_of(first), last_hour, everything=True)
        if daily:
            self._run(report, WEB_DAILY_JOB, first, last, everything=True)
        report.seconds = time.monotonic() - started
        return report

    def _run(
        self, report: AggregationReport, job: str, first: date | datetime, last: date | datetime, *, everything: bool
    ) -> None:
        keys = partition_key(first), partition_key(last)
        what = keys[0] if first == last else f"{keys[0]} to {keys[1]}"
        say(f"Dagster run of {job} over {what} ...")
        materialized: list[dg.AssetMaterialization] = []
        result = launch_web(
            self.runs.instance, job, first, last, everything=everything,
            on_event=_collected(materialized), on_run=self.runs.claims.claim,
        )  # fmt: skip
        self.runs.interruption.end_if_noticed()
        report.runs.append(
            RunOutcome(result.run_id, f"{job} {what}", result.success, result.failed_checks, result.error)
        )
        report.assets += _outcomes(materialized, keys)


def _collected(into: list[dg.AssetMaterialization]) -> OnEvent:
    def on_event(entry: dg.EventLogEntry) -> None:
        if entry.asset_materialization:
            into.append(entry.asset_materialization)

    return on_event


def _outcomes(materialized: list[dg.AssetMaterialization], asked_for: tuple[str, str]) -> Iterable[AssetOutcome]:
    for key in WEB_KEYS:
        newest = {found.partition: found for found in materialized if found.asset_key == key and found.partition}
        inside = [found for partition, found in newest.items() if asked_for[0] <= partition <= asked_for[1]]
        if inside:
            yield _outcome(key, inside, len(newest) - len(inside))


def _outcome(key: dg.AssetKey, inside: list[dg.AssetMaterialization], late: int) -> AssetOutcome:
    run = {name: entry.value for name, entry in inside[0].metadata.items() if name.startswith(OF_RUN)}
    figures = {name: run[f"{OF_RUN}{name}"] for name in (
        "buckets", "marks_taken", "rows_written", "rows_deleted", "rows_refused", "seconds"
    )}  # fmt: skip
    rows = sum(_number(found.metadata["rows"].value) for found in inside)
    return AssetOutcome(key.to_user_string(), len(inside), late, rows, **figures)  # pyright: ignore[reportArgumentType]


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
