"""Which credentials the export endpoint takes (reference A1.2)."""

import base64

import pytest
import requests

from mixpanel_pipeline.simulator import Project, SimulatorServer

DATES = {"from_date": "2026-03-10", "to_date": "2026-03-10"}


def encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("authorization", "project_id", "status"),
    [
        (f"Basic {encoded('account:secret')}", "12345", 200),
        ("Basic account:secret", "12345", 200),
        ("basic account:secret", "12345", 200),
        (f"Basic {encoded('api-secret:')}", None, 200),
        (f"Basic {encoded('api-secret')}", None, 200),
        ("Basic api-secret:", None, 200),
        ("Basic api-secret", None, 200),
        (f"Basic {encoded('account:secret')}", None, 400),
        (f"Basic {encoded('account:secret')}", "twelve", 400),
        (f"Basic {encoded('account:secret')}", "99999", 403),
        (f"Basic {encoded('account:wrong')}", "12345", 401),
        (f"Basic {encoded('wrong:secret')}", "12345", 401),
        (f"Basic {encoded('account')}", "12345", 401),
        ("Basic", "12345", 401),
        ("Basic ÿ!", "12345", 401),
        ("Bearer account:secret", "12345", 401),
        (None, "12345", 401),
    ],
)
def test_credentials(server: SimulatorServer, authorization: str | None, project_id: str | None, status: int) -> None:
    server.project = Project(username="account", secret="secret", project_secret="api-secret")
    response = requests.get(
        f"{server.url}/api/2.0/export",
        params=DATES | ({"project_id": project_id} if project_id else {}),
        headers={"Authorization": authorization.encode("latin-1")} if authorization else {},
        timeout=30,
    )
    assert response.status_code == status, response.text
    if status != 200:
        assert response.json()["status"] == "error"
        assert response.json()["error"]


def test_the_secret_doubles_as_project_secret_if_there_is_no_other(server: SimulatorServer) -> None:
    server.project = Project(secret="only-secret")
    response = requests.get(f"{server.url}/api/2.0/export", params=DATES, auth=("only-secret", ""), timeout=30)
    assert response.status_code == 200
