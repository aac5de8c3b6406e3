"""One person: totals, profile, and what each day added."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from starlette.requests import Request

from mixpanel_pipeline.dashboard.figures import Bucket, Metric
from mixpanel_pipeline.dashboard.parameters import needed_text
from mixpanel_pipeline.dashboard.subscriber_columns import Column, read_columns
from mixpanel_pipeline.dashboard.view import NotFoundError, Table, View
from mixpanel_pipeline.dashboard.wording import number, span_of_days
from mixpanel_pipeline.warehouse.sql_files import read_sql

MOST_DAYS = 366
DAYS_PLOTTED = 90
MOST_CHANGES = 50
LONGEST = 2000
DAY = timedelta(days=1)
EVENTS = Metric("events_processed", "Events", "event", "events")


def read(connection: psycopg.Connection, request: Request) -> View:
    """Whoever has totals, be it of events or of a profile."""
    person = needed_text(request, "id", LONGEST)
    columns = read_columns(connection)
    counted = [column for column in columns if column.kind in ("count", "flag") and column.name != EVENTS.name]
    totals = _rows(connection, "subscriber.sql", columns, {"id": person})
    if not totals:
        raise NotFoundError
    profile = _rows(connection, "subscriber_profile.sql", [], {"id": person})
    changes = _rows(connection, "subscriber_changes.sql", [], {"id": person, "most": MOST_CHANGES})
    days = _rows(connection, "subscriber_days.sql", counted, {"id": person, "most": MOST_DAYS})
    names = ["export_day", EVENTS.name, *(column.name for column in counted)]
    buckets = _series(days)
    return View(
        "subscriber.html",
        {
            "distinct_id": person, "totals": totals[0], "profile": profile[0] if profile else None, "changes": changes,
            "days": days,
        },
        {
            "days": Table(names, [[day[name] for name in names] for day in days]),
            "totals": Table(["column", "value"], [[column.name, totals[0][column.name]] for column in columns]),
        },
        {
            "columns": columns, "counted": _that_happened(counted, days), "most_days": MOST_DAYS, "buckets": buckets,
            "metric": EVENTS, "sentence": _sentence(buckets), "written": written,
        },
    )  # fmt: skip


def written(said: Any) -> str:
    """A value of a profile: a text as it is, others as JSON has them."""
    if said is None or said == "":
        return "nothing" if said is None else "(empty)"
    return said if isinstance(said, str) else json.dumps(said, ensure_ascii=False)


def _series(days: list[dict[str, Any]]) -> list[Bucket]:
    """The newest days up to the last one with events, those without any too."""
    if not days:
        return []
    counted = {day["export_day"]: day[EVENTS.name] for day in days}
    last = max(counted)
    first = max(min(counted), last - (DAYS_PLOTTED - 1) * DAY)
    series = []
    for place in range((last - first).days + 1):
        start = datetime.combine(first + place * DAY, datetime.min.time(), UTC)
        series.append(Bucket(start, start + DAY, True, {EVENTS.name: counted.get(start.date(), 0)}))
    return series


def _sentence(buckets: list[Bucket]) -> str:
    if not buckets:
        return ""
    events = sum(bucket.values[EVENTS.name] for bucket in buckets)
    active = sum(bucket.values[EVENTS.name] > 0 for bucket in buckets)
    told = f"{number(events)} {EVENTS.one if events == 1 else EVENTS.many} on {number(active)} days"
    return f"{told}, {span_of_days(buckets[0].start, buckets[-1].end)}"


def _that_happened(counted: list[Column], days: list[dict[str, Any]]) -> list[Column]:
    """Columns that some day added something to; the others would be columns of noughts."""
    return [column for column in counted if any(day[column.name] for day in days)]


def _rows(
    connection: psycopg.Connection, file: str, columns: list[Column], parameters: dict[str, Any]
) -> list[dict[str, Any]]:
    query = SQL(read_sql(f"dashboard/{file}"))
    composed = query.format(columns=SQL(", ").join(Identifier(column.name) for column in columns)) if columns else query
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(composed, parameters).fetchall()
