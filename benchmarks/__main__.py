"""`make bench`: what a day costs, beside bare decompression and parsing of the same bytes."""

import argparse
from datetime import date, timedelta

from benchmarks.baselines import seconds_to_inflate, seconds_to_parse
from benchmarks.collector import measure_collector
from benchmarks.profiles import measure_profiles
from benchmarks.sql_api import measure_sql_api
from benchmarks.web import measure_web
from benchmarks.workplace import Workplace, workplace
from mixpanel_pipeline.simulator import write_day

DAY = date(2025, 11, 12)
PEOPLE = 50_000
PROPERTIES = 30


def main() -> None:
    """Prints one table a size, then profiles, then the SQL API, then REPLACE over many days, then web aggregation, then
    the collector."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--events", type=int, nargs="*", default=[100_000, 1_000_000, 5_000_000])
    parser.add_argument("--replace-days", type=int, default=30)
    parser.add_argument("--replace-events", type=int, default=1_000_000)
    parser.add_argument("--profiles", type=int, default=100_000, help="people of the snapshot; 0: none")
    parser.add_argument("--no-sql-api", action="store_true", help="leave the upserts of profiles out")
    parser.add_argument("--web-days", type=int, default=30, help="days of web traffic; 0: none")
    parser.add_argument("--web-events", type=int, default=200_000, help="web events a day")
    parser.add_argument("--collector-seconds", type=float, default=12, help="of load a size of batch; 0: none")
    arguments = parser.parse_args()
    for events in arguments.events:
        with workplace() as place:
            measure_day(place, events)
    if arguments.profiles:
        measure_profiles(arguments.profiles)
    if not arguments.no_sql_api:
        measure_sql_api()
    if arguments.replace_days:
        with workplace() as place:
            measure_replace(place, arguments.replace_days, arguments.replace_events)
    if arguments.web_days:
        measure_web(arguments.web_days, arguments.web_events)
    if arguments.collector_seconds:
        measure_collector(arguments.collector_seconds)


def measure_day(place: Workplace, events: int) -> None:
    """First load, the same bytes again, the same events in another order."""
    print(f"\n## One day of {events:,} events x {PROPERTIES} properties x {PEOPLE:,} people\n", flush=True)
    path = place.directory / "day.jsonl.gz"
    write_day(path, DAY, events, PEOPLE, 1, properties=PROPERTIES)
    place.server.project.serve_file(DAY, path)
    parse = seconds_to_parse(path)
    inflate = seconds_to_inflate(path)
    first = place.run("benchmarks.load_day", "load", DAY)
    same = place.run("benchmarks.load_day", "load", DAY)
    place.server.project.faults.add("shuffled_rows", times=None)
    shuffled = place.run("benchmarks.load_day", "load", DAY) if events <= 1_000_000 else None
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
    added = place.run("benchmarks.load_day", "load", *wanted)
    replaced = place.run("benchmarks.load_day", "replace")
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
