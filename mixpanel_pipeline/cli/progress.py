"""Progress by day: a bar in a terminal, a line a day elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mixpanel_pipeline.cli.output import progress_console, say

Tick = Callable[[str], None]


@contextmanager
def day_progress(total: int) -> Iterator[Tick]:
    """Yields what to call with each finished day."""
    console = progress_console()
    if not console.is_terminal:
        yield _lines(total)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("fetching days", total=total)
        yield lambda day: progress.update(task, advance=1, description=day)


def _lines(total: int) -> Tick:
    done: list[str] = []

    def tick(day: str) -> None:
        done.append(day)
        say(f"{day} is done ({len(done)} of {total})")

    return tick
