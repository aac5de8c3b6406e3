"""A project's page: how much happened, who came, and by which types and labels."""

from typing import Any

import psycopg
from starlette.requests import Request

from mixpanel_pipeline.dashboard import figures, parameters
from mixpanel_pipeline.dashboard.figures import Bucket, Metric, Row, rows
from mixpanel_pipeline.dashboard.parameters import BadParameterError
from mixpanel_pipeline.dashboard.periods import MOST_EXACT_DAYS, STEPS, Period, Span, Step, read_period
from mixpanel_pipeline.dashboard.view import NotFoundError, Table, View

PERIODS = ("24h", "7d", "30d", "90d")
METRICS = (
    Metric("events", "Events", "event", "events"),
    Metric("unique_visitors", "Unique visitors", "unique visitor", "unique visitors", is_unique=True),
    Metric("unique_sessions", "Sessions", "session", "sessions", is_unique=True),
)
NAMES = tuple(metric.name for metric in METRICS)


def read(connection: psycopg.Connection, request: Request) -> View:
    project = parameters.needed_text(request, "project_id", 200)
    seen = figures.row(connection, "project_seen", {"project_id": project})
    if not seen["seen"]:
        raise NotFoundError
    progress = figures.row(connection, "progress", {})
    waiting = figures.row(connection, "project_waiting", {"project_id": project})
    chosen = _filter(request)
    period = read_period(request, progress["now"], PERIODS, "7d")
    metric = METRICS[NAMES.index(parameters.choice(request, "metric", NAMES, "events"))]
    given = {"project_id": project, **chosen}

    found, totals = _read_totals(connection, given, period)
    step = period.step_of_uniques if metric.is_unique else period.step
    buckets = figures.buckets(_read_series(connection, given, period, step), period, step, NAMES)
    against = figures.comparison(
        period, seen["first_day"], NAMES, lambda span: _totals_of(connection, given, period, span)
    )
    today = _today(connection, given, period) if period.is_rolling else None

    types, labels = _named(_level(found, "type")), _named(_level(found, "label")) if chosen["event_type"] else None
    data = {
        "project_id": project,
        "period": {**figures.period_data(period), "exact_uniques": period.is_exact},
        "filter": {name: chosen[name] for name in ("event_type", "event_label", "by_label")},
        "totals": totals,
        "today": today,
        "comparison": against,
        "series": {"step": step, "buckets": [bucket.data for bucket in buckets]},
        "types": types,
        "labels": labels,
        "progress": {
            "now": progress["now"], "aggregated_until": progress["hours_until"],
            "hours_waiting": waiting["hours"], "oldest_waiting": waiting["oldest"],
        },
    }  # fmt: skip
    context = figures.shown(period, against) | {
        "periods": PERIODS, "metric": metric, "metrics": METRICS, "chosen": chosen,
        "buckets": buckets, "step": step,
        "sentence": figures.sentence(metric, totals[metric.name], _of_filter(chosen), period, against),
    }  # fmt: skip
    return View("project.html", data, _tables(buckets, types, labels), context)


def _filter(request: Request) -> dict[str, Any]:
    """`event_label` is of an `event_type`; an empty one asks for the events without a label."""
    event_type = parameters.text(request, "event_type", 200) or None
    label = parameters.text(request, "event_label", 500)
    if label is not None and event_type is None:
        raise BadParameterError("event_label", "a label together with its `event_type`")
    level = "all" if event_type is None else "type" if label is None else "label"
    return {"event_type": event_type, "event_label": label or None, "by_label": label is not None, "level": level}


def _of_filter(chosen: dict[str, Any]) -> str:
    if chosen["level"] == "all":
        return ""
    of_type = f" of the type “{chosen['event_type']}”"
    if chosen["level"] == "type":
        return of_type
    return of_type + (f" labelled “{chosen['event_label']}”" if chosen["event_label"] else " without a label")


def _read_totals(connection: psycopg.Connection, given: Row, period: Period) -> tuple[list[Row], Row]:
    """Rows by type and by label, and the totals that the filter asks for."""
    if not period.is_rolling:
        found = rows(connection, "project_totals", given | figures.days(period))
        return found, _total(found, given, period)
    found = _hours(connection, given, period, period.step)
    return found, {"events": sum(each["events"] for each in _level(found, "bucket"))} | _no_uniques()


def _read_series(connection: psycopg.Connection, given: Row, period: Period, step: Step) -> list[Row]:
    if step in ("hour", "4 hours"):
        return _level(_hours(connection, given, period, step), "bucket")
    return rows(connection, "project_days", given | figures.days(period) | {"by_week": step == "week"})


def _hours(connection: psycopg.Connection, given: Row, span: Span, step: Step) -> list[Row]:
    return rows(
        connection, "project_hours", given | {"from": span.start, "to": span.end, "step": STEPS[step]}
    )  # fmt: skip


def _totals_of(connection: psycopg.Connection, given: Row, period: Period, span: Span) -> Row:
    if period.is_rolling:
        found = _level(_hours(connection, given, span, "hour"), "bucket")
        return {"events": sum(each["events"] for each in found)} | _no_uniques()
    return _total(rows(connection, "project_totals", given | figures.days(span)), given, span)


def _today(connection: psycopg.Connection, given: Row, period: Period) -> Row:
    """Of a rolling day there are no exact uniques, of the day that began at midnight there are."""
    midnight = period.now.replace(hour=0, minute=0, second=0, microsecond=0)
    span = Span(midnight, period.now)
    return _total(rows(connection, "project_totals", given | figures.days(span)), given, span)


def _total(found: list[Row], given: Row, span: Span) -> Row:
    """The row that the filter asks for; where nothing happened there is none."""
    for each in found:
        wanted = (given["level"], given["event_type"], given["event_label"])
        if (each["level"], each["event_type"], each["event_label"]) == wanted:
            return {name: each[name] for name in NAMES}
    nobody = {"unique_visitors": 0, "unique_sessions": 0}
    return {"events": 0} | (nobody if span.days <= MOST_EXACT_DAYS else _no_uniques())


def _no_uniques() -> Row:
    return {"unique_visitors": None, "unique_sessions": None}


def _level(found: list[Row], level: str) -> list[Row]:
    return [each for each in found if each["level"] == level]


def _named(found: list[Row]) -> list[Row]:
    names = ("event_type", "event_label", *NAMES)
    return [{name: each.get(name) for name in names} for each in found]


def _tables(buckets: list[Bucket], types: list[Row], labels: list[Row] | None) -> dict[str, Table]:
    tables = {
        "series": figures.series_table(buckets, NAMES),
        "types": figures.table(types, ["event_type", *NAMES]),
    }
    if labels is not None:
        tables["labels"] = figures.table(labels, ["event_type", "event_label", *NAMES])
    return tables
