"""The events and properties that become subscriber columns: the one place to add a metric.

The DuckDB queries, the staging table, ADD and REPLACE all follow from the two tuples below; a test holds
them against the migrations. How to add a metric: docs/adding-a-metric.md.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Literal


@dataclass(frozen=True)
class EventMetric:
    """An event whose occurrences are counted (`count`) or merely noted (`flag`) in a subscriber column."""

    event: str
    column: str
    kind: Literal["count", "flag"] = "count"


@dataclass(frozen=True)
class Property:
    """An event property whose newest non-null value is a subscriber column.

    `names` are the spellings that occur in events, in the order of preference.
    """

    column: str
    kind: Literal["text", "number"]
    names: tuple[str, ...]


def _property(column: str, kind: Literal["text", "number"]) -> Property:
    first, *rest = column.split("_")
    camel_case = first + "".join(word.capitalize() for word in rest)
    return Property(column, kind, tuple(dict.fromkeys((camel_case, column))))


EVENT_METRICS: tuple[EventMetric, ...] = (
    EventMetric("DubAutoCopyInitiated", "total_copies"),
    EventMetric("Viewed Portfolio Details", "total_pdp_views"),
    EventMetric("Viewed Creator Profile", "total_creator_profile_views"),
    EventMetric("AchTransferInitiated", "total_ach_transfers"),
    EventMetric("Viewed Creator Paywall", "paywall_views"),
    EventMetric("SubscriptionCreated", "total_subscriptions"),
    EventMetric("$ae_session", "app_sessions"),
    EventMetric("Viewed Discover Tab", "discover_tab_views"),
    EventMetric("Viewed Stripe Modal", "stripe_modal_views"),
    EventMetric("Tapped Creator Card", "creator_card_taps"),
    EventMetric("Tapped Portfolio Card", "portfolio_card_taps"),
    EventMetric("BankAccountLinked", "linked_bank_account", "flag"),
)

PROPERTIES: tuple[Property, ...] = (
    _property("income", "text"),
    _property("net_worth", "text"),
    _property("investing_activity", "text"),
    _property("investing_experience_years", "text"),
    _property("investing_objective", "text"),
    _property("investment_type", "text"),
    _property("acquisition_survey", "text"),
    _property("available_copy_credits", "number"),
    _property("buying_power", "number"),
    _property("total_deposits", "number"),
    _property("total_deposit_count", "number"),
    _property("total_withdrawals", "number"),
    _property("total_withdrawal_count", "number"),
    _property("active_created_portfolios", "number"),
    _property("lifetime_created_portfolios", "number"),
)

# Who an event counts for: the first of these that is a non-empty value (spec section 5).
IDENTITY_PROPERTIES: tuple[str, ...] = (
    "distinct_id",
    "$distinct_id",
    "user_id",
    "$user_id",
    "identified_id",
    "$identified_id",
)
# Anonymous devices stay in the lake and count for nobody.
ANONYMOUS_PREFIX = "$device:"

COUNT_METRICS: tuple[EventMetric, ...] = tuple(metric for metric in EVENT_METRICS if metric.kind == "count")
FLAG_METRICS: tuple[EventMetric, ...] = tuple(metric for metric in EVENT_METRICS if metric.kind == "flag")
TRACKED_EVENTS: tuple[str, ...] = tuple(metric.event for metric in EVENT_METRICS)


def fingerprint() -> str:
    """Says which catalog a stored partition was extracted with; any change of a line changes it."""
    lines = [asdict(line) for line in (*EVENT_METRICS, *PROPERTIES)]
    return hashlib.sha256(json.dumps([lines, IDENTITY_PROPERTIES]).encode()).hexdigest()[:16]
