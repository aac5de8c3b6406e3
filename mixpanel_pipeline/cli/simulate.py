"""`simulate`: the Mixpanel simulator alone."""

import contextlib
import io
import json
import sys

import click

from mixpanel_pipeline.cli.output import json_option


@click.command(
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
    add_help_option=False,
    short_help="Serve the Mixpanel simulator alone, until Ctrl-C.",
)
@json_option
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def simulate(context: click.Context, as_json: bool, arguments: tuple[str, ...]) -> None:
    """Serve the Mixpanel simulator alone, until Ctrl-C; `simulate --help` lists its options and faults."""
    from mixpanel_pipeline.simulator.__main__ import main

    # It prints its address once it answers; with --json that line becomes an object.
    output = contextlib.redirect_stdout(_AddressAsJson()) if as_json else contextlib.nullcontext()
    try:
        with output:
            main(list(arguments), program=context.command_path)
    except SystemExit as ended:  # argparse said what is wrong
        context.exit(ended.code if isinstance(ended.code, int) else 1)


class _AddressAsJson(io.TextIOBase):
    def __init__(self) -> None:
        self._real = sys.stdout

    def write(self, text: str) -> int:
        if text.strip():
            self._real.write(json.dumps({"url": text.strip()}) + "\n")
            self._real.flush()
        return len(text)
