"""Dagster's events in Postgres. What a run plans to materialize is stored at once, however many partitions it has."""

from collections.abc import Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.storage.event_log.schema import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres.event_log import PostgresEventLogStorage
from dagster_postgres.utils import pg_url_from_config


class EventStorage(PostgresEventLogStorage):
    """Dagster hands over planned materializations in batches, and its own storage writes them one by one: two
    connections and three transactions each, minutes for 90 days of hours, before the run begins."""

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> "EventStorage":
        return cls(pg_url_from_config(config_value), inst_data=inst_data)

    def store_event_batch(self, events: Sequence[dg.EventLogEntry]) -> None:
        planned = [event for event in events if event.get_dagster_event().is_asset_materialization_planned]
        if planned:
            self._store_planned(planned)
        others = [event for event in events if not event.get_dagster_event().is_asset_materialization_planned]
        if others:
            super().store_event_batch(others)

    def _store_planned(self, events: Sequence[dg.EventLogEntry]) -> None:
        statement = self.prepare_insert_event_batch(events).returning(SqlEventLogStorageTable.c.id)
        with self._connect() as connection:
            ids = [row[0] for row in connection.execute(statement)]
        # What an asset's entry says of a run is said by its last event.
        newest = {event.get_dagster_event().asset_key: (event, id_) for event, id_ in zip(events, ids, strict=True)}
        with self.index_transaction() as connection:
            for event, id_ in newest.values():
                self._store_asset_event(connection, event, id_)
