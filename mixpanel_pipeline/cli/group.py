"""`mixpanel-pipeline`: the group of commands, and how its errors end: one line on stderr, and an exit code."""

import logging
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click
import psycopg

from mixpanel_pipeline.cli.dagster_servers import DefinitionsError
from mixpanel_pipeline.cli.output import give_object, say
from mixpanel_pipeline.cli.servers import ServerError
from mixpanel_pipeline.lake.landing import LandingError
from mixpanel_pipeline.mixpanel.errors import MixpanelError
from mixpanel_pipeline.settings import SettingsError
from mixpanel_pipeline.subscribers.lake_queries import LakeReadError
from mixpanel_pipeline.warehouse.connection import WarehouseError
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgresError
from mixpanel_pipeline.warehouse.migrations import MigrationError

DONE, FAILED, BAD_USAGE, INTERRUPTED = 0, 1, 2, 130

# Errors whose message says all that is needed; any other one is a bug and shows its stack.
EXPLAINED = (
    DefinitionsError,
    EmbeddedPostgresError,
    LakeReadError,
    LandingError,
    MigrationError,
    MixpanelError,
    ServerError,
    WarehouseError,
)

# Command → its function, `module:function`. A module is imported when its command runs, so that `--help` and
# `psql` do not wait for Dagster.
COMMANDS = {
    "demo": "mixpanel_pipeline.cli.demo:demo",
    "up": "mixpanel_pipeline.cli.up:up",
    "env": "mixpanel_pipeline.cli.env:env",
    "migrate": "mixpanel_pipeline.cli.database:migrate",
    "rollback": "mixpanel_pipeline.cli.database:rollback",
    "sync": "mixpanel_pipeline.cli.sync:sync",
    "profiles": "mixpanel_pipeline.cli.profiles:profiles",
    "aggregate": "mixpanel_pipeline.cli.aggregate:aggregate",
    "verify": "mixpanel_pipeline.cli.verify:verify",
    "status": "mixpanel_pipeline.cli.status:status",
    "collect": "mixpanel_pipeline.cli.collect:collect",
    "simulate": "mixpanel_pipeline.cli.simulate:simulate",
    "psql": "mixpanel_pipeline.cli.database:psql",
}


class PipelineGroup(click.Group):
    """Imports a command when it is asked for, and turns errors into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, function = COMMANDS[cmd_name].partition(":")
        return getattr(__import__(module, fromlist=[function]), function)

    def main(  # pyright: ignore[reportIncompatibleMethodOverride] - of click's overloads one is needed
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> NoReturn:
        given = list(sys.argv[1:] if args is None else args)
        extra["standalone_mode"] = False
        _end_by_signals()
        try:
            code = super().main(given, prog_name or "mixpanel-pipeline", **extra)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            code = BAD_USAGE
        except click.ClickException as error:
            code = _report(_usage(error), error.exit_code, given)
        except SettingsError as error:
            code = _report(str(error), BAD_USAGE, given)
        except psycopg.OperationalError as error:
            code = _report(f"Postgres: {' '.join(str(error).split())}", FAILED, given)
        except EXPLAINED as error:
            code = _report(str(error).strip(), FAILED, given)
        except (KeyboardInterrupt, click.Abort):
            code = _report("interrupted", INTERRUPTED, given)
        sys.exit(code if isinstance(code, int) else DONE)


@click.group(cls=PipelineGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(package_name="mixpanel-pipeline")
def pipeline() -> None:
    """Mixpanel's events kept exactly right in your own Postgres, by Dagster.

    Settings are environment variables, also read from .env (docs/settings.md). Every command takes --json, which
    prints one JSON object on stdout; progress and logs go to stderr. Exit codes: 0 done, 1 a check or run failed,
    2 bad usage or settings.
    """
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")


def _usage(error: click.ClickException) -> str:
    context = error.ctx if isinstance(error, click.UsageError) else None
    command = f"{context.command_path}: " if context else ""
    return f"{command}{error.format_message()}"


def _report(message: str, code: int, arguments: list[str]) -> int:
    """Says it on stderr, and, for a caller that asked for JSON, as an object too."""
    if "--json" in arguments:
        give_object({"error": message, "exit_code": code})
    say(message)
    return code


def _end_by_signals() -> None:
    """SIGTERM ends a command as Ctrl-C does, so that it ends what it started; during a run that is Dagster's way of
    being interrupted. A shell that starts commands in the background ignores SIGINT for them; here it counts again."""
    try:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, lambda _number, _frame: signal.raise_signal(signal.SIGINT))
    except ValueError:  # called from another thread than the main one, as tests may
        return
