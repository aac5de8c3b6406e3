"""The HTTP side: Mixpanel's read APIs, and endpoints that drive a running simulator."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mixpanel_pipeline.simulator.answering import Work, answer_within_limits
from mixpanel_pipeline.simulator.authentication import refusal
from mixpanel_pipeline.simulator.body import prepare_body
from mixpanel_pipeline.simulator.control import control_routes
from mixpanel_pipeline.simulator.engage import engage_work
from mixpanel_pipeline.simulator.event_counts import event_counts_work
from mixpanel_pipeline.simulator.export_request import read_request
from mixpanel_pipeline.simulator.parameters import BadRequestError, merged_parameters, where_problem
from mixpanel_pipeline.simulator.project import Project, ReceivedRequest
from mixpanel_pipeline.simulator.where_syntax import WhereError

EXPORT_PATHS = ("/api/2.0/export",)
# The legacy path is the one that tap-mixpanel and mixpanel-utils use (reference A2).
ENGAGE_PATHS = ("/api/query/engage", "/api/2.0/engage")
EVENT_COUNTS_PATHS = ("/api/query/events",)

Parameters = Mapping[str, str]
Reader = Callable[[Parameters, Project], Work]


def build_application(current_project: Callable[[], Project], **options: Any) -> Starlette:
    """The application; which project it shows is asked anew for each request, so tests can change it."""
    routes = [
        *_routes(current_project, EXPORT_PATHS, ["GET"], export_work, PlainTextResponse),
        *_routes(current_project, ENGAGE_PATHS, ["GET", "POST"], engage_work, _json_error),
        *_routes(current_project, EVENT_COUNTS_PATHS, ["GET", "POST"], event_counts_work, _json_error),
    ]
    return Starlette(routes=[*routes, *control_routes(current_project)], **options)


def export_work(params: Parameters, project: Project) -> Work:
    asked = read_request(params, project)
    return Work(
        limits=project.limits,
        take_faults=lambda: project.faults.take("export", asked.from_date),
        prepare=lambda faults, gzip: prepare_body(project, asked, faults, gzip),
        # Whether Mixpanel sends a charset is not known; without one, careless clients read Latin-1.
        media_type=b"text/plain",
    )


def _routes(
    current_project: Callable[[], Project],
    paths: tuple[str, ...],
    methods: list[str],
    read: Reader,
    refuse: Callable[[str, int], Response],
) -> list[Route]:
    """Each path with and without a slash at its end: clients of the API send either."""

    async def endpoint(request: Request) -> Response:
        project = current_project()
        params: dict[str, str] = {}
        try:
            params = await merged_parameters(request)
            response = await _answer(request, params, project, read)
        except BadRequestError as error:
            response = refuse(str(error), 400)
        except WhereError as error:
            response = refuse(where_problem(error), 400)
        received = ReceivedRequest(request.url.path, params, response.status_code, datetime.now(UTC), request.method)
        project.requests.append(received)
        return response

    return [Route(path + slash, endpoint, methods=methods) for path in paths for slash in ("", "/")]


async def _answer(request: Request, params: Parameters, project: Project, read: Reader) -> Response:
    refused = refusal(project.credentials, request.headers.get("authorization"), params.get("project_id"))
    if refused is not None:
        return _json_error(refused.error, refused.status)
    return await answer_within_limits(request, project, read(params, project))


def _json_error(error: str, status: int) -> Response:
    return JSONResponse({"error": error, "status": "error"}, status)
