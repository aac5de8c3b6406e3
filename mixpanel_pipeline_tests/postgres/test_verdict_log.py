"""What checks found stays until it is looked at again, and no longer."""

import logging
from datetime import UTC, date, datetime

import psycopg
import pytest

from mixpanel_pipeline.checks.verdict import Verdict
from mixpanel_pipeline.checks.verdict_log import KEPT, record_verdict, window_of_days
from mixpanel_pipeline.warehouse.connection import Warehouse

CHECK = "contributions_equal_lake"


def day(number: int) -> date:
    return date(2026, 3, number)


def passes(warehouse: Warehouse, *days: int, check: str = CHECK) -> None:
    record_verdict(warehouse, Verdict(check, True, "well"), window_of_days(*map(day, days)) if days else None)


def fails(
    warehouse: Warehouse, *days: int, wrong: tuple[int, int] | None = None, check: str = CHECK, conclusive: bool = True
) -> None:
    verdict = Verdict(
        check, False, f"wrong of {days}", fix="mend it", conclusive=conclusive,
        wrong_days=(day(wrong[0]), day(wrong[1])) if wrong else None,
    )  # fmt: skip
    record_verdict(warehouse, verdict, window_of_days(*map(day, days)) if days else None)


def standing(warehouse: Warehouse) -> list[str]:
    """Days that stand, of each verdict that does."""
    with warehouse.connect() as connection:
        rows = connection.execute(
            "select (select string_agg(concat(lower(part)::date, ' to ', (upper(part) - interval '1 second')::date), "
            "', ') from unnest(stands) as part) from check_verdicts where not isempty(stands) order by id"
        ).fetchall()
    return [said for (said,) in rows]


def test_a_pass_of_another_day_hides_no_failure(warehouse: Warehouse) -> None:
    fails(warehouse, 3, 3)
    passes(warehouse, 4, 4)
    assert standing(warehouse) == ["2026-03-03 to 2026-03-03"]
    passes(warehouse, 3, 3)
    assert standing(warehouse) == []


def test_of_a_range_the_days_that_are_wrong_stand(warehouse: Warehouse) -> None:
    fails(warehouse, 1, 20, wrong=(5, 7))
    passes(warehouse, 6, 6)
    assert standing(warehouse) == ["2026-03-05 to 2026-03-05, 2026-03-07 to 2026-03-07"]
    passes(warehouse)
    assert standing(warehouse) == []


def test_of_all_days_those_that_are_wrong_stand_or_all(warehouse: Warehouse) -> None:
    fails(warehouse, wrong=(5, 7))
    passes(warehouse, 5, 7)
    assert standing(warehouse) == []
    fails(warehouse)
    passes(warehouse, 1, 20)
    assert standing(warehouse) == [" to 2026-02-28, 2026-03-21 to "]


def test_a_later_failure_takes_the_place_of_an_earlier_one(warehouse: Warehouse) -> None:
    fails(warehouse, 1, 9, wrong=(2, 5))
    fails(warehouse, 4, 9, wrong=(8, 8))
    assert standing(warehouse) == ["2026-03-02 to 2026-03-03", "2026-03-08 to 2026-03-08"]


def test_a_check_of_everything_is_settled_whatever_the_day_of_its_run(warehouse: Warehouse) -> None:
    fails(warehouse, 3, 3, check="add_equals_replace")
    passes(warehouse, 9, 9, check="add_equals_replace")
    assert standing(warehouse) == []


def test_a_check_settles_no_other(warehouse: Warehouse) -> None:
    fails(warehouse)
    passes(warehouse, check="no_quarantined_events")
    assert len(standing(warehouse)) == 1


def test_what_could_not_look_settles_nothing_but_its_like(warehouse: Warehouse) -> None:
    fails(warehouse, wrong=(5, 5))
    fails(warehouse, conclusive=False)
    fails(warehouse, conclusive=False)
    assert standing(warehouse) == ["2026-03-05 to 2026-03-05", " to "]
    passes(warehouse)
    assert standing(warehouse) == []


def test_a_check_that_says_what_it_looked_at_settles_that(warehouse: Warehouse) -> None:
    """Reports are compared for the newest month, though asked about all days."""
    record_verdict(warehouse, Verdict("matches_mixpanel", False, "d", wrong_days=(day(1), day(1))))
    record_verdict(warehouse, Verdict("matches_mixpanel", True, "equal", looked_at=(day(2), day(30))))
    assert standing(warehouse) == ["2026-03-01 to 2026-03-01"]
    record_verdict(warehouse, Verdict("matches_mixpanel", True, "equal", looked_at=(day(1), day(29))))
    assert standing(warehouse) == []


def test_hours_are_told_apart(warehouse: Warehouse) -> None:
    def hours(first: int, end: int) -> tuple[datetime, datetime]:
        return datetime(2026, 3, 1, first, tzinfo=UTC), datetime(2026, 3, 1, end, tzinfo=UTC)

    wrong = Verdict("hourly_equals_raw", False, "d", wrong_days=(day(1), day(1)))
    record_verdict(warehouse, wrong, hours(9, 10))
    record_verdict(warehouse, Verdict("hourly_equals_raw", True, "equal"), hours(10, 11))
    assert len(standing(warehouse)) == 1
    record_verdict(warehouse, Verdict("hourly_equals_raw", True, "equal"), hours(9, 10))
    assert standing(warehouse) == []


def test_the_newest_are_kept_and_what_stands(warehouse: Warehouse) -> None:
    fails(warehouse, 1, 1)
    with warehouse.connect() as connection:
        connection.execute(
            "insert into check_verdicts (check_name, looked_at, passed, severity, summary) "
            "select %s, '(,)', true, 'error', 'well' from generate_series(1, 150)", [CHECK],
        )  # fmt: skip
    passes(warehouse, 2, 2)
    with warehouse.connect() as connection:
        assert connection.execute("select count(*), count(*) filter (where passed) from check_verdicts").fetchone() == (
            KEPT + 1, KEPT,
        )  # fmt: skip


def test_no_row_that_differs_is_kept(warehouse: Warehouse) -> None:
    rows = [{"distinct_id": "somebody@example.com"}]
    verdict = Verdict(CHECK, False, "1 differs \0 \ud800", rows=rows, figures={"wrong": 1, "first": "a\0"})
    record_verdict(warehouse, verdict)
    with warehouse.connect() as connection:
        row = connection.execute("select summary, figures, check_verdicts::text from check_verdicts").fetchone()
    assert row
    assert row[:2] == ("1 differs \ufffd ?", {"wrong": 1, "first": "a\ufffd"})
    assert "somebody" not in row[2]


def test_a_log_that_cannot_be_written_is_said_and_fails_nothing(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture
) -> None:
    with warehouse.connect() as connection:
        connection.execute("drop table check_verdicts")
    with caplog.at_level(logging.WARNING):
        passes(warehouse)
        passes(Warehouse("postgresql://nobody:secret@127.0.0.1:1/none"))
    assert [record.getMessage().split(":")[0] for record in caplog.records] == [
        f"what {CHECK} found is not on the health page"
    ] * 2
    assert "secret" not in caplog.text


def test_a_log_that_is_locked_is_not_waited_for(
    warehouse: Warehouse, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixpanel_pipeline.checks.verdict_log.PATIENCE", "50ms")
    with psycopg.connect(warehouse.url) as other:
        other.execute("lock table check_verdicts in access exclusive mode")
        passes(warehouse)
    assert "lock timeout" in caplog.text
