"""Children end when they are told to, and when their parent is gone."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from mixpanel_pipeline.cli.servers import CHILD, ServerError, running_servers

SLEEP = ["-c", "import time; print('up', flush=True); time.sleep(300)"]
WAIT_SECONDS = 20


def wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"{pid} still runs"
        time.sleep(0.05)


def test_they_end_with_the_block_whatever_ends_it(tmp_path: Path) -> None:
    pids: list[int] = []

    def work() -> None:
        with running_servers(tmp_path, {}) as servers:
            pids.extend(servers.start(name, SLEEP).process.pid for name in ("one", "two"))
            raise RuntimeError("something else")

    with pytest.raises(RuntimeError):
        work()
    assert len(pids) == 2
    for pid in pids:
        wait_until_gone(pid)


def test_one_that_dies_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    with running_servers(tmp_path, {}) as servers:
        server = servers.start("code server", ["-c", "raise SystemExit('no such module')"])
        with pytest.raises(ServerError, match=r"(?s)code server ended by itself \(exit code 1\).*no such module"):
            servers.wait_until(lambda: False, server)


def test_a_grandchild_does_not_survive(tmp_path: Path) -> None:
    script = "import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(300)']).pid, flush=True); import time; time.sleep(300)"  # fmt: skip  # noqa: E501
    with running_servers(tmp_path, {}) as servers:
        server = servers.start("parent", ["-c", script])
        servers.wait_until(lambda: server.log.read_text().strip().isdigit(), server)
        grandchild = int(server.log.read_text())
    wait_until_gone(grandchild)


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death is told on Linux only")
def test_it_ends_when_its_parent_is_killed() -> None:
    script = f"import subprocess, sys, time; print(subprocess.Popen([sys.executable, {str(CHILD)!r}, sys.executable, '-c', 'import time; time.sleep(300)']).pid, flush=True); time.sleep(300)"  # fmt: skip  # noqa: E501
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        deadline = time.monotonic() + WAIT_SECONDS
        while "time.sleep" not in " ".join(psutil.Process(child).cmdline()[1:3]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        parent.kill()
    wait_until_gone(child)


def test_signals_count_even_under_a_shell_that_ignores_them(tmp_path: Path) -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with running_servers(tmp_path, {}) as servers:
            server = servers.start("one", SLEEP)
            servers.wait_until(lambda: "up" in server.log.read_text(), server)
            os.kill(server.process.pid, signal.SIGINT)
            assert server.process.wait(WAIT_SECONDS) != 0
    finally:
        signal.signal(signal.SIGINT, before)
