"""`migrate`, `rollback` and `psql`."""

import os
import signal
import subprocess

import click
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mixpanel_pipeline.cli.output import give, json_option, say
from mixpanel_pipeline.cli.postgres import used_warehouse
from mixpanel_pipeline.settings import load_settings
from mixpanel_pipeline.warehouse import migrations
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import binaries


@click.command()
@json_option
def migrate(as_json: bool) -> None:
    """Apply what is missing of sql/migrations, also what was taken back, one transaction each, under a lock."""
    with used_warehouse(load_settings()) as warehouse:
        applied = migrations.migrate(warehouse)
    shown = "".join(f"applied {name}\n" for name in applied) or "nothing to apply\n"
    give({"applied": applied}, as_json, lambda console: console.print(shown, end=""))


@click.command()
@click.option("--to", metavar="ID", help="Take back all that came after this one (0000: all).")
@json_option
def rollback(to: str | None, as_json: bool) -> None:
    """Take back the newest migration, or all that came after --to. The tables' data goes with them.

    It stays so until `migrate`: this version's other commands, which need all migrations, refuse to run.
    """
    _require_known(to)
    with used_warehouse(load_settings()) as warehouse:
        taken_back = migrations.rollback(warehouse, to)
        now_at = migrations.newest_applied(warehouse)
    shown = "".join(f"took back {name}\n" for name in taken_back) or "nothing to take back\n"
    give({"taken_back": taken_back, "now_at": now_at}, as_json, lambda console: console.print(shown, end=""))
    if taken_back:
        say(f"the database is at {now_at or 'no migration'}, and stays there. {migrations.ways_out(taken_back[-1])}")


def _require_known(to: str | None) -> None:
    names = [migration.name for migration in migrations.available_migrations()]
    numbers = ["0000", *(name.split("_")[0] for name in names)]
    if to is not None and to.split("_")[0] not in numbers:
        raise click.UsageError(f"--to {to}: there is no such migration; there are 0000 (none), {', '.join(names)}")


@click.command(context_settings={"ignore_unknown_options": True})
@click.option("--url", "show_url", is_flag=True, help="Print the database's address, without its password, instead.")
@json_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED, metavar="[PSQL OPTIONS]")
@click.pass_context
def psql(context: click.Context, show_url: bool, as_json: bool, arguments: tuple[str, ...]) -> None:
    """Open a SQL prompt on the pipeline's database; further options go to psql (-c 'select 1')."""
    if as_json and not show_url:
        raise click.UsageError("--json goes with --url only; for rows as JSON use SQL's json_agg", context)
    # Whoever is given the address comes later: an embedded server then has to go on running.
    with used_warehouse(load_settings(), keep_running=show_url) as warehouse:
        address, password = _without_password(warehouse)
        if not show_url:
            context.exit(_run_psql([*arguments, "-d", address], password))
    if password is not None:
        say("the address is printed without DATABASE_URL's password: give it as PGPASSWORD")
    give({"url": address}, as_json, lambda _console: click.echo(address))


def _run_psql(arguments: list[str], password: str | None) -> int:
    """Ctrl-C is psql's while it runs: it cancels a query there."""
    environment = dict(os.environ) if password is None else {**os.environ, "PGPASSWORD": password}
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        return subprocess.run([str(binaries() / "psql"), *arguments], env=environment, check=False).returncode
    finally:
        signal.signal(signal.SIGINT, before)


def _without_password(warehouse: Warehouse) -> tuple[str, str | None]:
    """The address as it may be shown (a URL, or libpq's keywords when it had a password), and the password."""
    parts = conninfo_to_dict(warehouse.url)
    password = parts.pop("password", None)
    if password is None:
        return warehouse.url, None
    return make_conninfo("", **parts), str(password)
