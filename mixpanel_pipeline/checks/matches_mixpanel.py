"""Events per day equal what Mixpanel's own reports count (reference/mixpanel.md A3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from mixpanel_pipeline import catalog
from mixpanel_pipeline.checks.count_differences import (
    ONE_DAY,
    Cell,
    Difference,
    Kind,
    QuarterHour,
    counts_by_day,
    covering_days,
    explained_by_time_zone,
)
from mixpanel_pipeline.checks.count_evidence import (
    DUPLICATES_MERGED_AFTER,
    NOTHING_REPORTED,
    Evidence,
    explained_by_evidence,
)
from mixpanel_pipeline.checks.verdict import ROWS_SHOWN, Verdict
from mixpanel_pipeline.lake.calendar import DayRange, day_ranges, days_between
from mixpanel_pipeline.lake.engine import set_variables
from mixpanel_pipeline.lake.manifest import RawPartition, read_partitions
from mixpanel_pipeline.mixpanel.errors import MixpanelError
from mixpanel_pipeline.mixpanel.event_counts import EventCountsClient
from mixpanel_pipeline.mixpanel.retry import RetryPolicy, retrying
from mixpanel_pipeline.settings import SettingsError
from mixpanel_pipeline.subscribers.event_sync import EventSync
from mixpanel_pipeline.subscribers.lake_queries import LakeReadError, stored_partitions
from mixpanel_pipeline.subscribers.late_sweep import LONGEST_RANGE_DAYS, marked_late_days, sweep_late_events
from mixpanel_pipeline.warehouse.sql_files import read_sql

NAME = "matches_mixpanel"

# One query costs the same for a day as for a month; within a month Mixpanel changes days by itself (A1.9): duplicates
# are merged after some 20 days, what somebody deleted is gone after 30.
DEFAULT_DAYS = 30

# Exports lag behind reports: 45 minutes were seen (A1.8). The daily sync fetches a UTC day two hours after its end.
SETTLED_AFTER = timedelta(hours=2)

# A check may wait a minute for Mixpanel's limits, not an hour: it can be asked for again.
LONGEST_WAIT = 60.0
PATIENCE = RetryPolicy(attempts=4, longest_rate_limit_wait=LONGEST_WAIT)

NOTHING_YET = (
    "no day can be compared yet: one can be when it was fetched two hours after its end, with the settings of today"
)

Manifest = Mapping[date, RawPartition]


@dataclass(frozen=True)
class _Comparison:
    """What the lake counts, and where Mixpanel's reports count otherwise."""

    ours: dict[Cell, int]
    differences: list[Difference]


def matches_mixpanel(
    sync: EventSync,
    reports: EventCountsClient,
    from_day: date | None = None,
    to_day: date | None = None,
    *,
    policy: RetryPolicy = PATIENCE,
) -> Verdict:
    """Each catalog event on each of the project's days is in the lake as often as Mixpanel's reports count it; what
    differs is explained. Asks Mixpanel: one query of 60 an hour, and one more where reports have more events."""
    with sync.warehouse.connect() as connection:
        manifest = _manifest(read_partitions(connection))
    days = _comparable_days(sync, manifest, _days_asked_for(sync, manifest, from_day, to_day))
    try:
        parts = [_compare(sync, reports, manifest, part, policy) for part in _parts(days)]
        ours = {cell: events for part in parts for cell, events in part.ours.items()}
        differences = [difference for part in parts for difference in part.differences]
        return _verdict(sync, _explained(sync, manifest, _Comparison(ours, differences)))
    except MixpanelError as error:
        return not_compared(error)
    except LakeReadError as error:
        return Verdict(NAME, False, str(error), fix="Land those days again, then check again.")


def not_compared(error: MixpanelError | SettingsError) -> Verdict:
    """Mixpanel could not be asked, which is neither good nor bad news of the totals."""
    if isinstance(error, SettingsError):
        fix = "The lake was not compared with Mixpanel's reports; set what is missing, then check again."
        summary = f"not compared with Mixpanel: {str(error).rstrip('.')}"
        return Verdict(NAME, False, summary, "warning", fix=fix, conclusive=False)
    reason = f"{error.what} ({error.place}): {error.detail.rstrip('.')}"
    summary = f"not compared with Mixpanel: {reason}"
    return Verdict(NAME, False, summary, "warning", fix=error.advice(), conclusive=False)


def _manifest(partitions: Sequence[RawPartition]) -> Manifest:
    return {partition.export_day: partition for partition in partitions}


def _days_asked_for(sync: EventSync, manifest: Manifest, from_day: date | None, to_day: date | None) -> list[date]:
    """Closed days of the project; by default the newest month of those that were fetched."""
    if not manifest:
        return []
    yesterday = sync.now().astimezone(ZoneInfo(sync.calendar.timezone)).date() - ONE_DAY
    newest = min(yesterday, max(manifest))
    last = min(newest, to_day or newest)
    return days_between(from_day or last - timedelta(days=DEFAULT_DAYS - 1), last)


def _comparable_days(sync: EventSync, manifest: Manifest, days: Sequence[date]) -> list[date]:
    """Those that lie in partitions which were landed as the settings say, long enough after the day was over."""
    return [
        day
        for day in days
        if all(
            export_day in manifest
            and _is_current(sync, manifest[export_day])
            and _is_settled(sync, manifest[export_day], day)
            for export_day in covering_days(sync.calendar, day)
        )
    ]


def _is_current(sync: EventSync, partition: RawPartition) -> bool:
    # Which events were asked for, the recipe's last word, makes no difference: the catalog's always are.
    return partition.recipe.rsplit(" ", 1)[0] == sync.recipe.rsplit(" ", 1)[0]


def _is_settled(sync: EventSync, partition: RawPartition, day: date) -> bool:
    end = datetime.combine(day + ONE_DAY, time(), ZoneInfo(sync.calendar.timezone))
    export_end = datetime.combine(partition.export_day + ONE_DAY, time(), sync.calendar.zone)
    return partition.fetched_at >= min(end.astimezone(UTC), export_end.astimezone(UTC)) + SETTLED_AFTER


def _parts(days: Sequence[date]) -> list[list[date]]:
    """The days as Mixpanel takes them in one query each."""
    parts: list[list[date]] = []
    for day in days:
        if parts and (day - parts[-1][0]).days < LONGEST_RANGE_DAYS:
            parts[-1].append(day)
        else:
            parts.append([day])
    return parts


def _compare(
    sync: EventSync, reports: EventCountsClient, manifest: Manifest, days: list[date], policy: RetryPolicy
) -> _Comparison:
    # A day more on either side, for days of other time zones.
    around = days_between(days[0] - ONE_DAY, days[-1] + ONE_DAY)
    landed = {day for day in around if day in manifest and _is_current(sync, manifest[day])}
    quarters = _quarter_hours(sync, [manifest[day] for day in sorted(landed)])
    ours = counts_by_day(quarters, sync.calendar, days[0], days[-1])
    answer = retrying(
        lambda: reports.event_counts(catalog.TRACKED_EVENTS, days[0], days[-1]),
        policy=policy, sleep=sync.sleep, log=sync.log,
    )  # fmt: skip
    compared = set(days)
    counted: dict[Cell, int] = {cell: events for cell, events in answer.items() if cell[1] in compared}
    differences = [
        Difference(event, day, ours[event, day], events)
        for (event, day), events in counted.items()
        if ours[event, day] != events
    ]
    differences = explained_by_time_zone(differences, quarters, counted, sync.calendar, landed)
    return _Comparison({cell: ours[cell] for cell in counted}, differences)


def _quarter_hours(sync: EventSync, partitions: Sequence[RawPartition]) -> list[QuarterHour]:
    calendar = sync.calendar
    with (
        sync.storage.scratch_directory() as scratch,
        stored_partitions(sync.storage, partitions, scratch) as engine,
    ):
        set_variables(engine, {"events": list(catalog.TRACKED_EVENTS)})
        rows = engine.execute(read_sql("lake/quarter_hours.sql")).fetchall()
    if calendar.time_mode == "utc":
        return [QuarterHour(*row) for row in rows]
    wire = {seconds: _wall_clock(seconds, calendar.zone) for seconds in {row[1] for row in rows}}
    return [QuarterHour(event, wire[seconds], events) for event, seconds, events in rows]


def _wall_clock(utc_seconds: int, zone: ZoneInfo) -> int:
    """The wall clock written as an epoch: what Mixpanel sent and landing turned into UTC."""
    return int(datetime.fromtimestamp(utc_seconds, zone).replace(tzinfo=UTC).timestamp())


def _explained(sync: EventSync, manifest: Manifest, found: _Comparison) -> _Comparison:
    """Every difference with its reason, and without the days that were fetched again meanwhile: of those the two sides
    are of different times."""
    left = [cell for cell in found.differences if cell.kind != "time zone"]
    swept = not any(cell.difference > 0 for cell in left) or _swept(sync)
    with sync.warehouse.connect() as connection:
        late = marked_late_days(connection)
        now = _manifest(read_partitions(connection))
    changed = {day for day, partition in manifest.items() if day not in now or now[day].file != partition.file}
    days = {day for _, day in found.ours if changed.isdisjoint(covering_days(sync.calendar, day))}
    ours = {cell: events for cell, events in found.ours.items() if cell[1] in days}
    explained = explained_by_evidence(
        [cell for cell in left if cell.day in days],
        ours,
        {day: _evidence(sync, partition, late.get(day, 0)) for day, partition in manifest.items()},
        sync.calendar,
        swept=swept,
    )
    in_time_zone = [cell for cell in found.differences if cell.kind == "time zone" and cell.day in days]
    return _Comparison(ours, in_time_zone + explained)


def _swept(sync: EventSync) -> bool:
    """Since the last hourly sweep more may have come. Without an answer what was found stays found."""
    try:
        sweep_late_events(sync)
    except MixpanelError as error:
        sync.log(f"late events could not be asked for: {error}")
        return False
    return True


def _evidence(sync: EventSync, partition: RawPartition, late: int) -> Evidence:
    duplicates_last = sync.now().date() - partition.export_day <= DUPLICATES_MERGED_AFTER
    return Evidence(
        late=late, duplicates=partition.duplicates if duplicates_last else 0, quarantined=partition.quarantined
    )


def _verdict(sync: EventSync, found: _Comparison) -> Verdict:
    days, differences = sorted({day for _, day in found.ours}), found.differences
    if not days:
        return Verdict(NAME, True, NOTHING_YET, "warning", conclusive=False)
    unexplained = [cell for cell in differences if cell.kind == "unexplained"]
    figures = {
        "days": len(days),
        "events": sum(found.ours.values()),
        "counts": len(found.ours),
        "differences": len(differences),
        "unexplained": len(unexplained),
    }
    compared = f"{len(found.ours)} counts from {days[0]} to {days[-1]} ({len(days)} days of {sync.calendar.timezone})"
    if not differences:
        summary = f"{compared} equal Mixpanel's reports"
        return Verdict(NAME, True, summary, "warning", figures=figures, looked_at=(days[0], days[-1]))
    ordered = sorted(differences, key=lambda cell: (cell.kind != "unexplained", cell.day, cell.event))
    kinds = ", ".join(f"{sum(cell.kind == kind for cell in ordered)} {kind}" for kind in _kinds(ordered))
    return Verdict(
        NAME,
        False,
        f"{len(differences)} of {compared} differ from Mixpanel's reports: {kinds}",
        "error" if unexplained else "warning",
        rows=[cell.row() for cell in ordered[:ROWS_SHOWN]],
        fix=" ".join(_fix(sync, kind, [cell for cell in ordered if cell.kind == kind]) for kind in _kinds(ordered)),
        figures=figures,
        wrong_days=(min(cell.day for cell in differences), max(cell.day for cell in differences)),
        looked_at=(days[0], days[-1]),
    )


def _kinds(differences: Sequence[Difference]) -> list[Kind]:
    return list(dict.fromkeys(cell.kind for cell in differences))


def _fix(sync: EventSync, kind: Kind, differences: Sequence[Difference]) -> str:
    export_days = {day for cell in differences for day in covering_days(sync.calendar, cell.day)}
    again = "`mixpanel-pipeline sync --from {} --to {}`".format(*_bounds(export_days))
    if kind == "unexplained" and differences[0].reason == NOTHING_REPORTED:
        return (
            f"Unexplained: {NOTHING_REPORTED}. See that MIXPANEL_PROJECT_ID is the project that the days were exported "
            "from, that the service account's data view shows these events, and that the plan has reports; then verify "
            "again."
        )
    return {
        "unexplained": f"Unexplained: {again}, and verify again an hour later, for exports lag behind reports by up to "
        "an hour; what differs then is for Mixpanel's support, or a bug here.",
        "time zone": f"Time zone: {differences[0].reason} (Mixpanel's project settings tell which zone it is). After a "
        "change of the time mode partitions_follow_settings says which days to land again.",
        "late": "Late: `mixpanel-pipeline sync` fetches those days again.",
        "duplicates": "Duplicates: nothing is wrong here; Mixpanel merges them within hours, or some 20 days.",
        "quarantined": "Quarantined: no_quarantined_events says which lines.",
        "deleted": f"Deleted: {again}; what differs then is hidden from reports but still exported, until Mixpanel "
        "removes it for good within 30 days.",
    }[kind]


def _bounds(days: set[date]) -> DayRange:
    return day_ranges(days)[0][0], day_ranges(days)[-1][1]
