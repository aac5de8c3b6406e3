"""ADD, REPLACE, contributions and the lake say the same."""

from collections import Counter
from dataclasses import asdict
from datetime import date

from mixpanel_pipeline.checks.verdict import ROWS_A_PERSON, ROWS_SHOWN, Verdict
from mixpanel_pipeline.lake.manifest import read_partitions
from mixpanel_pipeline.lake.storage import LakeStorage
from mixpanel_pipeline.subscribers.lake_queries import LakeReadError
from mixpanel_pipeline.subscribers.replace import TotalDifference, contributions_that_differ, totals_that_differ
from mixpanel_pipeline.warehouse.connection import Warehouse

COLUMNS_NAMED = 3


def add_equals_replace(warehouse: Warehouse, storage: LakeStorage) -> Verdict:
    """Totals kept by ADD equal REPLACE from the lake: every column, every person."""
    name = "add_equals_replace"
    try:
        differences = totals_that_differ(warehouse, storage)
    except LakeReadError as error:
        return Verdict(name, False, str(error), fix="Land those days again, then check again.")
    with warehouse.connect() as connection:
        row = connection.execute("select count(*) from subscribers_insights_v2").fetchone()
    people = row[0] if row else 0
    if not differences:
        return Verdict(name, True, f"totals of {people} subscribers equal REPLACE", figures={"subscribers": people})
    wrong = {difference.distinct_id for difference in differences}
    columns = sorted({difference.column for difference in differences})
    return Verdict(
        name,
        False,
        f"{len(wrong)} of {people} subscribers differ from REPLACE, in {_named(columns)}",
        rows=[asdict(difference) for difference in _examples(differences)],
        fix="Somebody wrote to the tables past the pipeline, or this is a bug: `mixpanel-pipeline sync --full` "
        "computes all totals again from the lake.",
        figures={"subscribers": people, "subscribers_wrong": len(wrong), "values_wrong": len(differences)},
    )


def _named(columns: list[str]) -> str:
    first = ", ".join(columns[:COLUMNS_NAMED])
    return first if len(columns) <= COLUMNS_NAMED else f"{len(columns)} columns: {first} ..."


def _examples(differences: list[TotalDifference]) -> list[TotalDifference]:
    shown: Counter[str] = Counter()
    examples = []
    for difference in differences:
        if shown[difference.distinct_id] < ROWS_A_PERSON:
            shown[difference.distinct_id] += 1
            examples.append(difference)
    return examples[:ROWS_SHOWN]


def contributions_equal_lake(
    warehouse: Warehouse, storage: LakeStorage, from_day: date | None = None, to_day: date | None = None
) -> Verdict:
    """Stored contributions equal what each day's partition gives, for some days or all."""
    name = "contributions_equal_lake"
    try:
        differences = contributions_that_differ(warehouse, storage, from_day, to_day)
    except LakeReadError as error:
        return Verdict(name, False, str(error), fix="Land those days again, then check again.")
    with warehouse.connect() as connection:
        days = len(read_partitions(connection, from_day, to_day))
    if not differences:
        return Verdict(name, True, f"contributions of {days} days equal the lake", figures={"days": days})
    wrong_days = sorted({difference.export_day for difference in differences})
    return Verdict(
        name,
        False,
        f"{len(differences)} contributions on {len(wrong_days)} of {days} days differ from the lake, "
        f"first on {wrong_days[0]}",
        rows=[asdict(difference) for difference in differences[:ROWS_SHOWN]],
        fix=f"Materialize those days again: `mixpanel-pipeline sync --from {wrong_days[0]} --to {wrong_days[-1]}`; "
        "where a day's content did not change, `mixpanel-pipeline sync --full` computes them from the lake.",
        figures={"days": days, "days_wrong": len(wrong_days), "contributions_wrong": len(differences)},
        wrong_days=(wrong_days[0], wrong_days[-1]),
    )


def no_quarantined_events(warehouse: Warehouse, from_day: date | None = None, to_day: date | None = None) -> Verdict:
    """No line of any export had to be set aside."""
    name = "no_quarantined_events"
    with warehouse.connect() as connection:
        partitions = read_partitions(connection, from_day, to_day)
    bad = [partition for partition in partitions if partition.quarantined]
    count = sum(partition.quarantined for partition in bad)
    if not bad:
        return Verdict(name, True, f"no line of {len(partitions)} days is quarantined", "warning")
    return Verdict(
        name,
        False,
        f"{count} lines on {len(bad)} of {len(partitions)} days could not be read as events",
        "warning",
        rows=[
            {
                "export_day": partition.export_day,
                "quarantined": partition.quarantined,
                "file": partition.quarantine_file,
            }
            for partition in bad[:ROWS_SHOWN]
        ],
        fix="The files in the lake (LAKE_URL) give every line with its reason; they count in no total.",
        figures={"quarantined": count, "days_with_quarantine": len(bad)},
        wrong_days=(bad[0].export_day, bad[-1].export_day),
    )


def partitions_follow_settings(warehouse: Warehouse, recipe: str) -> Verdict:
    """Every day was landed with today's catalog, time mode and time zone (`recipe` is EventSync.recipe)."""
    name = "partitions_follow_settings"
    with warehouse.connect() as connection:
        partitions = read_partitions(connection)
    # Which events were asked for, the recipe's last word, changes no total: untracked ones count for nobody.
    other = [day for day in partitions if day.recipe.rsplit(" ", 1)[0] != recipe.rsplit(" ", 1)[0]]
    if not other:
        return Verdict(name, True, f"{len(partitions)} days were landed as the settings say", "warning")
    first, last = other[0].export_day, other[-1].export_day
    return Verdict(
        name,
        False,
        f"{len(other)} of {len(partitions)} days were landed with another catalog, time mode or time zone, "
        f"first {first}, last {last}",
        "warning",
        rows=[{"export_day": day.export_day, "landed_with": day.recipe} for day in other[:ROWS_SHOWN]],
        fix=f"If MIXPANEL_TIME_MODE and MIXPANEL_TIMEZONE are right now: `mixpanel-pipeline sync --from {first} "
        f"--to {last}`.",
        figures={"days_with_another_recipe": len(other)},
    )


def events_lie_within_their_day(
    warehouse: Warehouse, from_day: date | None = None, to_day: date | None = None
) -> Verdict:
    """Every event's time lies in the day it was exported for; else the time zone or time mode is set wrong."""
    name = "events_lie_within_their_day"
    with warehouse.connect() as connection:
        partitions = read_partitions(connection, from_day, to_day)
    bad = [partition for partition in partitions if partition.outside_day]
    if not bad:
        return Verdict(name, True, f"all events of {len(partitions)} days lie within their day", "warning")
    count = sum(partition.outside_day for partition in bad)
    return Verdict(
        name,
        False,
        f"{count} events on {len(bad)} of {len(partitions)} days have a time outside the day they were exported for",
        "warning",
        rows=[
            {"export_day": partition.export_day, "outside_day": partition.outside_day} for partition in bad[:ROWS_SHOWN]
        ],
        fix="They are counted on the day Mixpanel gave them for. Check MIXPANEL_TIME_MODE and MIXPANEL_TIMEZONE.",
        figures={"outside_day": count},
        wrong_days=(bad[0].export_day, bad[-1].export_day),
    )
