"""Web aggregation: loading, marks, backfill, the hourly and the daily run, late rows, and a dashboard's queries; each
beside a bare scan, the raw query or the statement of the hourly plan, in one run. `python -m benchmarks.web --days 30
--events-per-day 1000000`; also part of `make bench`."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from benchmarks.web_baselines import (
    COUNT_ALL,
    COUNT_ALL_SINCE,
    COUNT_EVENTS,
    COUNT_EVENTS_BETWEEN,
    PLANNED_AGGREGATION,
    PLANNED_TABLE,
    RAW_QUERIES,
)
from mixpanel_pipeline.simulator.web_copy import COLUMN_TYPES
from mixpanel_pipeline.simulator.web_traffic import TABLES, WebTraffic
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline.warehouse.migrations import migrate
from mixpanel_pipeline.warehouse.sql_files import read_sql
from mixpanel_pipeline.web.aggregation import aggregate_all, aggregate_hours, backfill
from mixpanel_pipeline.web.partitions import make_partitions
from mixpanel_pipeline.web.progress import table_sizes

PROJECTS = 100
EVENTS_PER_VISITOR = 8
RAW_PROJECTS = 8  # the largest: one of them is the 95th percentile of a hundred
REPEATS = 3
DAYS_AGAIN = 3
HOURS_MEASURED = (9, 11, 13, 15, 17)
BATCH_SIZES, BATCHES = (1_000, 5_000), 30


class Site:
    """A warehouse full of traffic. The last day is yesterday, so that nothing lies in the future."""

    def __init__(self, database_url: str, days: int, events_per_day: int) -> None:
        self.warehouse = Warehouse(database_url)
        self.last = datetime.now(UTC).date() - timedelta(days=1)
        self.first = self.last - timedelta(days=days - 1)
        self.days = [self.first + timedelta(days=number) for number in range(days)]
        self.traffic = WebTraffic(
            1, projects=PROJECTS, visitors_per_day=max(1, events_per_day // EVENTS_PER_VISITOR),
            events_per_day=events_per_day, first_day=self.first,
        )  # fmt: skip
        self.projects = [project.project_id for project in self.traffic.projects]

    def load(self) -> int:
        """A day and a table a transaction, through the triggers that mark. Returns how many rows there are."""
        make_partitions(self.warehouse, self.first, self.last + timedelta(days=21))
        for day in self.days:
            for table in TABLES:
                with self.warehouse.connect() as connection:
                    copy_in(connection, table, list(COLUMN_TYPES[table]), self.traffic.copy(table, day))
        return self.value(COUNT_ALL)

    def value(self, query: str, parameters: Any = None) -> Any:
        with self.warehouse.connect() as connection:
            row = connection.execute(query.encode(), parameters).fetchone()
        return row[0] if row else None

    def scan(self, hours: dict[str, datetime]) -> None:
        """Counts some hours' events without an index: reads the week that they lie in."""
        with self.warehouse.connect() as connection:
            for way in ("indexscan", "indexonlyscan", "bitmapscan"):
                connection.execute(f"set enable_{way} = off".encode())
            connection.execute(COUNT_EVENTS_BETWEEN.encode(), hours).fetchall()

    def run(self, *statements: str) -> None:
        with self.warehouse.connect(autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def seconds(self, query: str, parameters: Any = None) -> float:
        """A statement's time, its rows fetched, on a connection that is there."""
        with self.warehouse.connect() as connection:
            started = time.monotonic()
            cursor = connection.execute(query.encode(), parameters)
            if cursor.description:
                cursor.fetchall()
            return time.monotonic() - started


def measure_web(days: int, events_per_day: int) -> None:
    """Prints one table a subject."""
    with empty_postgres() as url:
        site = Site(url, days, events_per_day)
        started = time.monotonic()
        rows = site.load()
        loading = time.monotonic() - started
        events = site.value(COUNT_EVENTS)
        print(
            f"\n## Web: {days} days, {events:,} events, {rows - events:,} sessions, page views and clicks, "
            f"{PROJECTS} projects, {len(site.traffic.cards):,} cards\n"
        )
        print(f"generated and loaded by COPY, marked: {loading:.0f} s, {rows / loading:,.0f} rows/s", flush=True)
        site.run("vacuum analyze")
        measure_backfill(site, rows, events)
        site.run("vacuum analyze")
        measure_hours(site)
        measure_late_row(site)
        measure_queries(site)
        measure_marks(site)
        print_sizes(site)


def measure_backfill(site: Site, rows: int, events: int) -> None:
    """From nothing, then the last days again; hours, days and cards."""
    scan = min(site.seconds(COUNT_ALL) for _ in range(3))
    scan_events = min(site.seconds(COUNT_EVENTS) for _ in range(3))
    site.run(PLANNED_TABLE)
    whole = {"from": site.first, "to": site.last + timedelta(days=2)}
    planned = site.seconds(PLANNED_AGGREGATION, whole)
    site.run("truncate analytics_dirty_hours, analytics_dirty_cards, analytics_dirty_days")
    ends = [time.monotonic()]
    backfill(site.warehouse, site.first, site.last, lambda _: ends.append(time.monotonic()))
    aggregate_all(site.warehouse)  # sessions that begin before midnight go on into the day after the last
    first = time.monotonic() - ends[0]
    days_again = site.days[-DAYS_AGAIN:]
    rows_again = site.value(COUNT_ALL_SINCE, [days_again[0]] * 4)
    scan_again = min(site.seconds(COUNT_ALL_SINCE, [days_again[0]] * 4) for _ in range(3))
    started = time.monotonic()
    again = backfill(site.warehouse, days_again[0], site.last)
    second = time.monotonic() - started
    print("\n| backfill | seconds | rows/s | x the bare scan of the same rows |\n|---|---|---|---|")
    for name, seconds, count, bare in (
        ("`count(*)` of all raw rows", scan, rows, scan),
        ("`count(*)` of events", scan_events, events, scan_events),
        ("the plan's statement: hours of events only, uniques not exact", planned, events, scan_events),
        ("ours: hours, days, exact uniques, cards", first, rows, scan),
        (f"ours again, the last {len(days_again)} days, nothing changed", second, rows_again, scan_again),
    ):
        print(f"| {name} | {seconds:.2f} | {count / seconds:,.0f} | {seconds / bare:.1f} |")
    written = sum(day.aggregated.rows_written for day in again)
    print(f"\na day: first {ends[1] - ends[0]:.1f} s, last {ends[-1] - ends[-2]:.1f} s; again wrote {written} rows")
    print(f"ours / the plan's statement = {first / planned:.2f}", flush=True)


def measure_hours(site: Site) -> None:
    """One hour of all projects, from nothing and again."""
    lines: dict[str, list[float]] = {}
    counts = []
    for hour in HOURS_MEASURED:
        start = datetime.combine(site.last, datetime.min.time(), UTC) + timedelta(hours=hour)
        hours = {"from": start, "to": start + timedelta(hours=1)}
        counts.append(site.value(COUNT_EVENTS_BETWEEN, hours))
        measured: dict[str, Callable[[], object]] = {
            "`count(*)` of the hour's rows": lambda: site.value(COUNT_EVENTS_BETWEEN, hours),  # noqa: B023
            "the plan's statement": lambda: site.seconds(PLANNED_AGGREGATION, hours),  # noqa: B023
            "ours, from nothing": lambda: aggregate_hours(site.warehouse),
            "ours, nothing changed": lambda: aggregate_hours(site.warehouse),
            "`count(*)` of the hour's rows by a scan of their partition": lambda: site.scan(hours),  # noqa: B023
        }
        site.seconds("delete from planned where hour_bucket = %(from)s", hours)
        site.seconds("delete from analytics_events_hourly_agg where hour_bucket = %(from)s", hours)
        for name, work in measured.items():
            site.seconds(read_sql("web/mark_hours.sql"), hours)
            started = time.monotonic()
            work()
            lines.setdefault(name, []).append(time.monotonic() - started)
    medians = {name: statistics.median(found) for name, found in lines.items()}
    bare = medians["`count(*)` of the hour's rows"]
    print(f"\n| an hour of {statistics.median(counts):,.0f} events | ms | x the scan of its rows |\n|---|---|---|")
    for name, seconds in medians.items():
        print(f"| {name} | {seconds * 1000:.0f} | {seconds / bare:.1f} |")
    aggregate_all(site.warehouse)
    print(flush=True)


def measure_late_row(site: Site) -> None:
    """One event of the largest project for the oldest day: who was there on it is no newcomer later."""
    visitor = site.value(
        "select visitor_id from analytics_events where project_id = %s group by 1 "
        "order by count(distinct (created_at at time zone 'UTC')::date) desc limit 1", [site.projects[0]],
    )  # fmt: skip
    site.seconds(
        "insert into analytics_events (project_id, visitor_id, session_id, event_type, created_at) "
        "values (%s, %s, 'late', 'impression', %s)", [site.projects[0], visitor, site.first],
    )  # fmt: skip
    started = time.monotonic()
    done = aggregate_all(site.warehouse)
    print(
        f"a late row of the largest project's most frequent visitor, {len(site.days) - 1} days old: "
        f"{time.monotonic() - started:.2f} s, {done.rows_written} rows written\n",
        flush=True,
    )


def measure_queries(site: Site) -> None:
    """The named queries and the totals of ranges, raw against aggregate: over the hundred projects."""
    end = site.last + timedelta(days=1)
    now = datetime.combine(end, datetime.min.time(), UTC)
    named = ("events_by_hour", "events_by_type", "events_by_label", "event_kpis")
    ours = {name: read_sql(f"queries/{name}.sql") for name in named}
    ours["event_totals"] = "select * from analytics_event_totals(%(project_id)s, %(from)s, %(to)s)"
    subjects = [("events_by_hour", "24 hours", 1), ("events_by_type", "30 days by day and type", 30)]
    for days in (7, 30, 90):
        if days <= len(site.days):
            subjects += [
                ("events_by_label", f"{days} days of a type by label", days),
                ("event_kpis", f"{days} days, exact uniques", days),
                ("event_totals", f"{days} days: all, by type, by label, exact uniques", days),
            ]
    print("| query | raw p95 | aggregate p50 | aggregate p95 | raw / aggregate, p95 |\n|---|---|---|---|---|")
    for name, title, days in subjects:
        common = {"from": end - timedelta(days=days), "to": end, "now": now, "today": site.last}
        parameters = [common | {"project_id": project, "event_type": "impression"} for project in site.projects]
        raw = query_times(site, RAW_QUERIES[name], parameters[:RAW_PROJECTS], repeats=1)
        aggregate = query_times(site, ours[name], parameters, REPEATS)
        print(
            f"| {title} | {raw[5] * 1000:,.0f} ms | {aggregate[50] * 1000:,.1f} ms | {aggregate[5] * 1000:,.1f} ms "
            f"| **{raw[5] / aggregate[5]:,.0f}** |",
            flush=True,
        )


def query_times(site: Site, query: str, parameters: list[dict[str, Any]], repeats: int) -> list[float]:
    """Each project's median, the slowest first, on one connection that has planned the query before."""
    times = []
    with site.warehouse.connect() as connection:
        connection.execute(query.encode(), parameters[-1]).fetchall()
        for one in parameters:
            taken = []
            for _ in range(repeats):
                started = time.monotonic()
                connection.execute(query.encode(), one).fetchall()
                taken.append(time.monotonic() - started)
            times.append(statistics.median(taken))
    return sorted(times, reverse=True)


def measure_marks(site: Site) -> None:
    """The same rows by COPY with the triggers and without, taking turns, into a week that is empty."""
    columns = list(COLUMN_TYPES["analytics_events"])
    print("\n| COPY of events | with marks, rows/s | without, rows/s | marks cost |\n|---|---|---|---|")
    for size in BATCH_SIZES:
        with site.warehouse.connect() as marking, site.warehouse.connect() as bare:
            bare.execute("set session_replication_role = replica")  # in which triggers do not fire
            connections = {"marked": marking, "bare": bare}
            times: dict[str, list[float]] = {name: [] for name in connections}
            for number in range(BATCHES):
                batch = take_batch(site, columns, size, number)
                for name in sorted(connections, reverse=bool(number % 2)):
                    started = time.monotonic()
                    copy_in(connections[name], "analytics_events", columns, [batch])
                    connections[name].commit()
                    times[name].append(time.monotonic() - started)
                    # The other's turn begins where this one began.
                    bare.execute("delete from analytics_events where created_at >= now()")
                    bare.commit()
                site.run(f"vacuum analytics_events_{monday_of(site.last + timedelta(days=8)):%Y%m%d}")
        marked, unmarked = (statistics.median(times[name]) for name in ("marked", "bare"))
        print(
            f"| {size:,} rows a batch | {size / marked:,.0f} | {size / unmarked:,.0f} "
            f"| {100 * (marked / unmarked - 1):+.0f} % |",
            flush=True,
        )
    aggregate_all(site.warehouse)


def take_batch(site: Site, columns: list[str], size: int, number: int) -> bytes:
    """Rows of the first days, as they followed each other, moved to the first hours of a day to come."""
    start = datetime.combine(site.first, datetime.min.time(), UTC)
    ahead = datetime.combine(site.last + timedelta(days=8), datetime.min.time(), UTC) - start
    selected = ", ".join(f"created_at + '{ahead}'::interval" if name == "created_at" else name for name in columns)
    query = f"""copy (
        select {selected} from analytics_events where created_at >= '{start}' and created_at < '{start + timedelta(1)}'
        order by created_at limit {size} offset {size * number}
    ) to stdout (format binary)"""
    with site.warehouse.connect() as connection, connection.cursor().copy(query.encode()) as stream:
        return b"".join(bytes(block) for block in stream)


def monday_of(day: date) -> date:
    return day - timedelta(days=day.weekday())


def copy_in(connection: psycopg.Connection, table: str, columns: list[str], blocks: Any) -> None:
    statement = SQL("copy {} ({}) from stdin (format binary)").format(
        Identifier(table), SQL(", ").join(map(Identifier, columns))
    )
    with connection.cursor().copy(statement) as stream:
        for block in blocks:
            stream.write(block)


def print_sizes(site: Site) -> None:
    print("\n| table | size | rows |\n|---|---|---|")
    for table in table_sizes(site.warehouse):
        if table.bytes > 10**6:
            print(f"| {table.tablename} | {table.size} | {table.estimated_rows:,} |")


@contextmanager
def empty_postgres() -> Iterator[str]:
    """Made in a temporary directory, and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mp-bench-") as directory:
        postgres = EmbeddedPostgres(Path(directory) / "postgres")
        try:
            url = postgres.start()
            migrate(Warehouse(url))
            yield url
        finally:
            postgres.stop()


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.web", description=__doc__)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--events-per-day", type=int, default=1_000_000)
    arguments = parser.parse_args()
    measure_web(arguments.days, arguments.events_per_day)


if __name__ == "__main__":
    main()
