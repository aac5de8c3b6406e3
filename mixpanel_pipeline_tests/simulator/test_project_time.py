"""Projects of before 2023: wall clock written as an epoch, days of the project's zone (reference A1.5)."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline.simulator.project_clock import ProjectClock
from mixpanel_pipeline_tests.simulator.client import Client

NEW_YORK = ZoneInfo("America/New_York")


def utc(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp())  # type: ignore[misc]


def legacy_project(server: SimulatorServer, **options: Any) -> Project:
    server.project = Project(
        **({"timezone": "America/New_York", "time_mode": "project", "today": lambda: date(2026, 12, 1)} | options)
    )
    return server.project


def wire_times(client: Client, day: str) -> list[str]:
    rows = client.rows(from_date=day, to_date=day)
    return [str(datetime.fromtimestamp(row["properties"]["time"], UTC))[:19] for row in rows]


def test_time_is_the_wall_clock_and_days_are_the_projects(server: SimulatorServer, client: Client) -> None:
    project = legacy_project(server)
    project.add("before midnight", "user", utc(2026, 7, 2, 3, 59, 59))
    project.add("after midnight", "user", utc(2026, 7, 2, 4, 0, 0))
    assert wire_times(client, "2026-07-01") == ["2026-07-01 23:59:59"]
    assert wire_times(client, "2026-07-02") == ["2026-07-02 00:00:00"]
    processed = client.rows(from_date="2026-07-02", to_date="2026-07-02")[0]["properties"]
    assert processed["mp_processing_time_ms"] == utc(2026, 7, 2, 4) * 1000 + 1500


def test_an_hour_is_skipped_in_spring(server: SimulatorServer, client: Client) -> None:
    project = legacy_project(server)
    for minutes in (-1, 0):
        project.add("a", "user", utc(2026, 3, 8, 7) + minutes * 60)
    assert wire_times(client, "2026-03-08") == ["2026-03-08 01:59:00", "2026-03-08 03:00:00"]


def test_an_hour_occurs_twice_in_autumn(server: SimulatorServer, client: Client) -> None:
    project = legacy_project(server)
    for hour in (5, 6):
        project.add("a", "user", utc(2026, 11, 1, hour, 30))
    assert wire_times(client, "2026-11-01") == ["2026-11-01 01:30:00"] * 2


@pytest.mark.parametrize(("day", "hours"), [("2026-03-08", 23), ("2026-11-01", 24), ("2026-07-01", 24)])
def test_generated_days_keep_to_the_zones_hours(server: SimulatorServer, client: Client, day: str, hours: int) -> None:
    legacy_project(server, events_per_day=3_000, first_day=date(2026, 1, 1))
    times = wire_times(client, day)
    assert {time[:10] for time in times} == {day}
    assert len({time[11:13] for time in times}) == hours
    if day == "2026-11-01":
        assert sum(time[11:13] == "01" for time in times) > 180  # two real hours of about 125 events


@pytest.mark.parametrize(
    ("zone", "mode", "now", "allowed"),
    [
        ("America/New_York", "project", datetime(2026, 7, 1, 2, tzinfo=UTC), "2026-06-30"),
        ("Asia/Tokyo", "project", datetime(2026, 6, 30, 20, tzinfo=UTC), "2026-07-01"),
        ("America/New_York", "utc", datetime(2026, 7, 1, 2, tzinfo=UTC), "2026-07-01"),
    ],
)
def test_today_is_the_projects_day(
    server: SimulatorServer, client: Client, zone: str, mode: str, *, now: datetime, allowed: str
) -> None:
    legacy_project(server, timezone=zone, time_mode=mode, today=lambda: now)
    tomorrow = str(date.fromisoformat(allowed) + timedelta(days=1))
    assert client.export(from_date=allowed, to_date=allowed).status_code == 200
    refused = client.export(from_date=allowed, to_date=tomorrow)
    assert (refused.status_code, refused.text) == (400, "to_date cannot be later than today")


def test_a_given_day_counts_as_nearly_over() -> None:
    clock = ProjectClock("America/New_York", "project", lambda: date(2026, 7, 1))
    assert clock.today() == date(2026, 7, 1)
    assert clock.now() == datetime(2026, 7, 1, 23, 59, 59, 999_000, tzinfo=NEW_YORK)


def test_the_way_back_takes_the_first_of_two() -> None:
    clock = ProjectClock("America/New_York", "project")
    first = utc(2026, 11, 1, 5, 30)
    assert clock.utc_seconds(clock.wire_seconds(first)) == first
    assert clock.utc_seconds(clock.wire_seconds(first + 3600)) == first
