"""Finds days whose uniques of ranges are wrong: whose members are not those of the raw rows, or whose newcomers are not
those of the members. Both exactly, not by samples."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import psycopg
from psycopg.rows import dict_row

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql

CARD_SESSIONS = "card sessions"
SCOPES = ("event visitors", "event sessions", CARD_SESSIONS)

# Owners are compared together until they have so many members: a statement sorts some hundred megabytes, not gigabytes.
MEMBERS_AT_ONCE = 500_000


def uniques_that_differ(
    warehouse: Warehouse, first: date | None, end: date | None, members_at_once: int = MEMBERS_AT_ONCE
) -> list[dict[str, Any]]:
    """Project-days and card-days from `first` to before `end` (None: without bound) that differ and are not marked
    already: part (members or newcomers), scope, owner, day, how many differ, and an example."""
    bounds = {"from": first or "-infinity", "to": end or "infinity"}
    with warehouse.connect() as connection:
        rows = connection.cursor(row_factory=dict_row)
        connection.execute(read_sql("web/comparison_settings.sql"))
        days = connection.execute(read_sql("web/aggregated_days.sql"), bounds).fetchall()
        found = [
            row for (day,) in days
            for row in rows.execute(read_sql("web/members_that_differ.sql"), {"day": day}).fetchall()
        ]  # fmt: skip
        for scope in SCOPES:
            for owners in _owners(connection, bounds | {"scope": scope}, members_at_once):
                parameters = {**bounds, "scope": scope, "owners": owners}
                found += rows.execute(read_sql("web/newcomers_that_differ.sql"), parameters).fetchall()
    return found


def _owners(connection: psycopg.Connection, parameters: dict[str, Any], members_at_once: int) -> Iterator[list[str]]:
    """All of them, as many at a time as have no more members than that, or one that has more."""
    together, members = [], 0
    for owner, count in connection.execute(read_sql("web/members_by_owner.sql"), parameters).fetchall():
        if together and members + count > members_at_once:
            yield together
            together, members = [], 0
        together.append(owner)
        members += count
    if together:
        yield together
