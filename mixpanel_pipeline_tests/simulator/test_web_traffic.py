"""Generated web traffic: equal for equal seeds, within the tables' rules, realistic in shape, loaded by COPY."""

import hashlib
import subprocess
import sys
import tracemalloc
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from ipaddress import ip_address, ip_network
from itertools import pairwise
from typing import Any

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from mixpanel_pipeline.simulator import WebTraffic
from mixpanel_pipeline.simulator.web_traffic import COLUMN_TYPES, LEGACY, TABLES
from mixpanel_pipeline.warehouse.connection import Warehouse

DAY = date(2026, 3, 10)  # a Tuesday
EVERY_TABLE = (*TABLES, LEGACY)
TIMES = {
    "analytics_sessions": "first_seen",
    "analytics_page_views": "viewed_at",
    "analytics_clicks": "clicked_at",
    "analytics_events": "created_at",
    LEGACY: "created_at",
}
PAGE_TYPES = {"home", "contact", "profile", "portfolio"}
CLICK_CATEGORIES = {"contact", "messaging", "social", "portfolio", "aiAgent", "other"}
HALF_AN_HOUR = timedelta(minutes=30)
DIGESTS = """
from mixpanel_pipeline_tests.simulator.test_web_traffic import digest, WebTraffic, EVERY_TABLE
print(*(digest(WebTraffic(7), table) for table in EVERY_TABLE))
"""


def load(connection: psycopg.Connection, traffic: WebTraffic, table: str, day: date) -> None:
    columns = SQL(", ").join(map(Identifier, COLUMN_TYPES[table]))
    statement = SQL("copy {} ({}) from stdin (format binary)").format(Identifier(table), columns)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for block in traffic.copy(table, day):
            copy.write(block)


def digest(traffic: WebTraffic, table: str, day: date = DAY) -> str:
    return hashlib.sha256(b"".join(traffic.copy(table, day))).hexdigest()


def days(traffic: WebTraffic, table: str, count: int) -> list[dict[str, Any]]:
    return [row for number in range(count) for row in traffic.rows(table, DAY + timedelta(number))]


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)


def milliseconds_of(rows: Iterable[dict[str, Any]]) -> list[int]:
    return [row["id"].int >> 80 for row in rows]


@pytest.mark.parametrize("table", EVERY_TABLE)
def test_equal_seeds_and_days_give_equal_bytes(table: str) -> None:
    traffic = WebTraffic(7)
    assert digest(traffic, table) == digest(traffic, table) == digest(WebTraffic(7), table)
    others = digest(WebTraffic(8), table), digest(traffic, table, DAY + timedelta(1))
    assert len({digest(traffic, table), *others}) == 3


def test_another_process_makes_the_same_bytes() -> None:
    runs = {
        subprocess.run(
            [sys.executable, "-c", DIGESTS], env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert runs == {" ".join(digest(WebTraffic(7), table) for table in EVERY_TABLE) + "\n"}


def test_a_visitor_begins_a_new_session_after_half_an_hour_without_activity() -> None:
    traffic = WebTraffic(3, projects=2, visitors_per_day=300, events_per_day=3_000)
    visits: dict[tuple[str, str], list[tuple[datetime, str]]] = defaultdict(list)
    for table in ("analytics_events", LEGACY):
        for row in days(traffic, table, 4):
            visits[row["project_id"], row["visitor_id"]].append((row["created_at"], row["session_id"]))
    within, between = [], []
    for actions in visits.values():
        for (earlier, session), (later, following) in pairwise(sorted(actions)):
            (within if session == following else between).append(later - earlier)
    assert max(within) < HALF_AN_HOUR < min(between)
    assert max(within) > HALF_AN_HOUR / 2
    same_day = sum(gap < timedelta(hours=12) for gap in between)
    assert same_day > 50 < len(between) - same_day


def test_rows_are_in_the_order_of_time_and_some_sessions_pass_midnight() -> None:
    traffic = WebTraffic(visitors_per_day=2_000, events_per_day=20_000)
    after_midnight = 0
    for table in EVERY_TABLE:
        times = [row[TIMES[table]] for row in traffic.rows(table, DAY)]
        assert times == sorted(times)
        assert midnight(DAY) <= times[0] < times[-1] < midnight(DAY) + timedelta(hours=25, minutes=30)
        after_midnight += sum(time > midnight(DAY + timedelta(1)) for time in times)
    assert after_midnight > 0


def test_ids_are_version_7_unique_and_hold_the_time_of_the_row() -> None:
    traffic = WebTraffic(visitors_per_day=2_000, events_per_day=20_000)
    ids = []
    for table in ("analytics_page_views", "analytics_clicks", "analytics_events"):
        rows = days(traffic, table, 2)
        assert {(row["id"].version, row["id"].variant) for row in rows} == {(7, "specified in RFC 4122")}
        assert milliseconds_of(rows) == [round(row[TIMES[table]].timestamp() * 1000) for row in rows]
        ids += [row["id"] for row in rows]
    assert len(set(ids)) == len(ids)
    sessions = [row["session_id"] for row in days(traffic, "analytics_sessions", 3)]
    assert len(set(sessions)) == len(sessions)


def test_values_are_those_that_the_tables_allow() -> None:
    traffic = WebTraffic(4, projects=3, cards_per_project=2)
    openings = {
        (card.user_code, share_code, contact_id)
        for card in traffic.cards
        for contact_id, share_code in [(None, None), *((None, code) for code in card.share_codes), *card.contacts]
    }
    views, clicks, sessions = (
        list(traffic.rows(table, DAY)) for table in ("analytics_page_views", "analytics_clicks", "analytics_sessions")
    )
    assert {row["page_type"] for row in views} == PAGE_TYPES
    assert {row["click_category"] for row in clicks} == CLICK_CATEGORIES
    assert None in {row["click_target"] for row in clicks}
    used = {(row["user_code"], row["share_code"], row["contact_id"]) for row in (*views, *clicks, *sessions)}
    assert used <= openings
    assert len(used) > len(openings) / 2
    networks = [ip_network(net) for net in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]
    found = [[row["ip_address"] in network for network in networks].index(True) for row in sessions]
    assert set(found) == set(range(4))
    assert {None} < {row["referrer"] for row in sessions}
    assert {None} < {row["user_agent"] for row in sessions}
    events = list(traffic.rows("analytics_events", DAY))
    assert {row["project_id"] for row in events} == {project.project_id for project in traffic.projects}
    assert all(isinstance(row["event_data"], dict) for row in events)


def test_a_session_row_sums_up_its_page_views_and_clicks() -> None:
    traffic = WebTraffic()
    seen: dict[str, list[tuple[str, datetime]]] = defaultdict(list)
    for table in ("analytics_page_views", "analytics_clicks"):
        for row in traffic.rows(table, DAY):
            seen[row["session_id"]].append((table, row[TIMES[table]]))
    sessions = list(traffic.rows("analytics_sessions", DAY))
    assert len(sessions) == len(seen)
    for row in sessions:
        tables, times = zip(*seen[row["session_id"]], strict=True)
        assert (row["first_seen"], row["last_seen"]) == (min(times), max(times))
        assert (row["page_views"], row["clicks"]) == (
            tables.count("analytics_page_views"), tables.count("analytics_clicks"),
        )  # fmt: skip
    events = {row["session_id"] for row in traffic.rows("analytics_events", DAY)}
    assert events <= seen.keys()


@pytest.mark.parametrize(("late", "missing"), [(0.02, 0.2), (0.0, 0.0), (1.0, 1.0)])
def test_as_many_rows_are_late_and_labels_missing_as_asked_for(late: float, missing: float) -> None:
    traffic = WebTraffic(
        visitors_per_day=2_000, events_per_day=20_000, late_fraction=late, missing_label_fraction=missing
    )
    rows = list(traffic.rows("analytics_events", DAY))
    delays = [row["received_at"] - row["created_at"] for row in rows]
    assert timedelta(0) < min(delays) <= max(delays) < timedelta(days=7)
    late_delays = [delay for delay in delays if delay > timedelta(minutes=1)]
    assert len(late_delays) / len(rows) == pytest.approx(late, abs=0.005)
    if late:
        assert min(late_delays) < timedelta(hours=1) < timedelta(days=2) < max(late_delays)
    labels = Counter(row["event_label"] for row in rows)
    for absent in (None, ""):
        assert labels[absent] / len(rows) == pytest.approx(missing / 2, abs=0.01)


def test_what_was_received_in_spans_of_time_makes_up_the_day() -> None:
    traffic = WebTraffic(late_fraction=0.1)
    moment = midnight(DAY + timedelta(1)) + timedelta(minutes=5)
    for table in EVERY_TABLE:
        everything = {str(row) for row in traffic.rows(table, DAY)}
        before = {str(row) for row in traffic.rows(table, DAY, received_before=moment)}
        after = {str(row) for row in traffic.rows(table, DAY, received_from=moment)}
        assert before | after == everything
        assert not before & after
        assert len(before) > len(after) > 0
    arrived = traffic.rows("analytics_events", DAY, received_from=moment, received_before=moment + timedelta(hours=1))
    assert all(moment <= row["received_at"] < moment + timedelta(hours=1) for row in arrived)
    with pytest.raises(ValueError, match="has no time zone"):
        list(traffic.copy("analytics_events", DAY, received_from=moment.replace(tzinfo=None)))


def test_days_and_hours_have_their_rhythm_and_projects_their_size() -> None:
    traffic = WebTraffic(projects=20, visitors_per_day=1_500, events_per_day=5_000)
    week = [list(traffic.rows("analytics_events", DAY + timedelta(number))) for number in range(7)]
    sizes = [len(rows) for rows in week]  # from a Tuesday
    assert max(sizes[4:6]) < 0.8 * min(sizes[:4] + sizes[6:])
    assert sum(sizes) / 7 == pytest.approx(5_000, rel=0.1)
    visitors = [len({row["visitor_id"] for row in traffic.rows(LEGACY, DAY + timedelta(n))}) for n in range(7)]
    assert sum(visitors) / 7 == pytest.approx(1_500, rel=0.1)
    utc = traffic.projects[0].project_id
    hours = Counter(row["created_at"].hour for rows in week for row in rows if row["project_id"] == utc)
    assert sum(hours[hour] for hour in range(6)) < 0.3 * sum(hours[hour] for hour in range(9, 15))
    projects = Counter(row["project_id"] for rows in week for row in rows)
    assert len(projects) == 20
    assert [name for name, _ in projects.most_common(2)] == [project.project_id for project in traffic.projects[:2]]
    assert projects[traffic.projects[0].project_id] > 6 * projects[traffic.projects[-1].project_id]


def test_visitors_come_back_on_later_days() -> None:
    traffic = WebTraffic()
    daily = [{row["visitor_id"] for row in traffic.rows(LEGACY, DAY + timedelta(number))} for number in range(30)]
    before = set().union(*daily[:-1])
    assert 0.4 < len(daily[-1] - before) / len(daily[-1]) < 0.8
    assert sum(map(len, daily)) > 1.25 * len(before | daily[-1])


def test_the_legacy_form_says_the_same_as_the_tables() -> None:
    traffic = WebTraffic(5)
    legacy = {row["id"]: row for row in traffic.rows(LEGACY, DAY)}
    views, clicks = (list(traffic.rows(table, DAY)) for table in ("analytics_page_views", "analytics_clicks"))
    sessions = {row["session_id"]: row for row in traffic.rows("analytics_sessions", DAY)}
    assert len(legacy) == len(views) + len(clicks)
    missing = set()
    for row in (*views, *clicks):
        old = legacy[row["id"]]
        data = old["event_data"]
        assert (old["session_id"], data["userCode"]) == (row["session_id"], row["user_code"])
        assert (data.get("shareCode") or None, data.get("contactId") or None) == (row["share_code"], row["contact_id"])
        missing.add(data.get("contactId", "no key") or data.get("contactId"))
        if "page_type" in row:
            session = sessions[row["session_id"]]
            assert (old["event_type"], old["created_at"], data["pageType"]) == (
                "page_view",
                row["viewed_at"],
                row["page_type"],
            )
            assert (data.get("userAgent"), data.get("referrer")) == (session["user_agent"], session["referrer"])
            assert data["ipAddress"] == str(session["ip_address"])
        else:
            assert (old["event_type"], old["created_at"]) == ("click", row["clicked_at"])
            assert (data.get("clickTarget"), data["clickCategory"]) == (row["click_target"], row["click_category"])
    assert {"no key", None, ""} < missing


def test_streams_load_by_copy_and_read_back_as_the_rows(warehouse: Warehouse) -> None:
    traffic = WebTraffic(6)
    with warehouse.connect() as connection:
        for table in EVERY_TABLE:
            types = COLUMN_TYPES[table].items()
            columns = SQL(", ").join(SQL("{} {}").format(Identifier(name), Identifier(kind)) for name, kind in types)
            connection.execute(SQL("create temp table {} ({})").format(Identifier(table), columns))
            load(connection, traffic, table, DAY)
            stored = connection.execute(SQL("select * from {}").format(Identifier(table))).fetchall()
            assert stored == [tuple(row.values()) for row in traffic.rows(table, DAY)]


def peak_memory(traffic: WebTraffic) -> tuple[int, int]:
    """In bytes, and how many bytes came out."""
    next(iter(traffic.rows("analytics_events", DAY)))
    tracemalloc.start()
    try:
        size = sum(map(len, traffic.copy("analytics_events", DAY)))
        return tracemalloc.get_traced_memory()[1], size
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_rows() -> None:
    small, small_size = peak_memory(WebTraffic(visitors_per_day=5_000, events_per_day=40_000))
    large, large_size = peak_memory(WebTraffic(visitors_per_day=20_000, events_per_day=160_000))
    assert large_size > 3.5 * small_size
    assert large < 1.3 * small
    assert large < large_size


def test_days_before_the_first_are_empty() -> None:
    traffic = WebTraffic(first_day=DAY)
    for table in EVERY_TABLE:
        assert list(traffic.rows(table, DAY - timedelta(1))) == []
        assert len(b"".join(traffic.copy(table, DAY - timedelta(1)))) == 21
        assert list(traffic.rows(table, DAY))


def test_the_smallest_traffic_there_is() -> None:
    traffic = WebTraffic(projects=1, cards_per_project=1, visitors_per_day=1, events_per_day=1)
    rows = {table: days(traffic, table, 14) for table in EVERY_TABLE}
    assert 0 < len(rows["analytics_sessions"]) < 50
    assert len(rows[LEGACY]) == len(rows["analytics_page_views"]) + len(rows["analytics_clicks"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"projects": 0}, "0 projects"),
        ({"projects": 5_000}, "1 to 2048 projects"),
        ({"visitors_per_day": 0}, "0 visitors"),
        ({"events_per_day": 100_000}, "100000 events"),
        ({"seed": -1}, "a seed from 0"),
        ({"late_fraction": 1.5}, "late_fraction from 0 to 1, got 1.5"),
    ],
)
def test_impossible_traffic_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WebTraffic(**options)


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no web table named 'events': expected one of analytics_sessions"):
        list(WebTraffic().copy("events", DAY))


def test_addresses_belong_to_nobody() -> None:
    addresses = {row["ip_address"] for row in WebTraffic().rows("analytics_sessions", DAY)}
    assert len(addresses) > 100
    assert not any(ip_address(str(address)).is_global for address in addresses)
