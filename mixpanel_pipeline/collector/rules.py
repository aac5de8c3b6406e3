"""What `ingest_analytics_batch` takes, as it says itself: the service and its OpenAPI hold no rule of their own."""

from dataclasses import dataclass
from datetime import timedelta

from psycopg.rows import class_row

from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql


@dataclass(frozen=True)
class Field:
    """A field of one type of event; `most` counts bytes, `holds` is how a value is read."""

    type: str
    field: str
    holds: str
    required: bool
    most: int | None
    choices: list[str] | None


@dataclass(frozen=True)
class Limits:
    """Of a batch, and of what its fields may hold. A clock is right within `ahead` of ours."""

    most_events: int
    most_levels: int
    most_count: int
    ahead: timedelta


@dataclass(frozen=True)
class Rules:
    """All of it."""

    fields: list[Field]
    limits: Limits

    def most(self, field: str) -> int:
        """How many bytes of text this field of an event takes."""
        return next(rule.most for rule in self.fields if rule.field == field and rule.most is not None)


def read_rules(warehouse: Warehouse) -> Rules:
    """As the database has them now."""
    with warehouse.connect() as connection:
        fields = connection.cursor(row_factory=class_row(Field)).execute(read_sql("collector/event_fields.sql"))
        limits = connection.cursor(row_factory=class_row(Limits)).execute(read_sql("collector/batch_limits.sql"))
        found = limits.fetchone()
        if found is None:
            raise AssertionError("a function without rows returns one row")
        return Rules(fields.fetchall(), found)
