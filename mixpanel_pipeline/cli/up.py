"""`up`: Dagster's web page and daemon, the collector and the dashboard, until Ctrl-C."""

import time
from dataclasses import dataclass
from pathlib import Path

import click

from mixpanel_pipeline.cli.collector_server import DASHBOARD_PATH, NO_DASHBOARD, start_collector
from mixpanel_pipeline.cli.credentials import require_credentials
from mixpanel_pipeline.cli.dagster_servers import start_dagster
from mixpanel_pipeline.cli.output import give, json_option, say
from mixpanel_pipeline.cli.ports import require_ports
from mixpanel_pipeline.cli.postgres import POSTGRES_SECONDS, bring_up_to_date, keep_postgres_running, used_warehouse
from mixpanel_pipeline.cli.servers import LOOPBACK, Servers, running_servers
from mixpanel_pipeline.settings import Settings, load_settings
from mixpanel_pipeline.warehouse.connection import describe

WATCH_SECONDS = 1.0


@click.command()
@click.option("--host", default=LOOPBACK, show_default=True, help="Dagster's page has no login: keep it private.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Of Dagster's page.")
@click.option(
    "--collector-host", default=LOOPBACK, show_default=True, help="Where the collector and the dashboard listen."
)
@click.option("--collector-port", default=8080, show_default=True, type=click.IntRange(1, 65535), help="Their port.")
@json_option
def up(host: str, port: int, collector_host: str, collector_port: int, as_json: bool) -> None:
    """Run Dagster's web page, its daemon and a code server, the collector and the dashboard against the configured
    services, until Ctrl-C."""
    settings = load_settings()
    require_ports({"--port": (host, port), "--collector-port": (collector_host, collector_port)})
    if settings.uses_mixpanel:
        require_credentials(settings)  # now, not by the first run at night
    else:
        say("no MIXPANEL_PROJECT_ID, _USERNAME and _SECRET are set: web events are aggregated, nothing is synchronized")
    with used_warehouse(settings) as warehouse:
        say(f"database {describe(warehouse.url)}")
        bring_up_to_date(warehouse)
        serve(settings, warehouse.url, Addresses(host, port, collector_host, collector_port), as_json=as_json)


@dataclass(frozen=True)
class Addresses:
    """Where Dagster's page listens, and where the collector and the dashboard."""

    host: str
    port: int
    collector_host: str
    collector_port: int


def serve(
    settings: Settings,
    warehouse_url: str,
    addresses: Addresses,
    *,
    as_json: bool,
    quiet: bool = False,
    readers: Path | None = None,
) -> None:
    """Starts the servers, prints their addresses (`quiet`: on stderr), and waits for Ctrl-C.

    Raises:
        ServerError: a server ended by itself.
    """
    from mixpanel_pipeline.dagster_project.instance import prepare_dagster_home

    environment = prepare_dagster_home(settings, warehouse_url)
    home = settings.pipeline_home
    with running_servers(home / "logs", environment) as servers:
        say("starting Dagster: code server, web page, daemon (10 to 30 seconds) ...")
        dagster = start_dagster(servers, home, addresses.host, addresses.port)
        collector = start_collector(
            servers, addresses.collector_host, addresses.collector_port,
            {"DAGSTER_URL": settings.dagster_url or dagster}, readers,
        )  # fmt: skip
        dashboard = f"{collector}{DASHBOARD_PATH}" if settings.dashboard_jwt_secret else None
        if dashboard is None:
            say(NO_DASHBOARD)
        _announce({"dagster": dagster, "collector": collector, "dashboard": dashboard}, servers, as_json, quiet)
        watch(servers, settings)


def watch(servers: Servers, settings: Settings) -> None:
    """Returns at Ctrl-C or SIGTERM; raises when a server ends by itself. The embedded Postgres is started again."""
    next_look = time.monotonic()
    try:
        while True:
            servers.require_all_alive()
            if time.monotonic() >= next_look:
                keep_postgres_running(settings)
                next_look = time.monotonic() + POSTGRES_SECONDS
            time.sleep(WATCH_SECONDS)
    except KeyboardInterrupt:
        say("ending the servers ...")


def _announce(urls: dict[str, str | None], servers: Servers, as_json: bool, quiet: bool) -> None:
    pids = {server.name: server.process.pid for server in servers.running}
    logs = str(servers.log_directory)
    lines = [f"{name.capitalize() + ':':<10} {url}" for name, url in urls.items() if url]
    lines.append(f"(logs in {logs}; Ctrl-C ends them)")
    if quiet:
        say("\n".join(lines))
        return
    give(
        {**urls, "pids": pids, "logs": logs},
        as_json,
        lambda console: console.print("\n".join(lines), soft_wrap=True, markup=False),
    )
