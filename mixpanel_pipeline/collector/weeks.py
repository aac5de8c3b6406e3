"""Keeps partitions ahead of the events: without one for today nothing can be stored, and Dagster may not be there."""

import asyncio
import logging

import psycopg

from mixpanel_pipeline.warehouse.connection import Warehouse, WarehouseError
from mixpanel_pipeline.warehouse.sql_files import read_sql

logger = logging.getLogger(__name__)

# Weeks are made four ahead: several days of failures harm nobody.
ASK_SECONDS = 3600
STATEMENT_SECONDS = 5


async def keep_weeks_ahead(warehouse: Warehouse) -> None:
    """Until it is cancelled."""
    limited = warehouse.limited(STATEMENT_SECONDS)
    while True:
        try:
            await asyncio.to_thread(_make_weeks, limited)
        except (WarehouseError, psycopg.Error) as error:
            logger.warning("partitions could not be made ahead: %s", " ".join(str(error).split()))
        await asyncio.sleep(ASK_SECONDS)


def _make_weeks(warehouse: Warehouse) -> None:
    with warehouse.connect() as connection:
        connection.execute(read_sql("collector/make_weeks.sql"))
