"""A snapshot of profiles: the first, an unchanged one, one of which a twentieth changed; beside the loop that compares
in the program, and beside writing everybody. `python -m benchmarks.profiles`; also part of `make bench`."""

import argparse
from typing import Any

import psycopg

from benchmarks.workplace import Workplace, workplace

MODULE = "benchmarks.load_profiles"


def measure_profiles(people: int) -> None:
    """Prints one table."""
    with workplace(profiles=people) as place:
        ids = place.server.project.profiles.ids()
        lines = [
            ("first snapshot", measured(place, "synchronize")),
            ("the same again, unchanged", measured(place, "synchronize")),
            ("first, compared in a loop", measured(place, "loop")),
            ("unchanged, compared in a loop", measured(place, "loop")),
        ]
        for distinct_id in ids[: people // 20]:
            properties = place.server.project.profiles.get(distinct_id)
            place.server.project.set_profile(distinct_id, {**(properties or {}), "income": "another"})
        lines.append(("5 % of the people changed", measured(place, "synchronize")))
        lines.append(("5 % changed, compared in a loop", measured(place, "loop")))
        # A row that nobody could compare: the pipeline then writes everybody, as pipelines without a comparison do.
        with psycopg.connect(place.database_url) as connection:
            connection.execute("update subscriber_profiles set properties = '[]' where distinct_id = %s", [ids[0]])
        lines.append(("everybody written, without comparing", measured(place, "synchronize")))
    print(f"\n## A snapshot of {people:,} profiles, network to commit\n")
    print("| what | seconds | people/s | rows of profiles written | WAL MB | peak MB |\n|---|---|---|---|---|---|")
    for name, found in lines:
        print(
            f"| {name} | {found['seconds']:.1f} | {people / found['seconds']:,.0f} | {found['written']:,} "
            f"| {found['wal_bytes'] / 1e6:.2f} | {found['peak_megabytes']} |"
        )
    print(f"\nstages of the first: {lines[0][1]['stages']}; of the unchanged: {lines[1][1]['stages']}", flush=True)


def measured(place: Workplace, what: str) -> dict[str, Any]:
    """One run, and how much write-ahead log it made."""
    with psycopg.connect(place.database_url, autocommit=True) as connection:
        # So that no run pays for pages that an earlier one dirtied.
        connection.execute("vacuum analyze")
        connection.execute("checkpoint")
        before = _log_position(connection)
        report = place.run(MODULE, what)
        return {**report, "wal_bytes": _log_position(connection) - before}


def _log_position(connection: psycopg.Connection) -> int:
    row = connection.execute("select pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::bigint").fetchone()
    return row[0] if row else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="benchmarks.profiles", description=__doc__)
    parser.add_argument("--people", type=int, default=100_000)
    measure_profiles(parser.parse_args().people)
