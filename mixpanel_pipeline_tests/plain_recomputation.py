"""What exported lines and snapshots of profiles must give, recomputed one at a time from the specification.

It shares nothing with the product: no DuckDB, no SQL, no catalog, no module of ours. Slow and plain on purpose.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
                row[column], row[f"{column}_at"] = value, moment


def _nobody() -> dict[str, Any]:
    return {
        **dict.fromkeys(COUNTED.values(), 0),
        **dict.fromkeys(FLAGGED.values(), False),
        **dict.fromkeys(name for column in (*TEXTS, *NUMBERS) for name in (column, f"{column}_at")),
        "events_processed": 0,
        "first_event_time": None,
        "last_event_time": None,
    }


@dataclass
class PlainProfiles:
    """People by their ids, what changed, and what the newest snapshot came to."""

    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    changes: list[dict[str, Any]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


def profiles(snapshots: Iterable[tuple[datetime, Iterable[Mapping[str, Any]]]]) -> PlainProfiles:
    """What is known after snapshots, each the moment it was taken at and all of Mixpanel's profiles, in the order in
    which they were read."""
    known = PlainProfiles()
    for moment, results in snapshots:
        _read_snapshot(known, moment, results)
    return known


def _read_snapshot(known: PlainProfiles, moment: datetime, results: Iterable[Mapping[str, Any]]) -> None:
    known.counts = dict.fromkeys(("new", "changed", "unchanged", "deleted"), 0)
    said: dict[str, dict[str, Any]] = {}
    for result in results:
        person = mended(str(result["$distinct_id"]))
        if person and not person.startswith("$device:") and len(person.encode()) <= 2000:
            said.setdefault(person, mended(result["$properties"]))
    for person, properties in said.items():
        known.counts[_read_profile(known, moment, person, properties)] += 1
    for person in known.people.keys() - said.keys():
        row = known.people[person]
        if row["deleted_at"] is None:
            row["deleted_at"] = moment
            known.counts["deleted"] += 1
            _note(known, person, moment, "deleted")


def _read_profile(known: PlainProfiles, moment: datetime, person: str, properties: dict[str, Any]) -> str:
    row = known.people.get(person)
    if row is None:
        known.people[person] = {
            "first_seen_at": moment, "changed_at": moment, "deleted_at": None, **_described(properties),
        }  # fmt: skip
        _note(known, person, moment, "new")
        return "new"
    old, new = row["properties"], filled(properties)
    differing = sorted(name for name in old.keys() | new.keys() if different(old.get(name), new.get(name)))
    restored = row["deleted_at"] is not None
    if not (restored or differing):
        return "unchanged"
    row |= {"changed_at": max(moment, row["changed_at"]), "deleted_at": None, **_described(properties)}
    if restored:
        _note(known, person, moment, "restored")
    for name in differing:
        _note(known, person, moment, "restored" if restored else "changed", name, old.get(name), new.get(name))
    return "changed"


def _note(known: PlainProfiles, person: str, moment: datetime, change: str, name=None, old=None, new=None) -> None:
    known.changes.append(
        {
            "distinct_id": person, "changed_at": moment, "change": change, "property": name, "old_value": old,
            "new_value": new,
        }
    )  # fmt: skip


def _described(properties: Mapping[str, Any]) -> dict[str, Any]:
    """The columns that follow from what Mixpanel says of a person."""
    columns = {}
    for names_of, convert in ((TEXTS, as_text), (NUMBERS, as_number)):
        for column, names in names_of.items():
            values = (convert(properties.get(name)) for name in names)
            columns[column] = next((value for value in values if value is not None), None)
    return {**columns, "properties": filled(properties)}


def filled(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Null, missing and the empty text are one."""
    return {name: value for name, value in properties.items() if value is not None and value != ""}


def different(one: Any, other: Any) -> bool:
    """As JSON: true is not 1, as Python has it."""
    return json.dumps(one, sort_keys=True) != json.dumps(other, sort_keys=True)


def mended(value: Any) -> Any:
    """With U+FFFD for what Postgres has no character for: NUL and half surrogate pairs."""
    if isinstance(value, str):
        return re.sub("[\\0\\ud800-\\udfff]", "\ufffd", value)
    if isinstance(value, list):
        return [mended(one) for one in value]
    if isinstance(value, dict):
        return {mended(name): mended(one) for name, one in value.items()}
    return value


def totals_with_profiles(
    people: Mapping[str, Mapping[str, Any]], known: Mapping[str, Mapping[str, Any]]
) -> dict[str, dict[str, Any]]:
    """The totals of events, and those of people with a live profile; of a property the newer value, at the same time
    the profile's."""
    both = {person: dict(row) for person, row in people.items()}
    for person, profile in known.items():
        if profile["deleted_at"] is not None:
            continue
        row = both.setdefault(person, _nobody())
        for column in (*TEXTS, *NUMBERS):
            at = row[f"{column}_at"]
            if profile[column] is not None and (at is None or profile["changed_at"] >= at):
                row[column], row[f"{column}_at"] = profile[column], profile["changed_at"]
    return both
