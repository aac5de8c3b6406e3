"""The set-based and the loop form of the SQL API give the same, and do what they answer."""

import json
import random
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier, Literal

from mixpanel_pipeline import catalog
from mixpanel_pipeline.checks.verdict import ROWS_SHOWN, Verdict
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql

NAME = "set_based_equals_loop"
FUNCTIONS = ("upsert_subscribers_incremental", "upsert_subscribers_incremental_add")
# Enough of the real rows to meet real values, few enough to be done in a second.
REAL_ROWS = 500
BATCHES = 6
BATCH_SIZE = 150
# What the API takes.
LARGEST_COUNT = 9_007_199_254_740_991
LONGEST_NUMBER = 60
# Two checks at once would change the same functions' settings.
CHECK_LOCK = 7_241_005


def set_based_equals_loop(warehouse: Warehouse, seed: int | None = None) -> Verdict:
    """Both forms of REPLACE and ADD leave the same rows and answers, on a copy of real rows, for random batches that
    name people twice; and what they answer is what became of the copy, and of nothing else. Everything happens in a
    transaction that is rolled back; `seed` repeats a run."""
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    with warehouse.connect() as connection:
        try:
            differences, copied, profiles = _compare(connection, random.Random(seed))  # noqa: S311 - examples, not keys
        except psycopg.errors.UndefinedFunction as error:
            return Verdict(NAME, False, f"the SQL API is not there: {_first_line(error)}", fix=PUT_BACK)
        except psycopg.Error as error:
            return Verdict(NAME, False, f"a form failed (seed {seed}): {_first_line(error)}", fix=LOOK)
        finally:
            connection.rollback()
    figures = {"real_rows": copied, "profiles": profiles, "batches": BATCHES * len(FUNCTIONS), "seed": seed}
    if not profiles:
        return Verdict(NAME, False, "both forms refused every batch", fix=LOOK, figures=figures)
    if not differences:
        return Verdict(
            NAME, True, f"both forms agree on {profiles} profiles sent to {copied} real rows", figures=figures
        )
    columns = sorted({difference["column"] for difference in differences})
    return Verdict(
        NAME,
        False,
        f"{len(differences)} values of {profiles} profiles differ between the forms, or from the rows, in "
        f"{', '.join(columns)}",
        rows=differences[:ROWS_SHOWN],
        fix=LOOK,
        figures={**figures, "values_wrong": len(differences)},
    )


PUT_BACK = (
    "`mixpanel-pipeline psql -f sql/subscribers/sql_api.sql`, in the project's directory, puts the functions back."
)
LOOK = f"One of the functions was changed in the database, or, if it stays so after that, this is a bug. {PUT_BACK}"
# What the API says to what it does not take: a malformed value, and too much at once.
REFUSALS = ("22023", "54000")


Rows = dict[str, dict[str, Any]]


class _Outcome(NamedTuple):
    """What a form answered, what of that shows in the rows, and the rows it left."""

    answer: dict[str, Any]
    shown: dict[str, Any]
    rows: Rows
    answered: bool = True


def _compare(connection: psycopg.Connection, chance: random.Random) -> tuple[list[dict[str, Any]], int, int]:
    """Sends every batch to both forms, each on the rows as they were before the batch."""
    connection.execute("select pg_advisory_xact_lock(%s, 0)", [CHECK_LOCK])
    before = _copy_real_rows(connection, chance.random())
    copied, profiles = len(before), 0
    differences: list[dict[str, Any]] = []
    for number in range(BATCHES):
        for function in FUNCTIONS:
            batch = _random_batch(chance, list(before.values()))
            with connection.transaction() as by_set:
                set_based = _outcome(connection, function, batch, before)
                raise psycopg.Rollback(by_set)
            loop = _outcome(connection, f"{function}_loop", batch, before)
            profiles += len(batch) if loop.answered or set_based.answered else 0
            where = {"function": function, "batch": number}
            differences += [{**where, **difference} for difference in _differences(set_based, loop)]
            before = loop.rows
    return differences, copied, profiles


def _copy_real_rows(connection: psycopg.Connection, part: float) -> Rows:
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
    return _rows(connection)


def _outcome(connection: psycopg.Connection, form: str, batch: list[dict[str, Any]], before: Rows) -> _Outcome:
    """Calls a form. A name in it that is not looked for in the search_path would lead past the copy, where both forms
    could do whatever they like and agree."""
    elsewhere = _rows_written_elsewhere(connection)
    query = SQL("select * from {}(%s::jsonb)").format(Identifier(form))
    try:
        with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
            answer = cursor.execute(query, [json.dumps(batch)]).fetchone() or {}
    except psycopg.Error as error:
        if error.sqlstate not in REFUSALS:
            raise
        return _Outcome({"refused": _first_line(error)}, {}, before, answered=False)
    rows = _rows(connection)
    people = {profile["distinct_id"] for profile in batch}
    changed = {person for person in before if rows.get(person) != before[person]}
    shown = {
        "inserted": len(rows.keys() - before.keys()),
        "updated": len(changed),
        "unchanged": len(people & before.keys() - changed),
        "people left out": len(people - rows.keys()),
        "rows of others written": len((changed | rows.keys() - before.keys()) - people),
        "rows written elsewhere": _rows_written_elsewhere(connection) - elsewhere,
    }
    return _Outcome({**dict.fromkeys(shown, 0), **answer}, shown, rows)


def _rows_written_elsewhere(connection: psycopg.Connection) -> int:
    """By this transaction so far, its rolled back parts included, to any table but the copy."""
    row = connection.execute(read_sql("subscribers/rows_written_elsewhere.sql")).fetchone()
    return row[0] if row else 0


def _rows(connection: psycopg.Connection) -> Rows:
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute("select * from pg_temp.subscribers_insights_v2").fetchall()
    return {row["distinct_id"]: row for row in rows}


def _differences(set_based: _Outcome, loop: _Outcome) -> Iterator[dict[str, Any]]:
    """Values that differ, of rows and of the answers themselves, and answers that are not what the rows show."""
    for name in {**set_based.answer, **loop.answer}:
        said = [outcome.answer.get(name) for outcome in (set_based, loop)]
        shown = [outcome.shown.get(name, answer) for outcome, answer in zip((set_based, loop), said, strict=True)]
        if said != shown or said[0] != said[1]:
            yield _row(None, name, *(_told(*pair) for pair in zip(said, shown, strict=True)))
    for person in {**set_based.rows, **loop.rows}:
        set_row, loop_row = set_based.rows.get(person, {}), loop.rows.get(person, {})
        for column in {**set_row, **loop_row}:
            if set_row.get(column) != loop_row.get(column):
                yield _row(person, column, str(set_row.get(column)), str(loop_row.get(column)))


def _told(answer: Any, shown: Any) -> str:
    return str(answer) if answer == shown else f"{answer} answered, {shown} found"


def _row(person: str | None, column: str, set_based: str, loop: str) -> dict[str, Any]:
    return {"distinct_id": person, "column": column, "set_based": set_based, "loop": loop}


def _random_batch(chance: random.Random, known: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Profiles of stored and of new people, a third of them named twice or more, some said to be as they are."""
    batch = []
    for number in range(BATCH_SIZE):
        if batch and chance.random() < 1 / 3:
            batch.append(_random_profile(chance, chance.choice(batch)))
        elif known and chance.random() < 3 / 4:
            stored = chance.choice(known)
            same = {name: str(value) for name, value in stored.items() if name in SENT and _is_taken(name, value)}
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


def _is_taken(name: str, value: Any) -> bool:
    """Whether the API takes it back: events and other writers may store what it refuses (docs/sql-api.md)."""
    if isinstance(value, Decimal):
        return value.is_finite() and len(str(value)) <= LONGEST_NUMBER
    return value is not None and (name not in COUNTS or 0 <= value <= LARGEST_COUNT)


def _first_line(error: psycopg.Error) -> str:
    return str(error).partition("\n")[0]
