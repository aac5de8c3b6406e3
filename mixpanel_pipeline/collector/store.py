"""Writes events of several requests in one transaction, and tells of each what became of it."""

import logging
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import errors

from mixpanel_pipeline.warehouse.connection import Warehouse, WarehouseError
from mixpanel_pipeline.warehouse.sql_files import read_sql

logger = logging.getLogger(__name__)

ATTEMPTS = 3
# A group takes a tenth of a second; what takes so long waits for somebody who holds a lock, and the sender asks again.
MOST_SECONDS = 20
# Postgres is asked over a connection of its own.
CANCEL_SECONDS = 2

# What one event's content can cause: such a group is divided until that event is alone.
OF_CONTENT = (errors.DataError, errors.IntegrityError, errors.ProgramLimitExceeded, errors.StatementTooComplex)
# What others' transactions cause: nothing is stored, and the same again may go well.
OF_OTHERS = (errors.DeadlockDetected, errors.SerializationFailure)


class StoreError(Exception):
    """Nothing that was to be stored is known to be: the sender has to send it again. `kind` is a metric's label."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True)
class Rejected:
    """One event of a group; `problem` comes after its place and field."""

    field: str | None
    problem: str


@dataclass
class Outcome:
    """The places of a group that were stored, and those that were refused; the others were known already."""

    accepted: set[int]
    rejected: dict[int, Rejected]


class EventStore:
    """One connection, replaced when it is dead. For one thread at a time."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse.limited(MOST_SECONDS)
        self._open = ExitStack()
        self._connection: psycopg.Connection | None = None

    def store(self, events: list[bytes]) -> Outcome:
        """Returns when the events are committed.

        Raises:
            StoreError: they are not, as far as can be known.
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                connection = self._connected()
                with connection.transaction():
                    return _stored(connection, events, 0)
            except WarehouseError as error:
                raise _failed("connection", error) from None
            except psycopg.Error as error:
                died = self._connection is not None and self._connection.broken
                if died:
                    self.close()
                # It may have died while nothing was to be done: the next is tried at once.
                if attempt == ATTEMPTS or not (died or isinstance(error, OF_OTHERS)):
                    raise _failed("connection" if died else type(error).__name__, error) from None
        raise AssertionError("the last attempt returns or raises")

    def cancel(self) -> None:
        """Ends what it is at, in whatever thread; that fails then."""
        connection = self._connection
        if connection is not None:
            with suppress(psycopg.Error):
                connection.cancel_safe(timeout=CANCEL_SECONDS)

    def close(self) -> None:
        """Lets go of the connection; the next group opens another."""
        self._connection = None
        try:
            self._open.close()
        except psycopg.Error:
            logger.debug("a dead connection could not be closed", exc_info=True)

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            self.close()
            self._connection = self._open.enter_context(self._warehouse.connect(autocommit=True))
        return self._connection


def _stored(connection: psycopg.Connection, events: list[bytes], first: int) -> Outcome:
    """Within the open transaction; `first` is the place of the first of these events in the group."""
    try:
        with connection.transaction():
            text = b"[" + b",".join(events) + b"]"
            row = connection.execute(read_sql("collector/ingest.sql"), [text.decode()]).fetchone()
    except OF_CONTENT as error:
        if len(events) == 1:
            said = error.diag.message_primary or type(error).__name__
            return Outcome(set(), {first: Rejected(None, f"expected JSON that Postgres can hold: {said}")})
        half = len(events) // 2
        one, other = _stored(connection, events[:half], first), _stored(connection, events[half:], first + half)
        return Outcome(one.accepted | other.accepted, one.rejected | other.rejected)
    answer: dict[str, Any] = row[0] if row else {}
    return Outcome({place + first for place in answer["accepted"]}, {
        refused["index"] + first: Rejected(refused["field"], _after_place(refused)) for refused in answer["rejected"]
    })  # fmt: skip


def _after_place(refused: dict[str, Any]) -> str:
    """The function names the event's place in the group, which is another one than in its request."""
    field = refused["field"]
    return refused["error"].removeprefix(f"events[{refused['index']}]" + (f".{field}" if field else "") + ": ")


def _failed(kind: str, error: Exception) -> StoreError:
    logger.warning("events were not stored (%s): %s", kind, " ".join(str(error).split()))
    return StoreError(kind)
