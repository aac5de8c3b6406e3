"""Plays histories of web traffic against Postgres, and reads back what the aggregates say."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier
from psycopg.types.json import Jsonb

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.partitions import make_partitions
from mixpanel_pipeline_tests.web import plain_web
from mixpanel_pipeline_tests.web.plain_web import Row

TODAY = datetime.now(UTC).date()
OLDEST = TODAY - timedelta(days=91)

TIME_COLUMN = {"events": "created_at", "sessions": "first_seen", "page_views": "viewed_at", "clicks": "clicked_at"}
AGGREGATES = (
    "analytics_events_hourly_agg", "analytics_events_daily_agg", "analytics_events_daily_totals",
    "analytics_daily_user_stats", "analytics_daily_group_stats", "analytics_daily_contact_stats",
    "analytics_daily_page_stats", "analytics_daily_click_targets", "analytics_daily_group_contact_stats",
)  # fmt: skip


def at(day: int, hour: int = 12, minute: int = 0) -> datetime:
    """A time `day` days after the oldest day that has a partition from the start."""
    return datetime.combine(OLDEST, datetime.min.time(), UTC) + timedelta(days=day, hours=hour, minutes=minute)


def monday_of(day: date) -> date:
    """With which the day's week, and so its partition, begins."""
    return day - timedelta(days=day.weekday())


def event(when: datetime, visitor: str = "v", **given: Any) -> Row:
    row = {
        "id": uuid4(), "project_id": "p", "visitor_id": visitor, "session_id": f"s-{visitor}", "event_type": "visible",
        "event_label": None, "event_data": Jsonb({}), "created_at": when,
    }  # fmt: skip
    return row | given


def page_view(when: datetime, session: str = "s", **given: Any) -> Row:
    row = {
        "id": uuid4(), "session_id": session, "user_code": "c", "share_code": None, "contact_id": None,
        "page_type": "home", "viewed_at": when,
    }  # fmt: skip
    return row | given


def click(when: datetime, session: str = "s", **given: Any) -> Row:
    row = {
        "id": uuid4(), "session_id": session, "user_code": "c", "share_code": None, "contact_id": None,
        "click_target": None, "click_category": "other", "clicked_at": when,
    }  # fmt: skip
    return row | given


def session_row(when: datetime, session: str = "s", **given: Any) -> Row:
    row = {
        "session_id": session, "user_code": "c", "share_code": None, "contact_id": None,
        "first_seen": when, "last_seen": when,
    }  # fmt: skip
    return row | given


def insert(connection: psycopg.Connection, kind: str, rows: list[Row], into: str | None = None) -> None:
    for row in rows:
        connection.execute(
            SQL("insert into {} ({}) values ({})").format(
                Identifier(into or f"analytics_{kind}"),
                SQL(", ").join(map(Identifier, row)),
                SQL(", ").join(SQL("%s") for _ in row),
            ),
            list(row.values()),
        )


def copy(connection: psycopg.Connection, kind: str, rows: list[Row]) -> None:
    statement = SQL("copy {} ({}) from stdin").format(
        Identifier(f"analytics_{kind}"), SQL(", ").join(map(Identifier, rows[0]))
    )
    with connection.cursor().copy(statement) as stream:
        for row in rows:
            stream.write_row(list(row.values()))


def update(connection: psycopg.Connection, kind: str, key: UUID | str, changes: Row) -> None:
    connection.execute(
        SQL("update {} set {} where {} = %s").format(
            Identifier(f"analytics_{kind}"),
            SQL(", ").join(SQL("{} = %s").format(Identifier(column)) for column in changes),
            Identifier("session_id" if kind == "sessions" else "id"),
        ),
        [*changes.values(), key],
    )


def delete(connection: psycopg.Connection, kind: str, key: UUID | str) -> None:
    connection.execute(
        SQL("delete from {} where {} = %s").format(
            Identifier(f"analytics_{kind}"), Identifier("session_id" if kind == "sessions" else "id")
        ),
        [key],
    )


def clear(warehouse: Warehouse) -> None:
    """As after the migration: no rows, no marks, no floor, every partition there."""
    with warehouse.connect() as connection:
        connection.execute("update analytics_retention set raw_floor = '-infinity'")
        for kind in TIME_COLUMN:
            connection.execute(SQL("delete from {}").format(Identifier(f"analytics_{kind}")))
        others = (
            *AGGREGATES,
            "analytics_daily_members",
            *(f"analytics_dirty_{kind}" for kind in ("hours", "days", "cards")),
        )
        for table in others:
            connection.execute(SQL("delete from {}").format(Identifier(table)))
        connection.execute("update analytics_progress set aggregated_until = '-infinity', refused_rows = 0")
    make_partitions(warehouse, OLDEST, TODAY + timedelta(days=31))


def raw_rows(warehouse: Warehouse) -> dict[str, list[Row]]:
    """Every raw row there is, by kind."""
    with warehouse.connect() as connection:
        cursor = connection.cursor(row_factory=dict_row)
        return {
            kind: cursor.execute(SQL("select * from {}").format(Identifier(f"analytics_{kind}"))).fetchall()
            for kind in TIME_COLUMN
        }


def actions_of(rows: dict[str, list[Row]]) -> list[Row]:
    """Page views, clicks and starts of sessions in one list, as the plain computation takes them."""
    kinds = ("page_views", "clicks", "sessions")
    return [row | {"kind": kind, "at": row[TIME_COLUMN[kind]]} for kind in kinds for row in rows[kind]]


def check_aggregates(warehouse: Warehouse, rows: dict[str, list[Row]]) -> None:
    """Every aggregate equals the plain computation over these rows."""
    events, actions = rows["events"], actions_of(rows)
    counts = "event_count, unique_visitors, unique_sessions"
    hourly = _read(
        warehouse, f"select project_id, hour_bucket, event_type, event_label, {counts} from {AGGREGATES[0]}", 4
    )
    assert hourly == plain_web.hourly(events)
    daily = _read(warehouse, f"select project_id, day, event_type, event_label, {counts} from {AGGREGATES[1]}", 4)
    assert daily == plain_web.daily(events)
    totals = _read(warehouse, f"select project_id, day, event_type, {counts} from {AGGREGATES[2]}", 3)
    assert totals == plain_web.daily_totals(events)
    cards = _read(
        warehouse,
        " union all ".join(
            f"select '{level}', user_code, date, {group}, {contact}, page_views, clicks, sessions_started, "
            f"unique_sessions from analytics_daily_{table}_stats"
            for level, group, contact, table in (
                ("all", "null", "null", "user"), ("group", "share_code", "null", "group"),
                ("contact", "null", "contact_id", "contact"),
                ("group and contact", "share_code", "contact_id", "group_contact"),
            )
        ), 5,
    )  # fmt: skip
    assert cards == plain_web.card_stats(actions)
    pages = _read(
        warehouse, f"select user_code, date, share_code, contact_id, page_type, page_views from {AGGREGATES[6]}", 5
    )
    assert {key: count for key, (count,) in pages.items()} == plain_web.page_stats(actions)
    clicks = _read(
        warehouse,
        f"select user_code, date, share_code, contact_id, click_category, click_target, clicks from {AGGREGATES[7]}", 6,
    )  # fmt: skip
    assert {key: count for key, (count,) in clicks.items()} == plain_web.click_targets(actions)


def check_ranges(warehouse: Warehouse, rows: dict[str, list[Row]], ranges: list[tuple[date, date]]) -> None:
    """Every range's counts and uniques, from the aggregates, equal those of the rows."""
    events, actions = rows["events"], actions_of(rows)
    with warehouse.connect() as connection:
        for first, end in ranges:
            for project in {row["project_id"] for row in events}:
                found = connection.execute(
                    "select * from analytics_event_totals(%s, %s, %s)", [project, first, end]
                ).fetchall()
                expected = plain_web.event_totals(events, project, first, end)
                assert {tuple(row[:3]): tuple(row[3:]) for row in found} == expected, (project, first, end)
            for code in {action["user_code"] for action in actions}:
                found = connection.execute(
                    "select level, share_code, contact_id, page_views, clicks, unique_sessions "
                    "from analytics_card_totals(%s, %s, %s)", [code, first, end]
                ).fetchall()  # fmt: skip
                expected = plain_web.card_totals(actions, code, first, end)
                assert {tuple(row[:3]): tuple(row[3:]) for row in found} == expected, (code, first, end)


def value(warehouse: Warehouse, query: str, parameters: Any = None) -> Any:
    """The first value of the first row."""
    with warehouse.connect() as connection:
        row = connection.execute(query.encode(), parameters).fetchone()
    return row[0] if row else None


def _read(warehouse: Warehouse, query: str, key_width: int) -> dict[tuple, tuple]:
    with warehouse.connect() as connection:
        rows = connection.execute(query.encode()).fetchall()
    found = {tuple(row[:key_width]): tuple(row[key_width:]) for row in rows}
    assert len(found) == len(rows), "a key has two rows"
    return found
