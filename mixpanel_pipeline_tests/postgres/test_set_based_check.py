"""The check set_based_equals_loop finds a form that is broken, and leaves nothing behind."""

import json
import re
import subprocess

import pytest
from psycopg.sql import SQL, Identifier

from mixpanel_pipeline.checks.set_based import BATCH_SIZE, BATCHES, FUNCTIONS, set_based_equals_loop
from mixpanel_pipeline.checks.verdict import Verdict
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import binaries
from mixpanel_pipeline.warehouse.sql_files import SQL_DIRECTORY
from mixpanel_pipeline_tests.postgres.test_sql_api import UPSERTS, call, profiles

FORMS = [form for function in FUNCTIONS for form in (function, f"{function}_loop")]
TABLE = "subscribers_insights_v2"
DEFINITIONS = (
    "select array_agg(pg_get_functiondef(oid) order by oid), (select jsonb_agg(t) from subscribers_insights_v2 as t) "
    "from pg_proc where proname like 'upsert_subscribers%'"
)


def everything(warehouse: Warehouse) -> object:
    with warehouse.connect() as connection:
        return connection.execute(DEFINITIONS).fetchone()


def break_function(warehouse: Warehouse, function: str, right: str, wrong: str, times: int = 1) -> None:
    """Somebody changed it in the database; 0 `times`: however often it says so."""
    with warehouse.connect() as connection:
        row = connection.execute("select pg_get_functiondef(%s::regprocedure)", [f"{function}(jsonb)"]).fetchone()
        assert row
        assert row[0].count(right) == times or (not times and right in row[0])
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


def test_forms_that_write_past_the_copy_are_found(warehouse: Warehouse) -> None:
    """They agree, for the copy that is compared stays as it is: one of them counts double, and nobody would see."""
    call(warehouse, UPSERTS[0], profiles(300))
    for form in FORMS:
        break_function(warehouse, form, TABLE, f"public.{TABLE}", times=0)
    break_function(
        warehouse, UPSERTS[0], "coalesce(person.total_copies, stored.total_copies, 0) as",
        "2 * coalesce(person.total_copies, stored.total_copies, 0) as",
    )  # fmt: skip
    before = everything(warehouse)
    verdict = set_based_equals_loop(warehouse, seed=1)
    assert not verdict.passed
    assert all(column in verdict.summary for column in ("inserted", "updated", "rows written elsewhere"))
    assert {row["function"] for row in verdict.rows} == {UPSERTS[0], UPSERTS[1]}
    elsewhere = [row for row in verdict.rows if row["column"] == "rows written elsewhere"]
    assert all(re.fullmatch(r"0 answered, \d+ found", row[form]) for row in elsewhere for form in ("set_based", "loop"))
    assert everything(warehouse) == before


WRONG_IN_BOTH = {
    "write nothing, and say that nothing changed": (
        "begin\n",
        "begin inserted := 0; updated := 0; ignored_keys := '{}'; "
        "unchanged := (select count(distinct each ->> 'distinct_id') from jsonb_array_elements(profiles) as each); "
        "return;\n",
        {"unchanged", "people left out"},
    ),
    "write to the real table too": (
        "begin\n",
        f"begin update public.{TABLE} set updated_at = updated_at where distinct_id = 'person-1';\n",
        {"rows written elsewhere"},
    ),
    "touch the rows of others": (
        "    ignored_keys :=",
        f"    update {TABLE} set total_copies = total_copies + 1 where distinct_id = "
        f"(select max(distinct_id) from {TABLE} where not profiles @> jsonb_build_array("
        "jsonb_build_object('distinct_id', distinct_id)));\n    ignored_keys :=",
        {"updated", "rows of others written"},
    ),
}


@pytest.mark.parametrize("case", WRONG_IN_BOTH)
def test_forms_that_are_wrong_alike_are_found_by_what_they_do_to_the_rows(warehouse: Warehouse, case: str) -> None:
    right, wrong, columns = WRONG_IN_BOTH[case]
    call(warehouse, UPSERTS[0], profiles(300))
    for form in FORMS:
        break_function(warehouse, form, right, wrong)
    before = everything(warehouse)
    verdict = set_based_equals_loop(warehouse, seed=1)
    assert not verdict.passed
    assert {row["column"] for row in verdict.rows} == columns, verdict.rows
    assert everything(warehouse) == before


def test_a_form_that_fails_is_found(warehouse: Warehouse) -> None:
    break_function(warehouse, UPSERTS[2], "inserted := 0;", "inserted := 1 / 0;")
    verdict = set_based_equals_loop(warehouse)
    assert not verdict.passed
    assert "division by zero" in verdict.summary


def put_back(verdict: Verdict, warehouse: Warehouse) -> None:
    """As the verdict says."""
    [command] = re.findall(r"`mixpanel-pipeline psql (-f [^`]+)`", verdict.fix)
    subprocess.run(
        [str(binaries() / "psql"), "-q", *command.split(), "-d", warehouse.url],
        cwd=SQL_DIRECTORY.parent, check=True, capture_output=True,
    )  # fmt: skip


@pytest.mark.parametrize("function", [*FORMS, "read_subscriber_profiles"])
def test_without_a_function_it_says_how_to_put_it_back(warehouse: Warehouse, function: str) -> None:
    with warehouse.connect() as connection:
        connection.execute(SQL("drop function {}").format(Identifier(function)))
    verdict = set_based_equals_loop(warehouse)
    assert not verdict.passed
    assert "the SQL API is not there" in verdict.summary
    put_back(verdict, warehouse)
    assert set_based_equals_loop(warehouse).passed


def test_a_changed_function_is_put_back_the_same_way(warehouse: Warehouse) -> None:
    before = everything(warehouse)
    break_function(warehouse, UPSERTS[2], "unchanged := unchanged + 1", "updated := updated + 1")
    call(warehouse, UPSERTS[0], profiles(300))
    put_back(set_based_equals_loop(warehouse, seed=1), warehouse)
    call(warehouse, UPSERTS[0], profiles(1))
    with warehouse.connect() as connection:
        connection.execute("truncate subscribers_insights_v2")
    assert everything(warehouse) == before


@pytest.mark.parametrize("value", ["1e80", "-1e80", "1e-300", "'Infinity'"])
def test_numbers_that_the_api_refuses_may_be_stored(warehouse: Warehouse, value: str) -> None:
    set_everywhere(warehouse, "buying_power", value)
    verdict = set_based_equals_loop(warehouse, seed=1)
    assert verdict.passed, verdict
    assert verdict.figures["profiles"]


@pytest.mark.parametrize("value", ["-1", "9007199254740992"])
def test_counts_that_the_api_refuses_may_be_stored(warehouse: Warehouse, value: str) -> None:
    set_everywhere(warehouse, "total_copies", value)
    verdict = set_based_equals_loop(warehouse, seed=1)
    assert verdict.passed, verdict


def set_everywhere(warehouse: Warehouse, column: str, value: str) -> None:
    call(warehouse, UPSERTS[0], profiles(300))
    with warehouse.connect() as connection:
        connection.execute(f"update subscribers_insights_v2 set {column} = {value}".encode())


REFUSE = "begin\n    if profiles::text like '%naïve%' then raise exception 'no' using errcode = '54000'; end if;"


def test_what_both_forms_refuse_they_agree_on(warehouse: Warehouse) -> None:
    """A batch in a third of which values are this long is refused as too large."""
    for form in (UPSERTS[0], UPSERTS[2]):
        break_function(warehouse, form, "begin\n", REFUSE)
    verdict = set_based_equals_loop(warehouse, seed=1)
    assert verdict.passed, verdict
    assert verdict.figures["profiles"] == BATCHES * BATCH_SIZE


def test_what_only_one_form_refuses_they_differ_in(warehouse: Warehouse) -> None:
    break_function(warehouse, UPSERTS[0], "begin\n", REFUSE)
    verdict = set_based_equals_loop(warehouse, seed=1)
    assert not verdict.passed
    assert "refused" in verdict.summary


def test_forms_that_refuse_everything_prove_nothing(warehouse: Warehouse) -> None:
    for form in FORMS:
        break_function(warehouse, form, "begin\n", REFUSE)
    verdict = set_based_equals_loop(warehouse, seed=1)
    assert not verdict.passed
    assert "both forms refused every batch" in verdict.summary
