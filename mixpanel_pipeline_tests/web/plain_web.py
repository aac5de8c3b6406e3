"""Web aggregates computed plainly, from rows in Python lists: no SQL of ours, no module of ours."""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime
from typing import Any

Row = dict[str, Any]


def label_of(event: Row) -> str | None:
    return event["event_label"] or None


def day_of(time: datetime) -> date:
    return time.astimezone(UTC).date()


def hourly(events: Iterable[Row]) -> dict[tuple, tuple[int, int, int]]:
    groups = defaultdict(list)
    for event in events:
        hour = event["created_at"].astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        groups[event["project_id"], hour, event["event_type"], label_of(event)].append(event)
    return {key: _event_counts(group) for key, group in groups.items()}


def daily(events: Iterable[Row]) -> dict[tuple, tuple[int, int, int]]:
    groups = defaultdict(list)
    for event in events:
        groups[event["project_id"], day_of(event["created_at"]), event["event_type"], label_of(event)].append(event)
    return {key: _event_counts(group) for key, group in groups.items()}


def daily_totals(events: Iterable[Row]) -> dict[tuple, tuple[int, int, int]]:
    groups = defaultdict(list)
    for event in events:
        for event_type in (None, event["event_type"]):
            groups[event["project_id"], day_of(event["created_at"]), event_type].append(event)
    return {key: _event_counts(group) for key, group in groups.items()}


def event_totals(events: Iterable[Row], project: str, first: date, end: date) -> dict[tuple, tuple[int, int, int]]:
    """By level, type and label: events, visitors, sessions of the days from `first` to before `end`."""
    groups = defaultdict(list)
    for event in events:
        if event["project_id"] == project and first <= day_of(event["created_at"]) < end:
            groups["all", None, None].append(event)
            groups["type", event["event_type"], None].append(event)
            groups["label", event["event_type"], label_of(event)].append(event)
    return {key: _event_counts(group) for key, group in groups.items()}


def _event_counts(events: list[Row]) -> tuple[int, int, int]:
    return len(events), len({event["visitor_id"] for event in events}), len({event["session_id"] for event in events})


def card_stats(actions: Iterable[Row]) -> dict[tuple, tuple[int, int, int, int]]:
    """Of all tables with uniques, by level, card, day, group and contact: views, clicks, starts, sessions."""
    groups = defaultdict(list)
    for action in actions:
        code, day = action["user_code"], day_of(action["at"])
        for level, group, contact in _card_levels(action):
            groups[level, code, day, group, contact].append(action)
    return {key: _card_counts(group) for key, group in groups.items()}


def card_totals(actions: Iterable[Row], code: str, first: date, end: date) -> dict[tuple, tuple[int, int, int]]:
    """By level, group and contact: views, clicks, unique sessions of a range of days."""
    groups = defaultdict(list)
    for action in actions:
        if action["user_code"] == code and first <= day_of(action["at"]) < end:
            for key in _card_levels(action):
                groups[key].append(action)
    return {key: (*_card_counts(group)[:2], _card_counts(group)[3]) for key, group in groups.items()}


def _card_levels(action: Row) -> list[tuple[str, str | None, str | None]]:
    group, contact = action["share_code"] or None, action["contact_id"] or None
    return [
        ("all", None, None),
        ("group", group, None),
        ("contact", None, contact),
        ("group and contact", group, contact),
    ]


def _card_counts(actions: list[Row]) -> tuple[int, int, int, int]:
    return (
        sum(action["kind"] == "page_views" for action in actions),
        sum(action["kind"] == "clicks" for action in actions),
        len({action["session_id"] for action in actions if action["kind"] == "sessions"}),
        len({action["session_id"] for action in actions}),
    )


def page_stats(actions: Iterable[Row]) -> dict[tuple, int]:
    counts: dict[tuple, int] = defaultdict(int)
    for action in actions:
        if action["kind"] == "page_views":
            filters = action["share_code"] or None, action["contact_id"] or None
            counts[action["user_code"], day_of(action["at"]), *filters, action["page_type"]] += 1
    return dict(counts)


def click_targets(actions: Iterable[Row]) -> dict[tuple, int]:
    counts: dict[tuple, int] = defaultdict(int)
    for action in actions:
        if action["kind"] == "clicks":
            filters = action["share_code"] or None, action["contact_id"] or None
            target = action["click_target"] or None
            counts[action["user_code"], day_of(action["at"]), *filters, action["click_category"], target] += 1
    return dict(counts)
