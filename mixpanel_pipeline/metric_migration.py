"""Writes the migration that a new line of the catalog needs: `make metric` (docs/adding-a-metric.md)."""

import re
from pathlib import Path

from mixpanel_pipeline import catalog
from mixpanel_pipeline.catalog_sql import API_MARK, MIGRATIONS, SQL_DIRECTORY, postgres_type, write_api_migration

TABLES = ("subscriber_daily_contributions", "subscribers_insights_v2")
# Has the properties alone: all of a profile's are as old as the profile.
PROFILES_TABLE = "subscriber_profiles"


def catalog_columns() -> dict[str, str]:
    """Every column that the catalog asks of contributions and totals, with its definition."""
    columns = {metric.column: "bigint not null default 0" for metric in catalog.COUNT_METRICS}
    columns |= {metric.column: "boolean not null default false" for metric in catalog.FLAG_METRICS}
    for line in catalog.PROPERTIES:
        columns |= {line.column: postgres_type(line), f"{line.column}_at": "timestamptz"}
    return columns


def missing_columns(migrations: Path = MIGRATIONS) -> dict[str, str]:
    """Catalog columns that no migration gives the tables yet. Other tables may have columns of the same name."""
    files = [path for path in migrations.glob("*.sql") if not path.name.endswith(".rollback.sql")]
    text = "\n".join(path.read_text().partition(API_MARK)[0] for path in files)
    tables = "|".join(TABLES)
    made = "\n".join(re.findall(rf"^create table (?:{tables}) \((.*?)^\)", text, re.DOTALL | re.MULTILINE))
    there = {*re.findall(r"^\s+(\w+) ", made, re.MULTILINE)}
    there |= {*re.findall(rf"^alter table (?:{tables}) add column (\w+)", text, re.MULTILINE)}
    return {name: definition for name, definition in catalog_columns().items() if name not in there}


def write_migration(migrations: Path = MIGRATIONS) -> Path | None:
    """Writes the next migration and its rollback; None when no column is missing."""
    columns = missing_columns(migrations)
    if not columns:
        return None
    number = max((int(path.name[:4]) for path in migrations.glob("[0-9]*.sql")), default=0) + 1
    path = migrations / f"{number:04}_{next(iter(columns))}.sql"
    properties = [line.column for line in catalog.PROPERTIES if line.column in columns]
    places = [(table, name) for table in TABLES for name in columns] + [(PROFILES_TABLE, name) for name in properties]
    added = [f"alter table {table} add column {name} {columns[name]};" for table, name in places]
    dropped = [f"alter table {table} drop column {name};" for table, name in reversed(places)]
    path.write_text("\n".join(added) + "\n")
    path.with_suffix(".rollback.sql").write_text("\n".join(dropped) + "\n")
    write_api_migration(path.stem, migrations)
    return path


def main() -> None:
    """Says what was written."""
    path = write_migration()
    print(f"wrote {path.relative_to(SQL_DIRECTORY.parent)} and its rollback" if path else "no column is missing")


if __name__ == "__main__":
    main()
