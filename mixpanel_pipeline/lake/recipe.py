"""What besides the export decides a partition's content."""

import hashlib

from mixpanel_pipeline import catalog
from mixpanel_pipeline.lake.calendar import ExportCalendar
from mixpanel_pipeline.warehouse.sql_files import read_sql


def landing_recipe(calendar: ExportCalendar, *, tracked_only: bool) -> str:
    """Catalog, landing rules, time mode and event filter: a day landed by another recipe is landed again."""
    rules = hashlib.sha256(read_sql("lake/exported_events.sql").encode()).hexdigest()[:8]
    return f"{catalog.fingerprint()} {rules} {calendar.describe()} {'tracked' if tracked_only else 'all'}"
