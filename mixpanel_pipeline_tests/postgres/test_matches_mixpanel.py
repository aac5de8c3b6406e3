"""The lake's counts equal Mixpanel's reports, and where they do not the check finds it and says why."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
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
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline_tests.conftest import fresh_database
from mixpanel_pipeline_tests.workbench import IMPATIENT, PROJECT_ID, SECRET, USERNAME, NoBudget, build_sync, clear

NEW_YORK = "America/New_York"
EVENT, OTHER, RARE, NEVER = (
    "SubscriptionCreated",
    "Viewed Creator Profile",
    "BankAccountLinked",
    "Viewed Creator Paywall",
)
FIRST, LAST = date(2025, 3, 7), date(2025, 3, 12)  # New York's clocks went forward on the ninth
DAYS = days_between(FIRST, LAST)
THREE_DAYS = DAYS[:3]
NOW = datetime(2025, 3, 14, 12, tzinfo=UTC)
# How many people do what on each of THREE_DAYS of the project that cases share.
PEOPLE = {EVENT: 20, OTHER: 9, RARE: 1}
COUNTS_A_DAY = len(catalog.TRACKED_EVENTS)


def event_counts(server: SimulatorServer) -> EventCountsClient:
    return EventCountsClient(server.url, PROJECT_ID, USERNAME, SECRET, NoBudget())


@dataclass
class Bench:
    """A project of Mixpanel's and a pipeline that follows it."""

    warehouse: Warehouse
    directory: Path
    server: SimulatorServer
    now: datetime = NOW
    calendar: ExportCalendar = field(default_factory=lambda: ExportCalendar("utc", "UTC"))

    @property
    def project(self) -> Project:
        return self.server.project

    @property
    def sync(self) -> EventSync:
        return build_sync(self.warehouse, self.directory, self.server.url, calendar=self.calendar, now=lambda: self.now)

    @property
    def reports(self) -> EventCountsClient:
        return event_counts(self.server)

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

    def check_against(self, counts: Mapping[tuple[str, date], int]) -> Verdict:
        """Against the reports of a project where PEOPLE do the same but for these counts."""
        project = Project(today=lambda: NOW)
        for event, day in {*itertools.product(PEOPLE, THREE_DAYS), *counts}:
            for number in range(counts.get((event, day), PEOPLE.get(event, 0))):
                project.add(event, f"person-{number}", at(day, 12))
        with SimulatorServer(project) as server:
            return matches_mixpanel(self.sync, event_counts(server), policy=IMPATIENT)

    def disagree(self, by: int, day: date = FIRST, event: str = EVENT) -> None:
        """Reports count so many more than there are; one such fault acts at a time."""
        self.project.faults.add("counts_disagree", times=None, event=event, on=str(day), by=by)

    def queries(self) -> list[dict[str, str]]:
        return [request.params for request in self.project.requests if request.path == "/api/query/events"]

    def write(self, statement: str, *values: Any) -> None:
        with self.warehouse.connect() as connection:
            connection.execute(statement, values)  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(Project()) as running:
        yield running


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres) -> Iterator[Warehouse]:
    """One for all of these tests: making one takes longer than loading days into it."""
    with fresh_database(postgres) as url:
        yield Warehouse(url)


@pytest.fixture
def bench(database: Warehouse, server: SimulatorServer, tmp_path: Path) -> Bench:
    clear(database)
    bench = Bench(database, tmp_path, server)
    bench.start()
    return bench


@pytest.fixture(scope="module")
def loaded_days(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Three days of what PEOPLE do: the first as it should be, the second with six duplicates of EVENT, the third with
    a line that is no event."""
    with SimulatorServer(Project()) as server, fresh_database(postgres) as url:
        bench = Bench(Warehouse(url), tmp_path_factory.mktemp("loaded"), server)
        bench.start()
        added = {name: add(bench, event=name, days=THREE_DAYS, people=people) for name, people in PEOPLE.items()}
        for event in added[EVENT][20:26]:
            bench.project.duplicate(event)
        bench.project.faults.add("garbage_line", day=DAYS[2])
        bench.load(*THREE_DAYS)
        yield bench


@pytest.fixture
def loaded(loaded_days: Bench) -> Iterator[Bench]:
    """The same for every test, which changes nothing but what Mixpanel answers."""
    loaded_days.project.faults.clear()
    yield loaded_days
    loaded_days.project.faults.clear()
    loaded_days.now = NOW


def at(day: date, hour: int, minute: int = 0) -> int:
    return int(datetime(day.year, day.month, day.day, hour, minute, tzinfo=UTC).timestamp())


def add(bench: Bench, hour: int = 12, event: str = EVENT, *, days: list[date], people: int = 1) -> list[Event]:
    return [bench.project.add(event, f"person-{number}", at(day, hour)) for day in days for number in range(people)]


def rows(verdict: Verdict) -> list[tuple]:
    return [(row["event"], row["day"], row["ours"], row["mixpanel"], row["difference"]) for row in verdict.rows]


def kind_of(row: dict[str, Any]) -> str:
    return row["explanation"].split(":")[0]


def assert_agrees(verdict: Verdict, days: int) -> None:
    assert (verdict.passed, verdict.figures.get("differences")) == (True, 0), verdict
    assert verdict.figures["days"] == days


def assert_explained(verdict: Verdict, kind: str) -> None:
    assert (verdict.passed, verdict.severity) == (False, "warning"), verdict
    assert {kind_of(row) for row in verdict.rows} == {kind}, verdict.rows
    assert verdict.fix


def test_counts_agree_though_the_export_has_duplicates(bench: Bench) -> None:
    project = bench.start(events_per_day=500, people=20)
    for event in add(bench, days=THREE_DAYS, people=3):
        project.duplicate(event)
    for _ in range(2):
        project.add(EVENT, "no insert id", at(DAYS[0], 3), insert_id=ABSENT)
    bench.load(*THREE_DAYS)
    verdict = bench.check()
    assert_agrees(verdict, days=3)
    assert verdict.summary == (
        f"{3 * COUNTS_A_DAY} counts from 2025-03-07 to 2025-03-09 (3 days of UTC) equal Mixpanel's reports"
    )
    assert int(verdict.figures["events"]) > 1000
    assert len(bench.queries()) == 1


@pytest.mark.parametrize("time_mode", ["utc", "project"])
@pytest.mark.parametrize(
    ("timezone", "days"),
    [
        (NEW_YORK, days_between(date(2025, 3, 8), date(2025, 3, 10))),
        (NEW_YORK, days_between(date(2025, 11, 1), date(2025, 11, 3))),
        ("Australia/Lord_Howe", days_between(date(2025, 4, 5), date(2025, 4, 7))),  # half an hour
        ("Africa/Cairo", days_between(date(2025, 4, 24), date(2025, 4, 26))),  # at midnight
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
    assert_agrees(verdict, days=3 if time_mode == "project" else 2)


def test_a_disagreement_is_found_and_is_an_error(loaded: Bench) -> None:
    loaded.disagree(by=2)
    verdict = loaded.check()
    assert (verdict.passed, verdict.severity) == (False, "error")
    assert rows(verdict) == [(EVENT, FIRST, 20, 22, 2)]
    assert verdict.rows[0]["explanation"] == "unexplained"
    assert verdict.summary.endswith("(3 days of UTC) differ from Mixpanel's reports: 1 unexplained")
    assert "sync --from 2025-03-07 --to 2025-03-07" in verdict.fix
    assert (verdict.figures["differences"], verdict.figures["unexplained"]) == (1, 1)


def test_what_was_found_stays_found_when_late_events_cannot_be_asked_for(loaded: Bench) -> None:
    loaded.disagree(by=1)
    loaded.project.faults.add("rate_limited_hour", times=None, api="export")
    verdict = loaded.check()
    assert verdict.severity == "error"
    assert verdict.rows[0]["explanation"] == "unexplained: late events could not be asked for"


def test_late_events_explain_as_many_as_they_are(bench: Bench) -> None:
    add(bench, days=DAYS[:2], people=3)
    bench.load(*DAYS[:2])
    for number in range(2):
        bench.project.add(OTHER, f"late-{number}", at(DAYS[1], 8), processed_ms=int(NOW.timestamp() * 1000) - 60_000)
    # Postgres says that the days were fetched today; the simulated project lives earlier.
    bench.write("update raw_partitions set fetched_at = %s", datetime(2025, 3, 13, 3, tzinfo=UTC))
    verdict = bench.check()
    assert rows(verdict) == [(OTHER, DAYS[1], 0, 2, 2)]
    assert_explained(verdict, "late")
    assert "`mixpanel-pipeline sync`" in verdict.fix
    bench.disagree(by=1, day=DAYS[1])
    worse = bench.check()
    assert worse.severity == "error"
    assert {row["explanation"] for row in worse.rows} == {
        "unexplained: only 2 events reached Mixpanel after the day was fetched"
    }
    bench.project.faults.clear()
    bench.load(DAYS[1])
    assert_agrees(bench.check(), days=2)


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
    bench.start(*truth, events_per_day=300, people=20)
    bench.calendar = ExportCalendar(*settings_say)
    bench.load(*THREE_DAYS)
    verdict = bench.check()
    assert_explained(verdict, "time zone")
    assert setting in verdict.rows[0]["explanation"]
    assert setting in verdict.fix


def test_a_late_event_is_no_question_of_time_zones(bench: Bench) -> None:
    bench.start("utc", NEW_YORK)
    add(bench, hour=2, days=THREE_DAYS)
    bench.load(*THREE_DAYS)
    bench.disagree(by=1, day=DAYS[1])
    assert bench.check().severity == "error"


def test_what_was_deleted_in_mixpanel_is_explained(bench: Bench) -> None:
    days = DAYS[:2]
    add(bench, days=days, people=3)
    bench.load(*days)
    # First it is hidden from reports, later gone from exports too.
    for soft in (True, False):
        bench.project.delete(distinct_id="person-1", soft=soft)
        verdict = bench.check()
        assert rows(verdict) == [(EVENT, day, 3, 2, -1) for day in days]
        assert_explained(verdict, "deleted")
        assert "sync --from 2025-03-07 --to 2025-03-08" in verdict.fix
        bench.load(*days)
        if soft:
            assert_explained(bench.check(), "deleted")
    assert_agrees(bench.check(), days=2)


def explanations(verdict: Verdict) -> list[str]:
    return [row["explanation"] for row in verdict.rows]


@pytest.mark.parametrize(
    ("missing", "explanation"),
    [
        ({(EVENT, FIRST): 3}, "deleted"),  # three of a day are few
        ({(EVENT, FIRST): 1, (OTHER, FIRST): 1, (RARE, FIRST): 1}, "deleted"),  # all of one person's
        ({(RARE, FIRST): 1}, "deleted"),  # there is no other that day, but there are on others
        ({(RARE, FIRST): 1, (RARE, DAYS[1]): 1}, "unexplained"),  # most are gone
        ({(EVENT, FIRST): 4}, "unexplained"),  # more than a tenth of the day's thirty
        ({(EVENT, FIRST): 2, (OTHER, FIRST): 2}, "unexplained"),
        ({(EVENT, FIRST): 10}, "unexplained"),  # ours were loaded twice, say
        ({(EVENT, FIRST): 20}, "unexplained"),
        ({(event, FIRST): people for event, people in PEOPLE.items()}, "unexplained"),
    ],
)
def test_only_little_is_taken_for_deleted(
    loaded: Bench, missing: dict[tuple[str, date], int], explanation: str
) -> None:
    verdict = loaded.check_against({cell: PEOPLE[cell[0]] - events for cell, events in missing.items()})
    assert len(verdict.rows) == len(missing)
    if explanation == "deleted":
        assert_explained(verdict, "deleted")
    else:
        assert verdict.severity == "error"
        assert {kind_of(row) for row in verdict.rows} == {"unexplained"}


def test_reports_without_anything_are_no_deletion(loaded: Bench) -> None:
    """As from another project, whose events are none of these."""
    verdict = loaded.check_against(dict.fromkeys(itertools.product(PEOPLE, THREE_DAYS), 0))
    assert (verdict.passed, verdict.severity) == (False, "error")
    assert (verdict.figures["differences"], verdict.figures["unexplained"]) == (9, 9)
    for words in ("another project's", "data view", "plan"):
        assert all(words in said for said in explanations(verdict))
    assert all(words in verdict.fix for words in ("MIXPANEL_PROJECT_ID", "data view", "plan"))
    assert "bug" not in verdict.fix


@pytest.mark.parametrize(
    ("event", "by", "now", "explanation"),
    [
        (EVENT, 6, NOW, "duplicates: 6 of the duplicates removed here may still be counted by Mixpanel"),
        (EVENT, 7, NOW, "unexplained: only 6 of the duplicates removed here may still be counted by Mixpanel"),
        # Duplicates of what is not there?
        (NEVER, 5, NOW, "unexplained"),
        (RARE, 5, NOW, "unexplained: only 1 of the duplicates removed here may still be counted by Mixpanel"),
        # By then Mixpanel has merged them.
        (
            EVENT,
            6,
            NOW + timedelta(days=14),
            "duplicates: 6 of the duplicates removed here may still be counted by Mixpanel",
        ),
        (EVENT, 6, NOW + timedelta(days=15), "unexplained"),
    ],
)
def test_duplicates_that_mixpanel_still_counts_are_explained(
    loaded: Bench, event: str, by: int, now: datetime, explanation: str
) -> None:
    loaded.now = now
    loaded.disagree(by=by, day=DAYS[1], event=event)
    verdict = loaded.check()
    assert explanations(verdict) == [explanation]
    assert verdict.severity == ("error" if explanation.startswith("unexplained") else "warning")


def test_what_was_lost_is_not_explained_by_duplicates_of_something_else(loaded: Bench) -> None:
    verdict = loaded.check_against({(EVENT, DAYS[1]): 22, (NEVER, DAYS[1]): 3})
    assert verdict.severity == "error"
    assert {kind_of(row) for row in verdict.rows} == {"unexplained"}


def test_what_an_export_day_says_explains_only_one_of_its_two_report_days(bench: Bench) -> None:
    """Two duplicates in UTC's second day, of the evening of New York's first and of the morning of its second."""
    project = bench.start("utc", NEW_YORK)
    for hour in (2, 12):
        project.duplicate(add(bench, hour=hour, days=THREE_DAYS, people=2)[2])
    bench.load(*THREE_DAYS)
    assert_agrees(bench.check(), days=2)
    for by, kind in ((1, "duplicates"), (2, "unexplained")):
        for day in DAYS[:2]:
            # Processed before the days were fetched, and not in them: lost, or a duplicate.
            project.add(EVENT, f"lost-{by}", at(day, 20))
        found = {row["day"]: (row["ours"], row["difference"], kind_of(row)) for row in bench.check().rows}
        assert found == {DAYS[0]: (4, by, "duplicates"), DAYS[1]: (4, by, kind)}


def test_quarantined_lines_are_explained(loaded: Bench) -> None:
    loaded.disagree(by=1, day=DAYS[2])
    verdict = loaded.check()
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
def test_reports_that_cannot_be_had_are_no_pass_and_no_error(loaded: Bench, fault: str, said: str, advice: str) -> None:
    loaded.project.faults.add(fault, times=None)
    verdict = loaded.check()
    assert (verdict.passed, verdict.severity) == (False, "warning")
    assert verdict.summary.startswith("not compared with Mixpanel: ")
    assert said in verdict.summary
    assert advice in verdict.fix


def test_an_outage_that_passes_is_waited_for(loaded: Bench) -> None:
    loaded.project.faults.add("unavailable_503", times=2)
    assert_agrees(loaded.check(), days=3)


def test_without_credentials_it_says_that_nothing_was_compared(
    database: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("MIXPANEL_PROJECT_ID", "MIXPANEL_SECRET"):
        monkeypatch.delenv(name, raising=False)
    (verdict,) = (
        verdict
        for verdict in run_checks(Settings(pipeline_home=tmp_path), database, (FIRST, LAST))
        if verdict.check == "matches_mixpanel"
    )
    assert (verdict.passed, verdict.severity) == (False, "warning")
    assert verdict.summary.startswith("not compared with Mixpanel: MIXPANEL_PROJECT_ID: not set")


def test_only_days_that_are_whole_are_compared(bench: Bench) -> None:
    assert bench.check().summary.startswith("no day can be compared yet")
    bench.start("utc", NEW_YORK)
    add(bench, hour=2, days=DAYS)  # still yesterday in New York
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
    add(bench, days=DAYS[:2])
    bench.load(DAYS[0], DAYS[1])
    # The daily sync of 02:00 UTC, when the day in New York has two hours to go.
    bench.write(
        "update raw_partitions set fetched_at = %s where export_day = %s", datetime(2025, 3, 8, 2, tzinfo=UTC), DAYS[0]
    )
    assert_agrees(bench.check(), days=1)


def test_a_day_that_is_fetched_meanwhile_is_left_out(bench: Bench) -> None:
    add(bench, days=DAYS[2:5])
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


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
    bench.load(*data.draw(st.permutations(THREE_DAYS)))
    assert_agrees(bench.check(), days=3 if zone == "UTC" or time_mode == "project" else 2)
    by = data.draw(st.integers(1, 3))
    bench.disagree(by=by, day=DAYS[1])
    verdict = bench.check()
    assert not verdict.passed
    assert [row["difference"] for row in verdict.rows] == [by]
