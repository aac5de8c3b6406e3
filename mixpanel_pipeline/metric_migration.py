"""Writes the migration that a new line of the catalog needs: `make metric` (docs/adding-a-metric.md)."""

import re
from pathlib import Path

from mixpanel_pipeline import catalog
from mixpanel_pipeline.catalog_sql import API_MARK, MIGRATIONS, SQL_DIRECTORY, postgres_type, write_api_migration

TABLES = ("subscriber_daily_contributions", "subscribers_insights_v2")


def catalog_columns() -> dict[str, str]:
    """Every column that the catalog asks of both tables, with its definition."""
    columns = {metric.column: "bigint not null default 0" for metric in catalog.COUNT_METRICS}
    columns |= {metric.column: "boolean not null default false" for metric in catalog.FLAG_METRICS}
    for line in catalog.PROPERTIES:
        columns |= {line.column: postgres_type(line), f"{line.column}_at": "timestamptz"}
    return columns


def missing_columns(migrations: Path = MIGRATIONS) -> dict[str, str]:
    """Catalog columns that no migration names yet."""
    files = [path for path in migrations.glob("*.sql") if not path.name.endswith(".rollback.sql")]
    tables = " ".join(path.read_text().partition(API_MARK)[0] for path in files)
    named = set(re.findall(r"\w+", tables))
    return {name: definition for name, definition in catalog_columns().items() if name not in named}


def write_migration(migrations: Path = MIGRATIONS) -> Path | None:
    """Writes the next migration and its rollback; None when no column is missing."""
    columns = missing_columns(migrations)
    if not columns:
        return None
    number = max((int(path.name[:4]) for path in migrations.glob("[0-9]*.sql")), default=0) + 1
    path = migrations / f"{number:04}_{next(iter(columns))}.sql"
    added = [f"alter table {table} add column {name} {kind};" for table in TABLES for name, kind in columns.items()]
    dropped = [f"alter table {table} drop column {name};" for table in reversed(TABLES) for name in columns]
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
