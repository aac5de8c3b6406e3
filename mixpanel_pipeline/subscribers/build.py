"""Settings → an EventSync or ProfileSync that is ready to work."""

import time
from collections.abc import Callable

from mixpanel_pipeline.lake.calendar import ExportCalendar
from mixpanel_pipeline.lake.recipe import landing_recipe
from mixpanel_pipeline.lake.storage import LakeStorage
from mixpanel_pipeline.mixpanel.engage import EngageClient
from mixpanel_pipeline.mixpanel.event_counts import EventCountsClient
from mixpanel_pipeline.mixpanel.export import ExportClient, residency_urls
from mixpanel_pipeline.mixpanel.rate_limit import RequestBudget
from mixpanel_pipeline.mixpanel.retry import RetryPolicy
from mixpanel_pipeline.settings import Settings, SettingsError
from mixpanel_pipeline.subscribers.event_sync import DEFAULT_POLICY, EventSync, logger
from mixpanel_pipeline.subscribers.profile_sync import ProfileSync
from mixpanel_pipeline.warehouse.connection import Warehouse, open_warehouse

# How many seconds a request waits for Mixpanel's limits: they are a rolling hour, and this is a bit more.
LONGEST_WAIT = 4000.0


def build_event_sync(
    settings: Settings,
    warehouse: Warehouse | None = None,
    *,
    policy: RetryPolicy = DEFAULT_POLICY,
    longest_wait: float = LONGEST_WAIT,
    log: Callable[[str], None] = logger.info,
) -> EventSync:
    """The synchronization that `settings` describe; without `warehouse` the configured one is opened.

    Raises:
        SettingsError: the project or its credentials are not set.
    """
    project_id, secret = _account(settings)
    warehouse = warehouse or open_warehouse(settings)
    data_url = settings.mixpanel_data_url or residency_urls(settings.mixpanel_residency)[0]
    budget = RequestBudget(
        warehouse.connect, project_id, "export", longest_wait=longest_wait, sleep=time.sleep, log=log
    )  # fmt: skip
    client = ExportClient(data_url, project_id, settings.mixpanel_username, secret, budget)
    return EventSync(
        warehouse=warehouse,
        storage=build_storage(settings),
        client=client,
        calendar=build_calendar(settings),
        tracked_only=settings.mixpanel_events == "tracked",
        policy=policy,
        log=log,
    )


def build_profile_sync(
    settings: Settings,
    warehouse: Warehouse | None = None,
    *,
    policy: RetryPolicy = DEFAULT_POLICY,
    log: Callable[[str], None] = logger.info,
) -> ProfileSync:
    """The synchronization of profiles that `settings` describe; without `warehouse` the configured one is opened.

    Raises:
        SettingsError: the project or its credentials are not set.
    """
    project_id, secret = _account(settings)
    warehouse = warehouse or open_warehouse(settings)
    query_url = settings.mixpanel_query_url or residency_urls(settings.mixpanel_residency)[1]
    budget = RequestBudget(warehouse.connect, project_id, "query", sleep=time.sleep, log=log)
    client = EngageClient(
        query_url, project_id, settings.mixpanel_username, secret, budget, policy=policy, log=log
    )  # fmt: skip
    return ProfileSync(warehouse=warehouse, storage=build_storage(settings), client=client, log=log)


def build_event_counts(
    settings: Settings,
    warehouse: Warehouse,
    *,
    longest_wait: float = LONGEST_WAIT,
    log: Callable[[str], None] = logger.info,
) -> EventCountsClient:
    """The reports' counts of the project that `settings` describe.

    Raises:
        SettingsError: the project or its credentials are not set.
    """
    project_id, secret = _account(settings)
    query_url = settings.mixpanel_query_url or residency_urls(settings.mixpanel_residency)[1]
    budget = RequestBudget(warehouse.connect, project_id, "query", longest_wait=longest_wait, sleep=time.sleep, log=log)
    return EventCountsClient(query_url, project_id, settings.mixpanel_username, secret, budget)


def _account(settings: Settings) -> tuple[int, str]:
    """The project's number and the secret for it."""
    if settings.mixpanel_project_id is None:
        raise SettingsError(
            "MIXPANEL_PROJECT_ID: not set; it takes the project's number. Only `demo` and `simulate` run without."
        )
    if settings.mixpanel_secret is None:
        raise SettingsError("MIXPANEL_SECRET: not set; it takes the service account's secret")
    return settings.mixpanel_project_id, settings.mixpanel_secret.get_secret_value()


def build_storage(settings: Settings) -> LakeStorage:
    """The lake that `settings` describe.

    Raises:
        SettingsError: LAKE_URL has a protocol that fsspec does not know, or whose package is not installed.
    """
    try:
        return LakeStorage(settings.lake_address, settings.pipeline_home / "scratch")
    except (ValueError, ImportError) as error:
        protocol = settings.lake_address.partition("://")[0]  # what comes after it may hold a password
        raise SettingsError(
            f"LAKE_URL: got an address with {protocol!r} ({' '.join(str(error).split())}); it takes a directory or an "
            "fsspec address whose package is installed, for s3:// by: pip install -e '.[s3]' -c constraints.txt"
        ) from None


def build_recipe(settings: Settings) -> str:
    """What days are landed by under `settings`."""
    return landing_recipe(build_calendar(settings), tracked_only=settings.mixpanel_events == "tracked")


def build_calendar(settings: Settings) -> ExportCalendar:
    """The export days that `settings` describe."""
    return ExportCalendar(settings.mixpanel_time_mode, settings.mixpanel_timezone)
