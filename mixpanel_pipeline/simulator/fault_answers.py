"""The responses of faults that replace the whole answer; texts as clients of the API have recorded them."""

from collections.abc import Callable

from starlette.responses import JSONResponse, PlainTextResponse, Response

from mixpanel_pipeline.simulator.limits import DOCUMENTATION, limit_headers


def _error(status: int, error: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"error": error, "status": "error"}, status, headers)


def _gateway(status: int, reason: str) -> Response:
    """The load balancer's page: HTML where clients expect JSON."""
    page = f"<html><head><title>{status} {reason}</title></head><body><h1>{status} {reason}</h1></body></html>"
    return Response(page, status, media_type="text/html")


def _rate_limited(url: str, project_id: int, wait: int) -> Response:
    error = (
        f"Query rate limit exceeded for project_id: {project_id}. This request exceeded the rate limit "
        f"(61/60 queries running in the last hour). {DOCUMENTATION}"
    )
    headers = limit_headers(60, 100, f'"project";r=0;t={wait}', '"project-concurrency";r=99', wait)
    return JSONResponse({"request": url, "error": error}, 429, headers)


def _load_shed(url: str, project_id: int) -> Response:
    error = f"Query rate limit exceeded for project_id: {project_id} {DOCUMENTATION}"
    return JSONResponse({"request": url, "error": error}, 429)


PLAN = "Your plan does not support raw data export. Visit mixpanel.com/pricing to upgrade."

ANSWERS: dict[str, Callable[[str, int], Response]] = {
    "rate_limited_hour": lambda url, project_id: _rate_limited(url, project_id, 3600),
    "rate_limited_short": lambda url, project_id: _rate_limited(url, project_id, 1),
    "rate_limited_without_headers": _load_shed,
    "too_many_exports": lambda _url, _project_id: JSONResponse(
        {"error": "too many export requests in progress for this project"}, 429
    ),
    "unknown_error_500": lambda _url, _project_id: PlainTextResponse("unknown error", 500),
    "bad_gateway_502": lambda _url, _project_id: _gateway(502, "Bad Gateway"),
    "unavailable_503": lambda _url, _project_id: _gateway(503, "Service Unavailable"),
    "gateway_timeout_504": lambda _url, _project_id: _gateway(504, "Gateway Timeout"),
    "plan_without_export": lambda _url, _project_id: _error(402, PLAN),
    "expired_account": lambda _url, _project_id: PlainTextResponse("Unable to authenticate request", 400),
    "forbidden": lambda _url, project_id: _error(403, f"service account has no access to project {project_id}"),
    "wrong_region": lambda _url, _project_id: _error(401, "Invalid credentials"),
}
