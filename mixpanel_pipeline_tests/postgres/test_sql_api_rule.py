"""The four functions and the plain rule agree on every column, whatever is sent."""

import json
from datetime import datetime
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests import plain_upsert
from mixpanel_pipeline_tests.payloads import batches, calls
from mixpanel_pipeline_tests.plain_upsert import Row

FUNCTIONS = {
    ("replace", "set"): "upsert_subscribers_incremental",
    ("add", "set"): "upsert_subscribers_incremental_add",
    ("replace", "loop"): "upsert_subscribers_incremental_loop",
    ("add", "loop"): "upsert_subscribers_incremental_add_loop",
}


def call(connection: psycopg.Connection, strategy: str, form: str, payload: list[Any]) -> tuple[int, int, int]:
    function = Identifier(FUNCTIONS[strategy, form])
    row = connection.execute(
        SQL("select inserted, updated, unchanged from {}(%s::jsonb)").format(function), [json.dumps(payload)]
    ).fetchone()
    assert row
    return row


def stored_rows(connection: psycopg.Connection) -> dict[str, Row]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("select * from subscribers_insights_v2").fetchall()
    for row in rows:
        del row["updated_at"]
    return {row["distinct_id"]: row for row in rows}


def transaction_time(connection: psycopg.Connection) -> datetime:
    row = connection.execute("select now()").fetchone()
    assert row
    return row[0]


def check_calls(warehouse: Warehouse, form: str, history: list[tuple[str, list[Row]]]) -> None:
    with warehouse.connect() as connection:
        now = transaction_time(connection)
        expected: dict[str, Row] = {}
        for strategy, payload in history:
            expected, counted = plain_upsert.upsert(expected, payload, strategy, now)
            assert call(connection, strategy, form, payload) == counted
            assert stored_rows(connection) == expected
        connection.rollback()


ALLOWED = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
quick = settings(max_examples=60, deadline=None, suppress_health_check=ALLOWED)
thorough = settings(max_examples=300, deadline=None, suppress_health_check=ALLOWED)


@pytest.mark.parametrize("form", ["set", "loop"])
@quick
@given(history=calls)
def test_functions_follow_the_plain_rule(warehouse: Warehouse, form: str, history: Any) -> None:
    check_calls(warehouse, form, history)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("form", ["set", "loop"])
@thorough
@given(history=calls)
def test_functions_follow_the_plain_rule_over_many_calls(warehouse: Warehouse, form: str, history: Any) -> None:
    check_calls(warehouse, form, history)


@pytest.mark.parametrize("form", ["set", "loop"])
@settings(quick, max_examples=30)
@given(payload=batches)
def test_a_repeated_replace_changes_nothing(warehouse: Warehouse, form: str, payload: Any) -> None:
    people = {str(element["distinct_id"]) for element in payload}
    with warehouse.connect() as connection:
        call(connection, "replace", form, payload)
        before = stored_rows(connection)
        assert call(connection, "replace", form, payload) == (0, 0, len(people))
        if len(people) == len(payload):  # when it was made is no change, but may be an order
            later = [{**element, "updated_at": "2030-01-01T00:00:00Z"} for element in payload]
            assert call(connection, "replace", form, later) == (0, 0, len(people))
        assert stored_rows(connection) == before
        connection.rollback()


@pytest.mark.parametrize("form", ["set", "loop"])
@settings(quick, max_examples=30)
@given(payload=batches)
def test_an_add_that_adds_nothing_changes_nothing(warehouse: Warehouse, form: str, payload: Any) -> None:
    nothing = [
        {name: value for name, value in element.items() if name not in plain_upsert.COUNTS} for element in payload
    ]
    with warehouse.connect() as connection:
        call(connection, "add", form, payload)
        before = stored_rows(connection)
        assert call(connection, "add", form, nothing) == (0, 0, len(before))
        assert stored_rows(connection) == before
        connection.rollback()
