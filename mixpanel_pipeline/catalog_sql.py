"""Writes the SQL files that follow from the catalog: `python -m mixpanel_pipeline.catalog_sql` (`make sql`).

The statements under `sql/` name every column, so that they can be read and run in psql as they stand; they are
made from `sql/templates/`, and a test holds them equal.

The SQL API is such a file too, but functions reach a database by a migration, and a migration never changes. So
`python -m mixpanel_pipeline.catalog_sql 0004_portfolio_shares` puts the API as it is now at the end of that
migration, and as the migrations before had it at the end of the rollback.
"""

import json
import sys
from pathlib import Path

import jinja2

from mixpanel_pipeline import catalog

SQL_DIRECTORY = Path(__file__).resolve().parent.parent / "sql"
TEMPLATES = SQL_DIRECTORY / "templates"
HEADER = "-- Made from sql/templates/{name} by `make sql`; edit that.\n"
MIGRATIONS = SQL_DIRECTORY / "migrations"
SQL_API = SQL_DIRECTORY / "subscribers" / "sql_api.sql"
# What begins the copy of the API in a migration; the copy goes on to the file's end.
API_MARK = "-- The SQL API as sql/subscribers/sql_api.sql had it at this migration.\n"


def postgres_type(line: catalog.Property) -> str:
    """Numbers are numeric: what was sent as digits is kept as those digits."""
    return {"text": "text", "number": "numeric"}[line.kind]


def literal(text: str) -> str:
    """A SQL string."""
    return "'" + text.replace("'", "''") + "'"


def extraction() -> str:
    """The argument of DuckDB's json_transform: every key that some rule reads, as text."""
    names = [name for line in catalog.PROPERTIES for name in line.names]
    keys = dict.fromkeys(
        ["time", "$insert_id", "mp_processing_time_ms", *catalog.IDENTITY_PROPERTIES, *names], "VARCHAR"
    )
    return json.dumps(keys).replace("'", "''")


def property_extraction() -> str:
    """The same of a profile, whose id stands beside its properties."""
    keys = dict.fromkeys((name for line in catalog.PROPERTIES for name in line.names), "VARCHAR")
    return json.dumps(keys).replace("'", "''")


def number_names() -> list[str]:
    """Spellings of all properties that are numbers."""
    return [name for line in catalog.PROPERTIES if line.kind == "number" for name in line.names]


def contribution_columns() -> list[str]:
    """Columns of subscriber_daily_contributions in order."""
    return ["export_day", *total_columns()]


def total_columns() -> list[str]:
    """Columns of subscribers_insights_v2 in order, less updated_at."""
    return [
        "distinct_id",
        *(metric.column for metric in catalog.COUNT_METRICS),
        *(metric.column for metric in catalog.FLAG_METRICS),
        *(name for line in catalog.PROPERTIES for name in (line.column, f"{line.column}_at")),
        "events_processed",
        "first_event_time",
        "last_event_time",
    ]


def profile_columns() -> list[str]:
    """Columns of subscriber_profiles that a snapshot gives, in order."""
    return ["distinct_id", *(line.column for line in catalog.PROPERTIES), "properties"]


def rendered_files() -> dict[Path, str]:
    """What every generated file must hold, by its path."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), undefined=jinja2.StrictUndefined, keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - SQL, not HTML
    )  # fmt: skip
    environment.globals.update(
        event_metrics=catalog.EVENT_METRICS, count_metrics=catalog.COUNT_METRICS, flag_metrics=catalog.FLAG_METRICS,
        properties=catalog.PROPERTIES, identity_properties=catalog.IDENTITY_PROPERTIES,
        anonymous_prefix=catalog.ANONYMOUS_PREFIX, extraction=extraction(),
        property_extraction=property_extraction(), number_names=number_names(),
        total_columns=total_columns(),
        contribution_columns=contribution_columns(), profile_columns=profile_columns(),
        postgres_type=postgres_type, literal=literal,
    )  # fmt: skip
    return {
        SQL_DIRECTORY / name.removesuffix(".jinja"): HEADER.format(name=name) + environment.get_template(name).render()
        for name in environment.list_templates(filter_func=lambda name: name.endswith(".sql.jinja"))
    }


def api_of_migrations(before: str = "9999", migrations: Path = MIGRATIONS) -> str:
    """The SQL API that the newest migration with a number below `before` leaves in the database, or ""."""
    for path in sorted(migrations.glob("[0-9]*.sql"), reverse=True):
        text = path.read_text()
        if path.name[:4] < before[:4] and not path.name.endswith(".rollback.sql") and API_MARK in text:
            return text.partition(API_MARK)[2]
    return ""


def current_api() -> str:
    """The SQL API of this catalog, less the line that says what made it."""
    return rendered_files()[SQL_API].partition("\n")[2]


def write_api_migration(name: str, migrations: Path = MIGRATIONS) -> None:
    """Puts the API at the end of migration `name` and of its rollback, in place of a copy that is there already."""
    for suffix, api in ((".sql", current_api()), (".rollback.sql", api_of_migrations(name, migrations))):
        path = migrations / f"{name}{suffix}"
        own_part = path.read_text().partition(API_MARK)[0] if path.exists() else ""
        path.write_text(own_part + API_MARK + api if api else own_part)


def main(arguments: list[str]) -> None:
    """Writes every generated file whose text is out of date, then the API into the migrations named."""
    for path, text in rendered_files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    for name in arguments:
        write_api_migration(name)


if __name__ == "__main__":
    main(sys.argv[1:])
