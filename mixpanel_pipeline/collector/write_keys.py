"""Who may send: keys, each of a project and of the origins whose pages may use it."""

import asyncio
import contextlib
import hashlib
import secrets
import time
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg.rows import class_row

from mixpanel_pipeline.warehouse.connection import Warehouse, WarehouseError
from mixpanel_pipeline.warehouse.sql_files import read_sql

PREFIX = "wk_"
HINT_CHARACTERS = len(PREFIX) + 6

# So long a key that was ended is still taken, and, at most, a new one is not known.
REFRESH_SECONDS = 10
UNKNOWN_REFRESH_SECONDS = 1
# Senders wait for it, and with an unknown key all of them.
READ_SECONDS = 5


@dataclass(frozen=True)
class WriteKey:
    """What a key is good for. `identity` tells keys apart without saying them."""

    identity: bytes
    project_id: str
    origins: frozenset[str]


@dataclass(frozen=True)
class ListedKey:
    """A key as its owner sees it."""

    hint: str
    project_id: str
    origins: list[str]
    created_at: datetime
    ended_at: datetime | None


class WriteKeys:
    """The keys of the database, read again every few seconds; while it is away those that were read last."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse.limited(READ_SECONDS)
        self._keys: dict[bytes, WriteKey] = {}
        self._read_at = self._failed_at = -float("inf")
        self._reading = asyncio.Lock()

    async def find(self, text: str) -> WriteKey | None:
        """The key, if there is one of this text.

        Raises:
            WarehouseError, psycopg.Error: it is not known here, and the database is away.
        """
        identity = _hash(text)
        key = self._keys.get(identity)
        if key is not None:
            return key if await self._is_fresh(REFRESH_SECONDS) else self._keys.get(identity)
        await self.refresh(UNKNOWN_REFRESH_SECONDS)
        return self._keys.get(identity)

    def allows_origin(self, origin: str) -> bool:
        """Whether pages of this origin may send with any key."""
        return any(origin in key.origins for key in self._keys.values())

    async def refresh(self, seconds: float) -> None:
        """Reads the keys unless that was done within so many seconds.

        Raises:
            WarehouseError, psycopg.Error: the database is away.
        """
        async with self._reading:
            if time.monotonic() - self._read_at < seconds:
                return
            if time.monotonic() - self._failed_at < UNKNOWN_REFRESH_SECONDS:
                raise WarehouseError("the database was away a moment ago")
            try:
                self._keys = await asyncio.to_thread(_read, self._warehouse)
            except (WarehouseError, psycopg.Error):
                self._failed_at = time.monotonic()
                raise
            self._read_at = time.monotonic()

    async def _is_fresh(self, seconds: float) -> bool:
        """Whether the keys in memory still were those of the database. Nobody waits for one that is away."""
        newest = max(self._read_at + seconds, self._failed_at + UNKNOWN_REFRESH_SECONDS)
        if time.monotonic() < newest or self._reading.locked():
            return True
        with contextlib.suppress(WarehouseError, psycopg.Error):
            await self.refresh(seconds)
        return False


def make_key(warehouse: Warehouse, project_id: str, origins: list[str]) -> str:
    """A new key, which is told here and nowhere else."""
    text = PREFIX + secrets.token_urlsafe(24)
    with warehouse.connect() as connection:
        connection.execute(
            read_sql("collector/new_write_key.sql"),
            {"key_hash": _hash(text), "hint": text[:HINT_CHARACTERS], "project_id": project_id, "origins": origins},
        )
    return text


def list_keys(warehouse: Warehouse) -> list[ListedKey]:
    """All keys, in the order of their making."""
    with warehouse.connect() as connection:
        rows = connection.cursor(row_factory=class_row(ListedKey)).execute(read_sql("collector/listed_write_keys.sql"))
        return rows.fetchall()


def end_key(warehouse: Warehouse, hint: str) -> bool:
    """Ends the key that begins so; whether there was one."""
    with warehouse.connect() as connection:
        ended = connection.execute(read_sql("collector/end_write_key.sql"), {"hint": hint[:HINT_CHARACTERS]})
        return ended.rowcount > 0


def _read(warehouse: Warehouse) -> dict[bytes, WriteKey]:
    with warehouse.connect() as connection:
        rows = connection.execute(read_sql("collector/write_keys.sql")).fetchall()
    keys = (WriteKey(bytes(identity), project, frozenset(origins)) for identity, project, origins in rows)
    return {key.identity: key for key in keys}


def _hash(text: str) -> bytes:
    """Keys are 24 random bytes: nothing slower than SHA-256 is needed to keep them."""
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()
