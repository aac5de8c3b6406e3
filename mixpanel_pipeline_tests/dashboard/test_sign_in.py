"""Who gets in, by what, and who does not."""

from mixpanel_pipeline_tests.dashboard.conftest import RunningDashboard


def test_without_a_token_pages_lead_to_the_sign_in_and_programs_are_refused(dashboard: RunningDashboard) -> None:
    page = dashboard.get("/?sort=events", None)
    assert page.status_code == 303
    assert page.headers["Location"] == "/dashboard/sign-in?next=%2Fdashboard%2F%3Fsort%3Devents"
    program = dashboard.get("/api/overview", None)
    assert program.status_code == 401
    assert program.json() == {"error": "Sign in first."}


def test_with_a_token_there_is_a_page(dashboard: RunningDashboard) -> None:
    assert "<h1>Overview</h1>" in dashboard.page("/")
    assert dashboard.json("/api/overview")["projects"] == []
