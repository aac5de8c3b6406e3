"""The people of the pipeline's totals: a list to search and sort, and one person."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import InvalidOperation
from typing import Any, Literal

import psycopg
from psycopg.rows import class_row, dict_row, tuple_row
from psycopg.sql import SQL, Composable, Composed, Identifier
from starlette.requests import Request

from mixpanel_pipeline.dashboard.parameters import BadParameterError, choice, day, text
from mixpanel_pipeline.dashboard.subscriber_columns import Column, read_columns
from mixpanel_pipeline.dashboard.view import Table, View
from mixpanel_pipeline.warehouse.sql_files import read_sql

PAGE = 50
MOST_IN_CSV = 50_000
MOST_BY_PROFILE = 1000
COLUMNS_SHOWN = 6
LONGEST = 2000
PERSON = Column("distinct_id", "Person", "text")
NEWEST = "last_event_time"

Order = Literal["desc", "asc"]
ORDERS: tuple[Order, Order] = ("desc", "asc")
IN_SQL = {"asc": SQL("asc"), "desc": SQL("desc")}


@dataclass(frozen=True)
class Question:
    """What the list is of: who is searched for, between which values of which column, in which order, after whom.
    `by_profile`: whose profile has in it what is searched for, None where they are too many to name."""

    columns: list[Column]
    sort: Column
    order: Order
    search: str
    by_profile: list[str] | None
    column: Column | None
    least: Any
    most: Any
    after: str | None
    after_value: Any

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "search": self.search,
            "by_profile": self.by_profile,
            "least": self.least,
            "most_of_column": self.most,
            "after": self.after,
            "after_value": self.after_value,
        }

    @property
    def as_asked(self) -> dict[str, str]:
        """What an address says of it, the page aside."""
        said = {"search": self.search, "sort": self.sort.name, "order": self.order}
        if self.column is not None:
            said["column"] = self.column.name
            bounds = {"least": self.least, "most": self.most}
            said |= {name: self.column.written(value) for name, value in bounds.items() if value is not None}
        usual = {"search": "", "sort": NEWEST, "order": "desc"}
        return {name: value for name, value in said.items() if usual.get(name) != value}

    @property
    def found(self) -> Composable:
        """The condition of who is found, whatever page."""
        conditions: list[Composable] = [SQL("true")]
        if self.search:
            conditions.append(SQL(read_sql("dashboard/subscribers_searched.sql")).format(profiles=self._profiles))
        if self.column is not None:
            name = Identifier(self.column.name)
            if self.least is not None:
                conditions.append(SQL("{} >= %(least)s").format(name))
            if self.most is not None:
                # Of a day all of it.
                is_day = self.column.kind == "time"
                until = SQL("{} < %(most_of_column)s::date + 1" if is_day else "{} <= %(most_of_column)s")
                conditions.append(until.format(name))
        return SQL(" and ").join(conditions)

    @property
    def _profiles(self) -> Composable:
        if self.by_profile is not None:
            return SQL("= any(%(by_profile)s)")
        return SQL("in ({})").format(SQL(read_sql("dashboard/subscribers_profiles.sql")))

    @property
    def of_page(self) -> Composable:
        """The same, behind the last person of the page before: people without a value come last."""
        if self.after is None:
            return self.found
        beyond = SQL(">" if self.order == "asc" else "<")
        if self.sort == PERSON:
            behind: Composable = SQL("distinct_id {} %(after)s").format(beyond)
        elif self.after_value is None:
            behind = SQL("{} is null and distinct_id > %(after)s").format(Identifier(self.sort.name))
        else:
            behind = SQL(
                "({column} {beyond} %(after_value)s or {column} is null "
                "or ({column} = %(after_value)s and distinct_id > %(after)s))"
            ).format(column=Identifier(self.sort.name), beyond=beyond)
        return SQL("{} and {}").format(self.found, behind)

    def rows_of(self, condition: Composable, columns: list[Column]) -> Composed:
        """The query of people, at most %(most)s of them."""
        order = SQL("distinct_id {}").format(IN_SQL[self.order])
        if self.sort != PERSON:
            order = SQL("{} {} nulls last, distinct_id").format(Identifier(self.sort.name), IN_SQL[self.order])
        names = SQL(", ").join(Identifier(column.name) for column in columns)
        return SQL(read_sql("dashboard/subscribers_page.sql")).format(columns=names, found=condition, order=order)


@dataclass(frozen=True)
class Totals:
    people: int
    active_in_7_days: int
    active_in_30_days: int
    new_in_30_days: int
    found: int
    profiles: int


def read(connection: psycopg.Connection, request: Request) -> View:
    """Fifty people."""
    question = _question(connection, request, read_columns(connection))
    shown = _shown(question)
    query = question.rows_of(question.of_page, question.columns)
    with connection.cursor(row_factory=dict_row) as cursor:
        people = cursor.execute(query, {**question.parameters, "most": PAGE + 1}).fetchall()
    with connection.cursor(row_factory=class_row(Totals)) as cursor:
        counted = SQL(read_sql("dashboard/subscribers_totals.sql")).format(found=question.found)
        totals = cursor.execute(counted, question.parameters).fetchone()
    following = _following(question, people[:PAGE]) if len(people) > PAGE else None
    people = people[:PAGE]
    return View(
        "subscribers.html",
        {"totals": totals, "people": people, "next": following},
        {"subscribers": Table([PERSON.name, *(each.name for each in question.columns)], _all(connection, question))},
        {
            "question": question, "shown": shown, "choices": [PERSON, *question.columns], "person": PERSON,
            "page_size": PAGE, "most_in_csv": MOST_IN_CSV, "asked": question.as_asked,
            "is_narrowed": bool(question.search) or question.column is not None,
            "bounds": {name: question.as_asked.get(name, "") for name in ("least", "most")},
        },
    )  # fmt: skip


def _question(connection: psycopg.Connection, request: Request, columns: list[Column]) -> Question:
    known = {column.name: column for column in (PERSON, *columns)}
    default = NEWEST if NEWEST in known else PERSON.name
    sort = known[choice(request, "sort", list(known), default)]
    usual: Order = "asc" if sort == PERSON else "desc"
    order: Order = choice(request, "order", ORDERS, usual)
    named = choice(request, "column", ["", *known], "")
    column = known[named] if named and named != PERSON.name else None
    search = (text(request, "search", LONGEST) or "").strip()
    after = text(request, "after", LONGEST) or None
    return Question(
        columns, sort, order,
        search=search,
        by_profile=_by_profile(connection, search) if search else [],
        column=column,
        least=_bound(request, "least", column) if column else None,
        most=_bound(request, "most", column) if column else None,
        after=after,
        after_value=_value(request, "value", sort) if after else None,
    )  # fmt: skip


def _by_profile(connection: psycopg.Connection, search: str) -> list[str] | None:
    """Whose profile it is in. Profiles are read once so, and not by each query that asks; None: they are too many."""
    query = SQL("{} limit %(most)s").format(SQL(read_sql("dashboard/subscribers_profiles.sql")))
    rows = connection.execute(query, {"search": search, "most": MOST_BY_PROFILE + 1}).fetchall()
    return [person for (person,) in rows] if len(rows) <= MOST_BY_PROFILE else None


def _bound(request: Request, name: str, column: Column) -> Any:
    """One end of a range, as somebody writes it."""
    return day(request, name) if column.kind == "time" else _value(request, name, column)


def _value(request: Request, name: str, column: Column) -> Any:
    """A value of a column; None when it is not given."""
    written = text(request, name, LONGEST)
    if not written:
        return None
    try:
        return column.parse(written)
    except (ValueError, InvalidOperation):
        raise BadParameterError(name, f"{column.takes}, as {column.name} has them") from None


def _shown(question: Question) -> list[Column]:
    """Of all columns those that fit on a page: the ones that are asked about, then counts as the table has them."""
    known = {column.name: column for column in question.columns}
    first = [known.get(NEWEST), known.get("events_processed"), question.sort, question.column]
    counts = [column for column in question.columns if column.kind == "count"]
    return list(dict.fromkeys(column for column in (*first, *counts) if column and column != PERSON))[:COLUMNS_SHOWN]


def _following(question: Question, people: list[dict[str, Any]]) -> dict[str, str | None]:
    """What the address of the next page says."""
    last = people[-1]
    value = None if question.sort == PERSON else last[question.sort.name]
    return {"after": last[PERSON.name], "value": None if value is None else question.sort.written(value)}


def _all(connection: psycopg.Connection, question: Question) -> Iterator[tuple[Any, ...]]:
    """Everybody who is found, up to the cap, fetched as they are written."""
    with connection.cursor("subscribers", row_factory=tuple_row) as cursor:
        cursor.execute(question.rows_of(question.found, question.columns), {**question.parameters, "most": MOST_IN_CSV})
        for row in cursor:
            yield row[: 1 + len(question.columns)]
