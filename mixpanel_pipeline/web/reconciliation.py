"""Compares aggregates with raw rows and marks what differs. Marks are made with every write, so it must find nothing:
what it finds came by TRUNCATE, by a write to a partition itself, or by hand."""

from dataclasses import dataclass, field
from datetime import date
from typing import Any

from psycopg.rows import dict_row

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql
from mixpanel_pipeline.web.uniques import CARD_SESSIONS, uniques_that_differ


@dataclass(frozen=True)
class Differences:
    """Rows that are not what the raw tables say, and days whose members or newcomers are not (`uniques`); each hour,
    day and card-day in them has been marked."""

    hours: list[dict[str, Any]] = field(default_factory=list)
    days: list[dict[str, Any]] = field(default_factory=list)
    cards: list[dict[str, Any]] = field(default_factory=list)
    uniques: list[dict[str, Any]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.hours or self.days or self.cards or self.uniques)


def find_differences(warehouse: Warehouse, first: date, last: date) -> Differences:
    """What differs in the UTC days from `first` to `last` and is not marked already; days behind the raw floor have no
    raw rows to compare with. Changes nothing."""
    return _compare(warehouse, first, last, mark=False)


def reconcile(warehouse: Warehouse, first: date, last: date) -> Differences:
    """The same, and marks it: the next aggregation repairs it."""
    return _compare(warehouse, first, last, mark=True)


def _compare(warehouse: Warehouse, first: date, last: date, *, mark: bool) -> Differences:
    end = date.fromordinal(last.toordinal() + 1)
    days = {"from": first, "to": end}
    uniques = uniques_that_differ(warehouse, first, end)
    with warehouse.connect() as connection:
        rows = connection.cursor(row_factory=dict_row)
        found = Differences(
            hours=rows.execute(read_sql("web/hours_that_differ.sql"), days).fetchall(),
            days=rows.execute(read_sql("web/days_that_differ.sql"), days).fetchall(),
            cards=rows.execute(read_sql("web/cards_that_differ.sql"), days).fetchall(),
            uniques=uniques,
        )
        if mark:
            of_cards = {(row["owner"], row["day"]) for row in uniques if row["scope"] == CARD_SESSIONS}
            of_events = {(row["owner"], row["day"]) for row in uniques if row["scope"] != CARD_SESSIONS}
            rows.executemany(
                "insert into analytics_dirty_hours (project_id, hour_bucket) values (%s, %s)",
                sorted({(row["project_id"], row["hour_bucket"]) for row in found.hours}),
            )
            rows.executemany(
                "insert into analytics_dirty_days (project_id, day) values (%s, %s)",
                sorted({(row["project_id"], row["day"]) for row in found.days} | of_events),
            )
            rows.executemany(
                "insert into analytics_dirty_cards (user_code, day) values (%s, %s)",
                sorted({(row["user_code"], row["date"]) for row in found.cards} | of_cards),
            )
    return found
