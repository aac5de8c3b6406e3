"""How far the aggregates are, and what waits."""

from dataclasses import dataclass
from datetime import date, datetime

import psycopg
from psycopg.rows import class_row, dict_row

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql


@dataclass(frozen=True)
class Progress:
    """`…_until`: up to when a kind of aggregate holds all that had committed, None before the first run. `marked_…`:
    marks that wait. `refused_rows` came for a time behind `raw_floor`, where raw rows are gone."""

    hours_until: datetime | None
    days_until: datetime | None
    cards_until: datetime | None
    marked_hours: int
    marked_days: int
    marked_cards: int
    oldest_marked_hour: datetime | None
    oldest_marked_day: date | None
    refused_rows: int
    raw_floor: datetime | None
    in_use: bool

    @property
    def marks_waiting(self) -> int:
        return self.marked_hours + self.marked_days + self.marked_cards


def read_progress(warehouse: Warehouse) -> Progress:
    """From one statement."""
    with warehouse.connect() as connection:
        return progress_of(connection)


def progress_of(connection: psycopg.Connection) -> Progress:
    """The same on a connection that is there."""
    with connection.cursor(row_factory=class_row(Progress)) as cursor:
        found = cursor.execute(read_sql("web/progress.sql")).fetchone()
    if found is None:
        raise AssertionError("select without from returns one row")
    return found


@dataclass(frozen=True)
class TableSize:
    """The room that a table takes, with its partitions and indexes. `estimated_rows` is None until Postgres analyzed
    it."""

    tablename: str
    size: str
    bytes: int
    estimated_rows: int | None
    partitions: int


def table_sizes(warehouse: Warehouse) -> list[TableSize]:
    """Of the web tables, largest first."""
    with warehouse.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(read_sql("web/table_sizes.sql")).fetchall()
    return [TableSize(**row) for row in rows]
