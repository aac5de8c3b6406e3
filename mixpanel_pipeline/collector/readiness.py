"""Whether events can be taken, for /readyz: asked of the database now and then, however many ask here."""

import asyncio
import time

import psycopg

from mixpanel_pipeline.warehouse.connection import Warehouse, WarehouseError
from mixpanel_pipeline.warehouse.migrations import MigrationError, pending_migrations
from mixpanel_pipeline.warehouse.sql_files import read_sql

# Probes come every few seconds, each from several places.
ASK_SECONDS = 2
# Probes give up after some seconds too.
WAIT_SECONDS = 2
STATEMENT_SECONDS = 5

AWAY = "the database does not answer"


class Readiness:
    """What the database said last, or that it says nothing."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse.limited(STATEMENT_SECONDS)
        self._problems: list[str] = []
        self._asked_at = -float("inf")
        self._asking: asyncio.Task[None] | None = None

    async def problems(self) -> list[str]:
        """Sentences for everybody to read: no address, no reason that Postgres gives."""
        if self._asking is None and time.monotonic() - self._asked_at > ASK_SECONDS:
            self._asking = asyncio.create_task(self._ask())
        if self._asking is not None:
            done, _late = await asyncio.wait([self._asking], timeout=WAIT_SECONDS)
            if not done:
                return [AWAY]
        return self._problems

    async def _ask(self) -> None:
        self._problems = await asyncio.to_thread(_problems, self._warehouse)
        self._asked_at = time.monotonic()
        self._asking = None


def _problems(warehouse: Warehouse) -> list[str]:
    try:
        pending = pending_migrations(warehouse)
        if pending:
            return [f"migrations are missing: {', '.join(pending)}"]
        with warehouse.connect() as connection:
            missing = connection.execute(read_sql("collector/missing_weeks.sql")).fetchall()
    except MigrationError:
        return ["migrations were taken back"]
    except (WarehouseError, psycopg.Error):
        return [AWAY]
    return [f"{table} has no partition for now: see make_analytics_partitions" for (table,) in missing]
