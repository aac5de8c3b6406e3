"""The first page: projects and cards that the reader sees."""

import psycopg
from starlette.requests import Request

from mixpanel_pipeline.dashboard.view import Table, View
from mixpanel_pipeline.warehouse.sql_files import read_sql


def read(connection: psycopg.Connection, _request: Request) -> View:
    projects = [name for (name,) in connection.execute(read_sql("dashboard/overview_projects.sql")).fetchall()]
    return View(
        "overview.html",
        {"projects": [{"project_id": name} for name in projects]},
        {"projects": Table(["project_id"], [[name] for name in projects])},
    )
