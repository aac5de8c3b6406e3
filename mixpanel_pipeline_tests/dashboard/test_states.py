"""What pages say when there is nothing yet, when rows came late, and when there is too much to list."""

from datetime import timedelta

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.aggregation import aggregate_all
from mixpanel_pipeline_tests.dashboard.conftest import PEOPLE, RunningDashboard
from mixpanel_pipeline_tests.dashboard.pages import tables_of
from mixpanel_pipeline_tests.dashboard.traffic import let_people_in
from mixpanel_pipeline_tests.web import site


def test_an_admin_of_nothing_is_told_how_to_begin(warehouse: Warehouse, dashboard: RunningDashboard) -> None:
    with warehouse.connect() as connection:
        connection.execute("insert into admin_users values (%s)", [PEOPLE["admin"]])
    assert "mixpanel-pipeline collect --new-key" in dashboard.page("/", "admin")
    assert "Nothing is yours yet" in dashboard.page("/", "stranger")


def test_before_the_first_aggregation_all_is_live(warehouse: Warehouse, dashboard: RunningDashboard) -> None:
    let_people_in(warehouse)
    with warehouse.connect() as connection:
        for day in (3, 80, 91):
            site.insert(connection, "events", [site.event(site.at(day, 0), f"v{number}") for number in range(2)])
            site.insert(connection, "page_views", [site.page_view(site.at(day, 0), "s")])
            site.insert(connection, "clicks", [site.click(site.at(day, 0), "s", click_category="social")])
    data = dashboard.json("/api/project", "owner", project_id="p", period="90d")
    assert data["totals"] == {"events": 6, "unique_visitors": 2, "unique_sessions": 2}
    assert data["progress"]["aggregated_until"] is None
    assert sum(each["events"] for each in data["series"]["buckets"]) == 6
    assert "Nothing is aggregated yet" in dashboard.page("/project", "owner", project_id="p")
    assert dashboard.json("/api/project", "owner", project_id="p", period="24h")["today"]["unique_visitors"] == 2
    card = dashboard.json("/api/card", "card owner", user_code="c", period="90d")
    assert (card["totals"]["page_views"], card["totals"]["unique_sessions"]) == (3, 1)
    assert [each["page_views"] for each in card["pages"]] == [3]
    assert [each["clicks"] for each in card["contact_methods"]] == [3]
    overview = dashboard.json("/api/overview", "owner")
    assert overview["projects"][0]["days"][-1] == 2


def test_what_is_new_since_the_last_run_is_listed(warehouse: Warehouse, dashboard: RunningDashboard) -> None:
    """For the admin, who has no list of their own; however long ago that run was."""
    let_people_in(warehouse)
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(80))])
    aggregate_all(warehouse)
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(86), project_id="new")])
        site.insert(connection, "sessions", [site.session_row(site.at(86), user_code="new")])
        until = "update analytics_progress set aggregated_until = %s"
        connection.execute(until, [site.at(85, 0)])
    listed = dashboard.json("/api/overview", "admin")
    assert {each["project_id"]: each["events"] for each in listed["projects"]} == {"new": 1, "p": 0}
    assert {each["user_code"]: each["unique_sessions"] for each in listed["cards"]} == {"new": 1}
    with warehouse.connect() as connection:
        connection.execute("select aggregate_analytics_hours(1000)")
        connection.execute(f"{until} where aggregate = 'hours'", [site.at(91, 0)])
    assert dashboard.json("/api/overview", "admin")["projects"] == listed["projects"]


def test_late_rows_are_announced_until_they_count(warehouse: Warehouse, dashboard: RunningDashboard) -> None:
    let_people_in(warehouse)
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(85))])
    aggregate_all(warehouse)
    with warehouse.connect() as connection:
        site.insert(connection, "events", [site.event(site.at(85, 12, 30)), site.event(site.at(87, 4))])
    waiting = dashboard.json("/api/project", "owner", project_id="p")
    assert waiting["totals"]["events"] == 1
    assert waiting["progress"]["hours_waiting"] == 2
    assert "2 hours have</strong> events that came late" in dashboard.page("/project", "owner", project_id="p")
    aggregate_all(warehouse)
    counted = dashboard.json("/api/project", "owner", project_id="p")
    assert (counted["totals"]["events"], counted["progress"]["hours_waiting"]) == (3, 0)
    assert "came late" not in dashboard.page("/project", "owner", project_id="p")


def test_the_busiest_of_many_projects(warehouse: Warehouse, dashboard: RunningDashboard) -> None:
    let_people_in(warehouse)
    with warehouse.connect() as connection:
        for number in range(60):
            time = site.at(89) - timedelta(minutes=number)
            project = f"project {number:02}"
            events = [site.event(time, project_id=project) for _ in range(3 if number > 55 else 1)]
            site.insert(connection, "events", events)
    aggregate_all(warehouse)
    data = dashboard.json("/api/overview", "admin")
    assert data["projects_in_all"] == 60
    assert len(data["projects"]) == 50
    assert [each["project_id"] for each in data["projects"][:4]] == [f"project {number}" for number in range(56, 60)]
    page = dashboard.page("/", "admin")
    assert "The 50 busiest of 60 projects" in page
    found = dashboard.page("/", "admin", search="55")
    assert [row[0] for row in tables_of(found)[0][1:]] == ["project 55"]


def test_long_lists_are_cut_on_the_page_only(warehouse: Warehouse, dashboard: RunningDashboard) -> None:
    let_people_in(warehouse)
    with warehouse.connect() as connection:
        site.insert(
            connection, "events", [site.event(site.at(89), event_label=f"label {number:02}") for number in range(40)]
        )
    aggregate_all(warehouse)
    given = {"project_id": "p", "event_type": "visible"}
    page = dashboard.page("/project", "owner", **given)
    assert "The first 25 of 40; the CSV has all." in page
    assert len(tables_of(page)[2]) == 26
    assert len(dashboard.json("/api/project", "owner", **given)["labels"]) == 40
    assert len(dashboard.page("/csv/project", "owner", **given, table="labels").splitlines()) == 41
