"""What all APIs of a project do around an answer: limits, faults that answer or delay, and compression."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mixpanel_pipeline.simulator.body import Body
from mixpanel_pipeline.simulator.connections import StreamedResponse
from mixpanel_pipeline.simulator.fault_answers import ANSWERS
from mixpanel_pipeline.simulator.faults import Fault
from mixpanel_pipeline.simulator.limits import Limits
from mixpanel_pipeline.simulator.project import Project

DEFAULT_SLOW_SECONDS = 1.0


class Work(NamedTuple):
    """A checked request. `counted` says whether it uses up the hourly limit; `prepare` makes its body in a
    thread, from the faults that it meets and whether the client reads gzip."""

    limits: Limits
    take_faults: Callable[[], list[Fault]]
    prepare: Callable[[list[Fault], bool], Body]
    media_type: bytes
    counted: bool = True


async def answer_within_limits(request: Request, project: Project, work: Work) -> Response:
    """The answer, a fault's instead of it, or 429; the place among those running is freed at its end."""
    limits = work.limits
    too_many = limits.admit(counted=work.counted)
    if too_many is not None:
        error = too_many.error(project.credentials.project_id)
        return JSONResponse({"request": str(request.url), "error": error}, 429, too_many.headers)
    try:
        faults = work.take_faults()
        answer = await _fault_answer(request, project, faults)
        if answer is None:
            gzip = _accepts_gzip(request.headers.get("accept-encoding", ""))
            body = await run_in_threadpool(work.prepare, faults, gzip)
            return StreamedResponse(body, work.media_type, on_end=limits.release)
    except BaseException:
        limits.release()
        raise
    limits.release()
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
