"""The SQL API as its callers meet it: the seeds' examples, malformed payloads, what is written and what is not."""

import json
import threading
from typing import Any

import psycopg
import pytest

from mixpanel_pipeline import catalog
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline.warehouse.sql_files import read_sql

UPSERTS = (
    "upsert_subscribers_incremental",
    "upsert_subscribers_incremental_add",
    "upsert_subscribers_incremental_loop",
    "upsert_subscribers_incremental_add_loop",
)
REPLACES = (UPSERTS[0], UPSERTS[2])
ADDS = (UPSERTS[1], UPSERTS[3])

# As the callers' documentation has it.
EXAMPLE = {
    "distinct_id": "test_user_123",
    "total_copies": 5,
    "updated_at": "2025-11-13T00:00:00Z",
    "events_processed": 10,
    "first_event_time": "2025-11-13T00:00:00Z",
    "last_event_time": "2025-11-13T01:00:00Z",
}


def call(warehouse: Warehouse, function: str, payload: Any) -> dict[str, Any]:
    with warehouse.connect() as connection:
        answer = connection.execute(
            f"select to_jsonb(answer) from {function}(%s::jsonb) as answer",  # pyright: ignore[reportArgumentType]
            [payload if isinstance(payload, str) else json.dumps(payload)],
        ).fetchone()
    assert answer
    return answer[0]


def value(warehouse: Warehouse, column: str, person: str = "test_user_123") -> Any:
    with warehouse.connect() as connection:
        row = connection.execute(
            f"select {column} from subscribers_insights_v2 where distinct_id = %s",  # pyright: ignore[reportArgumentType]
            [person],
        ).fetchone()
    return row and row[0]


def people(warehouse: Warehouse) -> int:
    with warehouse.connect() as connection:
        row = connection.execute("select count(*) from subscribers_insights_v2").fetchone()
    assert row
    return row[0]


def profiles(number: int) -> list[dict[str, Any]]:
    """Profiles of every column."""
    return [
        {
            **EXAMPLE,
            "distinct_id": f"person-{index}",
            **{metric.column: index for metric in catalog.COUNT_METRICS},
            "linked_bank_account": True,
            **{line.column: "x" if line.kind == "text" else index / 4 for line in catalog.PROPERTIES},
        }
        for index in range(number)
    ]


@pytest.mark.parametrize("function", ADDS)
def test_ten_and_five_are_fifteen(warehouse: Warehouse, function: str) -> None:
    with warehouse.connect() as connection:
        connection.execute(
            "insert into subscribers_insights_v2 (distinct_id, total_copies, updated_at) "
            "values ('test_user_123', 10, now())"
        )
    assert call(warehouse, function, [EXAMPLE]) == {"inserted": 0, "updated": 1, "unchanged": 0, "ignored_keys": []}
    assert value(warehouse, "total_copies") == 15


@pytest.mark.parametrize("function", REPLACES)
def test_replace_sets_what_is_said_and_keeps_the_rest(warehouse: Warehouse, function: str) -> None:
    call(warehouse, function, [{**EXAMPLE, "total_copies": 10, "paywall_views": 3, "income": "50k"}])
    call(warehouse, function, [{**EXAMPLE, "income": None}])
    assert value(warehouse, "array[total_copies, paywall_views]") == [5, 3]
    assert value(warehouse, "income") == "50k"


@pytest.mark.parametrize("function", UPSERTS)
def test_one_person_twice_in_one_call(warehouse: Warehouse, function: str) -> None:
    later = {**EXAMPLE, "total_copies": 2, "income": "new", "last_event_time": "2025-11-13T05:00:00Z"}
    assert call(warehouse, function, [later, {**EXAMPLE, "income": "old"}])["inserted"] == 1
    assert value(warehouse, "total_copies") == (7 if function in ADDS else 2)
    assert value(warehouse, "income") == "new"


@pytest.mark.parametrize("function", ADDS)
def test_an_older_property_does_not_come_back(warehouse: Warehouse, function: str) -> None:
    call(warehouse, function, [{**EXAMPLE, "buying_power": 7}])
    call(warehouse, function, [{**EXAMPLE, "buying_power": 3, "last_event_time": "2025-11-12T00:00:00Z"}])
    assert value(warehouse, "buying_power") == 7
    call(warehouse, function, [{**EXAMPLE, "buying_power": 2, "last_event_time": "2025-11-13T02:00:00Z"}])
    assert value(warehouse, "buying_power") == 2
    assert value(warehouse, "buying_power_at = '2025-11-13T02:00:00Z'")


@pytest.mark.parametrize("function", UPSERTS)
def test_a_property_is_as_old_as_the_element_says(warehouse: Warehouse, function: str) -> None:
    made = {"distinct_id": "made", "income": "x", "updated_at": "2025-11-13T00:00:00Z"}
    call(warehouse, function, [{**EXAMPLE, "income": "x"}, made, {"distinct_id": "timeless", "income": "x"}])
    assert value(warehouse, "income_at = '2025-11-13T01:00:00Z'")
    assert value(warehouse, "income_at = '2025-11-13T00:00:00Z'", "made")
    assert value(warehouse, "income_at > now() - interval '1 minute'", "timeless")


@pytest.mark.parametrize("function", UPSERTS)
def test_unknown_keys_are_ignored_and_told(warehouse: Warehouse, function: str) -> None:
    answer = call(warehouse, function, [{**EXAMPLE, "email": "a@b.c"}, {"distinct_id": "b", "Total_Copies": 4}])
    assert answer["ignored_keys"] == ["Total_Copies", "email"]
    assert value(warehouse, "total_copies", "b") == 0


@pytest.mark.parametrize("function", UPSERTS)
def test_an_empty_array_does_nothing(warehouse: Warehouse, function: str) -> None:
    assert call(warehouse, function, []) == {"inserted": 0, "updated": 0, "unchanged": 0, "ignored_keys": []}


@pytest.mark.parametrize("function", UPSERTS)
@pytest.mark.parametrize("identity", ["'; drop table subscribers_insights_v2; --", '"', "\\", "😀", "%s {} $1", " "])
def test_any_text_is_an_identity(warehouse: Warehouse, function: str, identity: str) -> None:
    call(warehouse, function, [{"distinct_id": identity, "income": identity, "total_copies": 1}])
    assert value(warehouse, "total_copies", identity) == 1
    assert value(warehouse, "income", identity) == identity


MALFORMED = {
    "object": ('{"distinct_id": "a"}', "profiles: expected an array of objects, got object"),
    "text": ('"a"', "profiles: expected an array of objects, got string"),
    "JSON null": ("null", "profiles: expected an array of objects, got null"),
    "number in array": ([EXAMPLE, 5], "profiles[1]: expected an object, got 5"),
    "null in array": ([EXAMPLE, None], "profiles[1]: expected an object, got null"),
    "array in array": ([[EXAMPLE]], "profiles[0]: expected an object, got [{"),
    "no identity": ([EXAMPLE, {"total_copies": 1}], "profiles[1].distinct_id: expected text of 1 to 2000 bytes"),
    "null identity": ([{"distinct_id": None}], "profiles[0].distinct_id: expected text of 1 to 2000 bytes, got n"),
    "empty identity": ([{"distinct_id": ""}], 'profiles[0].distinct_id: expected text of 1 to 2000 bytes, got ""'),
    "list as identity": ([{"distinct_id": ["a"]}], "profiles[0].distinct_id: expected text of 1 to 2000 bytes"),
    "long identity": ([{"distinct_id": "é" * 1001}], "profiles[0].distinct_id: expected text of 1 to 2000 bytes"),
    **{
        f"count {bad!r}": (
            [EXAMPLE, {**EXAMPLE, "paywall_views": bad}],
            "profiles[1].paywall_views: expected a whole number from 0 to 9007199254740991, got ",
        )
        for bad in (-1, "-1", 1.5, "1.5", "five", True, [1], {"a": 1}, 2**53, 10**30, "1e2", "0x10", "1_000", "NaN")
    },
    **{
        f"number {bad!r}": (
            [{**EXAMPLE, "buying_power": bad}],
            "profiles[0].buying_power: expected a number of at most 60 characters, got ",
        )
        for bad in ("much", True, [1], "NaN", "Infinity", "1e999", "0x10", "1 000", 10**70)
    },
    **{
        f"flag {bad!r}": (
            [{**EXAMPLE, "linked_bank_account": bad}],
            "profiles[0].linked_bank_account: expected true or false, got ",
        )
        for bad in ("yes", 1, "TRUE", [True])
    },
    **{
        f"time {bad!r}": (
            [{**EXAMPLE, "last_event_time": bad}],
            "profiles[0].last_event_time: expected a time such as 2025-11-13T01:00:00Z, got ",
        )
        for bad in (
            "now", "infinity", "tomorrow", "yesterday 03:00", 1763000000, "20251113", "13.11.2025", "2025-02-30",
            "2025-11-31T00:00:00Z", "2025-13-01T00:00:00Z", "2025-11-13T25:00:00Z", "2025-11-13T00:00:00+99:00",
            "0000-01-01T00:00:00Z", True, {"time": 1},
        )
    },
    "time made": ([{**EXAMPLE, "updated_at": "soon"}], "profiles[0].updated_at: expected a time such as"),
    "list as text": ([{**EXAMPLE, "income": ["x"]}], 'profiles[0].income: expected text, got ["x"]'),
    "object as text": ([{**EXAMPLE, "income": {}}], "profiles[0].income: expected text, got {}"),
    "too many": ([{}] * 50_001, "profiles: expected at most 50000 elements and 64 MB, got 50001 elements"),
    "too large": ([{**EXAMPLE, "income": "x" * (65 << 20)}], "profiles: expected at most 50000 elements"),
}  # fmt: skip


@pytest.fixture(scope="module")
def empty_warehouse(postgres: EmbeddedPostgres) -> Warehouse:
    """One database for all that is refused."""
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("create database stays_empty template template_migrated")
    return Warehouse(postgres.url("stays_empty"))


@pytest.mark.parametrize("case", MALFORMED)
def test_a_malformed_payload_is_refused_whole(empty_warehouse: Warehouse, case: str) -> None:
    payload, message = MALFORMED[case]
    for function in UPSERTS[:1] if case == "too large" else UPSERTS:
        with pytest.raises((psycopg.errors.InvalidParameterValue, psycopg.errors.ProgramLimitExceeded)) as refusal:
            call(empty_warehouse, function, payload)
        assert str(refusal.value.diag.message_primary).startswith(message)
        assert people(empty_warehouse) == 0


def test_an_sql_null_is_refused(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection, pytest.raises(psycopg.errors.InvalidParameterValue, match="got nothing"):
        connection.execute("select upsert_subscribers_incremental(null)")


def test_what_json_cannot_hold_is_refused_by_postgres(warehouse: Warehouse) -> None:
    for payload in ('[{"distinct_id": "a\\u0000"}]', '[{"distinct_id": "\\ud800"}]', "[{]"):
        with pytest.raises(psycopg.errors.DataError):
            call(warehouse, UPSERTS[0], payload)


@pytest.mark.parametrize("spelling", ["2025-11-13", "2025-11-13 00:00", "2025-11-13T00:00:00", "2025-11-13T05:30+0530"])
@pytest.mark.parametrize("timezone", ["UTC", "America/New_York"])
def test_a_time_without_zone_is_utc_whatever_the_session_says(
    warehouse: Warehouse, spelling: str, timezone: str
) -> None:
    for function in UPSERTS:
        with warehouse.connect() as connection:
            connection.execute("select set_config('timezone', %s, false)", [timezone])
            connection.execute(
                f"select {function}(%s)",  # pyright: ignore[reportArgumentType]
                [json.dumps([{"distinct_id": function, "last_event_time": spelling}])],
            )
        assert value(warehouse, "last_event_time = '2025-11-13T00:00:00Z'", function)


def write_ahead_log(connection: psycopg.Connection) -> int:
    """Bytes that this connection wrote; autovacuum may write meanwhile, elsewhere in the same server."""
    connection.execute("select pg_stat_force_next_flush()")
    row = connection.execute("select wal_bytes::bigint from pg_stat_get_backend_wal(pg_backend_pid())").fetchone()
    assert row
    return row[0]


@pytest.mark.parametrize("function", UPSERTS)
def test_unchanged_rows_are_not_written(warehouse: Warehouse, function: str) -> None:
    """Neither a row version nor a lock: no write-ahead log to speak of."""
    payload = profiles(1000)
    call(warehouse, function, payload)
    if function in ADDS:
        counts = {metric.column for metric in catalog.COUNT_METRICS} | {"events_processed"}
        payload = [{name: 0 if name in counts else value for name, value in row.items()} for row in payload]
    again = json.dumps(payload)
    with warehouse.connect(autocommit=True) as connection:
        connection.execute("vacuum subscribers_insights_v2")  # what a reader would tidy up, and log, is done
        versions = "select array_agg((xmin, xmax, ctid)::text order by distinct_id) from subscribers_insights_v2"
        before = connection.execute(versions).fetchone()
        written = []
        for _ in range(3):
            started = write_ahead_log(connection)
            answer = connection.execute(
                f"select inserted, updated, unchanged from {function}(%s)",  # pyright: ignore[reportArgumentType]
                [again],
            ).fetchone()
            written.append(write_ahead_log(connection) - started)
            assert answer == (0, 0, 1000)
        assert connection.execute(versions).fetchone() == before
    # Whenever Postgres makes a checkpoint, pages that are tidied up are logged whole once more.
    assert min(written) < 4096


def test_only_changed_rows_are_written(warehouse: Warehouse) -> None:
    payload = profiles(100)
    call(warehouse, UPSERTS[0], payload)
    payload[17]["income"] = "changed"
    payload.append({"distinct_id": "new"})
    assert call(warehouse, UPSERTS[0], payload) == {"inserted": 1, "updated": 1, "unchanged": 99, "ignored_keys": []}


@pytest.mark.parametrize("function", UPSERTS)
def test_a_call_for_one_person_does_not_read_the_table(warehouse: Warehouse, function: str) -> None:
    """Not even with a plan made when the table was empty: rows are found by their key."""
    one = json.dumps([EXAMPLE])
    with warehouse.connect(autocommit=True) as connection:
        for _ in range(8):
            connection.execute(f"select {function}(%s)", [one])  # pyright: ignore[reportArgumentType]
        connection.execute(
            "insert into subscribers_insights_v2 (distinct_id) "
            "select 'person-' || n from generate_series(1, 20000) as n; "
            "select pg_stat_force_next_flush()"
        )
        scans = "select seq_scan from pg_stat_user_tables where relname = 'subscribers_insights_v2'"
        before = connection.execute(scans).fetchone()
        connection.execute(f"select {function}(%s)", [one])  # pyright: ignore[reportArgumentType]
        connection.execute("select pg_stat_force_next_flush()")
        assert connection.execute(scans).fetchone() == before


def load_day(warehouse: Warehouse, day: str, income: str, seen: str) -> None:
    """The pipeline's own ADD of a day on which the person of the example did one thing."""
    with warehouse.connect() as connection:
        connection.execute("select set_config('pipeline.export_day', %s, true)", [day])
        connection.execute(
            "create temporary table new_contributions "
            "(like subscriber_daily_contributions including defaults) on commit drop"
        )
        connection.execute(
            "insert into new_contributions "
            "(export_day, distinct_id, total_copies, linked_bank_account, events_processed, first_event_time, "
            "last_event_time, income, income_at) "
            "values (%(day)s, 'test_user_123', 1, false, 1, %(seen)s, %(seen)s, %(income)s, %(seen)s)",
            {"day": day, "seen": seen, "income": income},
        )
        connection.execute(read_sql("subscribers/add_day.sql"))


@pytest.mark.parametrize("function", UPSERTS)
def test_the_pipeline_goes_on_from_what_a_caller_said(warehouse: Warehouse, function: str) -> None:
    """A day adds to a caller's counts; of a property's values the one observed last stays."""
    call(warehouse, function, [{**EXAMPLE, "income": "said"}])
    load_day(warehouse, "2025-11-12", "older", "2025-11-12T08:00:00Z")
    assert value(warehouse, "array[total_copies, events_processed]") == [6, 11]
    assert value(warehouse, "income") == "said"
    load_day(warehouse, "2025-11-14", "newer", "2025-11-14T08:00:00Z")
    assert value(warehouse, "income") == "newer"
    assert value(warehouse, "first_event_time = '2025-11-12T08:00:00Z' and last_event_time = '2025-11-14T08:00:00Z'")


def test_concurrent_adds_lose_nothing(warehouse: Warehouse) -> None:
    """Eight callers at once, naming the same people in opposite orders: no deadlock, no lost count."""
    payload = [{"distinct_id": f"person-{index}", "total_copies": 1} for index in range(50)]
    errors: list[Exception] = []

    def add(number: int) -> None:
        try:
            for _ in range(5):
                call(warehouse, ADDS[number % 2], payload[:: 1 if number % 2 else -1])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {value(warehouse, "total_copies", f"person-{index}") for index in range(50)} == {40}
