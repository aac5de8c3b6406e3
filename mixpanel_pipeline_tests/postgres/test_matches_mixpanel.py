"""The lake's counts equal Mixpanel's reports, and where they do not the check finds it and says why."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixpanel_pipeline import catalog
from mixpanel_pipeline.checks.matches_mixpanel import matches_mixpanel
from mixpanel_pipeline.checks.verdict import Verdict
from mixpanel_pipeline.cli.verify import run_checks
from mixpanel_pipeline.lake.calendar import ExportCalendar, days_between
from mixpanel_pipeline.mixpanel.event_counts import EventCountsClient
from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.simulator import ABSENT, Event, Project, SimulatorServer
from mixpanel_pipeline.subscribers.event_sync import EventSync
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.workbench import IMPATIENT, PROJECT_ID, SECRET, USERNAME, NoBudget, build_sync, clear

NEW_YORK = "America/New_York"
EVENT, OTHER = "SubscriptionCreated", "Viewed Creator Profile"
FIRST, LAST = date(2025, 3, 7), date(2025, 3, 12)  # New York's clocks went forward on the ninth
DAYS = days_between(FIRST, LAST)
NOW = datetime(2025, 3, 14, 12, tzinfo=UTC)
COUNTS_A_DAY = len(catalog.TRACKED_EVENTS)


@dataclass
class Bench:
    """A project of Mixpanel's and a pipeline that follows it."""

    warehouse: Warehouse
    directory: Path
    server: SimulatorServer
    calendar: ExportCalendar = field(default_factory=lambda: ExportCalendar("utc", "UTC"))

    @property
    def project(self) -> Project:
        return self.server.project

    @property
    def sync(self) -> EventSync:
        return build_sync(self.warehouse, self.directory, self.server.url, calendar=self.calendar, now=lambda: NOW)

    @property
    def reports(self) -> EventCountsClient:
        return EventCountsClient(self.server.url, PROJECT_ID, USERNAME, SECRET, NoBudget())

    def start(self, time_mode: Any = "utc", timezone: str = "UTC", **shape: Any) -> Project:
        """Another project, which the pipeline's settings describe rightly unless a test sets `calendar`."""
        self.calendar = ExportCalendar(time_mode, timezone)
        self.server.project = Project(
            time_mode=time_mode, timezone=timezone, today=lambda: NOW, first_day=FIRST, last_day=LAST, **shape
        )
        return self.server.project

    def load(self, *days: date) -> None:
        for day in days or DAYS:
            self.sync.materialize_day(day)

    def check(self, *days: date) -> Verdict:
        return matches_mixpanel(self.sync, self.reports, *days, policy=IMPATIENT)

    def queries(self) -> list[dict[str, str]]:
        return [request.params for request in self.project.requests if request.path == "/api/query/events"]

    def write(self, statement: str, *values: Any) -> None:
        with self.warehouse.connect() as connection:
            connection.execute(statement, values)  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(Project()) as running:
        yield running


@pytest.fixture
def bench(warehouse: Warehouse, server: SimulatorServer, tmp_path: Path) -> Bench:
    bench = Bench(warehouse, tmp_path, server)
    bench.start()
    return bench


def at(day: date, hour: int, minute: int = 0) -> int:
    return int(datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC).timestamp())


def add(bench: Bench, hour: int = 12, event: str = EVENT, days: list[date] = DAYS, people: int = 1) -> list[Event]:
    return [bench.project.add(event, f"person-{number}", at(day, hour)) for day in days for number in range(people)]


def rows(verdict: Verdict) -> list[tuple]:
    return [(row["event"], row["day"], row["ours"], row["mixpanel"], row["difference"]) for row in verdict.rows]


def assert_agrees(verdict: Verdict, days: int) -> None:
    assert (verdict.passed, verdict.figures.get("differences")) == (True, 0), verdict
    assert verdict.figures["days"] == days


def assert_explained(verdict: Verdict, kind: str) -> None:
    assert (verdict.passed, verdict.severity) == (False, "warning"), verdict
    assert {row["explanation"].split(":")[0] for row in verdict.rows} == {kind}, verdict.rows
    assert verdict.fix


def test_counts_agree_though_the_export_has_duplicates(bench: Bench) -> None:
    project = bench.start(events_per_day=300, people=20)
    for event in add(bench, people=3):
        project.duplicate(event)
    for _ in range(2):
        project.add(EVENT, "no insert id", at(DAYS[0], 3), insert_id=ABSENT)
    bench.load()
    verdict = bench.check()
    assert_agrees(verdict, days=6)
    assert verdict.summary == (
        f"{6 * COUNTS_A_DAY} counts from 2025-03-07 to 2025-03-12 (6 days of UTC) equal Mixpanel's reports"
    )
    assert int(verdict.figures["events"]) > 1000
    assert len(bench.queries()) == 1


@pytest.mark.parametrize("time_mode", ["utc", "project"])
@pytest.mark.parametrize(
    ("timezone", "days"),
    [
        (NEW_YORK, days_between(date(2025, 3, 7), date(2025, 3, 11))),
        (NEW_YORK, days_between(date(2025, 10, 31), date(2025, 11, 4))),
        ("Australia/Lord_Howe", days_between(date(2025, 4, 4), date(2025, 4, 8))),  # half an hour
        ("Africa/Cairo", days_between(date(2025, 4, 23), date(2025, 4, 27))),  # at midnight
    ],
)
def test_days_are_the_project_s_across_a_change_of_clocks(
    bench: Bench, time_mode: str, timezone: str, days: list[date]
) -> None:
    bench.calendar = ExportCalendar(time_mode, timezone)  # pyright: ignore[reportArgumentType]
    bench.server.project = Project(
        time_mode=bench.calendar.time_mode, timezone=timezone, today=lambda: datetime(2025, 12, 1, tzinfo=UTC),
        events_per_day=400, people=20, first_day=days[0], last_day=days[-1],
    )  # fmt: skip
    for day in days:
        for quarter in range(96):
            bench.project.add(EVENT, "every quarter", at(day, quarter // 4, quarter % 4 * 15))
    bench.load(*days)
    verdict = matches_mixpanel(
        replace(bench.sync, now=lambda: datetime(2025, 12, 1, tzinfo=UTC)), bench.reports, policy=IMPATIENT
    )
    # Where exports have other days than reports, the first or the last day is only half there.
    assert_agrees(verdict, days=5 if time_mode == "project" else 4)


def test_a_disagreement_is_found_and_is_an_error(bench: Bench) -> None:
    add(bench, people=3)
    bench.load()
    bench.project.faults.add("counts_disagree", times=None, event=EVENT, on="2025-03-09", by=2)
    verdict = bench.check()
    assert (verdict.passed, verdict.severity) == (False, "error")
    assert rows(verdict) == [(EVENT, date(2025, 3, 9), 3, 5, 2)]
    assert verdict.rows[0]["explanation"] == "unexplained"
    assert verdict.summary.endswith("(6 days of UTC) differ from Mixpanel's reports: 1 unexplained")
    assert "sync --from 2025-03-09 --to 2025-03-09" in verdict.fix
    assert (verdict.figures["differences"], verdict.figures["unexplained"]) == (1, 1)


def test_what_was_found_stays_found_when_late_events_cannot_be_asked_for(bench: Bench) -> None:
    bench.load(FIRST)
    bench.project.faults.add("counts_disagree", event=EVENT, on=str(FIRST))
    bench.project.faults.add("rate_limited_hour", times=None, api="export")
    verdict = bench.check()
    assert verdict.severity == "error"
    assert verdict.rows[0]["explanation"] == "unexplained: late events could not be asked for"


def test_late_events_explain_as_many_as_they_are(bench: Bench) -> None:
    add(bench, people=3)
    bench.load()
    for number in range(2):
        bench.project.add(OTHER, f"late-{number}", at(DAYS[1], 8), processed_ms=int(NOW.timestamp() * 1000) - 60_000)
    # Postgres says that the days were fetched today; the simulated project lives earlier.
    bench.write("update raw_partitions set fetched_at = %s", datetime(2025, 3, 13, 3, tzinfo=UTC))
    verdict = bench.check()
    assert rows(verdict) == [(OTHER, DAYS[1], 0, 2, 2)]
    assert_explained(verdict, "late")
    assert "`mixpanel-pipeline sync`" in verdict.fix
    bench.project.faults.add("counts_disagree", event=EVENT, on=str(DAYS[1]), by=1)
    worse = bench.check()
    assert worse.severity == "error"
    assert {row["explanation"] for row in worse.rows} == {
        "unexplained: only 2 events reached Mixpanel after the day was fetched"
    }
    bench.load(DAYS[1])
    assert_agrees(bench.check(), days=6)


@pytest.mark.parametrize(
    ("truth", "settings_say", "setting"),
    [
        (("utc", NEW_YORK), ("utc", "UTC"), "MIXPANEL_TIMEZONE such as US/Eastern"),
        (("utc", "Asia/Kolkata"), ("utc", NEW_YORK), "MIXPANEL_TIMEZONE such as Asia/Colombo, Asia/Kolkata"),
        (("utc", "UTC"), ("utc", NEW_YORK), "else MIXPANEL_TIMEZONE=UTC"),
        (("project", NEW_YORK), ("utc", NEW_YORK), "MIXPANEL_TIME_MODE=project"),
        (("utc", NEW_YORK), ("project", NEW_YORK), "MIXPANEL_TIME_MODE=utc"),
        (("utc", NEW_YORK), ("project", "Asia/Tokyo"), "MIXPANEL_TIME_MODE=utc and MIXPANEL_TIMEZONE such as US/East"),
    ],
)
def test_a_wrong_time_zone_is_named(bench: Bench, truth: tuple, settings_say: tuple, setting: str) -> None:
    bench.start(*truth, events_per_day=500, people=20)
    bench.calendar = ExportCalendar(*settings_say)
    bench.load(*DAYS[:4])
    verdict = bench.check()
    assert_explained(verdict, "time zone")
    assert setting in verdict.rows[0]["explanation"]
    assert setting in verdict.fix


def test_a_late_event_is_no_question_of_time_zones(bench: Bench) -> None:
    bench.start("utc", NEW_YORK)
    add(bench, hour=2)
    bench.load(*DAYS[:4])
    bench.project.faults.add("counts_disagree", event=EVENT, on=str(DAYS[2]), by=1)
    assert bench.check().severity == "error"


@pytest.mark.parametrize("soft", [True, False])
def test_what_was_deleted_in_mixpanel_is_explained(bench: Bench, soft: bool) -> None:
    days = DAYS[:3]
    add(bench, people=3)
    bench.load(*days)
    bench.project.delete(distinct_id="person-1", soft=soft)
    verdict = bench.check()
    assert rows(verdict) == [(EVENT, day, 3, 2, -1) for day in days]
    assert_explained(verdict, "deleted")
    assert "sync --from 2025-03-07 --to 2025-03-09" in verdict.fix
    bench.load(*days)
    if soft:
        assert_explained(bench.check(), "deleted")
    else:
        assert_agrees(bench.check(), days=3)


def test_duplicates_that_mixpanel_still_counts_are_explained(bench: Bench) -> None:
    for event in add(bench, people=2):
        bench.project.duplicate(event)
    bench.load(*DAYS[:2])
    bench.project.faults.add("counts_disagree", event=EVENT, on="2025-03-08", by=2)
    assert_explained(bench.check(), "duplicates")
    bench.project.faults.add("counts_disagree", event=EVENT, on="2025-03-08", by=3)
    verdict = bench.check()
    assert verdict.severity == "error"
    assert verdict.rows[0]["explanation"].startswith("unexplained: only 2 duplicates")


def test_quarantined_lines_are_explained(bench: Bench) -> None:
    add(bench, people=5)
    bench.project.faults.add("garbage_line", day=DAYS[2])
    bench.load(DAYS[2])
    bench.project.faults.add("counts_disagree", event=EVENT, on=str(DAYS[2]), by=1)
    verdict = bench.check()
    assert_explained(verdict, "quarantined")
    assert "no_quarantined_events" in verdict.fix


@pytest.mark.parametrize(
    ("fault", "said", "advice"),
    [
        ("plan_without_export", "plan does not include this API", "plan"),
        ("forbidden", "no access to the project", "MIXPANEL_PROJECT_ID"),
        ("expired_account", "does not accept the credentials", "MIXPANEL_SECRET"),
        ("rate_limited_hour", "limit for Mixpanel requests is used up", "Run it again after"),
        ("unavailable_503", "failed to answer", "later"),
        ("cut_json", "not whole", "later"),
    ],
)
def test_reports_that_cannot_be_had_are_no_pass_and_no_error(bench: Bench, fault: str, said: str, advice: str) -> None:
    bench.load(FIRST)
    bench.project.faults.add(fault, times=None)
    verdict = bench.check()
    assert (verdict.passed, verdict.severity) == (False, "warning")
    assert verdict.summary.startswith("not compared with Mixpanel: ")
    assert said in verdict.summary
    assert advice in verdict.fix


def test_an_outage_that_passes_is_waited_for(bench: Bench) -> None:
    bench.load(FIRST)
    bench.project.faults.add("unavailable_503", times=2)
    assert_agrees(bench.check(), days=1)


def test_without_credentials_it_says_that_nothing_was_compared(
    warehouse: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MIXPANEL_PROJECT_ID", "MIXPANEL_SECRET"):
        monkeypatch.delenv(name, raising=False)
    (verdict,) = (
        verdict
        for verdict in run_checks(Settings(pipeline_home=tmp_path), warehouse, (FIRST, LAST))
        if verdict.check == "matches_mixpanel"
    )
    assert (verdict.passed, verdict.severity) == (False, "warning")
    assert verdict.summary.startswith("not compared with Mixpanel: MIXPANEL_PROJECT_ID: not set")


def test_only_days_that_are_whole_are_compared(bench: Bench) -> None:
    assert bench.check().summary.startswith("no day can be compared yet")
    bench.start("utc", NEW_YORK)
    add(bench, hour=2)  # still yesterday in New York
    bench.load(*DAYS[:3], DAYS[5])
    asked = bench.check(FIRST, LAST)
    assert_agrees(asked, days=2)  # the seventh and the eighth; the ninth lacks its last four hours
    # Half an hour after the day's end in New York is too early for its last hours, as is half a day for all.
    for moment in ("2025-03-09 05:30+00", "2025-03-08 12:00+00"):
        bench.write("update raw_partitions set fetched_at = %s where export_day = %s", moment, DAYS[2])
        assert_agrees(bench.check(), days=1)
    bench.write("update raw_partitions set recipe = 'another catalog'")
    verdict = bench.check()
    assert (verdict.passed, "no day can be compared yet" in verdict.summary) == (True, True)


def test_a_day_s_utc_part_may_be_fetched_when_that_part_is_over(bench: Bench) -> None:
    bench.start("utc", NEW_YORK)
    add(bench)
    bench.load(DAYS[0], DAYS[1])
    # The daily sync of 02:00 UTC, when the day in New York has two hours to go.
    bench.write(
        "update raw_partitions set fetched_at = %s where export_day = %s", datetime(2025, 3, 8, 2, tzinfo=UTC), DAYS[0]
    )
    assert_agrees(bench.check(), days=1)


def test_a_day_that_is_fetched_meanwhile_is_left_out(bench: Bench) -> None:
    add(bench)
    bench.load(*DAYS[2:5])
    sync = bench.sync

    class Slow(EventCountsClient):
        def event_counts(self, events: Sequence[str], from_day: date, to_day: date) -> dict[tuple[str, date], int]:
            bench.project.add(EVENT, "late", at(DAYS[3], 5))
            counts = super().event_counts(events, from_day, to_day)
            sync.materialize_day(DAYS[3])
            return counts

    reports = Slow(bench.server.url, PROJECT_ID, USERNAME, SECRET, NoBudget())
    assert_agrees(matches_mixpanel(sync, reports, policy=IMPATIENT), days=2)


def test_by_default_the_newest_month_is_one_query_and_longer_ranges_are_several(bench: Bench) -> None:
    days = [LAST - timedelta(days=number) for number in (200, 120, 29, 0)]
    for day in days:
        bench.project.add(EVENT, "ann", at(day, 12))
    bench.load(*days)
    assert_agrees(bench.check(), days=2)
    assert_agrees(bench.check(days[0], LAST), days=4)
    asked = [(query["from_date"], query["to_date"]) for query in bench.queries()]
    assert asked == [(str(days[2]), str(days[3])), (str(days[0]), str(days[1])), (str(days[2]), str(days[3]))]


def test_a_lost_file_is_told(bench: Bench) -> None:
    bench.load(FIRST)
    for file in bench.directory.rglob("*.parquet"):
        file.unlink()
    verdict = bench.check()
    assert (verdict.passed, verdict.severity) == (False, "error")
    assert "sync --from 2025-03-07" in verdict.summary


ZONES = ["UTC", NEW_YORK, "Asia/Kolkata", "Pacific/Auckland", "Pacific/Kiritimati", "America/St_Johns"]
some_events = st.lists(
    st.tuples(
        st.sampled_from([EVENT, OTHER, "App Opened"]),
        st.sampled_from(["ann", "bob", None]),
        # Around the midnights of many zones, and in New York's hour that does not exist.
        st.integers(0, 2 * 96 - 1).map(lambda quarter: at(FIRST + timedelta(days=1), 0) + quarter * 900),
        st.booleans(),
    ),
    max_size=30,
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(ZONES), st.sampled_from(["utc", "project"]), some_events, st.data())
def test_what_nobody_tampered_with_always_agrees(
    bench: Bench, zone: str, time_mode: str, events: list[tuple], data: st.DataObject
) -> None:
    clear(bench.warehouse)
    project = bench.start(time_mode, zone)
    for name, person, moment, twice in events:
        event = project.add(name, person, moment)
        if twice:
            project.duplicate(event)
    bench.load(*data.draw(st.permutations(DAYS[:4])))
    assert_agrees(bench.check(), days=4 if zone == "UTC" or time_mode == "project" else 3)
    by = data.draw(st.integers(1, 3))
    project.faults.add("counts_disagree", event=EVENT, on=str(DAYS[2]), by=by)
    verdict = bench.check()
    assert not verdict.passed
    assert [row["difference"] for row in verdict.rows] == [by]
