"""Credentials are asked for before anything is begun."""

from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.subscribers.build import build_event_sync
from mixpanel_pipeline.warehouse.connection import Warehouse


def require_credentials(settings: Settings) -> None:
    """Without them, or with a lake that cannot be had, no Postgres is made or started.

    Raises:
        SettingsError: what is not set or cannot be used.
    """
    # Nothing connects while the parts are put together, so this needs no address.
    build_event_sync(settings, Warehouse(""))
