"""`up`: Dagster's web page and daemon until Ctrl-C."""

import time

import click

from mixpanel_pipeline.cli.credentials import require_credentials
from mixpanel_pipeline.cli.dagster_servers import LOOPBACK, start_dagster
from mixpanel_pipeline.cli.output import give, json_option, say
from mixpanel_pipeline.cli.postgres import bring_up_to_date, used_warehouse
from mixpanel_pipeline.cli.servers import Servers, port_is_free, running_servers
from mixpanel_pipeline.settings import Settings, load_settings
from mixpanel_pipeline.warehouse.connection import describe, embedded_postgres

WATCH_SECONDS = 1.0
# Asking the embedded Postgres starts a process, so that is done less often.
POSTGRES_SECONDS = 5.0


@click.command()
@click.option("--host", default=LOOPBACK, show_default=True, help="Dagster's page has no login: keep it private.")
@click.option("--port", default=3000, show_default=True, type=click.IntRange(1, 65535), help="Of Dagster's page.")
@json_option
def up(host: str, port: int, as_json: bool) -> None:
    """Run Dagster's web page, its daemon and a code server against the configured services, until Ctrl-C."""
    settings = load_settings()
    if not port_is_free(host, port):
        raise click.UsageError(f"port {port} on {host} is taken; give another one with --port")
    if settings.uses_mixpanel:
        require_credentials(settings)  # now, not by the first run at night
    else:
        say("no MIXPANEL_PROJECT_ID, _USERNAME and _SECRET are set: web events are aggregated, nothing is synchronized")
    with used_warehouse(settings) as warehouse:
        say(f"database {describe(warehouse.url)}")
        bring_up_to_date(warehouse)
        serve(settings, warehouse.url, host, port, as_json=as_json)


def serve(settings: Settings, warehouse_url: str, host: str, port: int, *, as_json: bool, quiet: bool = False) -> None:
    """Starts Dagster's servers, prints the address (`quiet`: on stderr), and waits for Ctrl-C.

    Raises:
        ServerError: a server ended by itself.
    """
    from mixpanel_pipeline.dagster_project.instance import prepare_dagster_home

    environment = prepare_dagster_home(settings, warehouse_url)
    home = settings.pipeline_home
    with running_servers(home / "logs", environment) as servers:
        say("starting Dagster: code server, web page, daemon (10 to 30 seconds) ...")
        url = start_dagster(servers, home, host, port)
        if quiet:
            say(f"Dagster: {url}")
        else:
            _announce(url, servers, as_json)
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


def keep_postgres_running(settings: Settings) -> None:
    """Nobody else would: a Postgres that was killed has no supervisor, and schedules would fail from then on."""
    if settings.database_url is not None:
        return
    server = embedded_postgres(settings)
    if not server.is_running():
        say("the embedded Postgres had ended; starting it again")
        server.start()


def _announce(url: str, servers: Servers, as_json: bool) -> None:
    pids = {server.name: server.process.pid for server in servers.running}
    give(
        {"dagster": url, "pids": pids, "logs": str(servers.log_directory)},
        as_json,
        lambda console: console.print(
            f"Dagster: [bold]{url}[/bold]   (logs in {servers.log_directory}; Ctrl-C ends it)", soft_wrap=True
        ),
    )
