"""Upserting profiles through the SQL API: one set-based call, one loop inside Postgres, one call a row, and one call a
row over a network. `python -m benchmarks.sql_api`; also part of `make bench`."""

import argparse
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from mixpanel_pipeline import catalog
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline.warehouse.migrations import migrate

STORED = 50_000
SIZES = (250, 1_000, 5_000)
ROUND_TRIPS_MS = (0, 1, 5)
STRATEGIES = {"REPLACE": "upsert_subscribers_incremental", "ADD": "upsert_subscribers_incremental_add"}

Profile = dict[str, Any]


def measure_sql_api(sizes: tuple[int, ...] = SIZES, repeats: int = 5) -> None:
    """Prints the table of both strategies, then what sending everything again unchanged costs."""
    with tempfile.TemporaryDirectory(prefix="mp-bench-") as directory:
        postgres = EmbeddedPostgres(Path(directory) / "postgres")
        url = postgres.start()
        try:
            migrate(Warehouse(url))
            with psycopg.connect(url, autocommit=True) as connection:
                fill(connection)
                print(
                    f"\n## SQL API: profiles of {len(profile(0, random.Random(0)))} keys, {STORED:,} people stored, "
                    f"every profile changed (median of {repeats}; in brackets x the set-based call)\n"
                )
                calls = " | ".join(f"a call a row, +{ms} ms" if ms else "a call a row" for ms in ROUND_TRIPS_MS)
                print(f"| strategy | profiles | set-based | loop in Postgres | {calls} | set-based, +5 ms |")
                print("|---" * (5 + len(ROUND_TRIPS_MS)) + "|")
                for strategy, function in STRATEGIES.items():
                    for size in sizes:
                        print(changed_line(connection, strategy, function, size, repeats), flush=True)
                print("\n| strategy | profiles | unchanged, set-based | unchanged, loop | WAL bytes | rows written |")
                print("|---|---|---|---|---|---|")
                for strategy, function in STRATEGIES.items():
                    print(unchanged_line(connection, strategy, function, max(sizes), repeats), flush=True)
        finally:
            postgres.stop()


def changed_line(connection: psycopg.Connection, strategy: str, function: str, size: int, repeats: int) -> str:
    """One line of the table: the forms take turns, each on new values."""
    chance = random.Random(size)

    def batch() -> list[Profile]:
        return [profile(person, chance) for person in chance.sample(range(STORED), size)]

    # One call a row is measured once when it takes long: it is the round trips that are counted.
    forms: dict[str, Callable[[], float]] = {
        "set": lambda: one_call(connection, function, batch()),
        "loop": lambda: one_call(connection, f"{function}_loop", batch()),
        **{f"rows {ms}": lambda ms=ms: a_call_a_row(connection, function, batch(), ms) for ms in ROUND_TRIPS_MS},
        "set, far": lambda: one_call(connection, function, batch(), 5),
    }
    seconds: dict[str, list[float]] = {form: [] for form in forms}
    for number in range(repeats):
        for form, measure in forms.items():
            if number and form.startswith("rows") and size > min(SIZES):
                continue
            seconds[form].append(measure())
    medians = {form: statistics.median(values) for form, values in seconds.items()}
    cells = [f"{medians['set'] * 1000:,.0f} ms"]
    cells += [
        f"{medians[form] * 1000:,.0f} ms ({medians[form] / medians['set, far' if form == 'rows 5' else 'set']:.1f}x)"
        for form in list(forms)[1:-1]
    ]
    return f"| {strategy} | {size:,} | {' | '.join(cells)} | {medians['set, far'] * 1000:,.0f} ms |"


def unchanged_line(connection: psycopg.Connection, strategy: str, function: str, size: int, repeats: int) -> str:
    """What is sent twice, for ADD with counts of zero, is written once."""
    chance = random.Random(0)
    batch = [profile(person, chance) for person in range(size)]
    one_call(connection, function, batch)
    if strategy == "ADD":
        counts = {metric.column for metric in catalog.COUNT_METRICS} | {"events_processed"}
        batch = [{key: 0 if key in counts else value for key, value in row.items()} for row in batch]
    connection.execute("vacuum subscribers_insights_v2")
    seconds, bytes_, rows, looped = [], [], [], []
    for _ in range(repeats):
        before = position(connection)
        answer: list[int] = []
        seconds.append(one_call(connection, function, batch, answer=answer))
        bytes_.append(position(connection) - before)
        rows.append(sum(answer[:2]))
        looped.append(one_call(connection, f"{function}_loop", batch))
    return (
        f"| {strategy} | {size:,} | {statistics.median(seconds) * 1000:,.0f} ms "
        f"| {statistics.median(looped) * 1000:,.0f} ms | {max(bytes_):,} | {max(rows)} |"
    )


def one_call(
    connection: psycopg.Connection,
    function: str,
    batch: list[Profile],
    round_trip_ms: float = 0,
    answer: list[int] | None = None,
) -> float:
    """Seconds that one call with the whole batch takes."""
    payload = json.dumps(batch)
    started = time.perf_counter()
    time.sleep(round_trip_ms / 1000)
    row = connection.execute(call_of(function), [payload]).fetchone()
    seconds = time.perf_counter() - started
    if answer is not None:
        answer.extend(row or ())
    return seconds


def a_call_a_row(connection: psycopg.Connection, function: str, batch: list[Profile], round_trip_ms: float) -> float:
    """Seconds that a call for each profile takes, in one transaction: with a commit each it is slower still."""
    payloads = [json.dumps([row]) for row in batch]
    started = time.perf_counter()
    with connection.transaction():
        for payload in payloads:
            if round_trip_ms:
                time.sleep(round_trip_ms / 1000)
            connection.execute(call_of(function), [payload])
    return time.perf_counter() - started


def call_of(function: str) -> Composed:
    """The statement that any client would send."""
    return SQL("select inserted, updated from {}(%s::jsonb)").format(Identifier(function))


def fill(connection: psycopg.Connection) -> None:
    """Everybody once."""
    chance = random.Random(1)
    for start in range(0, STORED, 5_000):
        one_call(connection, STRATEGIES["REPLACE"], [profile(start + offset, chance) for offset in range(5_000)])
    connection.execute("vacuum analyze subscribers_insights_v2")


def profile(person: int, chance: random.Random) -> Profile:
    """A profile with a value in every column that a caller may set."""
    return {
        "distinct_id": f"{person:08d}-5f3a-4c1e-9d2b-{person * 2_654_435_761 % 2**48:012x}",
        **{metric.column: chance.randint(0, 200) for metric in catalog.COUNT_METRICS},
        **{metric.column: True for metric in catalog.FLAG_METRICS},
        **{
            line.column: chance.choice(["under_50k", "50k-100k", "100k-250k"])
            if line.kind == "text"
            else round(chance.random() * 10_000, 2)
            for line in catalog.PROPERTIES
        },
        "events_processed": chance.randint(1, 2000),
        "first_event_time": "2025-10-01T08:00:00.000Z",
        "last_event_time": "2025-11-13T01:00:00.000Z",
        "updated_at": "2025-11-13T02:00:00.000Z",
    }


def position(connection: psycopg.Connection) -> int:
    """Bytes of write-ahead log so far."""
    row = connection.execute("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint").fetchone()
    return row[0] if row else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.sql_api", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    measure_sql_api(tuple(arguments.sizes), arguments.repeats)
