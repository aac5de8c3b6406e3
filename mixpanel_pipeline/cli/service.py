"""What `collect` serves: the collector, and the dashboard beside it."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import UUID

import click
from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import BaseRoute, Mount, Route

from mixpanel_pipeline.cli.collector_server import DASHBOARD_PATH
from mixpanel_pipeline.cli.health_report import build_health
from mixpanel_pipeline.collector.application import build_application
from mixpanel_pipeline.collector.options import Options
from mixpanel_pipeline.collector.rules import read_rules
from mixpanel_pipeline.dashboard.application import build_dashboard
from mixpanel_pipeline.dashboard.options import Options as DashboardOptions
from mixpanel_pipeline.dashboard.options import Reader
from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.warehouse.connection import Warehouse


def build_service(settings: Settings, warehouse: Warehouse, readers: tuple[Reader, ...] = ()) -> Starlette:
    """The collector at `/`; with a DASHBOARD_JWT_SECRET the dashboard at `/dashboard/`, where `/` then leads."""
    collector = build_application(warehouse, read_rules(warehouse), collector_options(settings))
    if settings.dashboard_jwt_secret is None:
        return collector
    options = DashboardOptions(
        settings.dashboard_jwt_secret.get_secret_value(), settings.dashboard_statement_seconds, readers
    )
    dashboard = build_dashboard(warehouse, options, build_health(settings))
    routes: list[BaseRoute] = [
        # A mount answers to what is under it alone, and people are told the address without a slash.
        *(Route(path, lambda _request: RedirectResponse(f"{DASHBOARD_PATH}/")) for path in ("/", DASHBOARD_PATH)),
        Mount(DASHBOARD_PATH, dashboard),
        Mount("/", collector),
    ]

    # Starlette starts and ends the outermost application alone.
    @asynccontextmanager
    async def lifespan(_application: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as both:
            for application in (collector, dashboard):
                await both.enter_async_context(application.router.lifespan_context(application))
            yield

    return Starlette(routes=routes, lifespan=lifespan)


def collector_options(settings: Settings) -> Options:
    """As the settings COLLECTOR_… say."""
    return Options(
        body_bytes=settings.collector_body_bytes,
        queue_events=settings.collector_queue_events,
        queue_bytes=settings.collector_queue_bytes,
        requests_per_address=settings.collector_requests_per_address,
        requests_per_key=settings.collector_requests_per_key,
        ip_addresses=settings.collector_ip_addresses,
        bots=settings.collector_bots,
    )


def read_readers(path: Path) -> tuple[Reader, ...]:
    """The people of `--sign-in-as`: a JSON array of objects with name, description and user_id.

    Raises:
        click.UsageError: the file is none.
    """
    try:
        return tuple(
            Reader(str(given["name"]), str(given["description"]), UUID(given["user_id"]))
            for given in json.loads(path.read_text(encoding="utf-8"))
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise click.UsageError(
            f"--sign-in-as {path}: expected a JSON array of objects with name, description and user_id (a UUID): "
            f"{type(error).__name__}: {error}"
        ) from None
