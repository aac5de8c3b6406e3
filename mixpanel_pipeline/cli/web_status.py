"""What `status` says of web analytics."""

from dataclasses import asdict
from typing import Any

from rich.console import Console

from mixpanel_pipeline.cli.output import count, table, text_of
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.progress import read_progress, table_sizes

TABLES_SHOWN = 10
REACHED = {"hours_until": "by hour", "days_until": "by day", "cards_until": "by day and card"}


def web_status(warehouse: Warehouse) -> dict[str, Any]:
    """How far the aggregates are, what waits, what was refused, and the room that it all takes."""
    progress = read_progress(warehouse)
    sizes = [asdict(size) for size in table_sizes(warehouse)] if progress.in_use else []
    return {**asdict(progress), "marks_waiting": progress.marks_waiting, "tables": sizes}


def show_web_status(console: Console, found: dict[str, Any]) -> None:
    """Some lines, then the largest tables."""
    console.print()
    if not found["in_use"]:
        console.print("no web events yet")
        return
    reached = [f"{what} until {_moment(found[name])}" for name, what in REACHED.items() if found[name]]
    console.print(f"web events are aggregated {', '.join(reached)}" if reached else "no web events are aggregated yet")
    if found["marks_waiting"]:
        console.print(f"{count(found['marks_waiting'], 'mark')} waiting for aggregation, taken by the next run")
    if found["refused_rows"]:
        console.print(
            f"[yellow]{count(found['refused_rows'], 'late row')} refused[/yellow]: they came for a time before "
            f"{_moment(found['raw_floor'])}, where raw rows are gone"
        )
    console.print()
    columns = ("table", "size", "rows (estimated)", "partitions")
    rows = [
        (size["tablename"], size["size"], _rows(size), size["partitions"] or None)
        for size in found["tables"][:TABLES_SHOWN]
    ]
    console.print(table(columns, rows, "Web analytics: the largest tables"))


def _rows(size: dict[str, Any]) -> Any:
    return "unknown" if size["estimated_rows"] is None else size["estimated_rows"]


def _moment(value: Any) -> str:
    return f"{text_of(value)} UTC"
