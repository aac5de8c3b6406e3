"""The service's pages, and who may call them from where."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from mixpanel_pipeline.collector.backlog import Backlog
from mixpanel_pipeline.collector.group_commit import GroupCommit
from mixpanel_pipeline.collector.intake import Intake, away
from mixpanel_pipeline.collector.metrics import Metrics
from mixpanel_pipeline.collector.openapi import BATCH_PATH, openapi_document
from mixpanel_pipeline.collector.options import Options
from mixpanel_pipeline.collector.readiness import Readiness
from mixpanel_pipeline.collector.requests import RefusedError
from mixpanel_pipeline.collector.rules import Rules
from mixpanel_pipeline.collector.store import EventStore
from mixpanel_pipeline.collector.weeks import keep_weeks_ahead
from mixpanel_pipeline.collector.write_keys import WriteKeys
from mixpanel_pipeline.warehouse.connection import Warehouse

# How long a browser may remember that it may send; Chromium forgets after two hours anyway.
PREFLIGHT_SECONDS = 7200
# Groups that are stored at the same time. Postgres checks and writes one on one of its cores; from the third on they
# mostly wait for each other's sessions, and are smaller.
CONNECTIONS = 2
PROMETHEUS = "text/plain; version=1.0.0; charset=utf-8"


class KeysOrigins(CORSMiddleware):
    """Which origins may call is what the write keys say, and a new key counts without a restart."""

    def __init__(self, app: ASGIApp, keys: WriteKeys) -> None:
        super().__init__(
            app, allow_methods=["POST"], allow_headers=["Content-Type", "Content-Encoding"],
            expose_headers=["Retry-After"], max_age=PREFLIGHT_SECONDS,
        )  # fmt: skip
        self._keys = keys

    def is_allowed_origin(self, origin: str) -> bool:
        return self._keys.allows_origin(origin)


@dataclass
class Collector:
    """The handlers, and what they share."""

    warehouse: Warehouse
    rules: Rules
    options: Options

    def __post_init__(self) -> None:
        self.metrics = Metrics(rule.field for rule in self.rules.fields)
        self.backlog = Backlog(self.warehouse, self.metrics.registry)
        self.readiness = Readiness(self.warehouse)
        self.keys = WriteKeys(self.warehouse)
        stores = [EventStore(self.warehouse) for _ in range(CONNECTIONS)]
        self.group = GroupCommit(stores, self.metrics, self.options.queue_events, self.options.queue_bytes)
        self.intake = Intake(self.rules, self.options, self.keys, self.group, self.metrics)
        self.document = openapi_document(self.rules)

    @asynccontextmanager
    async def lifespan(self, _application: Starlette) -> AsyncIterator[None]:
        """What is under way when the service is told to end is stored and answered first."""
        await self.keys.refresh(0)
        self.group.start()
        weeks = asyncio.create_task(keep_weeks_ahead(self.warehouse))
        yield
        weeks.cancel()
        await self.group.stop()

    async def batch(self, request: Request) -> Response:
        """Stores a batch of events."""
        try:
            response = JSONResponse(await self.intake.take(request))
        except RefusedError as refused:
            response = _refusal(refused)
        except asyncio.CancelledError:  # the process is to end, and waits no longer
            response = _refusal(away())
        self.metrics.answered(response.status_code)
        return response

    async def healthz(self, _request: Request) -> Response:
        """The process answers."""
        return JSONResponse({"healthy": True})

    async def readyz(self, _request: Request) -> Response:
        """Events can be taken."""
        problems = await self.readiness.problems()
        if self.group.is_full:
            problems = [*problems, "the queue is full"]
        return JSONResponse({"ready": not problems, "problems": problems}, 503 if problems else 200)

    async def metrics_page(self, _request: Request) -> Response:
        """For Prometheus."""
        await self.backlog.refresh()
        return Response(self.metrics.text(), media_type=PROMETHEUS)

    async def openapi(self, _request: Request) -> Response:
        """What the service takes and answers."""
        return JSONResponse(self.document)


def build_application(warehouse: Warehouse, rules: Rules, options: Options) -> Starlette:
    """The service, not yet running."""
    collector = Collector(warehouse, rules, options)
    return Starlette(
        routes=[
            Route(BATCH_PATH, collector.batch, methods=["POST"]),
            Route("/healthz", collector.healthz),
            Route("/readyz", collector.readyz),
            Route("/metrics", collector.metrics_page),
            Route("/openapi.json", collector.openapi),
        ],
        middleware=[Middleware(KeysOrigins, keys=collector.keys)],
        exception_handlers={HTTPException: _no_such_page},
        lifespan=collector.lifespan,
    )


async def _no_such_page(_request: Request, error: Exception) -> Response:
    status, headers = (error.status_code, error.headers) if isinstance(error, HTTPException) else (500, None)
    response = _error(status, str(getattr(error, "detail", "")))
    response.headers.update(headers or {})
    return response


def _refusal(refused: RefusedError) -> Response:
    response = _error(refused.status, refused.message, refused.server_time)
    if refused.retry_after is not None:
        response.headers["Retry-After"] = str(refused.retry_after)
    if refused.hangs_up:
        response.headers["Connection"] = "close"
    return response


def _error(status: int, message: str, server_time: datetime | None = None) -> Response:
    clock = {"server_time": server_time.isoformat(timespec="milliseconds")} if server_time else {}
    return JSONResponse({"error": message, **clock}, status)
