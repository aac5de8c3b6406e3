"""Ports that cannot be had are named with their option, before anything starts."""

import socket

import click
import pytest

from mixpanel_pipeline.cli.ports import free_port, require_ports, usual_port

HOST = "127.0.0.1"


def test_ports_that_are_free() -> None:
    require_ports({"--port": (HOST, free_port(HOST)), "--collector-port": (HOST, free_port(HOST))})


def test_ports_that_cannot_be_had() -> None:
    with socket.create_server((HOST, 0)) as listening:
        taken = listening.getsockname()[1]
        with pytest.raises(click.UsageError, match=f"port {taken} on {HOST} is taken; give another one with --port"):
            require_ports({"--port": (HOST, taken)})
        assert usual_port(HOST, taken, None) != taken
    free = free_port(HOST)
    with pytest.raises(click.UsageError, match=f"--port and --collector-port are both {free}"):
        require_ports({"--port": (HOST, free), "--collector-port": (HOST, free)})
    with pytest.raises(click.UsageError, match=r"cannot listen on 203\.0\.113\.1, port \d+ \(--port\): Cannot assign"):
        require_ports({"--port": ("203.0.113.1", free)})
    with pytest.raises(click.UsageError, match=r"cannot listen on nowhere\.invalid, port"):
        require_ports({"--port": ("nowhere.invalid", free)})


def test_the_usual_port_gives_way_to_the_other_server() -> None:
    free = free_port(HOST)
    assert usual_port(HOST, free, None) == free
    assert usual_port(HOST, free, free) != free
