"""Endpoints under /simulator/ with which people and scripts drive a running simulator."""

from collections.abc import Callable
from json import JSONDecodeError
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from mixpanel_pipeline.simulator.faults import FAULTS
from mixpanel_pipeline.simulator.project import Project

Action = Callable[[Project, Any], Any]


def control_routes(current_project: Callable[[], Project]) -> list[Route]:
    async def list_faults(_request: Request) -> Response:
        return JSONResponse(_faults(current_project(), None))

    async def clear_faults(request: Request) -> Response:
        current_project().faults.clear(request.query_params.get("name"))
        return JSONResponse(_faults(current_project(), None))

    async def list_requests(_request: Request) -> Response:
        received = [
            {
                "method": entry.method,
                "path": entry.path,
                "params": entry.params,
                "status": entry.status,
                "time": entry.time.isoformat(),
            }
            for entry in current_project().requests
        ]
        return JSONResponse(received)

    return [
        Route("/simulator/faults", list_faults, methods=["GET"]),
        Route("/simulator/faults", clear_faults, methods=["DELETE"]),
        Route("/simulator/requests", list_requests, methods=["GET"]),
        *(
            Route(f"/simulator/{name}", _posted(current_project, action), methods=["POST"])
            for name, action in ACTIONS.items()
        ),
    ]


def _posted(current_project: Callable[[], Project], action: Action) -> Callable[[Request], Any]:
    """An endpoint that gives a JSON body to the action, and says what is wrong with it if it is wrong."""

    async def endpoint(request: Request) -> Response:
        try:
            return JSONResponse(action(current_project(), await request.json()))
        except JSONDecodeError as error:
            return JSONResponse({"error": f"the body must be JSON: {error}"}, 400)
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)

    return endpoint


def _faults(project: Project, _body: Any) -> dict[str, Any]:
    return {
        "available": {kind.name: kind.sentence for kind in FAULTS.values()},
        "active": [fault.described() for fault in project.faults.active()],
    }


def _add_fault(project: Project, body: Any) -> dict[str, Any]:
    project.faults.add(**body)
    return _faults(project, None)


def _add_events(project: Project, body: Any) -> dict[str, Any]:
    """Takes one event or a list, with the names of `Project.add`, and gives their numbers for deletion."""
    events = body if isinstance(body, list) else [body]
    return {"numbers": [project.add(**event).number for event in events]}


def _merge(project: Project, body: Any) -> dict[str, Any]:
    project.merge(**body)
    return {"status": "ok"}


def _delete(project: Project, body: Any) -> dict[str, Any]:
    """Takes `distinct_id` or `events` (numbers), and `soft`."""
    if not set(body) <= {"distinct_id", "events", "soft"}:
        raise ValueError(f"delete takes distinct_id, events and soft, got {', '.join(body)}")
    project.delete(**body)
    return {"status": "ok"}


def _set_profiles(project: Project, body: Any) -> dict[str, Any]:
    """Takes one profile or a list, each with `distinct_id` and `properties`."""
    for profile in body if isinstance(body, list) else [body]:
        project.set_profile(**profile)
    return {"status": "ok"}


def _delete_profile(project: Project, body: Any) -> dict[str, Any]:
    project.delete_profile(**body)
    return {"status": "ok"}


ACTIONS: dict[str, Action] = {
    "faults": _add_fault,
    "events": _add_events,
    "merge": _merge,
    "delete": _delete,
    "profiles": _set_profiles,
    "delete_profile": _delete_profile,
}
