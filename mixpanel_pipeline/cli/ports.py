"""Ports for servers to listen on."""

import errno
import socket

import click


def free_port(host: str) -> int:
    """A port that nobody listens on now."""
    with socket.create_server((host, 0)) as listening:
        return listening.getsockname()[1]


def usual_port(host: str, usual: int, other: int | None) -> int:
    """The usual one, or any that is free where that is taken, or is to be the `other` server's."""
    return usual if usual != other and _why_not(host, usual) is None else free_port(host)


def require_ports(wanted: dict[str, tuple[str, int]]) -> None:
    """Before anything starts: at each address, by its option, a server can listen.

    Raises:
        click.UsageError: at one of them none can, or two are the same.
    """
    seen: dict[tuple[str, int], str] = {}
    for option, (host, port) in wanted.items():
        first = seen.setdefault((host, port), option)
        if first != option:
            raise click.UsageError(f"{first} and {option} are both {port}; give another one with {option}")
        problem = _why_not(host, port)
        if problem is None:
            continue
        if problem.errno == errno.EADDRINUSE:
            raise click.UsageError(f"port {port} on {host} is taken; give another one with {option}")
        raise click.UsageError(f"cannot listen on {host}, port {port} ({option}): {problem.strerror}")


def _why_not(host: str, port: int) -> OSError | None:
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return None
    except OSError as error:
        return error
