"""Takes one snapshot of profiles, or does what pipelines without change detection do, and prints what it took as JSON.
A process of its own, so that its peak memory is its own too."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.load_day import PROJECT_ID, peak_megabytes
from mixpanel_pipeline.lake.storage import LakeStorage
from mixpanel_pipeline.mixpanel.engage import EngageClient
from mixpanel_pipeline.mixpanel.rate_limit import RequestBudget
from mixpanel_pipeline.subscribers.profile_sync import ProfileSync
from mixpanel_pipeline.warehouse.connection import Warehouse

# What the seeds' function sent at once.
LOOP_BATCH = 250


def synchronize(warehouse: Warehouse, directory: Path, client: EngageClient) -> dict[str, Any]:
    """Ours: the whole way from Engage to the commit."""
    storage = LakeStorage(str(directory / "lake"), directory / "scratch")
    result = ProfileSync(warehouse, storage, client).synchronize()
    stages = {name: round(seconds, 2) for name, seconds in result.seconds.items()}
    return {**result.figures(), "compared": result.comparison_error is None, "stages": stages}


def compare_in_a_loop(warehouse: Warehouse, client: EngageClient) -> dict[str, Any]:
    """As the seeds have it: of every 250 people the stored rows are fetched, compared in the program, and those that
    changed are upserted one by one, each batch in a transaction of its own; into a table of its own."""
    people = written = 0
    with warehouse.connect() as connection:
        connection.execute("create table if not exists looped (distinct_id text primary key, properties jsonb)")
        connection.commit()
        for page in client.pages():
            for start in range(0, len(page), LOOP_BATCH):
                written += _write_batch(connection, page[start : start + LOOP_BATCH])
                connection.commit()
            people += len(page)
    return {"people": people, "written": written}


def _write_batch(connection: psycopg.Connection, people: list[dict[str, Any]]) -> int:
    ids = [person["$distinct_id"] for person in people]
    stored = dict(
        connection.execute("select distinct_id, properties from looped where distinct_id = any(%s)", [ids]).fetchall()
    )
    changed = [person for person in people if stored.get(person["$distinct_id"]) != person["$properties"]]
    for person in changed:
        connection.execute(
            "insert into looped values (%s, %s) "
            "on conflict (distinct_id) do update set properties = excluded.properties",
            [person["$distinct_id"], json.dumps(person["$properties"])],
        )
    return len(changed)


def main(what: str, database_url: str, directory: str, url: str) -> None:
    """`synchronize`, or `loop`."""
    warehouse = Warehouse(database_url)
    budget = RequestBudget(warehouse.connect, PROJECT_ID, "query", per_hour=10**6, per_second=10**6, log=print)
    client = EngageClient(url, PROJECT_ID, "demo-account", "demo-secret", budget)
    started = time.monotonic()
    if what == "synchronize":
        report = synchronize(warehouse, Path(directory), client)
    else:
        report = compare_in_a_loop(warehouse, client)
    report |= {"seconds": time.monotonic() - started, "peak_megabytes": peak_megabytes()}
    print(json.dumps(report))


if __name__ == "__main__":
    main(*sys.argv[1:])
