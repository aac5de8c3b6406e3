"""Card events move from inside event_data to tables of their own, and both forms are compared."""

import itertools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.web.aggregation import aggregate_all
from mixpanel_pipeline.web.legacy import LegacyMigrationError, compare_with_legacy, migrate_legacy
from mixpanel_pipeline_tests.web import site
from mixpanel_pipeline_tests.web.plain_web import Row

FIRST, LAST = site.at(50).date(), site.at(53).date()


def legacy(day: int, hour: int, session: str, event_type: str, **data: Any) -> Row:
    return site.event(
        site.at(day, hour), session_id=session, event_type=event_type, event_data=Jsonb({"userCode": "c"} | data)
    )


TRAFFIC = [
    legacy(50, 23, "night", "page_view", pageType="home", shareCode="g", ipAddress="10.0.0.1", userAgent="x" * 900),
    legacy(51, 0, "night", "page_view", pageType="contact", shareCode="g"),
    legacy(51, 0, "night", "click", clickTarget="phone", clickCategory="contact", contactId="x"),
    legacy(51, 9, "day", "session", ipAddress="not an address"),
    legacy(51, 10, "day", "click", clickTarget="?", clickCategory="unheard of"),
    legacy(51, 10, "day", "page_view", pageType="settings"),
    legacy(52, 8, "other", "page_view", pageType="home", userCode="d", shareCode=""),
    legacy(52, 8, "nobody", "page_view", pageType="home", userCode=""),
    site.event(site.at(52), event_type="page_view"),
]


def write(warehouse: Warehouse, *rows: Row) -> None:
    with warehouse.connect() as connection:
        site.insert(connection, "events", list(rows))


def test_legacy_events_find_their_tables_and_both_forms_agree(warehouse: Warehouse) -> None:
    write(warehouse, *TRAFFIC)
    before = compare_with_legacy(warehouse, FIRST, LAST).differences
    assert [(row["day"], row["user_code"]) for row in before] == [
        (site.at(50).date(), "c"), (site.at(51).date(), "c"), (site.at(52).date(), "d")
    ]  # fmt: skip
    done = migrate_legacy(warehouse, FIRST, LAST, rows_at_once=1)
    assert [(day.page_views, day.clicks, day.sessions) for day in done] == [(1, 0, 1), (1, 2, 1), (1, 0, 1), (0, 0, 0)]
    compared = compare_with_legacy(warehouse, FIRST, LAST)
    assert compared.differences == []
    assert compared.problems == [
        {"day": site.at(51).date(), "problem": "pageType is none of home, contact, profile, portfolio", "rows": 1}
    ]
    rows = site.raw_rows(warehouse)
    assert {row["id"] for row in rows["page_views"]} == {TRAFFIC[index]["id"] for index in (0, 1, 6)}
    clicks = {row["click_target"]: (row["click_category"], row["contact_id"]) for row in rows["clicks"]}
    assert clicks == {"phone": ("contact", "x"), "?": ("other", None)}
    sessions = {row["session_id"]: row for row in rows["sessions"]}
    assert set(sessions) == {"night", "day", "other"}
    night = sessions["night"]
    assert (night["first_seen"], night["last_seen"]) == (site.at(50, 23), site.at(51, 0))
    assert (night["page_views"], night["clicks"], night["share_code"], str(night["ip_address"])) == (
        2,
        1,
        "g",
        "10.0.0.1",
    )
    assert sessions["day"]["ip_address"] is None
    assert sessions["other"]["share_code"] is None
    aggregate_all(warehouse)
    site.check_aggregates(warehouse, rows)


def test_a_migration_that_ended_early_goes_on_and_one_run_again_does_nothing(warehouse: Warehouse) -> None:
    write(warehouse, *(legacy(51, hour, f"s{hour}", "page_view", pageType="home") for hour in range(10)))

    class EndedError(Exception):
        pass

    def end(_: object) -> None:
        raise EndedError

    with pytest.raises(EndedError):
        migrate_legacy(warehouse, site.at(51).date(), LAST, rows_at_once=3, on_day=end)
    with warehouse.connect() as connection:  # as if it had ended in the middle of the day
        connection.execute("delete from analytics_page_views where viewed_at >= %s", [site.at(51, 6)])
    assert sum(day.page_views for day in migrate_legacy(warehouse, FIRST, LAST, rows_at_once=3)) == 4
    again = migrate_legacy(warehouse, FIRST, LAST, rows_at_once=3)
    assert all((day.page_views, day.clicks, day.sessions) == (0, 0, 0) for day in again)


def test_late_legacy_rows_are_found_and_a_session_begins_where_it_began(warehouse: Warehouse) -> None:
    write(warehouse, legacy(51, 1, "s", "page_view", pageType="home"))
    migrate_legacy(warehouse, FIRST, LAST)
    write(warehouse, legacy(50, 23, "s", "page_view", pageType="home"))
    assert len(compare_with_legacy(warehouse, FIRST, LAST).differences) == 1
    migrate_legacy(warehouse, FIRST, LAST)
    assert compare_with_legacy(warehouse, FIRST, LAST).differences == []
    (session,) = site.raw_rows(warehouse)["sessions"]
    assert (session["first_seen"], session["page_views"]) == (site.at(50, 23), 2)


def test_a_difference_is_shown_with_both_counts(warehouse: Warehouse) -> None:
    write(warehouse, *TRAFFIC)
    migrate_legacy(warehouse, FIRST, LAST)
    with warehouse.connect() as connection:
        connection.execute("delete from analytics_clicks where click_target = 'phone'")
    (difference,) = compare_with_legacy(warehouse, FIRST, LAST).differences
    assert difference == {
        "day": site.at(51).date(), "user_code": "c", "legacy_page_views": 1, "page_views": 1,
        "legacy_clicks": 2, "clicks": 1, "legacy_sessions": 2, "sessions": 2,
    }  # fmt: skip


# Since this moment clients write each event in both forms, each row with an id and a time of its own.
SINCE = site.at(51, 12)
SECOND = timedelta(seconds=1)


def both_forms(day: int, hour: int, session: str) -> tuple[Row, Row]:
    old = legacy(day, hour, session, "page_view", pageType="home")
    return old, site.page_view(old["created_at"] + SECOND, session)


def parallel(warehouse: Warehouse) -> None:
    """Three days in the old form, half of the second and all of the third in the new one too; a session over SINCE."""
    pairs = [both_forms(51, hour, f"both-{hour}") for hour in (12, 18)] + [
        both_forms(52, hour, "both") for hour in (3, 4)
    ]
    straddling = both_forms(51, 13, "on and on")
    write(
        warehouse, legacy(50, 20, "alone", "page_view", pageType="home"), legacy(51, 11, "on and on", "click"),
        straddling[0], *(old for old, _ in pairs),
    )  # fmt: skip
    with warehouse.connect() as connection:
        site.insert(connection, "page_views", [straddling[1], *(new for _, new in pairs)])
        begun = {"page_views": 7, "last_seen": site.at(51, 14)}
        site.insert(connection, "sessions", [site.session_row(straddling[1]["viewed_at"], "on and on", **begun)])


def counted(warehouse: Warehouse) -> tuple[Counter[datetime], Counter[datetime]]:
    """How many page views and clicks there are of each time."""
    rows = site.raw_rows(warehouse)
    return (
        Counter(row["viewed_at"] for row in rows["page_views"]),
        Counter(row["clicked_at"] for row in rows["clicks"]),
    )


def test_an_event_in_both_forms_is_counted_once_whatever_the_order_of_days(warehouse: Warehouse) -> None:
    days = [FIRST, site.at(51).date(), site.at(52).date()]
    views = [
        site.at(50, 20),
        *(
            moment + SECOND
            for moment in (site.at(51, 12), site.at(51, 13), site.at(51, 18), site.at(52, 3), site.at(52, 4))
        ),
    ]
    for order in itertools.permutations(days):
        site.clear(warehouse)
        parallel(warehouse)
        for day in (*order, *reversed(order)):
            migrate_legacy(warehouse, day, day, SINCE, rows_at_once=1)
        assert counted(warehouse) == (Counter(views), Counter([site.at(51, 11)]))
        assert compare_with_legacy(warehouse, FIRST, LAST).differences == []
        (straddling,) = [row for row in site.raw_rows(warehouse)["sessions"] if row["session_id"] == "on and on"]
        assert (straddling["first_seen"], straddling["last_seen"]) == (site.at(51, 11), site.at(51, 14))
        assert (straddling["page_views"], straddling["clicks"]) == (7, 1)


def test_days_on_which_clients_write_both_forms_are_refused_and_left_as_they_are(warehouse: Warehouse) -> None:
    parallel(warehouse)
    before = counted(warehouse)
    for day in (site.at(51).date(), site.at(52).date()):
        with pytest.raises(LegacyMigrationError, match=rf"{day} has . legacy rows.*counted twice.*both_forms_since"):
            migrate_legacy(warehouse, day, day)
    with pytest.raises(LegacyMigrationError, match="1 page views and clicks"):
        migrate_legacy(warehouse, FIRST, LAST, SINCE + timedelta(minutes=1))
    assert counted(warehouse)[1] == before[1]
    # The day before was migrated, and what follows goes on from there.
    assert counted(warehouse)[0] - before[0] == Counter([site.at(50, 20)])
    done = migrate_legacy(warehouse, FIRST, LAST, SINCE)
    assert [(day.page_views, day.clicks, day.sessions) for day in done] == [(0, 0, 0), (0, 1, 1), (0, 0, 0), (0, 0, 0)]


def test_clients_that_begin_after_a_day_was_migrated_change_nothing_about_it(warehouse: Warehouse) -> None:
    write(warehouse, legacy(50, 20, "s", "page_view", pageType="home"))
    migrate_legacy(warehouse, FIRST, FIRST)
    parallel(warehouse)
    again = migrate_legacy(warehouse, FIRST, LAST, SINCE)
    assert sum(day.page_views for day in again) == 1
    assert compare_with_legacy(warehouse, FIRST, LAST).differences == []


def test_a_day_that_is_not_over_is_refused_before_anything_is_changed(warehouse: Warehouse) -> None:
    write(warehouse, legacy(90, 20, "s", "page_view", pageType="home"))
    with pytest.raises(LegacyMigrationError, match=f"{site.TODAY} is not over.*Nothing was changed"):
        migrate_legacy(warehouse, site.at(90).date(), site.TODAY)
    assert not any(counted(warehouse))


def test_two_migrations_at_once_each_end_when_the_day_is_done(warehouse: Warehouse) -> None:
    write(warehouse, *(legacy(3, 1, f"s{number}", "page_view", pageType="home") for number in range(300)))
    day = site.at(3).date()

    def migrate_and_count(_: int) -> int:
        migrate_legacy(warehouse, day, day, rows_at_once=10)
        return site.value(warehouse, "select count(*) from analytics_page_views")

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(migrate_and_count, range(2))) == [300, 300]


@pytest.mark.parametrize("value", [{"a": 1}, ["c"], True])
@pytest.mark.parametrize("name", ["userCode", "shareCode", "contactId", "clickTarget"])
def test_what_is_no_text_is_a_problem_and_no_card(warehouse: Warehouse, name: str, value: object) -> None:
    write(warehouse, legacy(3, 1, "s", "click", **{name: value}), legacy(3, 2, "s", "click", userCode="  "))
    day = site.at(3).date()
    (done,) = migrate_legacy(warehouse, day, day)
    assert (done.clicks, done.sessions) == (0, 0)
    problems = {row["problem"] for row in compare_with_legacy(warehouse, day, day).problems}
    assert problems == {f"{name} is neither text nor a number", "userCode is blank"}
