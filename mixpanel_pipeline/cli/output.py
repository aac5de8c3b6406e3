"""What commands print: results on stdout, as tables or as one JSON object; everything else on stderr."""

import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

PLAIN_WIDTH = 240

# Columns of sentences; all others stay on one line.
WRAPPED = {"what it found", "error", "notes"}

_given: list[bool] = []

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object on stdout.")


def say(message: str) -> None:
    """One line for whoever watches, on stderr."""
    click.echo(message, err=True)


def progress_console() -> Console:
    """Where progress goes."""
    return Console(stderr=True)


def give_object(result: Any) -> None:
    """Prints a JSON object, unless this command has printed its one already (`up` may fail after that)."""
    if not _given:
        click.echo(json.dumps(result, default=_plain))
        _given.append(True)


def give(result: Any, as_json: bool, show: Callable[[Console], None]) -> None:
    """Prints a command's result: as one JSON object, or as people read it."""
    if as_json:
        give_object(result)
    else:
        # Into a file or a pipe, lines are as long as they are.
        show(Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH))


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]], title: str | None = None) -> Table:
    """Numbers stand to the right, the rest to the left; None is empty."""
    listed = [list(row) for row in rows]
    made = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="bold")
    for index, name in enumerate(columns):
        values = [row[index] for row in listed]
        numeric = any(_is_number(value) for value in values) and all(v is None or _is_number(v) for v in values)
        made.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=name not in WRAPPED)
    for row in listed:
        # Texts come from Mixpanel and Postgres: their square brackets are no markup.
        made.add_row(*(value if isinstance(value, Text) else Text(text_of(value)) for value in row))
    return made


def count(number: int, noun: str) -> str:
    """`1 day`, `2 days`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def text_of(value: Any) -> str:
    """A value as a cell of a table."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else ""
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
