"""`make bench`: what a day costs, beside bare decompression and parsing of the same bytes."""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from benchmarks.baselines import seconds_to_inflate, seconds_to_parse
from benchmarks.sql_api import measure_sql_api
from mixpanel_pipeline.simulator import Project, SimulatorServer, write_day
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline.warehouse.migrations import migrate

DAY = date(2025, 11, 12)
PEOPLE = 50_000
PROPERTIES = 30


def main() -> None:
    """Prints one table a size, then the SQL API, then REPLACE over many days."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--events", type=int, nargs="*", default=[100_000, 1_000_000, 5_000_000])
    parser.add_argument("--replace-days", type=int, default=30)
    parser.add_argument("--replace-events", type=int, default=1_000_000)
    parser.add_argument("--no-sql-api", action="store_true", help="leave the upserts of profiles out")
    arguments = parser.parse_args()
    for events in arguments.events:
        with workplace() as place:
            measure_day(place, events)
    if not arguments.no_sql_api:
        measure_sql_api()
    if arguments.replace_days:
        with workplace() as place:
            measure_replace(place, arguments.replace_days, arguments.replace_events)


class Workplace:
    """An empty warehouse, lake and simulator."""

    def __init__(self, directory: Path, database_url: str, server: SimulatorServer) -> None:
        self.directory = directory
        self.database_url = database_url
        self.server = server

    def run(self, what: str, *days: date) -> dict[str, Any]:
        """One load in a fresh process."""
        command = [sys.executable, "-m", "benchmarks.load_day", what, self.database_url, str(self.directory)]
        finished = subprocess.run(
            [*command, self.server.url, *map(str, days)], stdout=subprocess.PIPE, text=True, check=True
        )
        return json.loads(finished.stdout.splitlines()[-1])


@contextmanager
def workplace() -> Iterator[Workplace]:
    """Made in a temporary directory, and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mp-bench-") as directory:
        postgres = EmbeddedPostgres(Path(directory) / "postgres")
        database_url = postgres.start()
        try:
            migrate(Warehouse(database_url))
            with SimulatorServer(Project()) as server:
                yield Workplace(Path(directory), database_url, server)
        finally:
            postgres.stop()


def measure_day(place: Workplace, events: int) -> None:
    """First load, the same bytes again, the same events in another order."""
    print(f"\n## One day of {events:,} events x {PROPERTIES} properties x {PEOPLE:,} people\n", flush=True)
    path = place.directory / "day.jsonl.gz"
    write_day(path, DAY, events, PEOPLE, 1, properties=PROPERTIES)
    place.server.project.serve_file(DAY, path)
    parse = seconds_to_parse(path)
    inflate = seconds_to_inflate(path)
    first = place.run("load", DAY)
    same = place.run("load", DAY)
    place.server.project.faults.add("shuffled_rows", times=None)
    shuffled = place.run("load", DAY) if events <= 1_000_000 else None
    place.server.project.faults.clear()
    rows = [
        ("gzip -dc | wc -l", inflate, None),
        ("json.loads in a loop", parse, None),
        ("first load, network to committed totals", first["seconds"], first["peak_megabytes"]),
        ("unchanged day, the same bytes", same["seconds"], same["peak_megabytes"]),
    ]
    if shuffled:
        rows.append(
            (
                "unchanged day, its rows in another order (shuffled meanwhile by the simulator)",
                shuffled["seconds"],
                shuffled["peak_megabytes"],
            )
        )
    print("| what | seconds | events/s | x json.loads loop | peak MB |\n|---|---|---|---|---|")
    for name, seconds, memory in rows:
        print(f"| {name} | {seconds:.2f} | {events / seconds:,.0f} | {parse / seconds:.2f} | {memory or ''} |")
    print(
        f"\nstages of the first load: {first['stages']}; {path.stat().st_size / 1e6:.0f} MB gzip, "
        f"{first['parquet_bytes'] / 1e6:.0f} MB Parquet; unchanged / first = {same['seconds'] / first['seconds']:.3f}",
        flush=True,
    )


def measure_replace(place: Workplace, days: int, events: int) -> None:
    """ADD of many days, then REPLACE of all of them from the lake."""
    print(f"\n## {days} days of {events:,} events\n", flush=True)
    wanted = [DAY - timedelta(days=number) for number in reversed(range(days))]
    for number, day in enumerate(wanted):
        path = place.directory / f"{day}.jsonl.gz"
        write_day(path, day, events, PEOPLE, number, properties=PROPERTIES)
        place.server.project.serve_file(day, path)
    added = place.run("load", *wanted)
    replaced = place.run("replace")
    print("| what | seconds | events/s | peak MB |\n|---|---|---|---|")
    for name, seconds, memory in (
        (f"backfill of {days} days by ADD", added["seconds"], added["peak_megabytes"]),
        ("REPLACE of contributions and totals", replaced["replace_seconds"], replaced["peak_megabytes"]),
    ):
        print(f"| {name} | {seconds:.1f} | {days * events / seconds:,.0f} | {memory} |")
    print(
        f"\n{replaced['people']:,} people; REPLACE corrected {replaced['rows_corrected']} rows; "
        f"{replaced['differences']} values differ",
        flush=True,
    )


if __name__ == "__main__":
    main()
