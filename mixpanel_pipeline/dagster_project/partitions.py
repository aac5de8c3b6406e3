"""The daily partitions: one for every closed export day."""

import dagster as dg

from mixpanel_pipeline.settings import Settings


def daily_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """From the start date to yesterday, bounded by midnights of the export calendar's zone.

    Today is no partition: its export is not complete yet. The start date is kept once chosen, for a start that
    moves breaks running backfills (dagster-io/dagster#30058).
    """
    return dg.DailyPartitionsDefinition(start_date=str(settings.start_date), timezone=settings.day_zone.key)
