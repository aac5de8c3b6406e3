"""A small project of ten days behind the simulator's HTTP, a database, and the definitions over both."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.test_utils import create_test_daemon_workspace_context, instance_for_test
from dagster._core.workspace.load_target import ModuleTarget

from mixpanel_pipeline.dagster_project.asset_specs import ALL_KEYS
from mixpanel_pipeline.dagster_project.resources import Pipeline
from mixpanel_pipeline.dagster_project.run_requests import mode_config, range_tags
from mixpanel_pipeline.mixpanel.engage import EngageClient
from mixpanel_pipeline.mixpanel.export import ExportClient
from mixpanel_pipeline.settings import Settings, load_settings
from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline.subscribers.build import build_event_sync, build_profile_sync
from mixpanel_pipeline.subscribers.event_sync import EventSync
from mixpanel_pipeline.subscribers.profile_sync import ProfileSync
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.dagster.loaded_definitions import forget_definitions
from mixpanel_pipeline_tests.dagster.user_interface import UserInterface
from mixpanel_pipeline_tests.web.site import OLDEST
from mixpanel_pipeline_tests.workbench import IMPATIENT, PROJECT_ID, SECRET, USERNAME, NoBudget

FIRST_DAY = date(2025, 3, 1)
NOW = datetime(2025, 3, 11, 12, tzinfo=UTC)
NO_PAUSE = dg.RetryPolicy(max_retries=2)


def day(number: int) -> date:
    """A day of March 2025, in which all of this happens."""
    return date(2025, 3, number)


def at(number: int, hour: int = 12) -> int:
    """Seconds since 1970 of a moment in that day."""
    return int(datetime(2025, 3, number, hour, tzinfo=UTC).timestamp())


def simulated_project() -> Project:
    """On each of ten days so many events as its number, of as many people, and one each of ann's."""
    project = Project(today=lambda: NOW)
    for number in range(1, 11):
        for person in range(number):
            project.add("Viewed Portfolio Details", f"person-{person}", at(number))
        project.add("$ae_session", "ann", at(number, 13), properties={"income": f"income of day {number}"})
    return project


@pytest.fixture(scope="session")
def server() -> Iterator[SimulatorServer]:
    with SimulatorServer(Project()) as running:
        yield running


@pytest.fixture
def project(server: SimulatorServer) -> Project:
    server.project = simulated_project()
    return server.project


def impatient_event_sync(settings: Settings, warehouse: Warehouse, log: Callable[[str], None]) -> EventSync:
    """The configured synchronization, without waits."""
    sync = build_event_sync(settings, warehouse, policy=IMPATIENT, log=log)
    client = ExportClient(str(settings.mixpanel_data_url), PROJECT_ID, USERNAME, SECRET, NoBudget())
    return replace(sync, client=client, sleep=lambda _: None, now=lambda: NOW)


def impatient_profile_sync(settings: Settings, warehouse: Warehouse, log: Callable[[str], None]) -> ProfileSync:
    """The same of profiles, two of them a page."""
    client = EngageClient(
        str(settings.mixpanel_query_url), PROJECT_ID, USERNAME, SECRET, NoBudget(), policy=IMPATIENT,
        sleep=lambda _: None, log=log,
    )  # fmt: skip
    return replace(build_profile_sync(settings, warehouse, log=log), client=client, page_size=2)


@pytest.fixture
def environment(
    server: SimulatorServer, project: Project, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """What the product's settings are read from; set in this process too."""
    assert server.project is project
    variables = {
        "PIPELINE_HOME": str(tmp_path / "home"),
        "DATABASE_URL": database_url,
        "MIXPANEL_DATA_URL": server.url,
        "MIXPANEL_QUERY_URL": server.url,
        "MIXPANEL_PROJECT_ID": str(PROJECT_ID),
        "MIXPANEL_USERNAME": USERNAME,
        "MIXPANEL_SECRET": SECRET,
        "MIXPANEL_START_DATE": str(FIRST_DAY),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def fresh_definitions(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run in this process imports the definitions with this test's environment, as a new process does."""
    assert environment
    forget_definitions(monkeypatch)


@pytest.fixture
def settings(environment: dict[str, str]) -> Settings:
    return load_settings(**{name.lower(): value for name, value in environment.items()})


@dataclass
class Dagster:
    """The project on an instance of its own."""

    pipeline: Pipeline
    instance: dg.DagsterInstance
    definitions: dg.Definitions = field(init=False)

    def __post_init__(self) -> None:
        # Importing it reads the environment, which the fixture `environment` has set by now.
        from mixpanel_pipeline.definitions import build_definitions

        self.definitions = build_definitions(pipeline=self.pipeline, retry_policy=NO_PAUSE)

    def load(self, first: int, last: int, mode: str = "backfill") -> None:
        """Days loaded without Dagster, where it is not what is tested: it is faster."""
        sync = self.pipeline.event_sync(print)
        for number in range(first, last + 1):
            sync.materialize_day(day(number), mode)

    def materialize(self, first: int, last: int, mode: str = "backfill") -> dg.ExecuteInProcessResult:
        """A range of days as one run, whether it succeeds or not; without checks, which are tested elsewhere."""
        return dg.materialize(
            list(self.definitions.assets or []),  # pyright: ignore[reportArgumentType]
            selection=list(ALL_KEYS), instance=self.instance, resources={"pipeline": self.pipeline},
            run_config=mode_config(mode),
            tags=range_tags(day(first), day(last)), raise_on_error=False,
        )  # fmt: skip

    def sync(self, first: int, last: int) -> dg.ExecuteInProcessResult:
        """The same with all checks."""
        return self.run("mixpanel_sync_job", mode_config("backfill"), range_tags(day(first), day(last)))

    def run(
        self, job: str, config: dict[str, Any] | None = None, tags: dict[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        return self.definitions.resolve_job_def(job).execute_in_process(
            instance=self.instance, run_config=config, tags=tags, raise_on_error=False
        )

    def materialized(self, asset: str = "subscribers_insights_v2") -> set[str]:
        """Partitions that show green."""
        return self.instance.get_materialized_partitions(dg.AssetKey(asset))

    def newest(self, asset: str, number: int) -> dict[str, Any]:
        """Metadata that the asset's page shows for a day."""
        filter_ = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[str(day(number))])
        record = self.instance.fetch_materializations(filter_, limit=1).records[0]
        assert record.asset_materialization
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}

    def rows(self, query: str) -> list[tuple]:
        with self.pipeline.warehouse.connect() as connection:
            return connection.execute(query).fetchall()  # pyright: ignore[reportArgumentType, reportCallIssue]

    def write(self, statement: str) -> None:
        """What somebody does past the pipeline."""
        with self.pipeline.warehouse.connect() as connection:
            connection.execute(statement)  # pyright: ignore[reportArgumentType, reportCallIssue]


@pytest.fixture
def dagster(settings: Settings) -> Iterator[Dagster]:
    pipeline = Pipeline(settings, event_sync=impatient_event_sync, profile_sync=impatient_profile_sync, now=lambda: NOW)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Dagster(pipeline, instance)


@pytest.fixture
def web(settings: Settings) -> Iterator[Dagster]:
    """The project by the real clock, its web aggregates from the oldest day that has raw partitions."""
    since = settings.model_copy(update={"web_start_date": OLDEST})
    pipeline = Pipeline(since, event_sync=impatient_event_sync, profile_sync=impatient_profile_sync)
    with dg.DagsterInstance.ephemeral() as instance:
        yield Dagster(pipeline, instance)


@pytest.fixture
def ui() -> Iterator[UserInterface]:
    target = ModuleTarget(
        "mixpanel_pipeline.definitions", attribute=None, working_directory=None, location_name="mixpanel_pipeline"
    )
    with (
        instance_for_test(synchronous_run_launcher=True, synchronous_run_coordinator=True) as instance,
        create_test_daemon_workspace_context(target, instance) as workspace,
    ):
        yield UserInterface(instance, workspace)
