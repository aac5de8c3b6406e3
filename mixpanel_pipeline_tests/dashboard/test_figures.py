"""Every number on the pages, in their JSON and CSV, is what a plain count of the raw rows gives."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline_tests.conftest import fresh_database
from mixpanel_pipeline_tests.dashboard.conftest import RunningDashboard, running
from mixpanel_pipeline_tests.dashboard.pages import csv_rows, figure_of, tables_of
from mixpanel_pipeline_tests.dashboard.traffic import let_people_in, write_traffic
from mixpanel_pipeline_tests.web import site
from mixpanel_pipeline_tests.web.plain_web import Row, label_of

DAYS = {"7d": 7, "30d": 30, "90d": 90, "today": 1}
FILTERS = [{}, {"event_type": "visible"}, {"event_type": "visible", "event_label": "side, bar"},
           {"event_type": "form", "event_label": ""}, {"event_type": "not there"}]  # fmt: skip
CARD_FILTERS = [{}, {"share_code": "g"}, {"share_code": ""}, {"contact_id": "ada"}, {"contact_id": ""},
                {"share_code": "g", "contact_id": "ada"}, {"share_code": "", "contact_id": ""}]  # fmt: skip
UNIQUES = ("unique_visitors", "unique_sessions")


@pytest.fixture(scope="module")
def visited(postgres: EmbeddedPostgres) -> Iterator[Warehouse]:
    """One database for all tests here: they only read."""
    with fresh_database(postgres) as url:
        warehouse = Warehouse(url)
        let_people_in(warehouse)
        write_traffic(warehouse)
        yield warehouse


@pytest.fixture(scope="module")
def dashboard(visited: Warehouse) -> Iterator[RunningDashboard]:
    with running(visited) as dashboard:
        yield dashboard


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def days_before(now: datetime, days: int) -> tuple[datetime, datetime]:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - timedelta(days=days - 1), midnight + timedelta(days=1)


def of_event(rows: list[Row], start: datetime, end: datetime, **chosen: str) -> dict[str, int]:
    found = [row for row in rows if row["project_id"] == "p" and start <= row["created_at"] < end]
    if "event_type" in chosen:
        found = [row for row in found if row["event_type"] == chosen["event_type"]]
    if "event_label" in chosen:
        found = [row for row in found if label_of(row) == (chosen["event_label"] or None)]
    return {
        "events": len(found),
        "unique_visitors": len({row["visitor_id"] for row in found}),
        "unique_sessions": len({row["session_id"] for row in found}),
    }


def of_card(actions: list[Row], start: datetime, end: datetime, **chosen: str) -> dict[str, int]:
    found = [row for row in actions if row["user_code"] == "c" and start <= row["at"] < end]
    for name, value in chosen.items():
        found = [row for row in found if (row[name] or None) == (value or None)]
    kinds = [row["kind"] for row in found]
    return {
        "page_views": kinds.count("page_views"),
        "clicks": kinds.count("clicks"),
        "sessions_started": len({row["session_id"] for row in found if row["kind"] == "sessions"}),
        "unique_sessions": len({row["session_id"] for row in found}),
    }


Count = Callable[[datetime, datetime], dict[str, int]]


def check_series(series: Any, count: Count, start: datetime, end: datetime, now: datetime) -> None:
    """No gap, no overlap, every bucket counted; and those that are running or cut off say so."""
    buckets = series["buckets"]
    assert moment(buckets[0]["start"]) == start
    assert moment(buckets[-1]["end"]) == end
    assert [each["end"] for each in buckets[:-1]] == [each["start"] for each in buckets[1:]]
    whole = {"hour": 1, "4 hours": 4, "day": 24, "week": 168}[series["step"]]
    for each in buckets:
        first, after = moment(each["start"]), moment(each["end"])
        expected = count(first, after)
        assert {name: each[name] for name in expected if name in each} == {
            name: value for name, value in expected.items() if name in each
        }
        assert each["complete"] == (after <= now and after - first == timedelta(hours=whole))


def check_comparison(comparison: Any, count: Count, start: datetime, end: datetime, now: datetime) -> None:
    """The days that are over beside as many on the same weekdays, and nothing where the past is not known."""
    today = now.replace(hour=0, minute=0, second=0, microsecond=0)
    back = timedelta(weeks=-(-(end - start).days // 7))
    oldest = datetime.combine(site.OLDEST, datetime.min.time(), UTC)
    if today <= start or start - back < oldest:
        assert comparison is None
        return
    before, after = count(start - back, today - back), count(start, today)
    assert moment(comparison["previous_from"]) == start - back
    for name, value in after.items():
        figure = comparison["figures"][name]
        assert (figure["now"], figure["previous"]) == (value, before[name])
        if before[name]:
            assert figure["change"] == pytest.approx(value / before[name] - 1)


@pytest.mark.parametrize("chosen", FILTERS)
def test_a_projects_days(visited: Warehouse, dashboard: RunningDashboard, chosen: dict[str, str]) -> None:
    rows = site.raw_rows(visited)["events"]

    def count(start: datetime, end: datetime) -> dict[str, int]:
        return of_event(rows, start, end, **chosen)

    for period in ("7d", "30d", "90d"):
        for metric in ("events", "unique_visitors"):
            data = dashboard.json("/api/project", "owner", project_id="p", period=period, metric=metric, **chosen)
            now = moment(data["progress"]["now"])
            start, end = days_before(now, DAYS[period])
            assert (moment(data["period"]["from"]), moment(data["period"]["to"])) == (start, end)
            assert data["totals"] == count(start, end)
            check_series(data["series"], count, start, end, now)
            check_comparison(data["comparison"], count, start, end, now)
            for each in data["types"]:
                assert {name: each[name] for name in data["totals"]} == of_event(
                    rows, start, end, event_type=each["event_type"]
                )
            for each in data["labels"] or []:
                assert {name: each[name] for name in data["totals"]} == of_event(
                    rows, start, end, event_type=each["event_type"], event_label=each["event_label"] or ""
                )
            assert len(data["types"]) == len({row["event_type"] for row in rows if row["project_id"] == "p"})


def test_steps_follow_from_the_length(visited: Warehouse, dashboard: RunningDashboard) -> None:
    def step(metric: str, **period: Any) -> str:
        return dashboard.json("/api/project", "owner", project_id="p", metric=metric, **period)["series"]["step"]

    assert [step("events", period=name) for name in ("24h", "7d", "30d", "90d")] == ["hour", "4 hours", "day", "week"]
    assert [step("unique_sessions", period=name) for name in ("24h", "7d", "30d", "90d")] == ["day"] * 3 + ["week"]
    day = {"from": site.OLDEST, "to": site.OLDEST}
    assert (step("events", **day), step("unique_visitors", **day)) == ("hour", "day")


@pytest.mark.parametrize("chosen", [FILTERS[0], FILTERS[2]])
def test_a_projects_last_24_hours(visited: Warehouse, dashboard: RunningDashboard, chosen: dict[str, str]) -> None:
    data = dashboard.json("/api/project", "owner", project_id="p", period="24h", **chosen)
    rows = site.raw_rows(visited)["events"]

    def count(start: datetime, end: datetime) -> dict[str, int]:
        return of_event(rows, start, end, **chosen)

    now = moment(data["progress"]["now"])
    end = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    check_series(data["series"], count, end - timedelta(days=1), end, now)
    assert data["totals"] == {"events": count(end - timedelta(days=1), end)["events"], **dict.fromkeys(UNIQUES)}
    assert data["today"] == count(*days_before(now, 1))
    figure = data["comparison"]["figures"]["events"]
    hour, week = timedelta(hours=1), timedelta(weeks=1)
    assert figure["now"] == count(end - timedelta(days=1), end - hour)["events"]
    assert figure["previous"] == count(end - timedelta(days=1) - week, end - hour - week)["events"]
    assert sum(each["events"] for each in data["types"]) == of_event(rows, end - timedelta(days=1), end)["events"]


def test_days_from_one_to_another(visited: Warehouse, dashboard: RunningDashboard) -> None:
    rows = site.raw_rows(visited)["events"]
    for first, last in ((20, 40), (50, 50), (10, 11), (3, 7), (1, 91)):
        start, end = site.at(first, 0), site.at(last + 1, 0)
        data = dashboard.json(
            "/api/project", "owner", project_id="p", **{"from": start.date(), "to": site.at(last).date()}
        )
        now = moment(data["progress"]["now"])
        assert data["totals"] == of_event(rows, start, end)
        check_series(data["series"], lambda a, b: of_event(rows, a, b), start, end, now)


def test_more_days_than_uniques_are_kept_of(visited: Warehouse, dashboard: RunningDashboard) -> None:
    rows = site.raw_rows(visited)["events"]
    first = site.OLDEST - timedelta(days=100)
    given = {"project_id": "p", "from": first, "to": site.TODAY}
    data = dashboard.json("/api/project", "owner", **given)
    start, end = datetime.combine(first, datetime.min.time(), UTC), site.at(92, 0)
    assert data["totals"] == {"events": of_event(rows, start, end)["events"], **dict.fromkeys(UNIQUES)}
    assert not data["period"]["exact_uniques"]
    check_series(
        data["series"], lambda a, b: of_event(rows, a, b), start, end, moment(data["progress"]["now"])
    )  # fmt: skip
    page = dashboard.page("/project", "owner", **given)
    assert "Exact visitors and sessions can be had of up to 91 days" in page
    assert figure_of(page, "kpi-unique_visitors") == "—"


@pytest.mark.parametrize("chosen", CARD_FILTERS)
def test_a_cards_days(visited: Warehouse, dashboard: RunningDashboard, chosen: dict[str, str]) -> None:
    actions = site.actions_of(site.raw_rows(visited))

    def count(start: datetime, end: datetime) -> dict[str, int]:
        return of_card(actions, start, end, **chosen)

    for period in ("today", "7d", "30d", "90d"):
        data = dashboard.json("/api/card", "card owner", user_code="c", period=period, **chosen)
        now = moment(data["progress"]["now"])
        start, end = days_before(now, DAYS[period])
        totals = count(start, end)
        rate = totals["clicks"] / totals["page_views"] if totals["page_views"] else None
        assert data["totals"] == totals | {"clicks_per_view": rate}
        check_series(data["series"], count, start, end, now)
        check_comparison(data["comparison"], count, start, end, now)
        for name, other in (("share_code", "contact_id"), ("contact_id", "share_code")):
            of_other = {other: chosen[other]} if other in chosen else {}
            listed = data["groups" if name == "share_code" else "contacts"]
            for each in listed:
                expected = of_card(actions, start, end, **{name: each[name] or "", **of_other})
                assert {figure: each[figure] for figure in expected} == expected
            assert sum(each["page_views"] for each in listed) == of_card(actions, start, end, **of_other)["page_views"]

        found = [row for row in actions if row["user_code"] == "c" and start <= row["at"] < end]
        for name, value in chosen.items():
            found = [row for row in found if (row[name] or None) == (value or None)]
        pages = [row["page_type"] for row in found if row["kind"] == "page_views"]
        assert {each["page_type"]: each["page_views"] for each in data["pages"]} == {
            page: pages.count(page) for page in pages
        }
        clicks = [row for row in found if row["kind"] == "clicks"]
        places = {(row["click_category"], row["click_target"] or None) for row in clicks}
        assert {(each["click_category"], each["click_target"]) for each in data["click_targets"]} == places
        for each in data["click_targets"]:
            place = each["click_category"], each["click_target"]
            here = [row for row in clicks if (row["click_category"], row["click_target"] or None) == place]
            assert each["clicks"] == len(here)
            assert each["unique_contacts"] == len({row["contact_id"] for row in here if row["contact_id"]})
        methods = [(-each["unique_contacts"], -each["clicks"]) for each in data["contact_methods"]]
        assert methods == sorted(methods)
        assert {each["click_category"] for each in data["contact_methods"]} <= {"contact", "messaging", "social"}


def test_the_overview(visited: Warehouse, dashboard: RunningDashboard) -> None:
    check_overview(visited, dashboard)


@pytest.mark.parametrize("days_behind", [1, 4, 7, 11, None])
def test_the_overview_when_aggregation_is_behind(warehouse: Warehouse, days_behind: int | None) -> None:
    """Ranges that are live in part or in whole, up to where nothing was aggregated yet."""
    let_people_in(warehouse)
    until = None if days_behind is None else site.TODAY - timedelta(days=days_behind)
    write_traffic(warehouse, site.TODAY - timedelta(days=20), until)
    with running(warehouse) as dashboard:
        check_overview(warehouse, dashboard, compares=until is not None)
        whole = dashboard.json("/api/project", "admin", project_id="p", period="7d")["totals"]
        [listed] = dashboard.json("/api/overview", "owner")["projects"]
        assert {name: listed[name] for name in whole} == whole


def check_overview(warehouse: Warehouse, dashboard: RunningDashboard, compares: bool = True) -> None:
    """What it says of each project and card is what a plain count of the raw rows gives."""
    raw = site.raw_rows(warehouse)
    events, actions = raw["events"], site.actions_of(raw)
    data = dashboard.json("/api/overview", "admin")
    now = moment(data["progress"]["now"])
    start, end = days_before(now, 7)
    assert [each["project_id"] for each in data["projects"]] == ["p", "q"]
    assert {each["user_code"] for each in data["cards"]} == {"c", "d"}
    for kind, key, of_name in (
        ("projects", "project_id", lambda name, a, b: of_event(
            [row | {"project_id": "p"} for row in events if row["project_id"] == name], a, b)),
        ("cards", "user_code", lambda name, a, b: of_card(
            [row | {"user_code": "c"} for row in actions if row["user_code"] == name], a, b)),
    ):  # fmt: skip
        for each in data[kind]:
            expected = of_name(each[key], start, end)
            assert {name: each[name] for name in expected if name in each} == {
                name: value for name, value in expected.items() if name in each
            }
            week, today = timedelta(weeks=1), end - timedelta(days=1)
            complete, before = of_name(each[key], start, today), of_name(each[key], start - week, today - week)
            for name, change in each["change"].items():
                if not compares:
                    assert change is None
                elif before[name]:
                    assert change == pytest.approx(complete[name] / before[name] - 1)
            first = next(iter(expected))
            days = [start + timedelta(days=number) for number in range(7)]
            assert each["days"] == [of_name(each[key], day, day + timedelta(days=1))[first] for day in days]


def test_the_overview_is_sorted_and_searched(visited: Warehouse, dashboard: RunningDashboard) -> None:
    by_name = dashboard.json("/api/overview", "admin", sort="name", card_sort="clicks")
    assert [each["project_id"] for each in by_name["projects"]] == ["p", "q"]
    clicks = [each["clicks"] for each in by_name["cards"]]
    assert clicks == sorted(clicks, reverse=True)
    found = dashboard.json("/api/overview", "admin", search="Q")
    assert [each["project_id"] for each in found["projects"]] == ["q"]
    assert found["cards"] == []
    assert "Nothing is called so" in dashboard.page("/", "admin", search="%")


def shown(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else value


def test_pages_and_csv_say_what_json_says(visited: Warehouse, dashboard: RunningDashboard) -> None:
    given = {"project_id": "p", "period": "30d", "event_type": "visible", "event_label": ""}
    data, page = dashboard.json("/api/project", "owner", **given), dashboard.page("/project", "owner", **given)
    assert [figure_of(page, f"kpi-{name}") for name in data["totals"]] == [shown(n) for n in data["totals"].values()]
    series, types, labels = tables_of(page)
    assert [row[1:] for row in series[1:]] == [
        [shown(each[name]) for name in data["totals"]] for each in data["series"]["buckets"]
    ]
    assert "so far" in series[-1][0]
    for table, listed, name in ((types, data["types"], "event_type"), (labels, data["labels"], "event_label")):
        whole = sum(each["events"] for each in listed)
        assert table[1:] == [
            [each[name] or "(none)", shown(each["events"]), f"{each['events'] / whole:.1%}".replace("%", " %"),
             shown(each["unique_visitors"])] for each in listed
        ]  # fmt: skip
    for table, listed in (("types", data["types"]), ("labels", data["labels"]), ("series", data["series"]["buckets"])):
        rows = csv_rows(dashboard.page("/csv/project", "owner", **given, table=table))
        assert [row["events"] for row in rows] == [str(each["events"]) for each in listed]
        assert [row["unique_visitors"] for row in rows] == [str(each["unique_visitors"]) for each in listed]

    card = {"user_code": "c", "period": "90d"}
    data, page = dashboard.json("/api/card", "card owner", **card), dashboard.page("/card", "card owner", **card)
    totals = {name: value for name, value in data["totals"].items() if name != "clicks_per_view"}
    assert [figure_of(page, f"kpi-{name}") for name in totals] == [shown(value) for value in totals.values()]
    series, methods, groups, pages, clicks, contacts = tables_of(page)
    assert [row[1:] for row in series[1:]] == [
        [shown(each[name]) for name in totals] for each in data["series"]["buckets"]
    ]  # fmt: skip
    assert [row[1:] for row in methods[1:]] == [
        [shown(each["unique_contacts"]), shown(each["clicks"])] for each in data["contact_methods"]
    ]
    assert [row[1] for row in pages[1:]] == [shown(each["page_views"]) for each in data["pages"]]
    assert [row[1] for row in clicks[1:]] == [shown(each["clicks"]) for each in data["click_targets"]]
    for table, listed in ((groups, data["groups"]), (contacts, data["contacts"])):
        assert [row[1:] for row in table[1:]] == [
            [shown(each[name]) for name in ("unique_sessions", "page_views", "clicks")] for each in listed
        ]
    for table in ("series", "pages", "click_targets", "contact_methods", "groups", "contacts"):
        rows = csv_rows(dashboard.page("/csv/card", "card owner", **card, table=table))
        listed = data["series"]["buckets"] if table == "series" else data[table]
        assert len(rows) == len(listed)
        for row, each in zip(rows, listed, strict=True):
            numbers = {
                name: str(value) for name, value in each.items() if isinstance(value, int) and name != "complete"
            }
            assert {name: row[name] for name in numbers} == numbers

    overview = dashboard.json("/api/overview", "admin")
    projects, _cards = tables_of(dashboard.page("/", "admin"))
    assert [row[:4] for row in projects[1:]] == [
        [each["project_id"], *(shown(each[name]) for name in ("events", *UNIQUES))] for each in overview["projects"]
    ]


def test_csv_is_no_formula(visited: Warehouse, dashboard: RunningDashboard) -> None:
    given = {"project_id": "p", "period": "90d", "event_type": "form", "table": "labels"}
    answer = dashboard.get("/csv/project", "owner", **given)
    assert answer.headers["Content-Type"] == "text/csv; header=present; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="labels.csv"'
    assert "\r\n" in answer.text
    assert {row["event_label"] for row in csv_rows(answer.text)} == {"", '\'=HYPERLINK("x")'}
