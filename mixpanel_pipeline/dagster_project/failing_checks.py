"""Which checks fail, and whether an evaluation is news."""

from dataclasses import dataclass, field

import dagster as dg

from mixpanel_pipeline.checks.verdict import ROWS_SHOWN

# Checks look at the days of their run, and name the days that are wrong in the rows they show. A check that names
# none is about everything.
DAY_COLUMNS = ("export_day", "day", "hour")
NO_DAY = ""

Days = tuple[str, str] | None
News = str | None


@dataclass
class Failing:
    """A check that fails: how badly, and on which days."""

    severity: str
    days: list[str] = field(default_factory=list)


def news_of(failing: dict[str, Failing], evaluation: dg.AssetCheckEvaluation, days: Days) -> News:
    """Enters an evaluation in `failing`: "fails" or "warns" when that is news, "passes" when nothing of it fails any
    more, else None.

    News is that the check fails on a day that it did not fail on before, or as an error where it warned. Passing
    says something about the days of the run only (`days`, all where there are none).
    """
    name = evaluation.asset_check_key.to_user_string()
    known = failing.get(name)
    outside = [day for day in known.days if not _within(day, days)] if known else []
    if evaluation.passed:
        if outside and known:
            known.days = outside
            return None
        return "passes" if failing.pop(name, None) else None
    rows = _rows(evaluation)
    named = {str(row[column]) for row in rows for column in DAY_COLUMNS if column in row} or {NO_DAY}
    # Rows are examples: with all places taken, a day that is not among them may still be wrong.
    kept = known.days if known and len(rows) >= ROWS_SHOWN else outside
    severity = evaluation.severity.value
    failing[name] = Failing(severity, sorted({*kept, *named}))
    worse = known is not None and severity != known.severity == dg.AssetCheckSeverity.WARN.value
    if known and not worse and named <= set(known.days):
        return None
    return "fails" if evaluation.severity == dg.AssetCheckSeverity.ERROR else "warns"


def fails_its_run(evaluation: dg.AssetCheckEvaluation) -> bool:
    """Whether the run fails over it, and says the same."""
    return bool(evaluation.blocking) and not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR


def words_of(evaluation: dg.AssetCheckEvaluation) -> tuple[str, str]:
    """What differs and by how much, and what to do. The rows that differ hold people's data, and stay at home."""
    summary, fix = evaluation.metadata.get("summary"), evaluation.metadata.get("fix")
    if summary is None:
        return evaluation.description or f"{evaluation.check_name} did not pass", ""
    return f"{evaluation.check_name}: {summary.value}", str(fix.value) if fix else ""


def _within(day: str, days: Days) -> bool:
    return day == NO_DAY or days is None or days[0] <= day <= days[1]


def _rows(evaluation: dg.AssetCheckEvaluation) -> list[dict]:
    table = evaluation.metadata.get("rows")
    return [dict(record.data) for record in table.records] if isinstance(table, dg.TableMetadataValue) else []
