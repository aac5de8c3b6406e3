"""`collect`: the collector of browsers' events and the dashboard alone, and the write keys that the former takes."""

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import click

from mixpanel_pipeline.cli.collector_server import DASHBOARD_PATH, NO_DASHBOARD
from mixpanel_pipeline.cli.output import give, json_option, say, table
from mixpanel_pipeline.cli.postgres import POSTGRES_SECONDS, keep_postgres_running, ready_warehouse
from mixpanel_pipeline.collector.write_keys import end_key, list_keys, make_key
from mixpanel_pipeline.settings import Settings, load_settings
from mixpanel_pipeline.warehouse.connection import Warehouse, describe
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgresError

ORIGIN = re.compile(r"(https?)://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?/?")
OWN_PORTS = {"http": "80", "https": "443"}
LOOPBACKS = ("127.0.0.1", "::1", "localhost")
KEY_COLUMNS = ("hint", "project_id", "origins", "created_at", "ended_at")


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; behind a TLS proxy.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="0: any that is free.")
@click.option("--new-key", metavar="PROJECT", help="Make a write key for events of this project, print it, and end.")
@click.option("--origin", "origins", multiple=True, help="With --new-key: a site whose pages may use it. Repeatable.")
@click.option("--keys", "show_keys", is_flag=True, help="List the write keys, and end.")
@click.option("--end-key", "ended_hint", metavar="HINT", help="End the write key that begins so (--keys), and end.")
@click.option(
    "--sign-in-as",
    "readers",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="For demonstrations: on the dashboard anybody may be one of these people, with no token.",
)
@json_option
def collect(
    host: str,
    port: int,
    new_key: str | None,
    origins: tuple[str, ...],
    show_keys: bool,
    ended_hint: str | None,
    readers: Path | None,
    as_json: bool,
) -> None:
    """Take browsers' events over HTTP (docs/collector.md) and, with a DASHBOARD_JWT_SECRET, serve the dashboard
    (docs/dashboard.md), until Ctrl-C."""
    if sum(map(bool, (new_key, show_keys, ended_hint))) > 1:
        raise click.UsageError("--new-key, --keys and --end-key go one at a time")
    if origins and not new_key:
        raise click.UsageError("--origin goes with --new-key")
    if readers and host not in LOOPBACKS:
        raise click.UsageError(f"--sign-in-as goes with --host {LOOPBACKS[0]}: it lets everybody in who gets there")
    allowed = [_origin(given) for given in origins]
    settings = load_settings()
    with ready_warehouse(settings) as warehouse:
        if new_key:
            _make(warehouse, new_key, allowed, as_json)
        elif show_keys:
            _list(warehouse, as_json)
        elif ended_hint:
            _end(warehouse, ended_hint, as_json)
        else:
            _serve(settings, warehouse, host, port, readers, as_json)


def _make(warehouse: Warehouse, project: str, origins: list[str], as_json: bool) -> None:
    if not 1 <= len(project.encode()) <= 200:
        raise click.UsageError("--new-key takes a project of 1 to 200 bytes")
    key = make_key(warehouse, project, origins)
    if not origins:
        say("a key for servers: without --origin no page may use it, and programs need COLLECTOR_BOTS=store")
    say("it is kept nowhere but as a hash: this is the only time that it is shown")
    result = {"write_key": key, "project_id": project, "origins": origins}
    give(result, as_json, lambda _console: click.echo(key))


def _list(warehouse: Warehouse, as_json: bool) -> None:
    keys = [asdict(key) for key in list_keys(warehouse)]
    rows = [[", ".join(key[name]) if name == "origins" else key[name] for name in KEY_COLUMNS] for key in keys]
    give({"keys": keys}, as_json, lambda console: console.print(table(KEY_COLUMNS, rows)))


def _end(warehouse: Warehouse, hint: str, as_json: bool) -> None:
    if not end_key(warehouse, hint):
        raise click.UsageError(f"no write key that is in use begins with {hint}; --keys lists them")
    give({"ended": hint}, as_json, lambda console: console.print(f"ended {hint}; collectors follow in seconds"))


def _serve(settings: Settings, warehouse: Warehouse, host: str, port: int, readers: Path | None, as_json: bool) -> None:
    from mixpanel_pipeline.cli.service import build_service, read_readers
    from mixpanel_pipeline.collector.server import listen, serve

    application = build_service(settings, warehouse, read_readers(readers) if readers else ())
    try:
        listening = listen(host, port)
    except OSError as error:
        raise click.UsageError(f"cannot listen on {host}, port {port}: {error.strerror}; see --host, --port") from None
    say(f"database {describe(warehouse.url)}")
    if settings.dashboard_jwt_secret is None:
        say(NO_DASHBOARD)
    shown = f"[{host}]" if ":" in host else host
    url = f"http://{shown}:{listening.getsockname()[1]}"
    urls = {"url": url, "dashboard": f"{url}{DASHBOARD_PATH}" if settings.dashboard_jwt_secret else None}
    with listening, _postgres_kept_running(settings):
        serve(
            application, listening, settings.collector_trusted_proxies,
            lambda: give(urls, as_json, lambda console: console.print("\n".join(filter(None, urls.values())))),
        )  # fmt: skip
    say("ended; what was acknowledged is stored")


@contextmanager
def _postgres_kept_running(settings: Settings) -> Iterator[None]:
    """An embedded Postgres that ends is started again."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(POSTGRES_SECONDS):
            try:
                keep_postgres_running(settings)
            except EmbeddedPostgresError as error:
                say(str(error))  # senders are told to come again, and it is tried again

    thread = threading.Thread(target=watch, name="postgres", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _origin(given: str) -> str:
    """As browsers write it: scheme, host and, unless it is the scheme's own, port."""
    found = ORIGIN.fullmatch(given.lower())
    if found is None:
        raise click.UsageError(
            f"--origin {given}: it takes a site such as https://www.example.com (with other letters than these, as "
            "browsers send it: https://xn--…)"
        )
    scheme, host, port = found.groups()
    return f"{scheme}://{host}" + (f":{port}" if port and port != OWN_PORTS[scheme] else "")
