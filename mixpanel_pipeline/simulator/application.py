"""The HTTP side: the export endpoint, and endpoints that drive a running simulator."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from mixpanel_pipeline.simulator.authentication import refusal
from mixpanel_pipeline.simulator.body import prepare_body
from mixpanel_pipeline.simulator.connections import ExportResponse
from mixpanel_pipeline.simulator.control import control_routes
from mixpanel_pipeline.simulator.export_request import BadRequestError, read_request, where_problem
from mixpanel_pipeline.simulator.fault_answers import ANSWERS
from mixpanel_pipeline.simulator.faults import Fault
from mixpanel_pipeline.simulator.project import Project, ReceivedRequest
from mixpanel_pipeline.simulator.where_syntax import WhereError

DEFAULT_SLOW_SECONDS = 1.0


def build_application(current_project: Callable[[], Project], **options: Any) -> Starlette:
    """The application; which project it shows is asked anew for each request, so tests can change it."""

    async def export(request: Request) -> Response:
        project = current_project()
        response = await answer_export(request, project)
        received = ReceivedRequest(
            request.url.path, dict(request.query_params), response.status_code, datetime.now(UTC)
        )
        project.requests.append(received)
        return response

    routes = [Route(path, export, methods=["GET"]) for path in ("/api/2.0/export", "/api/2.0/export/")]
    return Starlette(routes=[*routes, *control_routes(current_project)], **options)


async def answer_export(request: Request, project: Project) -> Response:
    params = request.query_params
    refused = refusal(project.credentials, request.headers.get("authorization"), params.get("project_id"))
    if refused is not None:
        return JSONResponse({"error": refused.error, "status": "error"}, refused.status)
    try:
        export_request = read_request(params, project)
    except BadRequestError as error:
        return PlainTextResponse(str(error), 400)
    too_many = project.limits.admit()
    if too_many is not None:
        error = too_many.error(project.credentials.project_id)
        return JSONResponse({"request": str(request.url), "error": error}, 429, too_many.headers)
    faults = project.faults.take(export_request.from_date)
    try:
        answer = await _fault_answer(request, project, faults)
        if answer is None:
            gzip = _accepts_gzip(request.headers.get("accept-encoding", ""))
            body = await run_in_threadpool(prepare_body, project, export_request, faults, gzip)
            return ExportResponse(body, on_end=project.limits.release)
    except WhereError as error:
        answer = PlainTextResponse(where_problem(error), 400)
    except BaseException:
        project.limits.release()
        raise
    project.limits.release()
    return answer


async def _fault_answer(request: Request, project: Project, faults: list[Fault]) -> Response | None:
    """Waits if a fault says so, and gives the response of the fault that replaces the answer, if any."""
    for fault in faults:
        if fault.stage == "delay":
            await asyncio.sleep(fault.parameters.get("seconds", DEFAULT_SLOW_SECONDS))
        elif fault.stage == "answer":
            return ANSWERS[fault.name](str(request.url), project.credentials.project_id)
    return None


def _accepts_gzip(accept_encoding: str) -> bool:
    codings = (coding.replace(" ", "").lower() for coding in accept_encoding.split(","))
    return any(coding == "gzip" or (coding.startswith("gzip;") and coding != "gzip;q=0") for coding in codings)
