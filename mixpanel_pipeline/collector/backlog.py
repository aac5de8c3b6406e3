"""How far aggregation is behind what was collected, for /metrics: asked of the database now and then, by nobody who
sends events."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from psycopg.rows import class_row

from mixpanel_pipeline.warehouse.connection import Warehouse, WarehouseError
from mixpanel_pipeline.warehouse.sql_files import read_sql

# However often and from however many places /metrics is read; marks are counted, which takes longer the more there are.
ASK_SECONDS = 15
# Prometheus gives up after ten seconds, and then has none of the other figures either.
WAIT_SECONDS = 2
STATEMENT_SECONDS = 10


@dataclass(frozen=True)
class Behind:
    """One kind of aggregate. `oldest_seconds`: since the oldest bucket that is marked began; `lag_seconds`: since the
    moment up to which it holds everything; None where there is no such bucket, or was no run."""

    aggregate: str
    marks: int
    oldest_seconds: float | None
    lag_seconds: float | None


class Backlog(Collector):
    """What the database said last. Nothing, while it is away: a figure that stands still would look like one."""

    def __init__(self, warehouse: Warehouse, registry: CollectorRegistry) -> None:
        self._warehouse = warehouse.limited(STATEMENT_SECONDS)
        self._behind: list[Behind] = []
        self._asked_at = -float("inf")
        self._asking: asyncio.Task[None] | None = None
        registry.register(self)

    async def refresh(self) -> None:
        """Asks again unless that was done a moment ago. An answer that takes long is there the next time."""
        if self._asking is None and time.monotonic() - self._asked_at > ASK_SECONDS:
            self._asking = asyncio.create_task(self._ask())
        if self._asking is not None:
            done, _late = await asyncio.wait([self._asking], timeout=WAIT_SECONDS)
            if not done:
                self._behind = []

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """For Prometheus."""
        marks = GaugeMetricFamily("collector_marks", "Marks that aggregation has yet to take.", labels=["aggregate"])
        oldest = GaugeMetricFamily(
            "collector_oldest_mark_seconds", "Since the oldest marked hour or day began.", labels=["aggregate"]
        )
        lag = GaugeMetricFamily(
            "collector_aggregate_lag_seconds", "Since when aggregates lack what was committed.", labels=["aggregate"]
        )
        for behind in self._behind:
            marks.add_metric([behind.aggregate], behind.marks)
            if behind.oldest_seconds is not None:
                oldest.add_metric([behind.aggregate], behind.oldest_seconds)
            if behind.lag_seconds is not None:
                lag.add_metric([behind.aggregate], behind.lag_seconds)
        yield from (marks, oldest, lag)

    async def _ask(self) -> None:
        try:
            self._behind = await asyncio.to_thread(_read, self._warehouse)
        except (WarehouseError, psycopg.Error):
            self._behind = []
        self._asked_at = time.monotonic()
        self._asking = None


def _read(warehouse: Warehouse) -> list[Behind]:
    with warehouse.connect() as connection:
        return connection.cursor(row_factory=class_row(Behind)).execute(read_sql("collector/backlog.sql")).fetchall()
