"""`env`: the environment that Dagster's own commands need."""

import shlex

import click

from mixpanel_pipeline.cli.output import give, json_option, say
from mixpanel_pipeline.cli.postgres import stop_embedded, used_warehouse
from mixpanel_pipeline.settings import load_settings
from mixpanel_pipeline.warehouse.migrations import migrate


@click.command()
@click.option("--stop", is_flag=True, help="Stop the embedded Postgres that an earlier `env` or `psql --url` left on.")
@json_option
def env(stop: bool, as_json: bool) -> None:
    """Print the environment for Dagster's own commands.

    \b
    variables="$(mixpanel-pipeline env)" && eval "$variables" && dagster dev

    Migrates the database, prepares DAGSTER_HOME, and leaves an embedded Postgres running for them. The addresses
    hold DATABASE_URL's password, if it has one: this is for eval, not for the screen.
    """
    settings = load_settings()
    if stop:
        stop_embedded(settings)
        give({"stopped": settings.database_url is None}, as_json, lambda _console: None)
        return
    from mixpanel_pipeline.dagster_project.instance import prepare_dagster_home

    with used_warehouse(settings, keep_running=True) as warehouse:
        migrate(warehouse)
        environment = prepare_dagster_home(settings, warehouse.url)
    if settings.database_url is None:
        say("the embedded Postgres goes on running until `mixpanel-pipeline env --stop`")
    lines = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    give({"environment": environment}, as_json, lambda _console: click.echo(lines, nl=False))
