"""What a client of the API does, through real HTTP, and the day that the tests are about."""

import json
from datetime import UTC, date, datetime
from typing import Any

import requests

from mixpanel_pipeline.simulator import Project, SimulatorServer

TODAY = date(2026, 3, 20)
DAY = date(2026, 3, 10)
NOON = int(datetime(2026, 3, 10, 12, tzinfo=UTC).timestamp())


class Client:
    def __init__(self, server: SimulatorServer) -> None:
        self.server = server

    def export(self, *, stream: bool = False, headers: dict[str, str] | None = None, **params: Any):
        asked = {"project_id": "12345", "from_date": str(DAY), "to_date": str(DAY), **params}
        return requests.get(
            f"{self.server.url}/api/2.0/export",
            params={name: value for name, value in asked.items() if value is not None},
            auth=("demo-account", "demo-secret"),
            headers=headers,
            stream=stream,
            timeout=30,
        )

    def rows(self, **params: Any) -> list[dict[str, Any]]:
        response = self.export(**params)
        assert response.status_code == 200, response.text
        return [json.loads(line) for line in response.content.split(b"\n") if line]

    def names(self, **params: Any) -> list[str]:
        return [row["event"] for row in self.rows(**params)]

    def query(self, path: str, *, method: str = "POST", params: Any = None, data: Any = None, json: Any = None):
        return requests.request(
            method,
            f"{self.server.url}/api/{path}",
            params={"project_id": "12345", **(params or {})},
            data=data,
            json=json,
            auth=("demo-account", "demo-secret"),
            timeout=30,
        )

    def engage(self, **params: Any) -> dict[str, Any]:
        response = self.query("query/engage", data=params)
        assert response.status_code == 200, response.text
        return response.json()

    def people(self, **params: Any) -> list[dict[str, Any]]:
        """Everybody, as the documentation says to page: until a page is not full."""
        page = self.engage(**params)
        people = page["results"]
        while len(page["results"]) == page["page_size"]:
            page = self.engage(**params, session_id=page["session_id"], page=page["page"] + 1)
            people += page["results"]
        return people


def add_events(project: Project, count: int) -> None:
    for number in range(count):
        project.add("$ae_session", f"user-{number}", NOON + number, insert_id=f"id-{number}")
