"""The collector under load: events a second and the time of an answer by the size of a batch, beside bare COPY of the
same rows and beside one transaction a request, in one run; and the process' memory over a minute. `python -m
benchmarks.collector`; also part of `make bench`."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import psutil
import psycopg
from psycopg.sql import SQL, Identifier

from benchmarks.collector_traffic import PROJECT, Traffic, rows_by_table
from mixpanel_pipeline.collector.application import CONNECTIONS
from mixpanel_pipeline.collector.write_keys import make_key
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline.warehouse.migrations import migrate

# Events a batch and connections: as many as keep it busy.
LOADS = ((1, 256), (20, 64), (100, 32), (500, 8))
STEADY = (20, 64)
STEADY_SECONDS = 75
COPY_ROWS, COPIES = 1000, 40
COMMAND = "from mixpanel_pipeline.cli import main; main()"


@dataclass(frozen=True)
class Service:
    """A collector that runs."""

    url: str
    key: str
    process: psutil.Process


def measure_collector(seconds: float, steady_seconds: float = STEADY_SECONDS) -> None:
    """Prints two tables and a line on memory."""
    with _database() as warehouse:
        copied = _copy_rate(warehouse)
        loops = {batch: _loop_rate(warehouse, batch, seconds / 2) for batch, _ in LOADS}
        with _service(warehouse) as service:
            _load(service, *STEADY, 3)  # the first requests compile and connect
            results = {batch: _load(service, batch, connections, seconds) for batch, connections in LOADS}
            memory, steady = _memory(service, steady_seconds)
    print(f"\n## Collector\n\nbare COPY of the same rows, {COPY_ROWS:,} a transaction: {copied:,.0f} rows/s\n")
    print(
        "| events a batch | connections | events/s | x bare COPY | one transaction a request, events/s | x | p50 ms "
        "| p95 ms | p99 ms | sender's core |\n|---|---|---|---|---|---|---|---|---|---|"
    )
    for batch, connections in LOADS:
        result, loop = results[batch], loops[batch]
        rate = result["accepted"] / result["seconds"]
        cells = [
            batch, connections, f"{rate:,.0f}", f"{rate / copied:.2f}", f"{loop:,.0f}", f"{rate / loop:.1f}",
            *(f"{result[name] * 1000:,.0f}" for name in ("p50", "p95", "p99")), f"{result['processor']:.0%}",
        ]  # fmt: skip
        print(f"| {' | '.join(map(str, cells))} |")
    third = max(1, len(memory) // 3)
    first, last = mean(memory[:third]), mean(memory[-third:])
    print(
        f"\n{steady['seconds']:.0f} s of batches of {STEADY[0]} over {STEADY[1]} connections, "
        f"{steady['accepted']:,} events: resident memory {first:.1f} MB in the first third, {last:.1f} MB in the last "
        f"(x {last / first:.3f}), {max(memory):.1f} MB at most",
        flush=True,
    )


@contextmanager
def _database() -> Iterator[Warehouse]:
    with tempfile.TemporaryDirectory(prefix="mp-bench-") as directory:
        postgres = EmbeddedPostgres(Path(directory) / "postgres")
        warehouse = Warehouse(postgres.start())
        try:
            migrate(warehouse)
            yield warehouse
        finally:
            postgres.stop()


@contextmanager
def _service(warehouse: Warehouse) -> Iterator[Service]:
    """The command itself, on the first core; senders have the last, and Postgres whatever it finds."""
    key = make_key(warehouse, PROJECT, [])
    with tempfile.TemporaryDirectory(prefix="mp-bench-") as home:
        environment = {
            **os.environ, "DATABASE_URL": warehouse.url, "PIPELINE_HOME": home,
            "COLLECTOR_REQUESTS_PER_ADDRESS": "1000000000", "COLLECTOR_REQUESTS_PER_KEY": "1000000000",
        }  # fmt: skip
        command = [sys.executable, "-c", COMMAND, "collect", "--port", "0", "--json"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
            if process.stdout is None:
                raise AssertionError("asked for")
            try:
                url = json.loads(process.stdout.readline())["url"]
                running = psutil.Process(process.pid)
                _keep_on(running, 0)
                yield Service(url, key, running)
            finally:
                process.terminate()


def _load(service: Service, batch: int, connections: int, seconds: float) -> dict[str, Any]:
    with _sender(service, batch, connections, seconds) as process:
        return _result(process)


@contextmanager
def _sender(service: Service, batch: int, connections: int, seconds: float) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.collector_load", service.url, service.key]
    options = {"--batch": batch, "--connections": connections, "--seconds": seconds}
    given = [str(part) for option in options.items() for part in option]
    with subprocess.Popen([*command, *given], stdout=subprocess.PIPE, text=True) as process:
        _keep_on(psutil.Process(process.pid), -1)
        yield process


def _result(process: subprocess.Popen[str]) -> dict[str, Any]:
    said, _ = process.communicate()
    if process.returncode:
        raise RuntimeError("the sender failed; it says why above")
    return json.loads(said)


def _memory(service: Service, seconds: float) -> tuple[list[float], dict[str, Any]]:
    """The service's megabytes, twice a second while it is under load, and how that went."""
    sampled = []
    with _sender(service, *STEADY, seconds) as process:
        while process.poll() is None:
            sampled.append(service.process.memory_info().rss / 1e6)
            time.sleep(0.5)
        return sampled, _result(process)


def _copy_rate(warehouse: Warehouse) -> float:
    """Rows a second into the tables themselves, with their triggers, indexes and checks: nothing looks at a row."""
    traffic = Traffic()
    transactions = [rows_by_table(traffic.events(COPY_ROWS)) for _ in range(COPIES)]
    with warehouse.connect() as connection:
        began = time.perf_counter()
        for tables in transactions:
            for table, (columns, rows) in tables.items():
                _copy(connection, table, columns, rows)
            connection.commit()
        return COPY_ROWS * COPIES / (time.perf_counter() - began)


def _copy(connection: psycopg.Connection, table: str, columns: list[str], rows: list[list[object]]) -> None:
    statement = SQL("copy {} ({}) from stdin").format(Identifier(table), SQL(", ").join(map(Identifier, columns)))
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def _loop_rate(warehouse: Warehouse, batch: int, seconds: float) -> float:
    """What a service that stores each request by itself can reach, over as many connections: one call and one commit a
    batch, and no HTTP."""
    with ThreadPoolExecutor(CONNECTIONS) as threads:
        began = time.perf_counter()
        stored = threads.map(_one_by_one(warehouse, batch, began + seconds), range(CONNECTIONS))
        return sum(stored) / (time.perf_counter() - began)


def _one_by_one(warehouse: Warehouse, batch: int, until: float) -> Callable[[int], int]:
    def work(_number: int) -> int:
        traffic, stored = Traffic(), 0
        with warehouse.connect(autocommit=True) as connection:
            while time.perf_counter() < until:
                text = f"[{','.join(traffic.events(batch))}]"
                connection.execute("select ingest_analytics_batch(%s)", [text])
                stored += batch
        return stored

    return work


def _keep_on(process: psutil.Process, core: int) -> None:
    """Where the system lets processes be kept on a core."""
    if hasattr(process, "cpu_affinity"):
        process.cpu_affinity([sorted(os.sched_getaffinity(0))[core]])


def main() -> None:
    """Called by hand."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=12, help="of load for each size of batch")
    parser.add_argument("--steady-seconds", type=float, default=STEADY_SECONDS, help="of load while memory is watched")
    given = parser.parse_args()
    measure_collector(given.seconds, given.steady_seconds)


if __name__ == "__main__":
    main()
