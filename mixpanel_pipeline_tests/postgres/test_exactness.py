"""Any sequence of fetches, repeats, late events, duplicates, merges, deletes, snapshots of profiles and concurrent
syncs leaves totals equal to a plain recomputation."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline.subscribers.replace import contributions_that_differ, replace_from_lake, totals_that_differ
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.histories import NOW, History, steps
from mixpanel_pipeline_tests.workbench import (
    build_profile_sync,
    build_sync,
    clear,
    expected_totals,
    stored_changes,
    stored_profiles,
    stored_totals,
)


@pytest.fixture(scope="module")
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(Project(today=lambda: NOW)) as server:
        yield server


def check_history(warehouse: Warehouse, server: SimulatorServer, history: list[tuple[str, Any]]) -> None:
    clear(warehouse)
    server.project = Project(today=lambda: NOW)
    with TemporaryDirectory() as directory:
        sync = build_sync(warehouse, Path(directory), server.url, now=lambda: NOW)
        played = History(server.project, sync, server.url, build_profile_sync(warehouse, Path(directory), server.url))
        played.play(history)
        assert stored_totals(warehouse) == expected_totals(played.fetched, profiles=played.known.people)
        assert stored_profiles(warehouse) == played.known.people
        assert in_any_order(stored_changes(warehouse)) == in_any_order(played.known.changes)
        assert totals_that_differ(warehouse, sync.storage) == []
        assert contributions_that_differ(warehouse, sync.storage) == []
        replaced = replace_from_lake(warehouse, sync.storage)
        assert (replaced.contributions_changed, replaced.totals_changed) == (0, 0)


def in_any_order(changes: list[dict[str, Any]]) -> list[str]:
    """Of one snapshot the people's order means nothing."""
    return sorted(json.dumps(change, sort_keys=True, default=str) for change in changes)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=steps)
def test_totals_equal_a_plain_recomputation(
    warehouse: Warehouse, server: SimulatorServer, history: list[tuple[str, Any]]
) -> None:
    check_history(warehouse, server, history)


@pytest.mark.slow
@pytest.mark.timeout(1200)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=steps)
def test_totals_equal_a_plain_recomputation_over_many_histories(
    warehouse: Warehouse, server: SimulatorServer, history: list[tuple[str, Any]]
) -> None:
    check_history(warehouse, server, history)
