"""The reader's transaction: what a page reads it reads as the person who is signed in."""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import psycopg
from psycopg_pool import ConnectionPool, PoolTimeout, TooManyRequests

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql

MOST_CONNECTIONS = 8
MOST_WAITING = 100
WAIT_SECONDS = 5.0


class DatabaseAwayError(Exception):
    """No connection could be had; the message is for readers."""


class NotMigratedError(Exception):
    """There is no such role as readers have."""


class Reading:
    """Connections that are kept open between pages."""

    def __init__(self, warehouse: Warehouse, statement_seconds: int) -> None:
        self._pool = ConnectionPool(
            warehouse.url, kwargs=warehouse.limited(statement_seconds).connection_arguments, open=False, min_size=0,
            max_size=MOST_CONNECTIONS, max_waiting=MOST_WAITING, timeout=WAIT_SECONDS, reconnect_timeout=WAIT_SECONDS,
            configure=_read_only, check=ConnectionPool.check_connection, name="dashboard",
        )  # fmt: skip

    @contextmanager
    def transaction(self, user_id: UUID) -> Iterator[psycopg.Connection]:
        """One read-only transaction, in which Postgres shows what this person may see. All of it is of one moment, so
        that the figures of a page agree.

        Raises:
            DatabaseAwayError: the database does not answer, or too many read at once.
            NotMigratedError: readers' role is missing.
        """
        self._pool.open()  # nothing, when it is open
        try:
            connection = self._pool.getconn()
        except (PoolTimeout, TooManyRequests):
            raise DatabaseAwayError("The database does not answer now, or too many people ask it at once.") from None
        try:
            with connection.transaction(force_rollback=True):
                _become(connection, user_id)
                yield connection
        finally:
            self._pool.putconn(connection)

    def close(self) -> None:
        """Lets go of the connections."""
        self._pool.close()


def _become(connection: psycopg.Connection, user_id: UUID) -> None:
    try:
        connection.execute(read_sql("web/become_reader.sql"), {"user_id": user_id})
    except psycopg.errors.InvalidParameterValue:
        raise NotMigratedError("the role authenticated does not exist") from None


def _read_only(connection: psycopg.Connection) -> None:
    connection.read_only = True
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
