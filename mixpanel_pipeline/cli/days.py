"""Days on the command line."""

from datetime import date

import click

from mixpanel_pipeline.lake.calendar import ExportCalendar, utc_now
from mixpanel_pipeline.settings import Settings


class Day(click.ParamType):
    """YYYY-MM-DD."""

    name = "day"

    def convert(self, value: str | date, param: click.Parameter | None, ctx: click.Context | None) -> date:
        if isinstance(value, date):
            return value
        try:
            return date.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no day; it takes YYYY-MM-DD, such as 2026-01-31", param, ctx)


def both_or_none(from_day: date | None, to_day: date | None) -> tuple[date, date] | None:
    """The range that was asked for, if one was.

    Raises:
        click.UsageError: half of it, or its end lies before its beginning.
    """
    if from_day is None and to_day is None:
        return None
    if from_day is None or to_day is None:
        raise click.UsageError("--from and --to go together: the first and the last day, both included")
    if from_day > to_day:
        raise click.UsageError(f"--from {from_day} lies after --to {to_day}; give the earlier day first")
    return from_day, to_day


def require_closed_days(settings: Settings, calendar: ExportCalendar, days: tuple[date, date]) -> None:
    """Only days that are over, and since the first partition, can be synchronized.

    Raises:
        click.UsageError: some of them cannot.
    """
    newest = calendar.last_closed_day(utc_now())
    if days[1] > newest:
        raise click.UsageError(f"--to {days[1]} is not over yet; the newest day that can be synchronized is {newest}")
    if days[0] < settings.expected_start_date:
        raise click.UsageError(
            f"--from {days[0]} lies before the first partition, {settings.expected_start_date}; for earlier days set "
            "MIXPANEL_START_DATE"
        )
