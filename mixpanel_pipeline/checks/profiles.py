"""Profiles are compared before they are written, and stay what Mixpanel said."""

from dataclasses import asdict

import psycopg
from psycopg.rows import dict_row

from mixpanel_pipeline.checks.verdict import ROWS_SHOWN, Verdict
from mixpanel_pipeline.lake.storage import LakeStorage
from mixpanel_pipeline.subscribers.lake_queries import LakeReadError
from mixpanel_pipeline.subscribers.profile_differences import ProfileComparison, compare_with_snapshot
from mixpanel_pipeline.subscribers.profile_sync import SOURCE
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql

SYNCS_IN_A_ROW = 3


def profiles_skip_unchanged(warehouse: Warehouse) -> Verdict:
    """Of the last three snapshots one at least left somebody out who had not changed, and the newest was compared."""
    with warehouse.connect() as connection:
        return judge_snapshots(connection)


def judge_snapshots(connection: psycopg.Connection) -> Verdict:
    """What profiles_skip_unchanged finds, on a connection that is there."""
    name = "profiles_skip_unchanged"
    with connection.cursor(row_factory=dict_row) as cursor:
        syncs = cursor.execute(
            read_sql("subscribers/last_profile_syncs.sql"), {"source": SOURCE, "most": SYNCS_IN_A_ROW}
        ).fetchall()
        properties = cursor.execute(
            read_sql("subscribers/most_changed_properties.sql"), {"most": ROWS_SHOWN}
        ).fetchall()
    if not syncs:
        return Verdict(name, True, "no snapshot of profiles yet", "warning")
    newest = syncs[0]
    figures = {figure: newest[figure] for figure in ("people", "new", "changed", "unchanged")}
    if newest["comparison_error"]:
        return Verdict(
            name, False,
            f"the newest snapshot could not be compared, so all {newest['people']} people were written: "
            f"{newest['comparison_error']}",
            "warning",
            fix="Nothing is lost; nobody was marked deleted, and the history lacks these changes. Mend what the "
            "message says, then run `mixpanel-pipeline profiles`.",
            figures=figures,
        )  # fmt: skip
    if len(syncs) < SYNCS_IN_A_ROW or any(sync["unchanged"] or not sync["people"] for sync in syncs):
        summary = f"{newest['unchanged']} of {newest['people']} people had not changed and were skipped"
        return Verdict(name, True, summary, "warning", figures=figures)
    return Verdict(
        name, False,
        f"the last {SYNCS_IN_A_ROW} snapshots skipped nobody: all {newest['people']} people were written each time",
        "warning",
        rows=properties,
        fix="The rows are the properties that changed most in the newest snapshot. One that changes for everybody is "
        "set by the app at every start, say; if nothing changed in Mixpanel, the comparison is broken: please report "
        "it.",
        figures=figures,
    )  # fmt: skip


def profiles_equal_snapshot(warehouse: Warehouse, storage: LakeStorage) -> Verdict:
    """Stored profiles equal the newest snapshot in the lake, every person, every property, and their times are those of
    their history."""
    name = "profiles_equal_snapshot"
    try:
        comparison = compare_with_snapshot(warehouse, storage)
    except LakeReadError as error:
        return Verdict(name, False, str(error), fix="Take a new one: `mixpanel-pipeline profiles`.")
    snapshot, found = comparison.snapshot, [*comparison.differences, *comparison.times]
    wrong = len({difference.distinct_id for difference in found})
    if snapshot is None:
        figures, equal = {}, "no snapshot of profiles yet"
        differ = f"{wrong} profiles are stored, or have a history, but profile_snapshots knows of no snapshot"
    else:
        source = f"the snapshot of {snapshot.taken_at:%Y-%m-%d %H:%M} UTC"
        figures, equal = {"people": snapshot.people}, f"profiles of {snapshot.people} people equal {source}"
        differ = f"{wrong} profiles are not what {source} and their history say"
    if not found:
        return Verdict(name, True, equal, figures=figures)
    return Verdict(
        name, False, differ,
        rows=[asdict(difference) for difference in found[:ROWS_SHOWN]],
        fix=_fix(comparison),
        figures={**figures, "profiles_wrong": wrong, "values_wrong": len(found)},
    )  # fmt: skip


def _fix(comparison: ProfileComparison) -> str:
    advice = []
    if comparison.differences:
        advice.append(
            "Somebody wrote to subscriber_profiles past the pipeline, or the newest snapshot could not be compared "
            "(profiles_skip_unchanged says so): `mixpanel-pipeline profiles` takes a new one and writes what differs. "
            "If that leaves differences, the comparison is broken: please report it."
        )
    if comparison.times:
        advice.append(
            "Times that are not the history's stay wrong, and with them which value is the newest: by "
            "`mixpanel-pipeline psql` delete these people from subscriber_profiles and subscriber_profile_changes, "
            "then `mixpanel-pipeline profiles`, which writes who is there as new, then `mixpanel-pipeline sync --full`."
        )
    return " ".join(advice)
