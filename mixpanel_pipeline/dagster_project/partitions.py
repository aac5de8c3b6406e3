"""The partitions: one for every closed export day, and the hours and days of the web aggregates."""

import dagster as dg

from mixpanel_pipeline.settings import Settings


def daily_partitions(settings: Settings) -> dg.DailyPartitionsDefinition:
    """From the start date to yesterday, bounded by midnights of the export calendar's zone.

    Today is no partition: its export is not complete yet. The start date is kept once chosen, for a start that
    moves breaks running backfills (dagster-io/dagster#30058).
    """
    return dg.DailyPartitionsDefinition(start_date=str(settings.start_date), timezone=settings.day_zone.key)


def web_hours(settings: Settings) -> dg.HourlyPartitionsDefinition:
    """Hours of the web aggregates, those that are over. UTC's: an hour that clocks repeat would have a key of another
    form (reference/dagster.md B.1)."""
    return dg.HourlyPartitionsDefinition(start_date=f"{settings.web_first_day}-00:00", timezone="UTC")


def web_days(settings: Settings) -> dg.DailyPartitionsDefinition:
    """Days of the web aggregates, UTC's too, whatever the Mixpanel project's are."""
    return dg.DailyPartitionsDefinition(start_date=str(settings.web_first_day), timezone="UTC")
