"""The Dagster runs that a sync, or a snapshot of profiles, consists of, and what came of them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import dagster as dg

from mixpanel_pipeline.cli.interruption import Interruption, noticed_interruption
from mixpanel_pipeline.cli.orphaned_runs import RunClaims
from mixpanel_pipeline.cli.output import count, say
from mixpanel_pipeline.cli.profile_report import ProfileReport, is_snapshot, report_of
from mixpanel_pipeline.cli.progress import Tick, day_progress
from mixpanel_pipeline.cli.sync_report import RunOutcome, SyncReport, day_outcomes, newest_log_id
from mixpanel_pipeline.dagster_project.asset_specs import CONTRIBUTIONS, TOTALS
from mixpanel_pipeline.dagster_project.instance import dagster_instance, prepare_dagster_home
from mixpanel_pipeline.dagster_project.jobs import late_event_sweep_job, replace_totals_job, subscriber_profiles_job
from mixpanel_pipeline.dagster_project.launch import OnEvent, finished_day, launch_checks, launch_days, launch_job
from mixpanel_pipeline.dagster_project.profiles import profiles_config
from mixpanel_pipeline.lake.calendar import days_between, utc_now
from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.subscribers.build import build_calendar
from mixpanel_pipeline.subscribers.plan import SyncPlan, plan_incremental, window
from mixpanel_pipeline.warehouse.connection import Warehouse

# Lines of a run's log that explain why nothing seems to happen.
SAID_ALOUD = ("waiting ", "attempt ", "round ", "reading all profiles anew", "the comparison ")


@contextmanager
def opened_runs(settings: Settings, warehouse: Warehouse) -> Iterator["SyncRuns"]:
    """Runs on the instance that the UI shows, for the length of the block."""
    say("opening Dagster ...")
    environment = prepare_dagster_home(settings, warehouse.url)
    with (
        dagster_instance(environment) as instance,
        RunClaims(instance, Path(environment["DAGSTER_HOME"])) as claims,
        noticed_interruption() as interruption,
    ):
        for run_id in claims.end_orphans():
            say(f"ended run {run_id[:8]}, whose command had been killed")
        yield SyncRuns(settings, warehouse, instance, claims, interruption)


@dataclass(frozen=True)
class SyncRuns:
    """Launches runs in this process and tells what they did."""

    settings: Settings
    warehouse: Warehouse
    instance: dg.DagsterInstance
    claims: RunClaims
    interruption: Interruption

    def incremental(self) -> SyncReport:
        """The late sweep, then every day that is due. When the sweep fails that is told, and the days are fetched
        all the same."""
        report, started = SyncReport("incremental"), time.monotonic()
        say("asking Mixpanel which past days received late events ...")
        swept = launch_job(
            self.instance, late_event_sweep_job.name,
            on_event=self._followed(lambda _day: None), on_run=self.claims.claim,
        )  # fmt: skip
        self.interruption.end_if_noticed()
        report.add(swept, "late event sweep")
        plan = self._plan()
        report.late_days = {str(day): events for day, events in plan.late.items()}
        self._run_days(report, plan)
        return _timed(report, started)

    def backfill(self, first: date, last: date) -> SyncReport:
        """Those days, both included, once more."""
        report, started = SyncReport("backfill"), time.monotonic()
        self._run_days(report, SyncPlan(days_between(first, last), {}, first_sync=False))
        return _timed(report, started)

    def full(self) -> SyncReport:
        """The whole window once more; then REPLACE, which corrects what ADD, or somebody past it, left wrong. The
        checks come last: earlier they would find what is about to be corrected."""
        report, started = SyncReport("full"), time.monotonic()
        days = window(
            build_calendar(self.settings), now=utc_now(), start=self.settings.start_date,
            window_days=self.settings.sync_window_days,
        )  # fmt: skip
        self._run_days(report, SyncPlan(days, {}, first_sync=False))
        say("computing all totals again from the lake ...")
        corrected: dict[str, int] = {}
        replaced = launch_job(
            self.instance, replace_totals_job.name,
            on_event=self._corrections(corrected), on_run=self.claims.claim,
        )  # fmt: skip
        self.interruption.end_if_noticed()
        report.add(replaced, "REPLACE")
        report.corrected = corrected
        if replaced.success:
            say("checking ...")
            checked = launch_checks(self.instance, self._followed(lambda _day: None), on_run=self.claims.claim)
            self.interruption.end_if_noticed()
            report.add(checked, "checks")
        return _timed(report, started)

    def profiles(self, *, all_deleted: bool = False) -> ProfileReport:
        """One snapshot of all profiles."""
        say("asking Mixpanel for all profiles ...")
        started = time.monotonic()
        found: list[dg.AssetMaterialization] = []
        result = launch_job(
            self.instance, subscriber_profiles_job.name, profiles_config(all_deleted=all_deleted),
            on_event=self._snapshots(found), on_run=self.claims.claim,
        )  # fmt: skip
        self.interruption.end_if_noticed()
        run = RunOutcome(result.run_id, "profiles", result.success, result.failed_checks, result.error)
        figures, refusals = report_of(found[0]) if found else ({}, [])
        return ProfileReport(run, figures, refusals, time.monotonic() - started)

    def _plan(self) -> SyncPlan:
        settings = self.settings
        with self.warehouse.connect() as connection:
            plan = plan_incremental(
                connection, build_calendar(settings), now=utc_now(), start=settings.start_date,
                window_days=settings.sync_window_days, overlap_hours=settings.sync_overlap_hours,
            )  # fmt: skip
        # Days before the start date have no partition; a later start date gives them up.
        return replace(plan, days=[day for day in plan.days if day >= settings.start_date])

    def _run_days(self, report: SyncReport, plan: SyncPlan) -> None:
        mark = newest_log_id(self.warehouse)
        with day_progress(len(plan.days)) as tick:
            for first, last in plan.ranges():
                what = str(first) if first == last else f"{first} to {last}"
                say(f"Dagster run of {what} ({count((last - first).days + 1, 'day')}) ...")
                result = launch_days(
                    self.instance, first, last, report.mode, self._followed(tick),
                    on_run=self.claims.claim, checks=report.mode != "full",
                )  # fmt: skip
                self.interruption.end_if_noticed()
                report.add(result, what, fresh=report.mode != "backfill" and last == plan.days[-1])
        report.days = day_outcomes(self.warehouse, mark, plan.days)
        reached = {outcome.export_day for outcome in report.days}
        report.not_reached = [day for day in plan.days if day not in reached]

    def _watch(self, entry: dg.EventLogEntry) -> None:
        """When a signal fails a step of the run it is being canceled: Dagster then ends it as a run that a person
        ended, which is no failure."""
        event = entry.dagster_event
        if event is None or not event.is_step_failure or not self.interruption.noticed():
            return
        run = self.instance.get_run_by_id(entry.run_id)
        if run is not None and run.status == dg.DagsterRunStatus.STARTED:
            self.instance.report_run_canceling(run, "The command that executes this run was told to end.")

    def _followed(self, tick: Tick) -> OnEvent:
        """Ticks at the end of each day, and says what a run waits for."""
        seen: set[date] = set()

        def on_event(entry: dg.EventLogEntry) -> None:
            self._watch(entry)
            day = finished_day(entry)
            # The closing event of a run repeats its days.
            if day and day not in seen:
                seen.add(day)
                tick(str(day))
            elif entry.dagster_event is None and entry.user_message.startswith(SAID_ALOUD):
                say(entry.user_message)

        return on_event

    def _snapshots(self, into: list[dg.AssetMaterialization]) -> OnEvent:
        """Says what the run waits for, and notes what it materialized."""
        followed = self._followed(lambda _day: None)

        def on_event(entry: dg.EventLogEntry) -> None:
            followed(entry)
            if is_snapshot(entry) and entry.asset_materialization:
                into.append(entry.asset_materialization)

        return on_event

    def _corrections(self, into: dict[str, int]) -> OnEvent:
        """Notes how many rows REPLACE corrected."""
        names = {CONTRIBUTIONS: "contributions", TOTALS: "totals"}

        def on_event(entry: dg.EventLogEntry) -> None:
            self._watch(entry)
            event = entry.dagster_event
            if event and event.event_type == dg.DagsterEventType.ASSET_OBSERVATION:
                observation = event.asset_observation_data.asset_observation
                into[names[observation.asset_key]] = int(observation.metadata["rows_corrected"].value or 0)  # pyright: ignore[reportArgumentType]

        return on_event


def _timed(report: SyncReport, started: float) -> SyncReport:
    report.seconds = time.monotonic() - started
    return report
