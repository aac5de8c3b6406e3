"""The shared budget against a real Postgres. Time passes by moving `requested_at` back, never by sleeping."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from threading import Barrier
from typing import Any

import psycopg
import pytest

from mixpanel_pipeline.mixpanel.errors import RateLimited
from mixpanel_pipeline.mixpanel.rate_limit import RequestBudget
from mixpanel_pipeline_tests.mixpanel.conftest import Waits, pass_time, run

PROJECT = 12345


def send(url: str, count: int, seconds_ago: float, project_id: int = PROJECT) -> None:
    run(
        url,
        "insert into mixpanel_requests (project_id, api, requested_at) "
        "select %s, 'export', clock_timestamp() - make_interval(secs => %s) from generate_series(1, %s)",
        project_id,
        seconds_ago,
        count,
    )


@pytest.fixture
def messages() -> list[str]:
    return []


@pytest.fixture
def new_budget(database_url: str, waits: Waits, messages: list[str]) -> Callable[..., RequestBudget]:
    def make(project_id: int = PROJECT, api: str = "export", **options: Any) -> RequestBudget:
        options = {"sleep": waits, "log": messages.append, **options}
        return RequestBudget(lambda: psycopg.connect(database_url), project_id, api, **options)

    return make


def test_a_free_budget_never_waits(new_budget, waits) -> None:
    budget = new_budget()
    for _ in range(3):
        budget.acquire()
    assert waits.seconds == []
    assert budget.used_in_last_hour() == 3


def test_the_fourth_request_of_a_second_waits_for_the_first_to_be_a_second_old(new_budget, waits, messages) -> None:
    budget = new_budget()
    for _ in range(4):
        budget.acquire()
    assert len(waits.seconds) == 1
    assert 0 < waits.seconds[0] <= 1.2
    assert messages == []  # a second's wait is nothing to tell


def test_the_61st_request_waits_until_the_first_of_the_hour_ages_out(database_url, new_budget, waits, messages) -> None:
    send(database_url, 1, seconds_ago=3000)
    send(database_url, 59, seconds_ago=100)
    budget = new_budget()
    budget.acquire()
    # 600 s remain of the first one's hour, and 10 s are kept for requests that arrive out of step.
    assert waits.seconds == [pytest.approx(610, abs=5)]
    assert messages == [
        f"waiting {waits.seconds[0]:.0f} s for Mixpanel's hourly limit (60 of 60 used)",
    ]


def test_the_hour_is_shared_by_all_runs_of_a_project(database_url, new_budget, waits) -> None:
    send(database_url, 57, seconds_ago=60)
    one, other = new_budget(), new_budget()
    one.acquire()
    other.acquire()
    one.acquire()
    assert waits.seconds == []
    other.acquire()
    assert waits.seconds == [pytest.approx(3550, abs=5)]


def test_projects_and_apis_have_their_own_hours(database_url, new_budget, waits) -> None:
    send(database_url, 60, seconds_ago=60)
    new_budget(project_id=999).acquire()
    new_budget(api="query").acquire()
    assert waits.seconds == []


def test_a_smaller_budget_is_kept(database_url, new_budget, waits) -> None:
    send(database_url, 5, seconds_ago=60)
    new_budget(per_hour=6).acquire()
    assert waits.seconds == []
    new_budget(per_hour=6).acquire()
    assert waits.seconds == [pytest.approx(3550, abs=5)]


def test_a_wait_longer_than_the_longest_is_an_error_that_says_when_to_come_back(
    database_url, new_budget, waits
) -> None:
    send(database_url, 60, seconds_ago=60)
    with pytest.raises(RateLimited, match=r"60 of 60 used\)\. Run it again after 20") as raised:
        new_budget(longest_wait=3000).acquire()
    assert raised.value.wait_seconds == pytest.approx(3550, abs=5)
    assert waits.seconds == []


def test_waits_add_up_to_the_longest(database_url, new_budget) -> None:
    send(database_url, 60, seconds_ago=3000)

    class Overtaken(Waits):
        def __call__(self, seconds: float) -> None:
            super().__call__(seconds)
            send(self.url, 60, seconds_ago=3000)  # another run was faster

    overtaken = Overtaken(database_url)
    with pytest.raises(RateLimited):
        new_budget(longest_wait=2000, sleep=overtaken).acquire()
    assert len(overtaken.seconds) == 3  # 3 times 610 s, not a fourth time


def test_after_a_429_every_run_of_the_project_waits(new_budget, waits, messages) -> None:
    new_budget().block_for(120)
    new_budget().acquire()
    assert waits.seconds == [pytest.approx(120, abs=5)]
    assert messages == [f"waiting {waits.seconds[0]:.0f} s for the end of the pause that Mixpanel asked for (429)"]


def test_a_shorter_block_does_not_end_a_longer_one(new_budget, waits) -> None:
    new_budget().block_for(1000)
    new_budget().block_for(10)
    new_budget().acquire()
    assert waits.seconds == [pytest.approx(1000, abs=5)]


def test_what_was_never_sent_does_not_count(new_budget) -> None:
    budget, other = new_budget(), new_budget()
    budget.acquire()
    other.acquire()
    budget.settle(sent=False)
    assert budget.used_in_last_hour() == 1
    budget.settle(sent=False)  # it has said so already
    other.settle(sent=True)
    other.settle(sent=False)
    assert budget.used_in_last_hour() == 1


def test_each_thread_settles_its_own_request(database_url, new_budget) -> None:
    budget = new_budget(per_second=1000)
    together = Barrier(4)

    def acquire_and_settle(sent: bool) -> None:
        budget.acquire()
        together.wait(30)
        budget.settle(sent=sent)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(acquire_and_settle, [True, False, False, True]))
    assert budget.used_in_last_hour() == 2


def test_old_requests_are_pruned(database_url, new_budget) -> None:
    send(database_url, 500, seconds_ago=4000)
    send(database_url, 10, seconds_ago=4000, project_id=999)
    new_budget().acquire()
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select project_id, count(*) from mixpanel_requests group by 1 order by 1")
        assert rows.fetchall() == [(999, 10), (PROJECT, 1)]


def test_nothing_is_held_while_waiting(database_url, new_budget) -> None:
    send(database_url, 60, seconds_ago=60)
    seen = []

    def sleep(seconds: float) -> None:
        with psycopg.connect(database_url) as connection:
            others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
            seen.append(connection.execute(f"select count(*) {others} and state <> 'idle'").fetchone())  # pyright: ignore[reportArgumentType]
            seen.append(connection.execute("select count(*) from pg_locks where locktype = 'advisory'").fetchone())
        pass_time(database_url, seconds)

    new_budget(sleep=sleep).acquire()
    assert seen == [(0,), (0,)]


def test_threads_never_take_more_than_there_is(database_url, new_budget) -> None:
    send(database_url, 48, seconds_ago=60)

    def try_once(_: int) -> bool:
        try:
            new_budget(per_second=1000, longest_wait=0).acquire()
        except RateLimited:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(try_once, range(24))) == 12


def take_in_another_process(url: str) -> int:
    """How many of 10 requests this process was allowed."""
    budget = RequestBudget(
        lambda: psycopg.connect(url), PROJECT, per_second=1000, longest_wait=0, log=lambda _message: None
    )
    taken = 0
    for _ in range(10):
        try:
            budget.acquire()
        except RateLimited:
            break
        taken += 1
    return taken


def test_processes_share_the_hour(database_url) -> None:
    send(database_url, 45, seconds_ago=60)
    with get_context("spawn").Pool(2) as pool:
        assert sum(pool.map(take_in_another_process, [database_url] * 2)) == 15


def test_psql_may_call_the_rule_too(database_url) -> None:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("select * from mixpanel_take_request(12345, 'export', 60, 3)").fetchone()
    assert row == (0, None)
