"""What /metrics tells Prometheus."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

EVENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20)


class Metrics:
    """Of one process. Labels come from lists of ours: what a sender writes would make as many series as it likes."""

    def __init__(self, known_fields: Iterable[str]) -> None:
        self._known_fields = set(known_fields)
        self.registry = CollectorRegistry()
        name = "collector_"
        self._events = Counter(
            name + "events_total", "Events by what became of them; of the rejected, by reason or field.",
            ["outcome", "reason"], registry=self.registry,
        )  # fmt: skip
        self._requests = Counter(name + "requests_total", "Batches by status.", ["status"], registry=self.registry)
        self._batch = Histogram(name + "batch_events", "Events a request.", buckets=EVENTS, registry=self.registry)
        self._group = Histogram(name + "group_events", "Events a commit.", buckets=EVENTS, registry=self.registry)
        self._flush = Histogram(name + "flush_seconds", "Time of a commit.", buckets=SECONDS, registry=self.registry)
        self._errors = Counter(
            name + "database_errors_total", "Groups that could not be stored.", ["kind"], registry=self.registry
        )
        self._queued = Gauge(name + "queued_events", "Events that wait or are being stored.", registry=self.registry)
        self._reading = Gauge(name + "reading_bytes", "Of bodies that are being read.", registry=self.registry)
        self._oldest = Gauge(name + "oldest_queued_seconds", "Age of the oldest of them.", registry=self.registry)

    def watch_queue(self, depth: Callable[[], float], oldest: Callable[[], float]) -> None:
        """Asked for whenever Prometheus asks."""
        self._queued.set_function(depth)
        self._oldest.set_function(oldest)

    def watch_reading(self, held_bytes: Callable[[], float]) -> None:
        """The same."""
        self._reading.set_function(held_bytes)

    def answered(self, status: int) -> None:
        """One request to the batch endpoint."""
        self._requests.labels(str(status)).inc()

    def batch(self, events: int) -> None:
        """A request's size."""
        self._batch.observe(events)

    def stored(self, accepted: int, duplicates: int) -> None:
        """Events that are in the database."""
        self._events.labels("accepted", "").inc(accepted)
        self._events.labels("duplicate", "").inc(duplicates)

    def rejected(self, reason: str | None) -> None:
        """An event, by a reason of the service or by its field."""
        known = reason in self._known_fields or reason in ("bot", "json")
        self._events.labels("rejected", reason if reason and known else "other").inc()

    def database_error(self, kind: str) -> None:
        """A group that was not stored."""
        self._errors.labels(kind).inc()

    @contextmanager
    def flush(self, events: int) -> Iterator[None]:
        """Around the storing of a group."""
        began = time.perf_counter()
        yield
        self._flush.observe(time.perf_counter() - began)
        self._group.observe(events)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self.registry)
