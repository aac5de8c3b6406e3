"""The dashboard's pages, and who gets an answer to what."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import psycopg
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from mixpanel_pipeline.dashboard import card, overview, project, subscriber, subscribers
from mixpanel_pipeline.dashboard.health import ReadHealth, health_page
from mixpanel_pipeline.dashboard.links import STATIC, address
from mixpanel_pipeline.dashboard.options import Options
from mixpanel_pipeline.dashboard.parameters import BadParameterError
from mixpanel_pipeline.dashboard.problems import NOT_ALLOWED, NOT_FOUND, Problem, problem_of
from mixpanel_pipeline.dashboard.reading import Reading
from mixpanel_pipeline.dashboard.security import SecurityHeaders
from mixpanel_pipeline.dashboard.sign_in import SignIn
from mixpanel_pipeline.dashboard.templates import Templates
from mixpanel_pipeline.dashboard.tokens import Person, TokenError
from mixpanel_pipeline.dashboard.view import ForbiddenError, Page, View, csv_text
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql

# Under each of these a page's figures have an address beside the page's own.
API, CSV = "/api", "/csv"
Answer = Callable[[View, Request, Person], Response]


class Dashboard:
    """The handlers, and what they share."""

    def __init__(self, warehouse: Warehouse, options: Options) -> None:
        self.reading = Reading(warehouse, options.statement_seconds)
        self.templates = Templates()
        self.sign_in = SignIn(options, self.templates)

    @asynccontextmanager
    async def lifespan(self, _application: Starlette) -> AsyncIterator[None]:
        """Mounted in another application it may never run: connections are opened when they are needed."""
        yield
        self.reading.close()

    def page_routes(self, name: str, path: str, page: Page, *, for_admins: bool = False) -> list[BaseRoute]:
        """A page, its JSON and its CSV."""
        return [
            Route(path, self._endpoint(page, self._html, for_admins), name=name),
            Route(f"{API}/{name}", self._endpoint(page, _json, for_admins), name=f"{name}_api"),
            Route(f"{CSV}/{name}", self._endpoint(page, _csv, for_admins), name=f"{name}_csv"),
        ]

    def _endpoint(self, page: Page, answer: Answer, for_admins: bool) -> Callable[[Request], Response]:
        # Not async: Starlette runs it in a thread, for it waits for the database.
        def endpoint(request: Request) -> Response:
            try:
                person = self.sign_in.person(request)
            except TokenError as error:
                return self._signed_out(request, str(error))
            if person is None:
                return self._signed_out(request, "Sign in first.")
            try:
                with self.reading.transaction(person.user_id) as connection:
                    request.state.is_admin = _is_admin(connection)
                    if for_admins:
                        _let_in_admins(request)
                    # Inside, for rows of a table may be fetched as they are written.
                    return answer(page(connection, request), request, person)
            except Exception as error:
                return self._problem(request, problem_of(error), person)

        return endpoint

    def _html(self, view: View, request: Request, person: Person) -> Response:
        context = {"data": view.data, "tables": view.tables, **view.context}
        return self.templates.answer(request, view.template, context, person)

    def _signed_out(self, request: Request, message: str) -> Response:
        if _is_for_programs(request):
            return json_answer({"error": message}, 401, {"WWW-Authenticate": "Bearer"})
        query = request.scope["query_string"].decode("latin-1")
        here = request.scope["path"] + (f"?{query}" if query else "")
        target = address(request, "sign_in", {"next": here})
        if "HX-Request" in request.headers:
            return Response(status_code=401, headers={"HX-Redirect": target})
        return RedirectResponse(target, 303)

    def _problem(self, request: Request, problem: Problem, person: Person | None) -> Response:
        headers = {"Retry-After": "30"} if problem.status == 503 else {}
        if _is_for_programs(request):
            return json_answer({"error": problem.message}, problem.status, headers)
        response = self.templates.answer(request, "problem.html", {"problem": problem}, person, problem.status)
        response.headers.update(headers)
        return response

    async def no_such_page(self, request: Request, error: Exception) -> Response:
        problem = NOT_ALLOWED if isinstance(error, HTTPException) and error.status_code == 405 else NOT_FOUND
        response = self._problem(request, problem, None)
        response.headers.update(getattr(error, "headers", None) or {})
        return response


class CachedFiles(StaticFiles):
    """Files whose address changes with their content, so that browsers keep them."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        try:
            response = await super().get_response(path, scope)
        except HTTPException as error:
            return PlainTextResponse("no such file", error.status_code)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def build_dashboard(warehouse: Warehouse, options: Options, read_health: ReadHealth) -> Starlette:
    """The dashboard, by itself or to be mounted in another application. `read_health` finds how the pipeline is."""
    dashboard = Dashboard(warehouse, options)
    application = Starlette(
        routes=[
            *dashboard.page_routes("overview", "/", overview.read),
            *dashboard.page_routes("project", "/project", project.read),
            *dashboard.page_routes("card", "/card", card.read),
            *dashboard.page_routes("subscribers", "/subscribers", subscribers.read, for_admins=True),
            *dashboard.page_routes("subscriber", "/subscriber", subscriber.read, for_admins=True),
            *dashboard.page_routes("health", "/health", health_page(read_health), for_admins=True),
            Route("/sign-in", dashboard.sign_in.page, methods=["GET"], name="sign_in"),
            Route("/sign-in", dashboard.sign_in.enter, methods=["POST"]),
            Route("/sign-out", dashboard.sign_in.leave, methods=["POST"], name="sign_out"),
            Mount("/static", CachedFiles(directory=STATIC), name="static"),
        ],
        middleware=[Middleware(SecurityHeaders)],
        exception_handlers={HTTPException: dashboard.no_such_page},
        lifespan=dashboard.lifespan,
    )
    # It would send people to whatever host the request names.
    application.router.redirect_slashes = False
    return application


def json_answer(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """JSON of what pages have in them: days, times and dataclasses too."""
    return Response(msgspec.json.encode(content), status, headers, "application/json")


def _is_admin(connection: psycopg.Connection) -> bool:
    row = connection.execute(read_sql("dashboard/is_admin.sql")).fetchone()
    return bool(row and row[0])


def _let_in_admins(request: Request) -> None:
    if not request.state.is_admin:
        raise ForbiddenError("It is for those who look after the pipeline; the table admin_users has them.")


def _json(view: View, _request: Request, _person: Person) -> Response:
    return json_answer(view.data)


def _csv(view: View, request: Request, _person: Person) -> Response:
    table = request.query_params.get("table", "")
    if table not in view.tables:
        raise BadParameterError("table", f"one of {', '.join(view.tables)}")
    headers = {"Content-Disposition": f'attachment; filename="{table}.csv"'}
    return Response(csv_text(view.tables[table]), headers=headers, media_type="text/csv; header=present")


def _is_for_programs(request: Request) -> bool:
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return path.startswith((f"{API}/", f"{CSV}/"))
