"""What the SQL API must make of a payload, one element at a time from its documentation.

It shares nothing with the product: no SQL, no catalog, no module of ours. Slow and plain on purpose.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

COUNTS = (
    "total_copies", "total_pdp_views", "total_creator_profile_views", "total_ach_transfers", "paywall_views",
    "total_subscriptions", "app_sessions", "discover_tab_views", "stripe_modal_views", "creator_card_taps",
    "portfolio_card_taps", "events_processed",
)  # fmt: skip
FLAGS = ("linked_bank_account",)
TEXTS = (
    "income", "net_worth", "investing_activity", "investing_experience_years", "investing_objective",
    "investment_type", "acquisition_survey",
)  # fmt: skip
NUMBERS = (
    "available_copy_credits", "buying_power", "total_deposits", "total_deposit_count", "total_withdrawals",
    "total_withdrawal_count", "active_created_portfolios", "lifetime_created_portfolios",
)  # fmt: skip
TIMES = ("first_event_time", "last_event_time")

Row = dict[str, Any]


def nobody(person: str) -> Row:
    """A row of a person about whom nothing is known."""
    return {
        "distinct_id": person,
        **dict.fromkeys(COUNTS, 0),
        **dict.fromkeys(FLAGS, False),
        **dict.fromkeys(name for column in (*TEXTS, *NUMBERS) for name in (column, f"{column}_at")),
        **dict.fromkeys(TIMES),
    }


def upsert(
    stored: Mapping[str, Row], payload: Iterable[Mapping[str, Any]], strategy: str, now: datetime
) -> tuple[dict[str, Row], tuple[int, int, int]]:
    """The rows after a call, and how many people it inserted, updated and left as they were."""
    said: dict[str, list[Row]] = {}
    for element in payload:
        typed = understood(element, now)
        said.setdefault(typed["distinct_id"], []).append(typed)
    rows = {person: dict(row) for person, row in stored.items()}
    inserted = updated = unchanged = 0
    for person, elements in said.items():
        before = rows.get(person)
        after = _applied(
            dict(before or nobody(person)), _merged(sorted(elements, key=lambda e: e["observed"]), strategy), strategy
        )
        rows[person] = after
        inserted += before is None
        updated += before is not None and after != before
        unchanged += after == before
    return rows, (inserted, updated, unchanged)


def understood(element: Mapping[str, Any], now: datetime) -> Row:
    """An element with every value as what it means; what says nothing is None."""
    typed: Row = {"distinct_id": str(element["distinct_id"])}
    for columns, meaning in (
        (COUNTS, lambda value: int(Decimal(str(value)))),
        (FLAGS, lambda value: value in (True, "true")),
        (TEXTS, lambda value: {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)),
        (NUMBERS, lambda value: Decimal(str(value))),
        ((*TIMES, "updated_at"), moment),
    ):
        for column in columns:
            value = element.get(column)
            typed[column] = None if value is None or value == "" else meaning(value)
    typed["observed"] = typed["last_event_time"] or typed["updated_at"] or now
    return typed


def moment(text: str) -> datetime:
    """A time; without zone it is UTC."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _merged(elements: list[Row], strategy: str) -> Row:
    """What one person's elements, oldest first, say together."""
    said: Row = {"timed": all(element["last_event_time"] for element in elements)}
    for column in (*COUNTS, *FLAGS, *TIMES):
        values = [element[column] for element in elements if element[column] is not None]
        if not values:
            said[column] = None
        elif strategy == "replace":
            said[column] = values[-1]
        elif column in COUNTS:
            said[column] = sum(values)
        elif column in FLAGS:
            said[column] = any(values)
        else:
            said[column] = min(values) if column == "first_event_time" else max(values)
    for column in (*TEXTS, *NUMBERS):
        giving = [element for element in elements if element[column] is not None]
        said[column] = giving[-1][column] if giving else None
        said[f"{column}_at"] = giving[-1]["observed"] if giving else None
    return said


def _applied(row: Row, said: Row, strategy: str) -> Row:
    for column in (*COUNTS, *FLAGS, *TIMES):
        value, before = said[column], row[column]
        if value is None:
            continue
        if strategy == "replace" or before is None:
            row[column] = value
        elif column in COUNTS:
            row[column] = before + value
        elif column in FLAGS:
            row[column] = before or value
        else:
            row[column] = min(before, value) if column == "first_event_time" else max(before, value)
    for column in (*TEXTS, *NUMBERS):
        value, observed, before_at = said[column], said[f"{column}_at"], row[f"{column}_at"]
        if value is None:
            continue
        if value == row[column]:
            if said["timed"]:
                row[f"{column}_at"] = max(filter(None, (before_at, observed)))
        elif strategy == "replace" or before_at is None or observed >= before_at:
            row[column], row[f"{column}_at"] = value, observed
    return row
