"""The dashboard on loopback over a fresh database, mounted as the command line mounts it, and people to sign in as."""

import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest
import requests
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from mixpanel_pipeline.cli.health_report import build_health
from mixpanel_pipeline.collector.server import listen
from mixpanel_pipeline.dashboard.application import build_dashboard
from mixpanel_pipeline.dashboard.options import Options
from mixpanel_pipeline.dashboard.tokens import make_token
from mixpanel_pipeline.lake.calendar import utc_now
from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.warehouse.connection import Warehouse

SECRET = "a secret of the tests, of more than 64 bytes, so that HS512 could take it too"
TIMEOUT_SECONDS = 30
# A pipeline with a Mixpanel account.
SETTINGS = Settings(_env_file=None, mixpanel_project_id=1)  # pyright: ignore[reportCallIssue]
PEOPLE = {
    name: uuid5(UUID(int=0), name) for name in ("owner", "collaborator", "card owner", "admin", "stranger")
}  # fmt: skip


@dataclass
class RunningDashboard:
    """Where it answers, and how to ask as somebody."""

    url: str

    def get(self, path: str, person: str | None = "admin", **query: Any) -> requests.Response:
        """As a program with a token; without a person without one. Redirects are not followed."""
        headers = {"Authorization": f"Bearer {token_of(person)}"} if person else {}
        return requests.get(
            self.url + path, params=query, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False
        )  # fmt: skip

    def json(self, path: str, person: str = "admin", **query: Any) -> Any:
        """The answer of an address that answers."""
        answer = self.get(path, person, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def page(self, path: str, person: str = "admin", **query: Any) -> str:
        """The HTML of a page that is there."""
        answer = self.get(path, person, **query)
        assert answer.status_code == 200, answer.text
        return answer.text


def token_of(person: str) -> str:
    return make_token(PEOPLE[person], SECRET, timedelta(hours=1))


@contextmanager
def running(
    warehouse: Warehouse,
    settings: Settings = SETTINGS,
    now: Callable[[], datetime] = utc_now,
    mounted_at: str = "/dashboard",
    behind_proxy: bool = False,
    **given: Any,
) -> Iterator[RunningDashboard]:
    """A dashboard on this database until the block ends; given options replace the tests' own."""
    options = Options(**{"jwt_secret": SECRET, "statement_seconds": 10} | given)
    dashboard = build_dashboard(warehouse, options, build_health(settings, now=now))
    listening = listen("127.0.0.1", 0)

    @asynccontextmanager
    async def lifespan(_application: Starlette) -> AsyncIterator[None]:
        async with dashboard.router.lifespan_context(dashboard):
            yield

    application = Starlette(routes=[Mount(mounted_at, dashboard)], lifespan=lifespan)
    config = uvicorn.Config(
        application, log_config=None, access_log=False, lifespan="on", proxy_headers=behind_proxy
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the dashboard did not start"
            time.sleep(0.01)
        yield RunningDashboard(f"http://127.0.0.1:{listening.getsockname()[1]}{mounted_at}")
    finally:
        server.should_exit = True
        thread.join(TIMEOUT_SECONDS)


Serve = Callable[..., RunningDashboard]


@pytest.fixture
def serve(warehouse: Warehouse) -> Iterator[Serve]:
    """Starts a dashboard on this database; given options replace the tests' own."""
    with ExitStack() as open_ones:
        yield lambda **given: open_ones.enter_context(running(warehouse, **given))


@pytest.fixture
def dashboard(serve: Serve) -> RunningDashboard:
    return serve()
