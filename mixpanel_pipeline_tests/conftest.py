"""Services for tests: one embedded Postgres a worker, one migrated database a test."""

import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline.warehouse.migrations import migrate

_numbers = itertools.count()

# In memory a database is made in a twentieth of the time. A worker's server grows to some hundred megabytes.
MEMORY = Path("/dev/shm")  # noqa: S108 - mkdtemp makes names that nobody can guess
ROOM = 4 * 2**30


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """A running embedded server of this test process, with a migrated database named `template_migrated`."""
    roomy = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM
    directory = Path(tempfile.mkdtemp(prefix="mp-test-", dir=MEMORY if roomy else None))
    server = EmbeddedPostgres(directory / "postgres")
    server.start()
    with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
        connection.execute("create database template_migrated")
    migrate(Warehouse(server.url("template_migrated")))
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def fresh_database(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A migrated database of its own; dropped afterwards."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as connection:
        connection.execute(
            SQL("create database {} template template_migrated strategy file_copy").format(Identifier(name))
        )
        # The template's identity is everybody's.
        with psycopg.connect(postgres.url(name)) as own:
            own.execute("update pipeline_identity set id = gen_random_uuid()")
        yield postgres.url(name)
        connection.execute(SQL("drop database if exists {} with (force)").format(Identifier(name)))


@pytest.fixture
def database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A fresh migrated database."""
    with fresh_database(postgres) as url:
        yield url


@pytest.fixture
def second_warehouse(postgres: EmbeddedPostgres) -> Iterator[Warehouse]:
    """Another fresh migrated database, beside `warehouse`."""
    with fresh_database(postgres) as url:
        yield Warehouse(url)


@pytest.fixture
def warehouse(database_url: str) -> Warehouse:
    """The fresh migrated database as the pipeline sees it."""
    return Warehouse(database_url)
