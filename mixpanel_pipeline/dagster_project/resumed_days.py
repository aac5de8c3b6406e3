"""Which days of a run need not be done again when it is tried again."""

import dagster as dg
from dagster._core.storage.tags import RESUME_RETRY_TAG

from mixpanel_pipeline.dagster_project.asset_specs import ALL_KEYS

# A run tried again and again still remembers its first attempt.
MOST_ANCESTORS = 20

Materialized = dict[str, list[dg.AssetMaterialization]]


def days_done_before(context: dg.AssetExecutionContext) -> Materialized:
    """Days that an earlier attempt of this op, or the run that this one continues "from failure", finished.

    A day is finished when all four assets have its materialization, which is logged after its commit. Doing such a
    day again would do no harm, but a range has as many exports as days, and Mixpanel allows 60 an hour.
    A run launched anew, or as a whole ("all steps"), does every day.
    """
    run = context.run
    runs = [run.run_id] if context.retry_number else []
    while run and run.tags.get(RESUME_RETRY_TAG) == "true" and run.parent_run_id and len(runs) < MOST_ANCESTORS:
        runs.append(run.parent_run_id)
        run = context.instance.get_run_by_id(run.parent_run_id)
    found: Materialized = {}
    for run_id in runs:
        for day, materializations in _finished_days(context.instance, run_id).items():
            found.setdefault(day, materializations)
    return found


def _finished_days(instance: dg.DagsterInstance, run_id: str) -> Materialized:
    events: dict[str, dict[dg.AssetKey, dg.AssetMaterialization]] = {}
    for entry in instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
        materialization = entry.asset_materialization
        if materialization and materialization.partition:
            events.setdefault(materialization.partition, {})[materialization.asset_key] = materialization
    return {day: list(by_key.values()) for day, by_key in events.items() if set(by_key) >= set(ALL_KEYS)}
