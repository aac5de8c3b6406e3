"""Project time becomes UTC as spec section 2 says, beside PEP 495's own reading of the same rule."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_pipeline.lake.calendar import ExportCalendar
from mixpanel_pipeline.lake.wall_clock import UTC_CLOCK, wall_clock_of
from mixpanel_pipeline_tests.workbench import wall_clock_to_utc

ZONES = ["America/New_York", "Europe/Berlin", "Asia/Kolkata", "America/Sao_Paulo", "Australia/Lord_Howe", "UTC"]
CHANGES = [
    date(2025, 3, 9),
    date(2025, 11, 2),
    date(2025, 3, 30),
    date(2025, 10, 26),
    date(2018, 11, 4),
    date(2025, 4, 6),
]


def to_utc(day: date, zone: str, wall_seconds: float) -> float:
    clock = wall_clock_of(day, ZoneInfo(zone))
    return wall_seconds - (clock.offset_before if wall_seconds < clock.boundary else clock.offset_after)


@given(
    zone=st.sampled_from(ZONES),
    day=st.one_of(st.sampled_from(CHANGES), st.dates(date(2015, 1, 1), date(2026, 12, 31))),
    second=st.integers(0, 86_399),
)
def test_every_second_of_a_day_is_read_as_fold_zero(zone: str, day: date, second: int) -> None:
    wall_seconds = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() + second
    assert to_utc(day, zone, wall_seconds) == wall_clock_to_utc(wall_seconds, ZoneInfo(zone))


def test_an_hour_that_occurs_twice_is_its_first() -> None:
    clock = wall_clock_of(date(2025, 11, 2), ZoneInfo("America/New_York"))
    half_past_one = datetime(2025, 11, 2, 1, 30, tzinfo=UTC).timestamp()
    assert clock.twice[0] <= half_past_one < clock.twice[1]
    assert clock.never[0] > clock.twice[1]
    assert datetime.fromtimestamp(to_utc(date(2025, 11, 2), "America/New_York", half_past_one), UTC) == datetime(
        2025, 11, 2, 5, 30, tzinfo=UTC
    )


def test_an_hour_that_never_was_is_shifted_forward() -> None:
    clock = wall_clock_of(date(2025, 3, 9), ZoneInfo("America/New_York"))
    half_past_two = datetime(2025, 3, 9, 2, 30, tzinfo=UTC).timestamp()
    assert clock.never[0] <= half_past_two < clock.never[1]
    shifted = datetime.fromtimestamp(to_utc(date(2025, 3, 9), "America/New_York", half_past_two), UTC)
    assert shifted.astimezone(ZoneInfo("America/New_York")).hour == 3


def test_utc_mode_has_no_offset() -> None:
    assert ExportCalendar("utc", "America/New_York").wall_clock(date(2025, 3, 9)) == UTC_CLOCK


@pytest.mark.parametrize(("mode", "expected"), [("utc", date(2025, 3, 10)), ("project", date(2025, 3, 9))])
def test_days_are_the_calendars(mode, expected: date) -> None:
    calendar = ExportCalendar(mode, "America/New_York")
    moment = datetime(2025, 3, 10, 3, tzinfo=UTC)
    assert calendar.day_of(moment) == expected
    assert calendar.last_closed_day(moment) == expected - timedelta(days=1)
