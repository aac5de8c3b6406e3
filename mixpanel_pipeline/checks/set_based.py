"""The set-based and the loop form of the SQL API give the same."""

import json
import random
from collections.abc import Iterator
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier, Literal

from mixpanel_pipeline import catalog
from mixpanel_pipeline.checks.verdict import ROWS_SHOWN, Verdict
from mixpanel_pipeline.warehouse.connection import Warehouse

NAME = "set_based_equals_loop"
FUNCTIONS = ("upsert_subscribers_incremental", "upsert_subscribers_incremental_add")
# Enough of the real rows to meet real values, few enough to be done in a second.
REAL_ROWS = 500
BATCHES = 6
BATCH_SIZE = 150
# Two checks at once would change the same functions' settings.
CHECK_LOCK = 7_241_005


def set_based_equals_loop(warehouse: Warehouse, seed: int | None = None) -> Verdict:
    """Both forms of REPLACE and ADD leave the same rows and answers, on a copy of real rows, for random batches that
    name people twice. Everything happens in a transaction that is rolled back; `seed` repeats a run."""
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    with warehouse.connect() as connection:
        try:
            differences, copied, profiles = _compare(connection, random.Random(seed))  # noqa: S311 - examples, not keys
        except psycopg.errors.UndefinedFunction as error:
            return Verdict(NAME, False, f"the SQL API is not there: {_first_line(error)}", fix=MIGRATE)
        except psycopg.Error as error:
            return Verdict(NAME, False, f"a form failed (seed {seed}): {_first_line(error)}", fix=LOOK)
        finally:
            connection.rollback()
    figures = {"real_rows": copied, "profiles": profiles, "batches": BATCHES * len(FUNCTIONS), "seed": seed}
    if not differences:
        return Verdict(
            NAME, True, f"both forms agree on {profiles} profiles sent to {copied} real rows", figures=figures
        )
    columns = sorted({difference["column"] for difference in differences})
    return Verdict(
        NAME,
        False,
        f"{len(differences)} values of {profiles} profiles differ between the forms, in {', '.join(columns)}",
        rows=differences[:ROWS_SHOWN],
        fix=LOOK,
        figures={**figures, "values_wrong": len(differences)},
    )


MIGRATE = "Run `mixpanel-pipeline migrate`."
LOOK = (
    "One of the functions was changed in the database, or this is a bug: run sql/subscribers/sql_api.sql again; "
    "until both agree use the form that sql/migrations has."
)


def _compare(connection: psycopg.Connection, chance: random.Random) -> tuple[list[dict[str, Any]], int, int]:
    """Sends every batch to both forms, each on the rows as they were before the batch."""
    connection.execute("select pg_advisory_xact_lock(%s, 0)", [CHECK_LOCK])
    known = _copy_real_rows(connection, chance.random())
    copied, profiles = len(known), 0
    differences: list[dict[str, Any]] = []
    for number in range(BATCHES):
        for function in FUNCTIONS:
            batch = _random_batch(chance, known)
            profiles += len(batch)
            payload = json.dumps(batch)
            with connection.transaction() as by_set:
                set_based = _call(connection, function, payload), _rows(connection)
                raise psycopg.Rollback(by_set)
            loop = _call(connection, f"{function}_loop", payload), _rows(connection)
            where = {"function": function, "batch": number}
            differences += [{**where, **difference} for difference in _differences(set_based, loop)]
            known = list(loop[1].values())
    return differences, copied, profiles


def _copy_real_rows(connection: psycopg.Connection, part: float) -> list[dict[str, Any]]:
    """Puts a temporary table of the same name, with some of the rows, before the functions' eyes: their search_path is
    changed for this transaction, which nobody else sees."""
    row = connection.execute(
        "select nspname from pg_class join pg_namespace on pg_namespace.oid = relnamespace "
        "where pg_class.oid = 'subscribers_insights_v2'::regclass"
    ).fetchone()
    schema = Identifier(row[0] if row else "public")
    table = SQL("{}.subscribers_insights_v2").format(schema)
    connection.execute(
        SQL("create temporary table subscribers_insights_v2 (like {} including all) on commit drop").format(table)
    )
    connection.execute(
        SQL(
            "insert into pg_temp.subscribers_insights_v2 select * from {} "
            "where octet_length(distinct_id) <= 2000 order by md5(distinct_id || {}) limit {}"
        )
        .format(table, Literal(str(part)), Literal(REAL_ROWS))
    )  # fmt: skip
    for function in FUNCTIONS:
        for form in (function, f"{function}_loop"):
            connection.execute(
                SQL("alter function {}.{}(jsonb) set search_path = pg_temp, pg_catalog, {}")
                .format(schema, Identifier(form), schema)
            )  # fmt: skip
    return list(_rows(connection).values())


def _call(connection: psycopg.Connection, function: str, payload: str) -> dict[str, Any]:
    with connection.cursor(row_factory=dict_row) as cursor:
        answer = cursor.execute(SQL("select * from {}(%s::jsonb)").format(Identifier(function)), [payload]).fetchone()
    return answer or {}


def _rows(connection: psycopg.Connection) -> dict[str, dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("select * from pg_temp.subscribers_insights_v2").fetchall()
    return {row["distinct_id"]: row for row in rows}


def _differences(set_based: tuple[dict, dict], loop: tuple[dict, dict]) -> Iterator[dict[str, Any]]:
    """Values that differ, of rows and of the answers themselves."""
    (set_answer, set_rows), (loop_answer, loop_rows) = set_based, loop
    pairs = [(None, set_answer, loop_answer)]
    pairs += [(person, set_rows.get(person, {}), loop_rows.get(person, {})) for person in {**set_rows, **loop_rows}]
    for person, set_row, loop_row in pairs:
        for column in {**set_row, **loop_row}:
            if set_row.get(column) != loop_row.get(column):
                yield {
                    "distinct_id": person,
                    "column": column,
                    "set_based": str(set_row.get(column)),
                    "loop": str(loop_row.get(column)),
                }


def _random_batch(chance: random.Random, known: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Profiles of stored and of new people, a third of them named twice or more, some said to be as they are."""
    batch = []
    for number in range(BATCH_SIZE):
        if batch and chance.random() < 1 / 3:
            batch.append(_random_profile(chance, chance.choice(batch)))
        elif known and chance.random() < 3 / 4:
            stored = chance.choice(known)
            same = {name: str(value) for name, value in stored.items() if name in SENT and value is not None}
            same["linked_bank_account"] = stored["linked_bank_account"]
            batch.append(same if chance.random() < 1 / 4 else _random_profile(chance, same))
        else:
            batch.append(_random_profile(chance, {"distinct_id": f"nobody yet {chance.random()} {number}"}))
    chance.shuffle(batch)
    return batch


COUNTS = [*(metric.column for metric in catalog.COUNT_METRICS), "events_processed"]
FLAGS = [metric.column for metric in catalog.FLAG_METRICS]
PROPERTIES = [line.column for line in catalog.PROPERTIES]
SENT = {"distinct_id", *COUNTS, *FLAGS, *PROPERTIES, "first_event_time", "last_event_time"}


def _random_profile(chance: random.Random, like: dict[str, Any]) -> dict[str, Any]:
    """A profile of the same person; half of its values are those of `like`."""

    def moment() -> str:
        return f"2025-11-{chance.randint(10, 30)}T{chance.randint(0, 23):02}:00:00Z"

    said: dict[str, Any] = {name: chance.choice([0, 1, 7, "3", "4.0", None, ""]) for name in COUNTS}
    said |= {name: chance.choice([True, False, "true", None]) for name in FLAGS}
    for line in catalog.PROPERTIES:
        values = ["x", "y", "naïve 🦊", 5] if line.kind == "text" else [0, -1.5, "2", "1e3"]
        said[line.column] = chance.choice([*values, None, ""])
    said |= {name: chance.choice([moment(), None]) for name in ("first_event_time", "last_event_time", "updated_at")}
    kept = {name: value for name, value in like.items() if chance.random() < 1 / 2}
    return {**said, **kept, "distinct_id": like["distinct_id"]}


def _first_line(error: psycopg.Error) -> str:
    return str(error).partition("\n")[0]
