"""The first page: projects and cards that the reader sees, and how they did in the last 7 days."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from starlette.requests import Request

from mixpanel_pipeline.dashboard import figures, parameters
from mixpanel_pipeline.dashboard.figures import Row, rows
from mixpanel_pipeline.dashboard.periods import DAY, Period, Span, last_days
from mixpanel_pipeline.dashboard.view import Table, View

MOST_ROWS = 50
PROJECT_FIGURES = ("events", "unique_visitors", "unique_sessions")
CARD_FIGURES = ("page_views", "clicks", "unique_sessions")
SORTS = ("name", *PROJECT_FIGURES, "change")
CARD_SORTS = ("name", *CARD_FIGURES, "change")


def read(connection: psycopg.Connection, request: Request) -> View:
    progress = figures.row(connection, "progress", {})
    period = last_days("7d", progress["now"])
    search = parameters.text(request, "search", 200) or None
    wanted = {"search": search, "most": MOST_ROWS, "from": period.first - timedelta(days=7)}

    projects = rows(connection, "overview_projects", wanted)
    cards = rows(connection, "overview_cards", wanted)
    project_rows = _figures(
        connection, "project", "project_id", projects, period, progress["days_until"], PROJECT_FIGURES
    )
    card_rows = _figures(connection, "card", "user_code", cards, period, progress["cards_until"], CARD_FIGURES)
    sort = parameters.choice(request, "sort", SORTS, "events")
    card_sort = parameters.choice(request, "card_sort", CARD_SORTS, "page_views")
    data = {
        "period": figures.period_data(period),
        "projects": _sorted(project_rows, sort, "project_id"),
        "projects_in_all": projects[0]["projects"] if projects else 0,
        "cards": _sorted(card_rows, card_sort, "user_code"),
        "cards_in_all": cards[0]["cards"] if cards else 0,
        "progress": {"now": progress["now"], "aggregated_until": progress["hours_until"]},
    }
    tables = {
        "projects": _table(data["projects"], "project_id", PROJECT_FIGURES),
        "cards": _table(data["cards"], "user_code", CARD_FIGURES),
    }
    context = {"search": search, "sort": sort, "card_sort": card_sort, "most": MOST_ROWS, "period": period}
    return View("overview.html", data, tables, context)


def _figures(
    connection: psycopg.Connection, kind: str, key: str, seen: list[Row], period: Period,
    aggregated_until: datetime | None, wanted: Sequence[str],
) -> list[Row]:  # fmt: skip
    """Of each project or card the last 7 days, what these are compared with, and each day for the little chart."""
    if not seen or period.complete is None or period.previous is None:
        return []
    spans: dict[str, Span] = {"now": period, "complete": period.complete, "previous": period.previous}
    for number in range(period.days - 1):
        start = period.start + number * DAY
        spans[f"day {number}"] = Span(start, start + DAY)
    froms, tos = [span.first for span in spans.values()], [span.after_last for span in spans.values()]
    reached = aggregated_until.astimezone(UTC).date() if aggregated_until else date.min
    live_day = max(reached, min(froms))
    found = rows(
        connection, f"overview_{kind}_figures",
        {
            f"{kind}s": [each[key] for each in seen], "names": list(spans), "froms": froms, "tos": tos,
            "live_day": live_day, "until": max(tos),
            "stored_from": min((span.first for span in spans.values() if span.after_last > live_day), default=live_day),
        },
    )  # fmt: skip
    by_name: dict[str, dict[str, Row]] = {each[key]: {} for each in seen}
    for each in found:
        by_name[each[key]][each["name"]] = each
    return [{key: each[key], **_row(by_name[each[key]], period, each["first_day"], wanted)} for each in seen]


def _row(spans: dict[str, Row], period: Period, first_day: date | None, wanted: Sequence[str]) -> Row:
    def change(figure: str) -> float | None:
        if not figures.can_compare(period, first_day):
            return None
        return figures.compared(spans["complete"][figure], spans["previous"][figure])

    days = [spans[f"day {number}"][wanted[0]] for number in range(period.days - 1)]
    return {
        **{figure: spans["now"][figure] for figure in wanted},
        "change": {figure: change(figure) for figure in wanted},
        # The first figure adds up over days, so that today's is what is left.
        "days": [*days, spans["now"][wanted[0]] - sum(days)],
    }


def _sorted(found: list[Row], sort: str, key: str) -> list[Row]:
    """By name from A, by figures from the largest; equal ones by name."""
    by_name = sorted(found, key=lambda each: each[key])
    if sort == "name":
        return by_name

    def figure(each: Row) -> Any:
        if sort != "change":
            return each[sort]
        first = next(iter(each["change"].values()))
        return float("-inf") if first is None else first

    return sorted(by_name, key=figure, reverse=True)


def _table(found: list[Row], key: str, wanted: Sequence[str]) -> Table:
    columns = [key, *wanted, *(f"{figure}_change" for figure in wanted)]
    return Table(
        columns, [[each[key], *(each[name] for name in wanted), *each["change"].values()] for each in found]
    )  # fmt: skip
