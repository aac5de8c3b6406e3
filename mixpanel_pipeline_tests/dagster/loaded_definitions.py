"""Definitions that this process has loaded: they keep the settings of the test that came first."""

import sys

import pytest
from dagster._core.definitions.reconstruct import ReconstructableJob

from mixpanel_pipeline.dagster_project.launch import DEFINITIONS_MODULE


def forget_definitions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run in this process imports the definitions anew, with the environment of then."""
    monkeypatch.delitem(sys.modules, DEFINITIONS_MODULE, raising=False)
    ReconstructableJob.get_definition.cache_clear()  # pyright: ignore[reportFunctionMemberAccess]
    ReconstructableJob.get_repository_definition.cache_clear()  # pyright: ignore[reportFunctionMemberAccess]
