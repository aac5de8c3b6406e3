"""The warehouse for one command. An embedded server ends with the last command that uses it."""

import fcntl
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from mixpanel_pipeline.cli.output import count, say
from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.warehouse.connection import Warehouse, embedded_postgres, open_warehouse
from mixpanel_pipeline.warehouse.migrations import MigrationError, migrate, pending_migrations

# Asking the embedded Postgres whether it runs starts a process, so that is not done all the time.
POSTGRES_SECONDS = 5.0


@contextmanager
def used_warehouse(settings: Settings, *, keep_running: bool = False) -> Iterator[Warehouse]:
    """The configured Postgres, or the embedded one, started when it does not run.

    Of several commands that use the embedded server at once, the last one stops it; `keep_running` leaves it to
    whoever comes later (`psql`, `env`), until `env --stop`.

    Raises:
        SettingsError: PIPELINE_HOME cannot be made or written.
    """
    settings.make_home()
    if settings.database_url is not None:
        yield open_warehouse(settings)
        return
    with _embedded_in_use(settings, keep_running):
        yield open_warehouse(settings)


@contextmanager
def ready_warehouse(settings: Settings) -> Iterator[Warehouse]:
    """A warehouse with all migrations. The embedded one gets those that it lacks; another is its owner's to change.

    Raises:
        MigrationError: migrations are missing, or were taken back.
    """
    with used_warehouse(settings) as warehouse:
        pending = pending_migrations(warehouse)
        if pending and settings.database_url is not None:
            raise MigrationError(
                f"the database lacks {count(len(pending), 'migration')} ({', '.join(pending)}): "
                "run `mixpanel-pipeline migrate`"
            )
        if pending:
            bring_up_to_date(warehouse)
        yield warehouse


def bring_up_to_date(warehouse: Warehouse) -> None:
    """Migrates for a command that has another purpose, and says what that did.

    Raises:
        MigrationError: what is missing was taken back, or cannot be applied.
    """
    applied = migrate(warehouse, asked_for=False)
    if applied:
        say(f"applied {', '.join(applied)}")


def keep_postgres_running(settings: Settings) -> None:
    """Nobody else would: a Postgres that was killed has no supervisor, and schedules would fail from then on."""
    if settings.database_url is not None:
        return
    server = embedded_postgres(settings)
    if not server.is_running():
        say("the embedded Postgres had ended; starting it again")
        server.start()


def stop_embedded(settings: Settings) -> bool:
    """Stops the embedded server, whoever started it; but while other commands use it, nothing more than that it ends
    with the last of them. Whether it is stopped."""
    if not settings.pipeline_home.exists():
        return True
    with _users(settings).open("a") as users:
        _marker(settings).unlink(missing_ok=True)
        if not _alone(users.fileno()):
            return False
        embedded_postgres(settings).stop()
        return True


def users_of_embedded(settings: Settings) -> dict[int, str]:
    """The commands that use the embedded server now, by process id, as far as this user may see them."""
    path = _users(settings).resolve()
    found = {}
    for process in psutil.process_iter():
        try:
            if any(Path(file.path) == path for file in process.open_files()):
                found[process.pid] = shlex.join(process.cmdline())
        except psutil.Error:
            continue
    return found


@contextmanager
def _embedded_in_use(settings: Settings, keep_running: bool) -> Iterator[None]:
    """Every user holds a shared lock, which also a killed process gives back. Who can have it alone is the last."""
    server = embedded_postgres(settings)
    with _users(settings).open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        marker = _marker(settings)
        if keep_running:
            marker.touch()
        if not (server.data / "PG_VERSION").exists():
            say(f"making a Postgres in {server.directory} (some seconds) ...")
        try:
            yield
        finally:
            if not marker.exists() and _alone(users.fileno()):
                server.stop()


def _users(settings: Settings) -> Path:
    """Locked, shared, by every command that uses the server."""
    return settings.pipeline_home / "postgres.users"


def _marker(settings: Settings) -> Path:
    """There while the server is to outlive the commands that use it."""
    return settings.pipeline_home / "postgres.keep_running"


def _alone(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
