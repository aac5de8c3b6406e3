"""What assets, checks, jobs and sensors work on."""

from collections.abc import Callable
from datetime import datetime
from functools import cached_property

from mixpanel_pipeline.lake.calendar import ExportCalendar, utc_now
from mixpanel_pipeline.lake.storage import LakeStorage
from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.subscribers.build import (
    build_calendar,
    build_event_sync,
    build_profile_sync,
    build_storage,
)
from mixpanel_pipeline.subscribers.event_sync import EventSync
from mixpanel_pipeline.subscribers.profile_sync import ProfileSync
from mixpanel_pipeline.warehouse.connection import Warehouse, open_warehouse

# The pool that keeps parallel exports within Mixpanel's limits, across all runs of the instance.
EXPORT_POOL = "mixpanel_export"
# The same for queries: profiles and reports, which Mixpanel limits apart from exports.
QUERY_POOL = "mixpanel_query"

EventSyncFactory = Callable[[Settings, Warehouse, Callable[[str], None]], EventSync]
ProfileSyncFactory = Callable[[Settings, Warehouse, Callable[[str], None]], ProfileSync]


def configured_event_sync(settings: Settings, warehouse: Warehouse, log: Callable[[str], None]) -> EventSync:
    """The synchronization that `settings` describe."""
    return build_event_sync(settings, warehouse, log=log)


def configured_profile_sync(settings: Settings, warehouse: Warehouse, log: Callable[[str], None]) -> ProfileSync:
    """The synchronization of profiles that `settings` describe."""
    return build_profile_sync(settings, warehouse, log=log)


class Pipeline:
    """The rooms as `settings` describe them, each opened when it is first asked for.

    Loading definitions must work without Postgres and without credentials, and the code server must come up
    before either is there; so nothing is opened here.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        event_sync: EventSyncFactory = configured_event_sync,
        profile_sync: ProfileSyncFactory = configured_profile_sync,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self.settings = settings
        self.now = now
        self._event_sync = event_sync
        self._profile_sync = profile_sync

    @cached_property
    def warehouse(self) -> Warehouse:
        """The configured Postgres, or the embedded one, started when it does not run."""
        return open_warehouse(self.settings)

    @cached_property
    def storage(self) -> LakeStorage:
        return build_storage(self.settings)

    @cached_property
    def calendar(self) -> ExportCalendar:
        return build_calendar(self.settings)

    def event_sync(self, log: Callable[[str], None]) -> EventSync:
        """A synchronization that writes to a run's log.

        Raises:
            SettingsError: the project or its credentials are not set.
        """
        return self._event_sync(self.settings, self.warehouse, log)

    def profile_sync(self, log: Callable[[str], None]) -> ProfileSync:
        """The same of profiles.

        Raises:
            SettingsError: the project or its credentials are not set.
        """
        return self._profile_sync(self.settings, self.warehouse, log)
