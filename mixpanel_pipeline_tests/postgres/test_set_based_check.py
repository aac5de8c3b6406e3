"""The check set_based_equals_loop finds a form that is broken, and leaves nothing behind."""

import json

import pytest

from mixpanel_pipeline.checks.set_based import set_based_equals_loop
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.migrations import rollback
from mixpanel_pipeline_tests.postgres.test_sql_api import UPSERTS, call, profiles

DEFINITIONS = (
    "select array_agg(pg_get_functiondef(oid) order by oid), (select jsonb_agg(t) from subscribers_insights_v2 as t) "
    "from pg_proc where proname like 'upsert_subscribers%'"
)


def everything(warehouse: Warehouse) -> object:
    with warehouse.connect() as connection:
        return connection.execute(DEFINITIONS).fetchone()


def break_function(warehouse: Warehouse, function: str, right: str, wrong: str) -> None:
    """Somebody changed it in the database."""
    with warehouse.connect() as connection:
        row = connection.execute("select pg_get_functiondef(%s::regprocedure)", [f"{function}(jsonb)"]).fetchone()
        assert row
        assert row[0].count(right) == 1
        connection.execute(row[0].replace(right, wrong).encode())


@pytest.mark.parametrize("seed", [1, 2, None])
def test_the_forms_agree_on_real_rows_and_nothing_stays(warehouse: Warehouse, seed: int | None) -> None:
    call(warehouse, UPSERTS[0], profiles(300))
    before = everything(warehouse)
    verdict = set_based_equals_loop(warehouse, seed)
    assert verdict.passed, verdict
    assert verdict.figures["real_rows"] == 300
    assert verdict.figures["profiles"] == 1800
    assert everything(warehouse) == before


def test_the_forms_agree_without_any_row(warehouse: Warehouse) -> None:
    assert set_based_equals_loop(warehouse).passed


BROKEN = {
    "adds twice": (
        "upsert_subscribers_incremental_add_loop",
        "coalesce(stored.total_copies, 0) + coalesce(said.total_copies, 0)",
        "coalesce(stored.total_copies, 0) + 2 * coalesce(said.total_copies, 0)",
        {"total_copies"},
    ),
    "forgets the first of two": (
        "upsert_subscribers_incremental_add_loop",
        "coalesce(said.paywall_views, 0) + element.paywall_views",
        "element.paywall_views",
        {"paywall_views"},
    ),
    "takes the older value": (
        "upsert_subscribers_incremental_loop",
        "order by distinct_id, observed_at, place\n",
        "order by distinct_id, observed_at desc, place\n",
        {"income", "events_processed"},
    ),
    "counts the unchanged as updated": (
        "upsert_subscribers_incremental_loop",
        "unchanged := unchanged + 1",
        "updated := updated + 1",
        {"unchanged", "updated"},
    ),
    "set-based: keeps the old time": (
        "upsert_subscribers_incremental",
        "income_at = excluded.income_at",
        "income_at = subscribers_insights_v2.income_at",
        {"income_at"},
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_form_is_found(warehouse: Warehouse, case: str) -> None:
    function, right, wrong, columns = BROKEN[case]
    call(warehouse, UPSERTS[0], profiles(300))
    break_function(warehouse, function, right, wrong)
    verdict = set_based_equals_loop(warehouse, seed=1)
    assert not verdict.passed
    assert all(column in verdict.summary for column in columns)
    assert verdict.rows
    assert json.dumps(verdict.rows)
    assert {"function", "batch", "distinct_id", "column", "set_based", "loop"} == set(verdict.rows[0])


def test_a_form_that_fails_is_found(warehouse: Warehouse) -> None:
    break_function(warehouse, UPSERTS[2], "inserted := 0;", "inserted := 1 / 0;")
    verdict = set_based_equals_loop(warehouse)
    assert not verdict.passed
    assert "division by zero" in verdict.summary


def test_without_the_functions_it_says_to_migrate(warehouse: Warehouse) -> None:
    rollback(warehouse, to="0002")
    verdict = set_based_equals_loop(warehouse)
    assert not verdict.passed
    assert "migrate" in verdict.fix
