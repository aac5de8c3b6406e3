"""The totals a set of exported lines must give, recomputed one event at a time from the specification.

It shares nothing with the product: no DuckDB, no SQL, no catalog, no module of ours. Slow and plain on purpose.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

COUNTED = {
    "DubAutoCopyInitiated": "total_copies",
    "Viewed Portfolio Details": "total_pdp_views",
    "Viewed Creator Profile": "total_creator_profile_views",
    "AchTransferInitiated": "total_ach_transfers",
    "Viewed Creator Paywall": "paywall_views",
    "SubscriptionCreated": "total_subscriptions",
    "$ae_session": "app_sessions",
    "Viewed Discover Tab": "discover_tab_views",
    "Viewed Stripe Modal": "stripe_modal_views",
    "Tapped Creator Card": "creator_card_taps",
    "Tapped Portfolio Card": "portfolio_card_taps",
}
FLAGGED = {"BankAccountLinked": "linked_bank_account"}
TEXTS = {
    "income": ("income",),
    "net_worth": ("netWorth", "net_worth"),
    "investing_activity": ("investingActivity", "investing_activity"),
    "investing_experience_years": ("investingExperienceYears", "investing_experience_years"),
    "investing_objective": ("investingObjective", "investing_objective"),
    "investment_type": ("investmentType", "investment_type"),
    "acquisition_survey": ("acquisitionSurvey", "acquisition_survey"),
}
NUMBERS = {
    "available_copy_credits": ("availableCopyCredits", "available_copy_credits"),
    "buying_power": ("buyingPower", "buying_power"),
    "total_deposits": ("totalDeposits", "total_deposits"),
    "total_deposit_count": ("totalDepositCount", "total_deposit_count"),
    "total_withdrawals": ("totalWithdrawals", "total_withdrawals"),
    "total_withdrawal_count": ("totalWithdrawalCount", "total_withdrawal_count"),
    "active_created_portfolios": ("activeCreatedPortfolios", "active_created_portfolios"),
    "lifetime_created_portfolios": ("lifetimeCreatedPortfolios", "lifetime_created_portfolios"),
}
IDENTITIES = ("distinct_id", "$distinct_id", "user_id", "$user_id", "identified_id", "$identified_id")
NUMERIC_TEXT = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*")


def totals(
    days: Mapping[date, Iterable[bytes]], utc_time=lambda wall_seconds: wall_seconds
) -> dict[str, dict[str, Any]]:
    """{person: {column: value}} from each day's exported lines. `utc_time` turns a stored time into real seconds."""
    people: dict[str, dict[str, Any]] = {}
    newest: dict[tuple[str, str], tuple] = {}
    for day, lines in days.items():
        for event in deduplicated(lines):
            _count(people, newest, day, event, utc_time)
    return people


def deduplicated(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """Events of one day: of the same event, person, time and insert id the newest processed; those without insert id
    all."""
    kept: dict[Any, dict[str, Any]] = {}
    for number, line in enumerate(lines):
        event = parsed(line)
        if event is None:
            continue
        properties = event["properties"]
        insert_id = properties.get("$insert_id") or None
        key = (
            (event["event"], properties.get("distinct_id"), seconds(properties["time"]), insert_id)
            if insert_id
            else number
        )
        if key not in kept or processed(properties) > processed(kept[key]["properties"]):
            kept[key] = event
    return list(kept.values())


def parsed(line: bytes) -> dict[str, Any] | None:
    """An event, half surrogates replaced; None for what goes to quarantine."""
    try:
        event = json.loads(line.decode("utf-8", errors="replace"))
    except ValueError:
        return None
    usable = isinstance(event, dict) and event.get("event") is not None and isinstance(event.get("properties"), dict)
    if not usable or seconds(event["properties"].get("time")) is None:
        return None
    return json.loads(re.sub(r"[\ud800-\udfff]", "\ufffd", json.dumps(event, ensure_ascii=False)))


def seconds(stored: Any) -> float | None:
    """A stored time in seconds: a number, numeric text, or an ISO date and time."""
    if isinstance(stored, bool) or stored is None:
        return None
    try:
        return float(stored)
    except (TypeError, ValueError):
        pass
    try:
        moment = datetime.fromisoformat(stored)
    except (TypeError, ValueError):
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def processed(properties: Mapping[str, Any]) -> float:
    value = properties.get("mp_processing_time_ms")
    return -1 if value is None else float(value)


def as_text(value: Any) -> str | None:
    """A JSON value as text; null and the empty string are nothing. Postgres has no NUL."""
    if value is None or value == "":
        return None
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def as_number(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    text = value if isinstance(value, str) else repr(value)
    return Decimal(text.strip()) if NUMERIC_TEXT.fullmatch(text) and len(text) <= 60 else None


def person_of(properties: Mapping[str, Any]) -> str | None:
    for name in IDENTITIES:
        identity = as_text(properties.get(name))
        if identity is not None:
            return None if identity.startswith("$device:") else identity
    return None


def _count(people, newest, day, event, utc_time) -> None:
    name, properties = event["event"], event["properties"]
    person = person_of(properties)
    if person is None or (name not in COUNTED and name not in FLAGGED):
        return
    row = people.setdefault(person, _nobody())
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=utc_time(seconds(properties["time"])))
    if name in COUNTED:
        row[COUNTED[name]] += 1
    else:
        row[FLAGGED[name]] = True
    row["events_processed"] += 1
    row["first_event_time"] = min(filter(None, (row["first_event_time"], moment)))
    row["last_event_time"] = max(filter(None, (row["last_event_time"], moment)))
    for columns, convert in ((TEXTS, as_text), (NUMBERS, as_number)):
        for column, names in columns.items():
            values = [convert(properties.get(name)) for name in names]
            value = next((value for value in values if value is not None), None)
            if value is None:
                continue
            version = (moment, day, processed(properties), properties.get("$insert_id") or "", str(value))
            if version > newest.get((person, column), ()):
                newest[person, column] = version
                row[column] = value


def _nobody() -> dict[str, Any]:
    return {
        **dict.fromkeys(COUNTED.values(), 0),
        **dict.fromkeys(FLAGGED.values(), False),
        **dict.fromkeys([*TEXTS, *NUMBERS]),
        "events_processed": 0,
        "first_event_time": None,
        "last_event_time": None,
    }
