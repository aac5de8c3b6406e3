"""What the dashboard may be told; where it listens aside."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True)
class Reader:
    """Somebody as whom anybody at this machine may sign in: a demo's kinds of readers."""

    name: str
    description: str
    user_id: UUID


@dataclass(frozen=True)
class Options:
    """As the settings DASHBOARD_… have it. `readers` are for a demo on loopback alone."""

    jwt_secret: str
    statement_seconds: int
    readers: tuple[Reader, ...] = ()
