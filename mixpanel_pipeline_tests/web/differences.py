"""What the nightly checks find wrong with aggregates, and having days aggregated again."""

from datetime import date

from mixpanel_pipeline.checks.web import daily_equals_raw, hourly_equals_raw
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.marks import mark_card_days, mark_days


def wrong_aggregates(warehouse: Warehouse) -> list[str]:
    """One line a check that finds something."""
    verdicts = [hourly_equals_raw(warehouse), daily_equals_raw(warehouse)]
    return [verdict.summary for verdict in verdicts if not verdict.passed]


def mark_everything(warehouse: Warehouse, first: date, last: date) -> None:
    """Has hours, days and cards from `first` to `last` computed again, as `mixpanel-pipeline aggregate` does."""
    mark_days(warehouse, first, last)
    mark_card_days(warehouse, first, last)
