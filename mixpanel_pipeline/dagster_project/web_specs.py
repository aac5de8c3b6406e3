"""What the catalog page shows of web analytics: grain, key, columns, and how late rows come in."""

import hashlib
from datetime import timedelta

import dagster as dg

from mixpanel_pipeline.warehouse.sql_files import read_sql

HOURLY = dg.AssetKey("analytics_events_hourly_agg")
DAILY = dg.AssetKey("analytics_events_daily_agg")
USERS = dg.AssetKey("analytics_daily_user_stats")
GROUPS = dg.AssetKey("analytics_daily_group_stats")
CONTACTS = dg.AssetKey("analytics_daily_contact_stats")
GROUP_CONTACTS = dg.AssetKey("analytics_daily_group_contact_stats")
PAGES = dg.AssetKey("analytics_daily_page_stats")
TARGETS = dg.AssetKey("analytics_daily_click_targets")
CARD_KEYS = (USERS, GROUPS, CONTACTS, GROUP_CONTACTS, PAGES, TARGETS)
WEB_KEYS = (HOURLY, DAILY, *CARD_KEYS)

RAW_WEB_EVENTS = dg.AssetKey("analytics_events")
RAW_CARD_KEYS = tuple(map(dg.AssetKey, ("analytics_sessions", "analytics_page_views", "analytics_clicks")))

GROUP = "web"

# Heartbeats: a run wrote something. How far the aggregates really are is for the check hourly_is_fresh.
HOURLY_HEARTBEAT = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=3), warn_window=timedelta(hours=2))
DAILY_HEARTBEAT = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))

HOW_IT_STAYS_RIGHT = """**Again**: a bucket is computed from the raw rows as a whole; what did not change is not
written, what is stale goes. Behind the raw floor (WEB_RETENTION_DAYS) aggregates stay, and late rows are refused.
**Late rows**: every write to a raw table marks its bucket, and any run takes all marks there are; older partitions
that rows had come to are reported with it.
"""

HOURLY_TEXT = f"""Events by project, hour, type and label.

**Grain**: project, UTC hour, type, label. **Key**: project_id, hour_bucket, event_type, event_label (null: none).
{HOW_IT_STAYS_RIGHT}"""

DAILY_TEXT = f"""Events by project, day, type and label, and analytics_events_daily_totals: by type, and all.

**Grain**: project, UTC day, type, label. **Key**: project_id, day, event_type, event_label (null: none).
**Uniques of ranges**: the sum of newcomer_visitors[day - first day + 1] over any days, at most 91, is exact.
{HOW_IT_STAYS_RIGHT}"""

CARD_TEXTS = {
    USERS: ("Views, clicks and sessions of each card and day.", "card and UTC day", "user_code, date"),
    GROUPS: (
        "The same by group link, null where a card was opened without one.",
        "card, group link and UTC day", "user_code, share_code, date",
    ),
    CONTACTS: (
        "The same by contact, null where a card was not shared with one.",
        "card, contact and UTC day", "user_code, contact_id, date",
    ),
    GROUP_CONTACTS: (
        "The same by group link and contact at once: unique sessions of a filter by both.",
        "card, group link, contact and UTC day", "user_code, share_code, contact_id, date",
    ),
    PAGES: (
        "Views of each page of a card, by group link and contact.",
        "card, page, group link, contact and UTC day", "user_code, page_type, share_code, contact_id, date",
    ),
    TARGETS: (
        "Clicks on each target of a card, by group link and contact.",
        "card, category, target, group link, contact and UTC day",
        "user_code, click_category, click_target, share_code, contact_id, date",
    ),
}  # fmt: skip

RAW_TEXTS = {
    RAW_WEB_EVENTS: "Web events as they came.",
    RAW_CARD_KEYS[0]: "Visits to cards as they came.",
    RAW_CARD_KEYS[1]: "Pages of cards that were seen.",
    RAW_CARD_KEYS[2]: "Clicks on cards.",
}

_COLUMNS = {
    "project_id": ("text", "the project"),
    "event_type": ("text", "the event's type"),
    "event_label": ("text", "the event's label; null: none"),
    "hour_bucket": ("timestamptz", "when the hour begins"),
    "day": ("date", "the UTC day"),
    "date": ("date", "the UTC day"),
    "event_count": ("bigint", "events"),
    "unique_visitors": ("bigint", "different visitors"),
    "unique_sessions": ("bigint", "different sessions"),
    "newcomer_visitors": ("integer[]", "[k + 1]: visitors not seen in the k days before"),
    "newcomer_sessions": ("integer[]", "[k + 1]: sessions not seen in the k days before"),
    "user_code": ("text", "the card's owner"),
    "share_code": ("text", "the group link it was opened by; null: none"),
    "contact_id": ("text", "whom it was shared with; null: nobody"),
    "page_views": ("bigint", "pages seen"),
    "clicks": ("bigint", "clicks"),
    "sessions_started": ("bigint", "sessions that began"),
    "page_type": ("text", "home, contact, profile or portfolio"),
    "click_category": ("text", "contact, messaging, social, portfolio, aiAgent or other"),
    "click_target": ("text", "what was clicked; null: unknown"),
    "updated_at": ("timestamptz", "when a value of the row last changed"),
}
_OF_EVENTS = ("event_count", "unique_visitors", "unique_sessions")
_OF_CARDS = ("page_views", "clicks", "sessions_started", "unique_sessions", "newcomer_sessions", "updated_at")
COLUMNS_OF = {
    HOURLY: ("project_id", "event_type", "event_label", "hour_bucket", *_OF_EVENTS, "updated_at"),
    DAILY: (
        "project_id", "event_type", "event_label", "day", *_OF_EVENTS,
        "newcomer_visitors", "newcomer_sessions", "updated_at",
    ),
    USERS: ("user_code", "date", *_OF_CARDS),
    GROUPS: ("user_code", "share_code", "date", *_OF_CARDS),
    CONTACTS: ("user_code", "contact_id", "date", *_OF_CARDS),
    GROUP_CONTACTS: ("user_code", "share_code", "contact_id", "date", *_OF_CARDS),
    PAGES: ("user_code", "share_code", "contact_id", "page_type", "date", "page_views", "updated_at"),
    TARGETS: (
        "user_code", "share_code", "contact_id", "click_category", "click_target", "date", "clicks", "updated_at",
    ),
}  # fmt: skip


def hourly_spec() -> dg.AssetSpec:
    return _spec(HOURLY, HOURLY_TEXT, [RAW_WEB_EVENTS], HOURLY_HEARTBEAT)


def daily_spec() -> dg.AssetSpec:
    return _spec(DAILY, DAILY_TEXT, [HOURLY], DAILY_HEARTBEAT)


def card_specs() -> list[dg.AssetSpec]:
    """Those that one transaction writes."""
    return [
        _spec(
            key,
            f"{what}\n\n**Grain**: {grain}. **Key**: {columns}.\n{HOW_IT_STAYS_RIGHT}",
            RAW_CARD_KEYS,
            DAILY_HEARTBEAT,
        )
        for key, (what, grain, columns) in CARD_TEXTS.items()
    ]


def raw_specs() -> list[dg.AssetSpec]:
    """What collectors write, and nothing here does."""
    return [
        dg.AssetSpec(
            key, description=text, group_name=GROUP, kinds={"postgres"}, tags={"source": "web"},
            metadata={"dagster/table_name": key.to_user_string()},
        )
        for key, text in RAW_TEXTS.items()
    ]  # fmt: skip


def _spec(
    key: dg.AssetKey, description: str, deps: list[dg.AssetKey] | tuple[dg.AssetKey, ...], fresh: dg.FreshnessPolicy
) -> dg.AssetSpec:
    columns = [dg.TableColumn(name, *_COLUMNS[name]) for name in COLUMNS_OF[key]]
    return dg.AssetSpec(
        key, deps=list(deps), description=description, group_name=GROUP, kinds={"python", "postgres"},
        tags={"source": "web"}, code_version=_code_version(), freshness_policy=fresh,
        metadata={"dagster/table_name": key.to_user_string(), "dagster/column_schema": dg.TableSchema(columns)},
    )  # fmt: skip


def _code_version() -> str:
    """Changes with the SQL that aggregates."""
    files = ("migrations/0009_web_aggregation.sql", "migrations/0010_web_cards.sql")
    return hashlib.sha256("".join(map(read_sql, files)).encode()).hexdigest()[:12]
