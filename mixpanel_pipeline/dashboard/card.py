"""A card's page: views, clicks and sessions, by page, click target, group and contact."""

from typing import Any

import psycopg
from starlette.requests import Request

from mixpanel_pipeline.dashboard import figures, parameters
from mixpanel_pipeline.dashboard.figures import Bucket, Metric, Row, rows
from mixpanel_pipeline.dashboard.periods import Span, read_period
from mixpanel_pipeline.dashboard.view import NotFoundError, Table, View
from mixpanel_pipeline.dashboard.wording import share_of

PERIODS = ("today", "7d", "30d", "90d")
METRICS = (
    Metric("page_views", "Page views", "page view", "page views"),
    Metric("clicks", "Clicks", "click", "clicks"),
    Metric("sessions_started", "Sessions started", "session started", "sessions started"),
    Metric("unique_sessions", "Unique sessions", "unique session", "unique sessions", is_unique=True),
)
NAMES = tuple(metric.name for metric in METRICS)
# Where a visitor gets in touch; portfolio, aiAgent and other are not ways to reach a person.
CONTACT_METHODS = ("contact", "messaging", "social")


def read(connection: psycopg.Connection, request: Request) -> View:
    card = parameters.needed_text(request, "user_code", 200)
    seen = figures.row(connection, "card_seen", {"user_code": card})
    if not seen["seen"]:
        raise NotFoundError
    progress = figures.row(connection, "progress", {})
    chosen = _filter(request)
    period = read_period(request, progress["now"], PERIODS, "30d")
    if not period.is_exact:
        raise parameters.BadParameterError("from", "at most 91 days for a card: of more there are no exact sessions")
    metric = METRICS[NAMES.index(parameters.choice(request, "metric", NAMES, "page_views"))]
    given = {"user_code": card, **chosen}

    levels = rows(connection, "card_totals", given | figures.days(period))
    totals = _total(levels, chosen)
    step = period.step_of_uniques
    found = rows(connection, "card_days", given | figures.days(period) | {"by_week": step == "week"})
    buckets = figures.buckets(found, period, step, NAMES)
    against = figures.comparison(
        period, seen["first_day"], [*NAMES, "clicks_per_view"], lambda span: _totals_of(connection, given, chosen, span)
    )
    clicked = rows(connection, "card_clicks", given | figures.days(period))
    data = {
        "user_code": card,
        "period": figures.period_data(period),
        "filter": {name: chosen[name] for name in ("share_code", "contact_id", "by_group", "by_contact")},
        "totals": totals,
        "comparison": against,
        "series": {"step": step, "buckets": [bucket.data for bucket in buckets]},
        "pages": rows(connection, "card_pages", given | figures.days(period)),
        "click_targets": clicked,
        "contact_methods": _contact_methods(clicked),
        "groups": _at_level(levels, "share_code", "contact_id", chosen, chosen["by_contact"]),
        "contacts": _at_level(levels, "contact_id", "share_code", chosen, chosen["by_group"]),
        "progress": {"now": progress["now"], "aggregated_until": progress["cards_until"]},
    }
    context = figures.shown(period, against) | {
        "periods": PERIODS, "metric": metric, "metrics": METRICS, "chosen": chosen,
        "buckets": buckets, "step": step,
        "sentence": figures.sentence(metric, totals[metric.name], _of_filter(chosen), period, against),
    }  # fmt: skip
    return View("card.html", data, _tables(data, buckets), context)


def _filter(request: Request) -> dict[str, Any]:
    """An empty share_code or contact_id asks for the visits without one; one that is not given for all."""
    group, contact = parameters.text(request, "share_code", 200), parameters.text(request, "contact_id", 200)
    by = [name for name, value in (("group", group), ("contact", contact)) if value is not None]
    return {
        "share_code": group or None, "contact_id": contact or None, "by_group": group is not None,
        "by_contact": contact is not None, "level": " and ".join(by) or "all",
    }  # fmt: skip


def _of_filter(chosen: dict[str, Any]) -> str:
    words = ""
    if chosen["by_group"]:
        words += f" by the group “{chosen['share_code']}”" if chosen["share_code"] else " without a group"
    if chosen["by_contact"]:
        words += f" from the contact “{chosen['contact_id']}”" if chosen["contact_id"] else " without a contact"
    return words


def _totals_of(connection: psycopg.Connection, given: Row, chosen: Row, span: Span) -> Row:
    return _total(rows(connection, "card_totals", given | figures.days(span)), chosen)


def _total(levels: list[Row], chosen: Row) -> Row:
    """The row that the filter asks for. Both parts of the rate are events of the same days."""
    totals = dict.fromkeys(NAMES, 0)
    for each in levels:
        if all(each[name] == chosen[name] for name in ("level", "share_code", "contact_id")):
            totals = {name: each[name] for name in NAMES}
    return {**totals, "clicks_per_view": share_of(totals["clicks"], totals["page_views"])}


def _at_level(levels: list[Row], wanted: str, other: str, chosen: Row, by_other: bool) -> list[Row]:
    """Groups, or contacts, within what the other filter asks for."""
    level = "group and contact" if by_other else "group" if wanted == "share_code" else "contact"
    return [
        {wanted: each[wanted], **{name: each[name] for name in NAMES}}
        for each in levels
        if each["level"] == level and (not by_other or each[other] == chosen[other])
    ]


def _contact_methods(clicked: list[Row]) -> list[Row]:
    """By how many contacts used them: one who clicks ten times is one."""
    methods = [each for each in clicked if each["click_category"] in CONTACT_METHODS]
    return sorted(methods, key=lambda each: (-each["unique_contacts"], -each["clicks"]))


def _tables(data: Row, buckets: list[Bucket]) -> dict[str, Table]:
    columns = {
        "pages": ["page_type", "page_views"],
        "click_targets": ["click_category", "click_target", "clicks", "unique_contacts"],
        "contact_methods": ["click_category", "click_target", "clicks", "unique_contacts"],
        "groups": ["share_code", *NAMES],
        "contacts": ["contact_id", *NAMES],
    }
    series = {"series": figures.series_table(buckets, NAMES)}
    return series | {name: figures.table(data[name], columns[name]) for name in columns}
