"""One server for all tests; each test gives it a project of its own."""

from collections.abc import Iterator

import pytest

from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline_tests.simulator.client import TODAY, Client


@pytest.fixture(scope="session")
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(Project()) as running:
        yield running


@pytest.fixture
def project(server: SimulatorServer) -> Project:
    server.project = Project(today=lambda: TODAY)
    return server.project


@pytest.fixture
def client(server: SimulatorServer) -> Client:
    return Client(server)
