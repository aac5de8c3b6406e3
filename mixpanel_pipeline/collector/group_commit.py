"""Requests that come while others are being stored wait, and are stored together: one call and one commit for all.

Nobody waits for company: a request that finds a connection with nothing to do is stored at once.
"""

import asyncio
import itertools
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from mixpanel_pipeline.collector.metrics import Metrics
from mixpanel_pipeline.collector.store import EventStore, Outcome, Rejected, StoreError

# A call costs 7 ms and 0.07 ms an event: 1,000 take a tenth of a second, and more are no cheaper.
GROUP_EVENTS = 1000
# When the process is to end, senders were waited for already (server.STOP_SECONDS).
LAST_SECONDS = 3


class QueueFullError(Exception):
    """More waits than may: the sender has to come back."""


@dataclass
class Submission:
    """The events of one request, and where its outcome is awaited."""

    events: list[bytes]
    outcome: asyncio.Future[Outcome]
    since: float = field(default_factory=time.monotonic)

    @property
    def size(self) -> int:
        return sum(map(len, self.events))


class GroupCommit:
    """The queue, and the tasks that empty it group by group, each in a thread and on a connection of its own."""

    def __init__(self, stores: Sequence[EventStore], metrics: Metrics, most_events: int, most_bytes: int) -> None:
        self._stores, self._metrics = stores, metrics
        self._most_events, self._most_bytes = most_events, most_bytes
        self._waiting: deque[Submission] = deque()
        self._under_way: dict[EventStore, list[Submission]] = {store: [] for store in stores}
        self._events = self._bytes = 0
        self._arrived = asyncio.Event()
        self._threads = ThreadPoolExecutor(len(stores), thread_name_prefix="store")
        self._tasks: list[asyncio.Task[None]] = []
        metrics.watch_queue(lambda: self._events, self.oldest_age)

    def start(self) -> None:
        """Begins to take groups."""
        self._tasks = [asyncio.create_task(self._run(store)) for store in self._stores]

    async def stop(self) -> None:
        """Stores what waits, then ends; what Postgres has not stored within a moment is given up."""
        deadline = time.monotonic() + LAST_SECONDS
        while (pending := self._pending()) and (left := deadline - time.monotonic()) > 0:
            await asyncio.wait([submission.outcome for submission in pending], timeout=left)
            await asyncio.sleep(0)
        for submission in self._waiting:
            submission.outcome.set_exception(StoreError("ended"))
        self._waiting.clear()
        while pending := self._pending():
            await asyncio.gather(*(asyncio.to_thread(store.cancel) for store in self._stores))
            await asyncio.wait([submission.outcome for submission in pending], timeout=1)
            await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(self._threads, store.close) for store in self._stores))
        self._threads.shutdown()

    @property
    def is_full(self) -> bool:
        return self._events >= self._most_events or self._bytes >= self._most_bytes

    def oldest_age(self) -> float:
        """Seconds since the longest waiting request came."""
        return max((time.monotonic() - submission.since for submission in self._pending()), default=0.0)

    def submit(self, events: list[bytes]) -> asyncio.Future[Outcome]:
        """The outcome comes after the commit, or is a StoreError.

        Raises:
            QueueFullError: too much waits already.
        """
        submission = Submission(events, asyncio.get_running_loop().create_future())
        too_many = self._events + len(events) > self._most_events or self._bytes + submission.size > self._most_bytes
        if too_many and self._events:
            raise QueueFullError
        submission.outcome.add_done_callback(_noticed)
        self._count(submission, 1)
        self._waiting.append(submission)
        self._arrived.set()
        return submission.outcome

    async def _run(self, store: EventStore) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            if not self._waiting:  # another one has taken it
                self._arrived.clear()
                continue
            group = self._under_way[store] = self._next_group()
            events = [event for submission in group for event in submission.events]
            with self._metrics.flush(len(events)):
                result = await loop.run_in_executor(self._threads, _caught(lambda: store.store(events)))  # noqa: B023 - awaited before the next round
            _divide(group, result)
            if isinstance(result, Exception):
                self._metrics.database_error(result.kind if isinstance(result, StoreError) else type(result).__name__)
            for submission in group:
                self._count(submission, -1)
            self._under_way[store] = []

    def _pending(self) -> list[Submission]:
        return [*itertools.chain.from_iterable(self._under_way.values()), *self._waiting]

    def _next_group(self) -> list[Submission]:
        group, events = [self._waiting.popleft()], 0
        events = len(group[0].events)
        while self._waiting and events + len(self._waiting[0].events) <= GROUP_EVENTS:
            group.append(self._waiting.popleft())
            events += len(group[-1].events)
        return group

    def _count(self, submission: Submission, sign: int) -> None:
        self._events += sign * len(submission.events)
        self._bytes += sign * submission.size


def _noticed(outcome: asyncio.Future[Outcome]) -> None:
    """Of a sender that went away nobody asks; asyncio would complain of an error that nobody saw."""
    if not outcome.cancelled():
        outcome.exception()


def _caught(work: Callable[[], Outcome]) -> Callable[[], Outcome | Exception]:
    """Whatever happens, those who wait are told."""

    def run() -> Outcome | Exception:
        try:
            return work()
        except Exception as error:
            return error

    return run


def _divide(group: list[Submission], result: Outcome | Exception) -> None:
    """Gives each request its part, counted from its own first event."""
    first = 0
    for submission in group:
        places = range(len(submission.events))
        if submission.outcome.cancelled():
            pass
        elif isinstance(result, Exception):
            submission.outcome.set_exception(result)
        else:
            rejected: dict[int, Rejected] = {
                place: result.rejected[first + place] for place in places if first + place in result.rejected
            }
            submission.outcome.set_result(Outcome({p for p in places if first + p in result.accepted}, rejected))
        first += len(places)
