"""Connections to the warehouse."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres

OLDEST_POSTGRES = 150000


class WarehouseError(Exception):
    """The warehouse cannot be used; the message says why and what to do, without the password."""


class Warehouse:
    """One Postgres database; `connect()` opens a connection for one block of work."""

    def __init__(self, url: str, application_name: str = "mixpanel-pipeline", statement_seconds: int = 0) -> None:
        self.url = url
        self.application_name = application_name
        self._statement_seconds = statement_seconds

    def limited(self, statement_seconds: int) -> "Warehouse":
        """The same, where a statement that takes longer fails: for those whom somebody waits for."""
        return Warehouse(self.url, self.application_name, statement_seconds)

    def __repr__(self) -> str:
        return f"Warehouse({describe(self.url)})"

    @property
    def connection_arguments(self) -> dict[str, Any]:
        """What each connection is opened with besides the address; pools take them too."""
        return {
            "application_name": self.application_name,
            "connect_timeout": 10,
            # A day's lock is held on an idle connection while its export streams, for minutes.
            "keepalives": 1,
            "keepalives_idle": 30,
            "options": _options(self.url, self._statement_seconds),
        }

    @contextmanager
    def connect(self, *, autocommit: bool = False) -> Iterator[psycopg.Connection]:
        """A connection that is closed at the end of the block: committed when the block ends, rolled back
        when it raises. With `autocommit` every statement commits unless inside `connection.transaction()`.

        Raises:
            WarehouseError: no connection could be had.
        """
        try:
            connection = psycopg.connect(self.url, autocommit=autocommit, **self.connection_arguments)
        except psycopg.Error as error:
            raise WarehouseError(
                f"cannot connect to {describe(self.url)}: {' '.join(str(error).split())}. "
                "Check DATABASE_URL and that Postgres is up."
            ) from None
        with connection:
            yield connection


def _options(url: str, statement_seconds: int) -> str:
    """The address' own options, then ours: times are UTC's, waiting for a day's lock may take as long as that day's
    export, and locks read what others committed meanwhile."""
    ours = {
        "TimeZone": "UTC",
        "statement_timeout": f"{statement_seconds}s",
        "lock_timeout": "0",
        "idle_session_timeout": "0",
        "default_transaction_isolation": "read\\ committed",
    }
    given = conninfo_to_dict(url).get("options") or ""
    return " ".join([str(given), *(f"-c {name}={value}" for name, value in ours.items())]).strip()


def open_warehouse(settings: Settings) -> Warehouse:
    """The configured Postgres, or the embedded one, started when it does not run.

    Raises:
        WarehouseError: it is older than Postgres 15 or out of reach.
        EmbeddedPostgresError: the embedded server does not start.
    """
    if settings.database_url is None:
        return Warehouse(embedded_postgres(settings).start())
    warehouse = Warehouse(settings.database_url.get_secret_value())
    with warehouse.connect() as connection:
        if connection.info.server_version < OLDEST_POSTGRES:
            raise WarehouseError(
                f"{describe(warehouse.url)} is Postgres {connection.info.server_version // 10000}; 15 or newer is "
                "needed (unique nulls not distinct)."
            )
    return warehouse


def embedded_postgres(settings: Settings) -> EmbeddedPostgres:
    """The embedded server of this PIPELINE_HOME, started or not."""
    return EmbeddedPostgres(settings.pipeline_home / "postgres")


def describe(url: str) -> str:
    """`host:port/database` of an address: enough to find it, no user, no password."""
    parts = conninfo_to_dict(url)
    port = f":{parts['port']}" if "port" in parts else ""
    return f"{parts.get('host', 'localhost')}{port}/{parts.get('dbname', '')}"


def database_time(connection: psycopg.Connection) -> datetime:
    """Postgres' clock, which everything stored is told by."""
    row = connection.execute("select clock_timestamp()").fetchone()
    if row is None:
        raise AssertionError("select without from returns one row")
    return row[0]
