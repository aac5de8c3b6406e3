"""Who sees what: Postgres decides, and what it does not show is not there."""

from collections.abc import Iterator

import pytest

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline_tests.conftest import fresh_database
from mixpanel_pipeline_tests.dashboard.conftest import RunningDashboard, Serve, running
from mixpanel_pipeline_tests.dashboard.traffic import let_people_in, write_traffic

SEES: dict[str, tuple[list[str], list[str]]] = {
    "owner": (["p"], []),
    "collaborator": (["p"], []),
    "card owner": ([], ["c"]),
    "admin": (["p", "q"], ["c", "d"]),
    "stranger": ([], []),
}
PAGES = {"project": ("project_id", ["p", "q"]), "card": ("user_code", ["c", "d"])}
CSV_TABLE = {"project": "types", "card": "pages"}


@pytest.fixture(scope="module")
def dashboard(postgres: EmbeddedPostgres) -> Iterator[RunningDashboard]:
    with fresh_database(postgres) as url:
        warehouse = Warehouse(url)
        let_people_in(warehouse)
        write_traffic(warehouse)
        with running(warehouse) as dashboard:
            yield dashboard


@pytest.mark.parametrize("person", SEES)
def test_the_overview_lists_what_is_theirs(dashboard: RunningDashboard, person: str) -> None:
    projects, cards = SEES[person]
    data = dashboard.json("/api/overview", person, sort="name", card_sort="name")
    assert [each["project_id"] for each in data["projects"]] == projects
    assert [each["user_code"] for each in data["cards"]] == cards
    page = dashboard.page("/", person)
    assert ("Nothing is yours yet" in page) == (not projects and not cards)
    for table, names in (("projects", projects), ("cards", cards)):
        rows = dashboard.page("/csv/overview", person, table=table, sort="name", card_sort="name").splitlines()[1:]
        assert [row.split(",")[0] for row in rows] == names


@pytest.mark.parametrize("person", SEES)
def test_pages_of_others_are_not_there(dashboard: RunningDashboard, person: str) -> None:
    """A stranger's project and one that nobody has get the same answer."""
    for place, (page, (key, names)) in enumerate(PAGES.items()):
        for name in names:
            expected = 200 if name in SEES[person][place] else 404
            for path in (f"/{page}", f"/api/{page}", f"/csv/{page}"):
                answer = dashboard.get(path, person, **{key: name, "table": CSV_TABLE[page]})
                assert answer.status_code == expected, (path, name)
                if expected == 404:
                    nowhere = dashboard.get(path, person, **{key: "no such name", "table": CSV_TABLE[page]})
                    assert (nowhere.status_code, nowhere.text) == (404, answer.text)


@pytest.mark.parametrize("person", SEES)
def test_the_pipelines_pages_are_for_admins(dashboard: RunningDashboard, person: str) -> None:
    for name in ("health", "subscribers"):
        for path in (f"/{name}", f"/api/{name}"):
            assert dashboard.get(path, person).status_code == (200 if person == "admin" else 403)
        assert (f'href="/dashboard/{name}"' in dashboard.page("/", person)) == (person == "admin")


def test_a_card_owners_session_reads_nothing_of_a_project(dashboard: RunningDashboard) -> None:
    """Connections are used again by others: nobody inherits whom the last one was."""
    for _ in range(12):
        assert dashboard.get("/api/project", "admin", project_id="p").status_code == 200
        assert dashboard.get("/api/project", "card owner", project_id="p").status_code == 404
        assert dashboard.get("/api/card", "owner", user_code="c").status_code == 404


def test_a_project_that_is_theirs_without_events_is_a_page(serve: Serve, warehouse: Warehouse) -> None:
    let_people_in(warehouse)
    empty = serve()
    assert "<h1>p</h1>" in empty.page("/project", "owner", project_id="p")
    assert "No events in the last 7 days" in empty.page("/project", "owner", project_id="p")
    data = empty.json("/api/project", "owner", project_id="p", period="90d", event_type="x")
    assert data["totals"] == {"events": 0, "unique_visitors": 0, "unique_sessions": 0}
    assert data["comparison"] is None
    assert empty.json("/api/card", "card owner", user_code="c")["totals"]["page_views"] == 0
    assert "None in the last 30 days" in empty.page("/card", "card owner", user_code="c")
    assert "No events yet" not in empty.page("/", "owner")
