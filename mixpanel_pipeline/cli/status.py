"""`status`: how far things are, and what is missing."""

import logging
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any

import click
from rich.console import Console

from mixpanel_pipeline.cli.output import count, give, json_option, table, text_of
from mixpanel_pipeline.cli.postgres import ready_warehouse
from mixpanel_pipeline.cli.web_status import show_web_status, web_status
from mixpanel_pipeline.lake.calendar import utc_now
from mixpanel_pipeline.mixpanel.rate_limit import RequestBudget
from mixpanel_pipeline.settings import Settings, load_settings
from mixpanel_pipeline.subscribers.build import build_calendar
from mixpanel_pipeline.subscribers.profile_sync import SOURCE as PROFILES_SOURCE
from mixpanel_pipeline.subscribers.status import read_status
from mixpanel_pipeline.warehouse.connection import Warehouse


@click.command()
@json_option
def status(as_json: bool) -> None:
    """Show watermarks, profiles, last syncs, days that are missing, failed or late, requests used this hour, and how
    far web analytics are."""
    settings = load_settings()
    with ready_warehouse(settings) as warehouse:
        result = collect_status(settings, warehouse)
    give(result, as_json, lambda console: _show(console, result))


def collect_status(settings: Settings, warehouse: Warehouse) -> dict[str, Any]:
    """Everything that `status` says, as JSON takes it."""
    with warehouse.connect() as connection:
        found = asdict(read_status(connection, build_calendar(settings), utc_now()))
    found["late_days"] = {str(day): events for day, events in found["late_days"].items()}
    found["requests_in_last_hour"] = _requests(settings, warehouse, "export")
    found["queries_in_last_hour"] = _requests(settings, warehouse, "query")
    found["web"] = web_status(warehouse)
    return found


def _requests(settings: Settings, warehouse: Warehouse, api: str) -> int | None:
    if settings.mixpanel_project_id is None:
        return None
    log = logging.getLogger(__name__).info
    return RequestBudget(warehouse.connect, settings.mixpanel_project_id, api, log=log).used_in_last_hour()


def _show(console: Console, found: dict[str, Any]) -> None:
    if found["partitions"]:
        console.print(
            f"{count(found['partitions'], 'day')} from {found['first_day']} to {found['last_day']}, "
            f"{found['subscribers']:,} subscribers"
        )
    else:
        console.print("nothing was synchronized yet: run `mixpanel-pipeline sync`")
    _show_profiles(console, found["profiles"])
    if found["requests_in_last_hour"] is not None:
        console.print(
            f"{found['requests_in_last_hour']} of 60 requests to Mixpanel used in the last hour, and "
            f"{found['queries_in_last_hour']} of 60 queries"
        )
    for name, advice in (("missing", "never fetched"), ("failed", "failed when last tried")):
        if days := found[f"{name}_days"]:
            console.print(f"[yellow]{count(len(days), 'day')} {advice}[/yellow]: {ranges_text(days)}", soft_wrap=True)
            console.print(f"  mixpanel-pipeline sync --from {days[0]} --to {days[-1]}")
    if found["late_days"]:
        late = ", ".join(f"{day} ({events:,})" for day, events in found["late_days"].items())
        console.print(f"days with late events, fetched again by the next sync: {late}", soft_wrap=True)
    _show_tables(console, found)
    show_web_status(console, found["web"])


def _show_profiles(console: Console, found: dict[str, Any]) -> None:
    if found["last_snapshot"]:
        gone = f", {found['deleted']:,} deleted" if found["deleted"] else ""
        console.print(
            f"{count(found['live'], 'profile')}{gone}, last snapshot {text_of(found['last_snapshot'])} UTC: "
            f"{changes_text(found['last_sync'] or {})}"
        )
    else:
        console.print("no snapshot of profiles yet: run `mixpanel-pipeline profiles`")
    if found["error"]:
        console.print("[yellow]the newest snapshot failed[/yellow]:", end=" ")
        console.print(found["error"], soft_wrap=True, markup=False)


def _show_tables(console: Console, found: dict[str, Any]) -> None:
    columns = ("source", "last_event_time", "total_events_synced", "last_synced_at", "notes")
    if found["watermarks"]:
        console.print()
        rows = [[row[name] for name in columns] for row in found["watermarks"]]
        console.print(table(columns, rows, "Watermarks (UTC)"))
    if found["last_syncs"]:
        console.print()
        console.print(
            table(
                ("what", "mode", "status", "started", "seconds", "result", "error"),
                [_sync_row(row) for row in found["last_syncs"]],
                "Last syncs (UTC)",
            )
        )


def _sync_row(row: dict[str, Any]) -> list[Any]:
    what, result = what_and_result(row)
    return [what, row["mode"], row["status"], row["created_at"], seconds_of(row), result, row["error"]]


def what_and_result(row: dict[str, Any]) -> tuple[str | None, str]:
    """Of what a row of the sync log is, the day or profiles, and what it brought."""
    metadata = row["sync_metadata"] or {}
    if row["source"] == PROFILES_SOURCE:
        return "profiles", changes_text(metadata)
    return metadata.get("export_day"), _new_events(metadata)


def seconds_of(row: dict[str, Any]) -> float | None:
    """How long a sync took; none while it runs."""
    return (row["completed_at"] - row["created_at"]).total_seconds() if row["completed_at"] else None


def _new_events(metadata: dict[str, Any]) -> str:
    return count(metadata["new_events"], "new event") if "new_events" in metadata else ""


def changes_text(metadata: dict[str, Any]) -> str:
    """What a snapshot of profiles did, from its row of the sync log: 5 new, 20 changed, 475 unchanged, 3 deleted."""
    told = [f"{metadata[name]:,} {name}" for name in ("new", "changed", "unchanged", "deleted") if name in metadata]
    refused = metadata.get("refused", 0) + metadata.get("bad_values", 0)
    if refused:
        told.append(f"{refused:,} refused")
    if "comparison_error" in metadata:
        told.append("not compared")
    return ", ".join(told)


def ranges_text(days: list[date]) -> str:
    """2026-01-01 to 2026-01-05, 2026-01-09."""
    parts: list[list[date]] = []
    for day in days:
        if parts and day - parts[-1][-1] == timedelta(days=1):
            parts[-1].append(day)
        else:
            parts.append([day])
    return ", ".join(f"{part[0]} to {part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)
