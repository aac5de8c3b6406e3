"""SQL lives in files under `sql/` that psql can run; this reads them by name."""

from functools import cache
from pathlib import Path
from typing import LiteralString, cast

SQL_DIRECTORY = Path(__file__).resolve().parent.parent.parent / "sql"


@cache
def read_sql(name: str) -> LiteralString:
    """The text of `sql/<name>`, e.g. `read_sql("subscribers/add_day.sql")`.

    It counts as a literal for psycopg: it comes from our own files, never from input.
    """
    return cast(LiteralString, (SQL_DIRECTORY / name).read_text(encoding="utf-8"))
