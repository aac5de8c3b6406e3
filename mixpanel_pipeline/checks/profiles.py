"""Profiles are compared before they are written, and stay what Mixpanel said."""

from dataclasses import asdict

from psycopg.rows import dict_row

from mixpanel_pipeline.checks.verdict import ROWS_SHOWN, Verdict
from mixpanel_pipeline.lake.storage import LakeStorage
from mixpanel_pipeline.subscribers.lake_queries import LakeReadError
from mixpanel_pipeline.subscribers.profile_differences import compare_with_snapshot
from mixpanel_pipeline.subscribers.profile_sync import SOURCE
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.sql_files import read_sql

SYNCS_IN_A_ROW = 3


def profiles_skip_unchanged(warehouse: Warehouse) -> Verdict:
    """Of the last three snapshots one at least left somebody out who had not changed, and the newest was compared."""
    name = "profiles_skip_unchanged"
    with warehouse.connect() as connection, connection.cursor(row_factory=dict_row) as cursor:
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
    """Stored profiles equal the newest snapshot in the lake: every person, every property."""
    name = "profiles_equal_snapshot"
    try:
        comparison = compare_with_snapshot(warehouse, storage)
    except LakeReadError as error:
        return Verdict(name, False, str(error), fix="Take a new one: `mixpanel-pipeline profiles`.")
    snapshot, differences = comparison.snapshot, comparison.differences
    if snapshot is None:
        return Verdict(name, True, "no snapshot of profiles yet")
    figures = {"people": snapshot.people}
    if not differences:
        summary = f"profiles of {snapshot.people} people equal the snapshot of {snapshot.taken_at:%Y-%m-%d %H:%M} UTC"
        return Verdict(name, True, summary, figures=figures)
    wrong = {difference.distinct_id for difference in differences}
    return Verdict(
        name, False,
        f"{len(wrong)} profiles are not what the snapshot of {snapshot.taken_at:%Y-%m-%d %H:%M} UTC says",
        rows=[asdict(difference) for difference in differences[:ROWS_SHOWN]],
        fix="Somebody wrote to subscriber_profiles past the pipeline, or the newest snapshot could not be compared "
        "(profiles_skip_unchanged says so): `mixpanel-pipeline profiles` takes a new one and writes what differs.",
        figures={**figures, "profiles_wrong": len(wrong), "values_wrong": len(differences)},
    )  # fmt: skip
