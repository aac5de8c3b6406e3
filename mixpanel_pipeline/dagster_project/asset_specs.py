"""What the catalog page shows of the assets: grain, key, columns and where each comes from."""

from datetime import timedelta
from typing import Any

import dagster as dg

from mixpanel_pipeline import catalog, catalog_sql

RAW_EVENTS = dg.AssetKey("mixpanel_raw_events")
CONTRIBUTIONS = dg.AssetKey("subscriber_daily_contributions")
TOTALS = dg.AssetKey("subscribers_insights_v2")
WATERMARKS = dg.AssetKey("sync_watermarks")
ALL_KEYS = (RAW_EVENTS, CONTRIBUTIONS, TOTALS, WATERMARKS)
PROFILES = dg.AssetKey("subscriber_profiles")

GROUP = "mixpanel"

# A heartbeat: the daily sync wrote something. It looks at the newest materialization of any partition, so which
# days are there is for the checks watermark_advances and no_missing_partitions (dagster-io/dagster#34023).
HEARTBEAT = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=36), warn_window=timedelta(hours=26))

RAW_EVENTS_TEXT = """Every event that Mixpanel exports for a day, deduplicated, as one Parquet file in the lake.

**Grain**: one event. **Key**: event, distinct_id, time, $insert_id; of duplicates the newest processed is kept.
**Again**: the day's file is replaced only by a complete export; the same content changes nothing.
**Late events**: the hourly sweep finds days that received events after they were fetched and has them fetched again.
"""

CONTRIBUTIONS_TEXT = """What a day's partition adds to each person's totals.

**Grain**: person and day. **Key**: export_day, distinct_id.
**Again**: a day's rows are replaced as a whole, in the transaction that adds the difference to the totals; so
running a day twice adds nothing. **Late events**: come with the day's next fetch.
"""

TOTALS_TEXT = """One row a person: how often each tracked event happened, and the newest value of each property.

**Grain**: person. **Key**: distinct_id.
**Again**: totals += new contributions - stored contributions, so any day may be fetched again, in any order.
A property is the newest that events or the person's profile say; a snapshot of profiles writes its changes here too.
The check add_equals_replace compares every total with one computed from the lake alone.
**Partitions** tell which days are counted in; the table itself is not partitioned.
"""

WATERMARKS_TEXT = """How far each source is synchronized, and how many events that brought.

**Grain**: source. **Key**: source.
**Again**: last_event_time only moves forward, and only in the transaction that loaded the events;
total_events_synced grows by what is new, not by what was fetched.
"""

PROFILES_TEXT = """What Mixpanel's profiles said of each person last, and when that changed.

**Grain**: person. **Key**: distinct_id. Not partitioned: Mixpanel tells only how profiles are now.
**Again**: a complete snapshot is compared with what is stored; only who is new or changed is written, here, in
subscriber_profile_changes (what, from, to, when) and in subscribers_insights_v2, all in one transaction. A person
missing from the snapshot is marked deleted, not erased; an empty snapshot is refused unless `all_deleted` says so.
**Upstream**: Mixpanel's Engage API, one query of 60 an hour.
"""

_RAW_COLUMNS = {
    "export_day": ("date", "the day it was exported for"),
    "event": ("varchar", "the event's name"),
    "distinct_id": ("varchar", "as Mixpanel sent it"),
    "subscriber_id": ("varchar", "whom it counts for: the first of distinct_id, user_id and their like; null: nobody"),
    "time": ("timestamptz", "when it happened, UTC"),
    "insert_id": ("varchar", "$insert_id"),
    "mp_processing_time_ms": ("bigint", "when Mixpanel processed it, milliseconds since 1970"),
}


def asset_specs() -> list[dg.AssetSpec]:
    """The four assets that materializing a day writes."""
    return [
        _spec(RAW_EVENTS, RAW_EVENTS_TEXT, {"python", "duckdb", "parquet"}, _raw_columns()),
        _spec(
            CONTRIBUTIONS, CONTRIBUTIONS_TEXT, {"python", "duckdb", "postgres"},
            _columns(catalog_sql.contribution_columns()), deps=[RAW_EVENTS],
            lineage=_contribution_lineage(), table="subscriber_daily_contributions",
        ),
        _spec(
            TOTALS, TOTALS_TEXT, {"python", "postgres"},
            _columns([*catalog_sql.total_columns(), "updated_at"]), deps=[CONTRIBUTIONS, PROFILES],
            lineage=_total_lineage(), table="subscribers_insights_v2", freshness=HEARTBEAT,
        ),
        _spec(
            WATERMARKS, WATERMARKS_TEXT, {"python", "postgres"}, _watermark_columns(), deps=[RAW_EVENTS],
            table="sync_watermarks", freshness=HEARTBEAT,
        ),
    ]  # fmt: skip


def profiles_spec() -> dg.AssetSpec:
    """The asset that a snapshot of profiles writes."""
    return _spec(
        PROFILES, PROFILES_TEXT, {"python", "duckdb", "parquet", "postgres"}, _profile_columns(),
        table="subscriber_profiles", freshness=HEARTBEAT,
    )  # fmt: skip


def _spec(
    key: dg.AssetKey,
    description: str,
    kinds: set[str],
    columns: list[dg.TableColumn],
    *,
    deps: list[dg.AssetKey] | None = None,
    lineage: dg.TableColumnLineage | None = None,
    table: str | None = None,
    freshness: dg.FreshnessPolicy | None = None,
) -> dg.AssetSpec:
    metadata: dict[str, Any] = {"dagster/column_schema": dg.TableSchema(columns)}
    if lineage:
        metadata["dagster/column_lineage"] = lineage
    if table:
        metadata["dagster/table_name"] = table
    return dg.AssetSpec(
        key, deps=deps or [], description=description, metadata=metadata, group_name=GROUP, kinds=kinds,
        code_version=catalog.fingerprint(), tags={"source": "mixpanel"}, freshness_policy=freshness,
    )  # fmt: skip


def _raw_columns() -> list[dg.TableColumn]:
    columns = [dg.TableColumn(name, kind, description) for name, (kind, description) in _RAW_COLUMNS.items()]
    columns += [dg.TableColumn(line.column, "varchar", f"from {', '.join(line.names)}") for line in catalog.PROPERTIES]
    return [*columns, dg.TableColumn("properties", "json", "the complete event properties")]


def _columns(names: list[str]) -> list[dg.TableColumn]:
    described = _described_columns()
    return [dg.TableColumn(name, *described[name]) for name in names]


def _described_columns() -> dict[str, tuple[str, str]]:
    described = {
        "export_day": ("date", "the day it was exported for"),
        "distinct_id": ("text", "the person"),
        "events_processed": ("bigint", "tracked events"),
        "first_event_time": ("timestamptz", "of tracked events, UTC"),
        "last_event_time": ("timestamptz", "of tracked events, UTC"),
        "updated_at": ("timestamptz", "when a value of the row last changed"),
    }
    for metric in catalog.EVENT_METRICS:
        kind = "bigint" if metric.kind == "count" else "boolean"
        meaning = "how often" if metric.kind == "count" else "whether ever seen"
        described[metric.column] = (kind, f"{meaning}: {metric.event}")
    for line in catalog.PROPERTIES:
        described[line.column] = (catalog_sql.postgres_type(line), f"newest value of {', '.join(line.names)}")
        described[f"{line.column}_at"] = ("timestamptz", f"when {line.column} was sent")
    return described


def _profile_columns() -> list[dg.TableColumn]:
    described = _described_columns()
    return [
        dg.TableColumn("distinct_id", *described["distinct_id"]),
        *(
            dg.TableColumn(line.column, catalog_sql.postgres_type(line), f"from {', '.join(line.names)}")
            for line in catalog.PROPERTIES
        ),
        dg.TableColumn("properties", "jsonb", "the complete profile"),
        dg.TableColumn("first_seen_at", "timestamptz", "the snapshot that first had this person"),
        dg.TableColumn("changed_at", "timestamptz", "the snapshot that first had these properties"),
        dg.TableColumn("deleted_at", "timestamptz", "the first snapshot without this person; null: still there"),
    ]


def _watermark_columns() -> list[dg.TableColumn]:
    return [
        dg.TableColumn("source", "text", "what is synchronized"),
        dg.TableColumn("last_event_time", "timestamptz", "the newest event's time, UTC"),
        dg.TableColumn("total_events_synced", "bigint", "new events, of all syncs"),
        dg.TableColumn("last_synced_at", "timestamptz", "when a day last committed"),
        dg.TableColumn("notes", "text", "what the last sync did"),
    ]


def _contribution_lineage() -> dg.TableColumnLineage:
    """Counts come from the event's name and time, properties from the column of the same name."""
    sources = {"export_day": ["export_day"], "distinct_id": ["subscriber_id"], "events_processed": ["event"]}
    sources |= {"first_event_time": ["time"], "last_event_time": ["time"]}
    sources |= {metric.column: ["event"] for metric in catalog.EVENT_METRICS}
    for line in catalog.PROPERTIES:
        sources |= {line.column: [line.column], f"{line.column}_at": [line.column, "time"]}
    return _lineage({RAW_EVENTS: sources})


def _total_lineage() -> dg.TableColumnLineage:
    """From contributions; who somebody is, and properties, from profiles too."""
    from_profiles = {"distinct_id": ["distinct_id"]}
    for line in catalog.PROPERTIES:
        from_profiles |= {line.column: [line.column], f"{line.column}_at": ["changed_at"]}
    from_contributions = {name: [name] for name in catalog_sql.total_columns()}
    return _lineage({CONTRIBUTIONS: from_contributions, PROFILES: from_profiles})


def _lineage(sources: dict[dg.AssetKey, dict[str, list[str]]]) -> dg.TableColumnLineage:
    """From {upstream asset: {column: its columns}}."""
    dependencies: dict[str, list[dg.TableColumnDep]] = {}
    for upstream, columns in sources.items():
        for column, names in columns.items():
            dependencies.setdefault(column, []).extend(dg.TableColumnDep(upstream, name) for name in names)
    return dg.TableColumnLineage(dependencies)
