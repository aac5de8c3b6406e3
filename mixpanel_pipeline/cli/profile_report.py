"""What a snapshot of profiles did, as its Dagster run tells it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import dagster as dg
from rich.console import Console

from mixpanel_pipeline.cli.output import count, table
from mixpanel_pipeline.cli.sync_report import RunOutcome
from mixpanel_pipeline.dagster_project.asset_specs import PROFILES

PEOPLE = ("people", "new", "changed", "unchanged", "deleted", "refused", "bad_values", "totals_changed")


@dataclass
class ProfileReport:
    """`figures` are those of the asset's page, empty when the run wrote nothing; `refusals` are examples of
    {distinct_id, field, reason}; `seconds` are those of the whole run."""

    run: RunOutcome
    figures: dict[str, int | float | str] = field(default_factory=dict)
    refusals: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def succeeded(self) -> bool:
        return self.run.success and not self.run.failed_checks

    def show(self, console: Console) -> None:
        """The figures, who was refused, and what it comes to."""
        if self.figures:
            names = (*PEOPLE, "seconds")
            headings = [name.replace("_", " ") for name in names]
            console.print(table(headings, [[self.figures[name] for name in names]]))
        if self.refusals:
            console.print()
            columns = list(self.refusals[0])
            rows = [[row[name] for name in columns] for row in self.refusals]
            console.print(table(columns, rows, "Could not be kept"))
        for complaint in self.run.complaints():
            console.print(f"failed {complaint}", style="red", soft_wrap=True, markup=False)
        console.print(self.summary(), soft_wrap=True, markup=False)

    def summary(self) -> str:
        """One sentence or two for people."""
        if not self.figures:
            return f"Nothing was changed, in {self.seconds:.1f} s."
        people = count(int(self.figures["people"]), "profile")
        skipped = self.figures["skipped_percent"]
        told = f"{people} in {self.seconds:.1f} s, {skipped} % of them unchanged and not written."
        if "comparison_error" in self.figures:
            told += f" The comparison failed, so all were written: {self.figures['comparison_error']}"
        return told


def report_of(materialization: dg.AssetMaterialization) -> tuple[dict[str, int | float | str], list[dict[str, Any]]]:
    """The figures and refusals in a materialization's metadata."""
    metadata: Mapping[str, dg.MetadataValue] = materialization.metadata
    figures = {name: entry.value for name, entry in metadata.items() if isinstance(entry.value, int | float | str)}
    refused = metadata.get("refusals")
    rows = [dict(record.data) for record in refused.records] if isinstance(refused, dg.TableMetadataValue) else []
    return figures, rows


def is_snapshot(entry: dg.EventLogEntry) -> bool:
    """Whether this event tells what a snapshot did."""
    return entry.asset_materialization is not None and entry.asset_materialization.asset_key == PROFILES
