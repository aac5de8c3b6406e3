"""`env`: the environment that Dagster's own commands need."""

import shlex

import click

from mixpanel_pipeline.cli.output import give, json_option, say
from mixpanel_pipeline.cli.postgres import bring_up_to_date, stop_embedded, used_warehouse, users_of_embedded
from mixpanel_pipeline.settings import Settings, load_settings


@click.command()
@click.option("--stop", is_flag=True, help="End the embedded Postgres that `env` or `psql --url` left on, if unused.")
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
        _stop(settings, as_json)
        return
    from mixpanel_pipeline.dagster_project.instance import prepare_dagster_home

    with used_warehouse(settings, keep_running=True) as warehouse:
        bring_up_to_date(warehouse)
        environment = prepare_dagster_home(settings, warehouse.url)
    if settings.database_url is None:
        say("the embedded Postgres goes on running until `mixpanel-pipeline env --stop`")
    lines = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in environment.items())
    give({"environment": environment}, as_json, lambda _console: click.echo(lines, nl=False))


def _stop(settings: Settings, as_json: bool) -> None:
    """Takes Postgres away from nobody: of those who still use it the last one ends it."""
    stopped = stop_embedded(settings)
    used_by = {} if stopped else users_of_embedded(settings)
    if not stopped:
        say("the embedded Postgres is still in use, and ends with the last of its users:")
        for pid, command in used_by.items():
            say(f"  process {pid}: {command}")
    give({"stopped": stopped, "used_by": used_by}, as_json, lambda _console: None)
