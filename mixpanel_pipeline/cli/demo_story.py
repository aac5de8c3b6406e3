"""What the demo does, step by step, and the figures it comes to."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import requests

from mixpanel_pipeline import catalog
from mixpanel_pipeline.checks.verdict import Verdict
from mixpanel_pipeline.cli.demo_project import DAYS_WITHIN_LIMITS, lift_limits
from mixpanel_pipeline.cli.demo_web import tell_web_story
from mixpanel_pipeline.cli.output import count, say
from mixpanel_pipeline.cli.profile_report import ProfileReport
from mixpanel_pipeline.cli.sync_report import SyncReport
from mixpanel_pipeline.cli.sync_runs import opened_runs
from mixpanel_pipeline.cli.verify import all_good, run_checks
from mixpanel_pipeline.cli.web_runs import AggregationReport
from mixpanel_pipeline.dashboard.options import Reader
from mixpanel_pipeline.lake.manifest import RawPartition, read_partitions
from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.simulator import SimulatorServer
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.migrations import migrate

LATE_EVENTS_A_DAY = 10
NEW_PROFILES, CHANGED_PROFILES, DELETED_PROFILES = 5, 20, 3
ANSWER_SECONDS = 30


@dataclass(frozen=True)
class Story:
    """What happened: figures by name (demo.py says them in words), what the checks found, and who may read it."""

    figures: dict[str, Any]
    verdicts: list[Verdict]
    reports: list[SyncReport | ProfileReport | AggregationReport]
    readers: list[Reader]

    @property
    def succeeded(self) -> bool:
        return all_good(self.verdicts) and all(report.succeeded for report in self.reports)


def tell_story(settings: Settings, warehouse: Warehouse, server: SimulatorServer) -> Story:
    """Backfill, a sync of what has not changed, late events and the sync that finds them, two snapshots of profiles,
    web traffic and its late rows, and all checks."""
    migrate(warehouse)
    if settings.sync_window_days > DAYS_WITHIN_LIMITS:
        lift_limits(warehouse, server, f"more than {DAYS_WITHIN_LIMITS} days")
    with opened_runs(settings, warehouse) as runs:
        say(f"first sync: {count(settings.sync_window_days, 'day')} from the simulated Mixpanel at {server.url} ...")
        first = runs.incremental()
        partitions, requests_made = _partitions(warehouse), len(server.project.requests)
        say("second sync: nothing is new, so nothing may be added ...")
        second = runs.incremental()
        say("some phones come back online: late events for days that were fetched already ...")
        sent = _send_late_events(server, [partition.export_day for partition in partitions])
        third = runs.incremental()
        say("profiles: a first snapshot ...")
        everybody = runs.profiles()
        say("some people change, come and go; a second snapshot, of which only that is written ...")
        _change_profiles(server)
        changed = runs.profiles()
        web = tell_web_story(runs)
    say("all checks ...")
    verdicts = run_checks(settings, warehouse)
    figures = {
        **_backfill_figures(first, partitions, requests_made),
        "subscribers": _subscribers(warehouse),
        "second_sync_unchanged_days": sum(bool(day.unchanged) for day in second.days),
        "second_sync_events_added_to_them": _new_events(second),
        "late_events_sent": sent,
        "late_events_found": sum(third.late_days.values()),
        "late_events_added": _new_events(third),
        **_profile_figures(everybody, changed),
        **web.figures,
    }
    return Story(figures, verdicts, [first, second, third, everybody, changed, *web.reports], web.readers)


def _backfill_figures(report: SyncReport, partitions: list[RawPartition], requests_made: int) -> dict[str, Any]:
    events = sum(partition.rows for partition in partitions)
    return {
        "days": len(partitions),
        "events": events,
        "duplicates": sum(partition.duplicates for partition in partitions),
        "requests": requests_made,
        "exports_repeated": requests_made - len(partitions),
        "lines_repaired": sum(partition.repaired for partition in partitions),
        "seconds": round(report.seconds, 1),
        "events_per_second": round(events / report.seconds),
    }


def _send_late_events(server: SimulatorServer, days: list[date]) -> int:
    """Events that happened on the oldest and a middle day and reach Mixpanel only now; over HTTP, as a tester may."""
    moment = datetime.now(UTC)
    chosen = sorted({days[0], days[len(days) // 2]})
    events = [
        {
            "event_name": catalog.TRACKED_EVENTS[number % len(catalog.TRACKED_EVENTS)],
            "distinct_id": f"late-phone-{number}",
            "time_seconds": int((datetime.combine(day, time(12), UTC) + timedelta(minutes=number)).timestamp()),
            "processed_ms": int(moment.timestamp() * 1000),
        }
        for day in chosen
        for number in range(LATE_EVENTS_A_DAY)
    ]
    answer = requests.post(f"{server.url}/simulator/events", json=events, timeout=ANSWER_SECONDS)
    answer.raise_for_status()
    return len(events)


def _change_profiles(server: SimulatorServer) -> None:
    """Some people's balance changes, some are new, and the last ones are deleted; over HTTP too."""
    profiles = server.project.profiles
    ids = profiles.ids()
    changed = [
        {"distinct_id": person, "properties": {**(profiles.get(person) or {}), "buyingPower": number}}
        for number, person in enumerate(ids[:CHANGED_PROFILES])
    ]
    new = [
        {"distinct_id": f"new-person-{number}", "properties": {"income": "100k-150k", "plan": "trial"}}
        for number in range(NEW_PROFILES)
    ]
    requests.post(f"{server.url}/simulator/profiles", json=changed + new, timeout=ANSWER_SECONDS).raise_for_status()
    for person in ids[-DELETED_PROFILES:]:
        body = {"distinct_id": person}
        requests.post(f"{server.url}/simulator/delete_profile", json=body, timeout=ANSWER_SECONDS).raise_for_status()


def _profile_figures(everybody: ProfileReport, changed: ProfileReport) -> dict[str, Any]:
    names = ("new", "changed", "deleted", "unchanged", "written", "seconds")
    return {
        "profiles": everybody.figures.get("people"),
        "profile_queries": everybody.figures.get("queries"),
        "profile_bad_values": everybody.figures.get("bad_values"),
        **{f"second_snapshot_{name}": changed.figures.get(name) for name in names},
    }


def _partitions(warehouse: Warehouse) -> list[RawPartition]:
    with warehouse.connect() as connection:
        return read_partitions(connection)


def _subscribers(warehouse: Warehouse) -> int:
    with warehouse.connect() as connection:
        row = connection.execute("select count(*) from subscribers_insights_v2").fetchone()
    return row[0] if row else 0


def _new_events(report: SyncReport) -> int:
    return sum(day.new_events or 0 for day in report.days)
