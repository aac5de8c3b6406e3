"""How often and how long a request is repeated; sleeping is recorded, not done."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixpanel_pipeline.mixpanel.errors import (
    IncompleteExport,
    IncompleteSnapshot,
    MixpanelError,
    RateLimited,
    ServerFailure,
    SessionLost,
    WrongCredentials,
    place_of,
)
from mixpanel_pipeline.mixpanel.retry import RetryPolicy, retrying

PLACE = place_of(12345, date(2026, 1, 31), date(2026, 1, 31))
WITHOUT_JITTER = RetryPolicy(jitter=(0, 0))


class Attempts:
    """Raises the given errors, one an attempt, then answers."""

    def __init__(self, *errors: BaseException) -> None:
        self.errors = list(errors)
        self.count = 0

    def __call__(self) -> str:
        self.count += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


class Run:
    """One use of `retrying`, with what it slept and logged."""

    def __init__(self, attempts: Attempts, policy: RetryPolicy = WITHOUT_JITTER) -> None:
        self.attempts = attempts
        self.policy = policy
        self.sleeps: list[float] = []
        self.messages: list[str] = []

    def __call__(self) -> str:
        return retrying(self.attempts, policy=self.policy, sleep=self.sleeps.append, log=self.messages.append)


def test_a_first_success_is_the_answer() -> None:
    run = Run(Attempts())
    assert run() == "answer"
    assert run.sleeps == run.messages == []


def test_waits_double_from_two_seconds_to_a_minute() -> None:
    run = Run(Attempts(*[ServerFailure(PLACE, "HTTP 502")] * 7), RetryPolicy(attempts=8, jitter=(0, 0)))
    assert run() == "answer"
    assert run.sleeps == [2, 4, 8, 16, 32, 60, 60]


def test_each_wait_is_logged_with_the_reason() -> None:
    run = Run(Attempts(IncompleteExport(PLACE, "cut gzip")))
    run()
    [message] = run.messages
    assert message.startswith("attempt 1 of 6 failed, next in 2 s: The export broke off")
    assert "(project 12345, 2026-01-31): cut gzip." in message


@given(st.integers(1, 5))
def test_jitter_adds_one_to_five_seconds(failures: int) -> None:
    run = Run(Attempts(*[ServerFailure(PLACE)] * failures), RetryPolicy())
    run()
    for number, seconds in enumerate(run.sleeps):
        assert 1 <= seconds - min(60, 2 * 2**number) <= 5


def test_the_last_error_comes_out_unchanged() -> None:
    errors = [ServerFailure(PLACE, f"number {number}") for number in range(1, 10)]
    run = Run(Attempts(*errors))
    with pytest.raises(ServerFailure, match="number 6"):
        run()
    assert run.attempts.count == 6


@pytest.mark.parametrize("error", [WrongCredentials(PLACE), OSError(28, "No space left"), KeyboardInterrupt()])
def test_what_repeating_cannot_mend_passes_at_once(error: BaseException) -> None:
    run = Run(Attempts(error))
    with pytest.raises(type(error)) as raised:
        run()
    assert raised.value is error
    assert run.attempts.count == 1


def test_what_the_caller_excepts_passes_at_once_and_the_rest_is_repeated() -> None:
    attempts = Attempts(ServerFailure(PLACE), SessionLost(PLACE), ServerFailure(PLACE))
    with pytest.raises(SessionLost):
        retrying(
            attempts, policy=WITHOUT_JITTER, sleep=lambda _seconds: None, log=lambda _message: None,
            unless=(IncompleteSnapshot,),
        )  # fmt: skip
    assert attempts.count == 2


def test_a_rate_limit_waits_as_long_as_mixpanel_says() -> None:
    run = Run(Attempts(RateLimited(PLACE, "HTTP 429", 3600), RateLimited(PLACE, "HTTP 429", 10)))
    assert run() == "answer"
    assert run.sleeps == [3600, 10]


def test_a_rate_limit_without_a_wait_backs_off() -> None:
    run = Run(Attempts(RateLimited(PLACE), RateLimited(PLACE)))
    run()
    assert run.sleeps == [2, 4]


def test_a_longer_rate_limit_is_raised_at_once_and_says_when_to_come_back() -> None:
    run = Run(Attempts(RateLimited(PLACE, "HTTP 429", 4001)))
    with pytest.raises(RateLimited, match=r"Run it again after \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"):
        run()
    assert run.sleeps == []


def test_rate_limit_waits_of_one_request_add_up() -> None:
    run = Run(Attempts(RateLimited(PLACE, "", 3600), RateLimited(PLACE, "", 3600)))
    with pytest.raises(RateLimited):
        run()
    assert run.sleeps == [3600]


def test_all_errors_are_of_two_families() -> None:
    def leaves(kind: type[MixpanelError]) -> list[type[MixpanelError]]:
        below = kind.__subclasses__()
        return [leaf for child in below for leaf in leaves(child)] if below else [kind]

    for kind in leaves(MixpanelError):
        text = str(kind(PLACE, "the reason."))
        assert "(project 12345, 2026-01-31): the reason. " in text, text
        assert text.endswith("."), text
