"""Pythons of their own for other people's clients of Mixpanel: they are no dependencies of ours."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest


def python_with(request: pytest.FixtureRequest, package: str, version: str, *options: str) -> Path:
    """An interpreter that has the package, kept in pytest's cache."""
    cache = request.config.cache
    assert cache is not None
    directory = cache.mkdir(f"{package}-{version}-{sys.version_info.major}.{sys.version_info.minor}")
    python = directory / "bin" / "python"
    if not (directory / "installed").exists():
        venv.create(directory, with_pip=True, clear=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *options, f"{package}=={version}"], check=True)
        (directory / "installed").touch()
    return python
