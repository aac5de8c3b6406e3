"""Repeats a request that may succeed later. Permanent errors, and all not Mixpanel's, pass at once."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import RetryCallState, Retrying, stop_after_attempt

from mixpanel_pipeline.mixpanel.errors import MixpanelError, RateLimited, TransientMixpanelError

T = TypeVar("T")


@dataclass(frozen=True)
class RetryPolicy:
    """How often and how long; seconds. Starting at 2, doubling to 60, with 1 to 5 of jitter is what Mixpanel
    advises (reference/mixpanel.md A1.7). The rate limit is a rolling hour: 4,000 is that and a bit."""

    attempts: int = 6
    first_wait: float = 2.0
    longest_wait: float = 60.0
    jitter: tuple[float, float] = (1.0, 5.0)
    longest_rate_limit_wait: float = 4000.0

    def wait(self, state: RetryCallState) -> float:
        """Seconds before the next attempt: what Mixpanel asked for, else growing with the attempts."""
        error = _error(state)
        if isinstance(error, RateLimited) and error.wait_seconds is not None:
            return error.wait_seconds
        doubled = self.first_wait * 2 ** (state.attempt_number - 1)
        return min(doubled, self.longest_wait) + random.uniform(*self.jitter)  # noqa: S311 - spreads load

    def worth_repeating(self, state: RetryCallState) -> bool:
        """Whether another attempt may help, and may start soon enough: the waits of one request add up."""
        error = _error(state)
        if isinstance(error, RateLimited) and error.wait_seconds is not None:
            return state.idle_for + error.wait_seconds <= self.longest_rate_limit_wait
        return isinstance(error, TransientMixpanelError)


def retrying(
    attempt: Callable[[], T],
    *,
    policy: RetryPolicy = RetryPolicy(),
    sleep: Callable[[float], None] = time.sleep,
    log: Callable[[str], None],
    unless: tuple[type[MixpanelError], ...] = (),
) -> T:
    """What `attempt` returns, in the first of `policy.attempts` attempts that does. Errors that are named in
    `unless` pass at once: the same request cannot succeed any more, whatever their kind says.

    Raises:
        MixpanelError: of the last attempt, unchanged.
    """

    def log_wait(state: RetryCallState) -> None:
        log(
            f"attempt {state.attempt_number} of {policy.attempts} failed, "
            f"next in {state.upcoming_sleep:.0f} s: {_error(state)}"
        )

    def worth_repeating(state: RetryCallState) -> bool:
        return not isinstance(_error(state), unless) and policy.worth_repeating(state)

    repeat = Retrying(
        retry=worth_repeating,
        stop=stop_after_attempt(policy.attempts),
        wait=policy.wait,
        sleep=sleep,
        before_sleep=log_wait,
        reraise=True,
    )
    return repeat(attempt)


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome else None
