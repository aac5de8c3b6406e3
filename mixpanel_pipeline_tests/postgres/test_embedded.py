"""The embedded Postgres is found again by other processes, after crashes and restarts, and hides from the network."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from mixpanel_pipeline.warehouse.connection import Warehouse, WarehouseError, describe
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    # Closed to everybody else, as a home directory or a `mktemp -d` is.
    directory = Path(tempfile.mkdtemp(prefix="mp-test-"))
    server = EmbeddedPostgres(directory / "postgres")
    yield server
    server.stop()
    shutil.rmtree(directory, ignore_errors=True)


def postmaster(server: EmbeddedPostgres) -> int:
    return int((server.data / "postmaster.pid").read_text().splitlines()[0])


def test_a_second_process_finds_the_same_server(server: EmbeddedPostgres) -> None:
    url = server.start()
    program = (
        "import sys; from pathlib import Path; from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres\n"
        "print(EmbeddedPostgres(Path(sys.argv[1])).start())"
    )
    other = subprocess.run(
        [sys.executable, "-c", program, str(server.directory)], capture_output=True, text=True, check=True
    )
    assert other.stdout.strip() == url
    with psycopg.connect(url) as connection:
        assert connection.info.server_version >= 150000


def test_what_was_committed_survives_a_killed_server(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.start()) as connection:
        connection.execute("create table kept as select 1 as number")
    pid = postmaster(server)
    os.kill(pid, signal.SIGKILL)
    url = server.start()
    assert postmaster(server) != pid
    with psycopg.connect(url) as connection:
        assert connection.execute("select number from kept").fetchone() == (1,)


def test_a_stale_pid_file_of_a_living_stranger_is_no_server(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    stale = server.data / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{server.data}\n1\n5432\n\n\n\nready\n")
    url = server.start()
    with psycopg.connect(url) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_a_half_made_data_directory_is_made_again(server: EmbeddedPostgres) -> None:
    (server.data / "base").mkdir(parents=True)
    assert server.start()


def test_a_killed_initdb_leaves_nothing_that_looks_finished(server: EmbeddedPostgres) -> None:
    program = (
        "import sys; from pathlib import Path; from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres\n"
        "EmbeddedPostgres(Path(sys.argv[1])).start()"
    )
    making = subprocess.Popen([sys.executable, "-c", program, str(server.directory)], start_new_session=True)
    while making.poll() is None and not list(server.directory.glob("unfinished-*/PG_VERSION")):
        pass
    making.kill()
    making.wait()
    with psycopg.connect(server.start()) as connection:
        assert connection.execute("select 1").fetchone() == (1,)


def test_an_odd_path_has_its_socket_elsewhere() -> None:
    directory = Path(tempfile.mkdtemp(prefix="mp-test-")) / "it's, odd"
    server = EmbeddedPostgres(directory / "postgres")
    try:
        with psycopg.connect(server.start()) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    finally:
        server.stop()
        shutil.rmtree(directory.parent)


def test_it_listens_on_no_network_address(server: EmbeddedPostgres) -> None:
    with psycopg.connect(server.start()) as connection:
        assert connection.execute("show listen_addresses").fetchone() == ("",)
    assert server.socket_directory.stat().st_mode & 0o077 == 0


def test_a_deep_directory_gets_a_socket_elsewhere() -> None:
    directory = Path(tempfile.mkdtemp(prefix="mp-test-")) / ("d" * 60) / ("e" * 60)
    server = EmbeddedPostgres(directory / "postgres")
    try:
        with psycopg.connect(server.start()) as connection:
            assert connection.execute("select 1").fetchone() == (1,)
    finally:
        server.stop()
        shutil.rmtree(directory.parent.parent)


def test_a_server_out_of_reach_is_an_error_without_the_password() -> None:
    warehouse = Warehouse("postgresql://somebody:s3cret@127.0.0.1:1/nowhere")
    with pytest.raises(WarehouseError) as failure, warehouse.connect():
        pass
    assert "127.0.0.1:1/nowhere" in str(failure.value)
    assert "DATABASE_URL" in str(failure.value)
    assert "s3cret" not in str(failure.value) + repr(warehouse)
    assert describe(warehouse.url) == "127.0.0.1:1/nowhere"
