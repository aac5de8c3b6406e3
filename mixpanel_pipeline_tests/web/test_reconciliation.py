"""Whatever is wrong in an aggregate is found by the nightly checks and repaired by aggregating again; looking for it
reads the weeks asked for alone."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql
from mixpanel_pipeline.web.aggregation import aggregate_all, backfill
from mixpanel_pipeline.web.partitions import apply_retention
from mixpanel_pipeline.web.uniques import uniques_that_differ
from mixpanel_pipeline_tests.web import site
from mixpanel_pipeline_tests.web.differences import mark_everything, wrong_aggregates

TABLES = (*site.AGGREGATES, "analytics_daily_members")
FIRST, LAST = site.at(40).date(), site.at(80).date()
BACK = site.at(75).date()  # the last day on which somebody came

TIMES = {"hourly": "hour_bucket", "events_daily": "day", "members": "day", "daily": "date"}

# Values that each column of the type is damaged to; keys go where no other row is.
DAMAGES = {
    "text": ["'damaged'"],
    "bigint": ["{column} + 1"],
    "date": ["{column} + 17"],
    "timestamp with time zone": ["{column} + interval '17 days'"],
    "integer[]": [
        "{column}[:32] || {column}[33] + 1 || {column}[34:]",
    ],
    "text[]": ["array_fill('damaged'::text, array[cardinality({column})])", "{column}[2:] || null::text"],
    "analytics_scope": [
        "case {column} when 'event visitors' then 'card sessions' else 'event visitors' end::analytics_scope"
    ],
}


@pytest.fixture
def visited(warehouse: Warehouse) -> Warehouse:
    """People who come back under several labels, links and contacts, aggregated."""
    with warehouse.connect() as connection:
        for day in (42, 43, 50, 75):
            site.copy(
                connection, "events",
                [
                    site.event(site.at(day, hour), visitor, event_label=label, session_id=f"{visitor}-{day}")
                    for hour, (visitor, label) in enumerate([("v", None), ("v", "a"), ("w", "a"), (f"new-{day}", "b")])
                ],
            )  # fmt: skip
            site.copy(
                connection, "page_views",
                [
                    site.page_view(site.at(day), session, share_code=group, contact_id=contact)
                    for session, group, contact in (
                        ("s", "g", "x"), ("s", "g", "y"), ("t", None, "x"), (f"{day}", "h", None),
                    )
                ],
            )  # fmt: skip
            site.insert(connection, "clicks", [site.click(site.at(day, 13), "s", share_code="h", click_target="phone")])
            site.insert(connection, "sessions", [site.session_row(site.at(day), f"{day}", share_code="h")])
    aggregate_all(warehouse)
    return warehouse


def contents(warehouse: Warehouse) -> dict[str, list[Any]]:
    """All that is derived from the raw rows, but for when it was written and the order of pairs."""
    with warehouse.connect() as connection:
        stored = {
            table: connection.execute(
                f"select (to_jsonb(x) - 'updated_at')::text from {table} as x order by 1".encode()
            ).fetchall()
            for table in site.AGGREGATES
        }
        stored["members"] = connection.execute(
            "select scope, day, owner, member, facet.* from analytics_daily_members "
            "cross join unnest(first_facets, second_facets) as facet order by 1, 2, 3, 4, 5, 6"
        ).fetchall()
    return stored


def damages(warehouse: Warehouse) -> Iterator[str]:
    """Statements, each of which damages a column of a row; then some that remove or add rows."""
    with warehouse.connect() as connection:
        columns = connection.execute(
            "select attrelid::regclass::text, attname, format_type(atttypid, null) from pg_attribute "
            "where attrelid = any (%s::regclass[]) and attnum > 0 and attgenerated = '' and attname <> 'updated_at' "
            "order by 1, attnum",
            [list(TABLES)],
        ).fetchall()
    for table, column, kind in columns:
        for value in DAMAGES[kind]:
            yield f"update {table} set {column} = {value.format(column=column)} where {middle_of(table)}"
    for table in TABLES:
        yield f"delete from {table} where {middle_of(table)}"
    yield "update analytics_daily_members set first_facets = first_facets || first_facets[1], " \
        "second_facets = second_facets || second_facets[1]"  # fmt: skip
    for scope in ("event visitors", "event sessions", "card sessions"):
        values = f"'{scope}', '{FIRST}', 'nobody''s', 'm', array['f'], array['']"
        yield f"insert into analytics_daily_members values ({values})"


def middle_of(table: str) -> str:
    """A row of neither the first nor the last day, so that others look back at it, and it at others."""
    when = next(column for key, column in TIMES.items() if key in table)
    return f"ctid = (select ctid from {table} order by {when}, ctid offset (select count(*) / 2 from {table}) limit 1)"


def damage(warehouse: Warehouse, statement: str) -> None:
    with warehouse.connect() as connection:
        assert connection.execute(statement.encode()).rowcount > 0, statement


@pytest.mark.slow
def test_each_column_of_each_aggregate_is_found_and_repaired(visited: Warehouse) -> None:
    right = contents(visited)
    site.check_aggregates(visited, site.raw_rows(visited))
    for statement in damages(visited):
        damage(visited, statement)
        assert wrong_aggregates(visited), statement
        mark_everything(visited, FIRST, LAST)
        aggregate_all(visited)
        assert contents(visited) == right, statement
    assert not wrong_aggregates(visited)


def test_damages_at_once_are_repaired_however_few_marks_a_run_takes(visited: Warehouse) -> None:
    right = contents(visited)
    for statement in (
        "delete from analytics_daily_members where day < '{day}'",
        "update analytics_daily_members set member = member || '!' where day >= '{day}'",
        "update analytics_events_daily_agg set newcomer_visitors = array_fill(3, array[91]) where day >= '{day}'",
        "update analytics_daily_user_stats set newcomer_sessions[91] = null",
        "update analytics_daily_group_contact_stats set share_code = 'damaged', contact_id = date::text || ctid::text",
        "delete from analytics_events_daily_totals where event_type is null",
    ):
        damage(visited, statement.replace("{day}", str(site.at(50).date())))
    assert wrong_aggregates(visited)
    mark_everything(visited, FIRST, LAST)
    assert not wrong_aggregates(visited), "what is marked is not reported again"
    aggregate_all(visited, marks_at_once=2)
    assert contents(visited) == right


def test_asking_for_the_days_again_repairs_them_too(visited: Warehouse) -> None:
    right = contents(visited)
    damage(visited, "update analytics_daily_members set member = 'one and the same' || ctid::text")
    damage(visited, "update analytics_daily_user_stats set newcomer_sessions[90] = 5")
    backfill(visited, FIRST, LAST)
    assert contents(visited) == right


def test_what_differs_is_named(visited: Warehouse) -> None:
    damage(visited, f"delete from analytics_daily_members where member = 'w' and day = '{site.at(50).date()}'")
    damage(visited, f"update analytics_daily_contact_stats set newcomer_sessions[30] = 9 where date = '{BACK}'")
    found = uniques_that_differ(visited, FIRST, LAST)
    assert found[0] == {
        "part": "members", "scope": "event visitors", "owner": "p", "day": site.at(50).date(), "differing": 1,
        "example": "w",
    }  # fmt: skip
    assert {"part": "newcomers", "scope": "card sessions", "owner": "c", "day": BACK, "differing": 3,
            "example": "second"} in found  # fmt: skip
    assert uniques_that_differ(visited, FIRST, LAST, members_at_once=1) == found


def test_days_above_the_floor_are_compared_with_members_from_below_it(visited: Warehouse) -> None:
    floor = apply_retention(visited, 20).raw_floor
    assert floor
    assert site.at(50) < floor < site.at(75)
    assert uniques_that_differ(visited, None, None) == []
    damage(visited, f"update analytics_events_daily_totals set newcomer_visitors[30] = 9 where day = '{BACK}'")
    assert {row["day"] for row in uniques_that_differ(visited, None, None)} == {BACK}


@pytest.mark.parametrize("arrays", ["array[]::text[], array[]::text[]", "array['a'], array['a', 'b']"])
def test_members_that_no_comparison_of_pairs_would_see_are_refused(warehouse: Warehouse, arrays: str) -> None:
    with pytest.raises(psycopg.errors.CheckViolation), warehouse.connect() as connection:
        connection.execute(
            f"insert into analytics_daily_members values ('event visitors', current_date, 'p', 'm', {arrays})".encode()
        )


@pytest.mark.parametrize("file", ["hours_that_differ.sql", "days_that_differ.sql", "cards_that_differ.sql"])
def test_only_the_weeks_asked_for_are_read(warehouse: Warehouse, file: str) -> None:
    """Also by a cursor, as the checks read."""
    monday = FIRST - timedelta(days=FIRST.weekday())
    bounds = {"from": monday, "to": monday + timedelta(days=7)}
    with warehouse.connect() as connection:
        plan = str(connection.execute("explain (format json) " + read_sql(f"web/{file}"), bounds).fetchall())
        leaves = connection.execute("select leaf::text from analytics_partitions").fetchall()
    read = {leaf for (leaf,) in leaves if leaf in plan}
    assert {leaf[-8:] for leaf in read} == {f"{monday:%Y%m%d}"}
    assert len(read) == (3 if file.startswith("cards") else 1)
