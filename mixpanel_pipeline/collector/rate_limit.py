"""How many requests a key or an address may make: a bucket each, in this process."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from math import ceil

# Whoever sends from more addresses than this at once has the oldest forgotten, that is: filled up.
MOST_BUCKETS = 100_000


class RateLimit:
    """So many a minute, all at once or spread. Each process counts for itself."""

    def __init__(self, a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._most, self._clock = a_minute, clock
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def wait(self, who: Hashable) -> int:
        """Takes one; 0, or after how many seconds there will be one again."""
        now = self._clock()
        left, at = self._buckets.pop(who, (float(self._most), now))
        left = min(self._most, left + (now - at) * self._most / 60)
        allowed = left >= 1
        self._buckets[who] = (left - 1 if allowed else left, now)
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return 0 if allowed else ceil((1 - left) * 60 / self._most)
