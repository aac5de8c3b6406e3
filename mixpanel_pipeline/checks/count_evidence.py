"""What is known of days explains why Mixpanel's reports count other than the lake, or does not (reference/mixpanel.md
A1.8, A1.9)."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from mixpanel_pipeline.checks.count_differences import Cell, Difference, Kind, covering_days
from mixpanel_pipeline.lake.calendar import ExportCalendar

# Mixpanel merges duplicates within hours, and those it overlooked some 20 days later (A1.9).
DUPLICATES_MERGED_AFTER = timedelta(days=20)

# What somebody deleted in Mixpanel is little of a day: a tenth of its events at most, or these few.
FEW_OF_A_DAY = 1 / 10
FEW = 3

REASONS: Mapping[Kind, str] = {
    "late": "events reached Mixpanel after the day was fetched",
    "duplicates": "of the duplicates removed here may still be counted by Mixpanel",
    "quarantined": "lines of the export could not be read as events",
}
DELETED = "fewer in reports than were exported: deleted in Mixpanel, or merged by it, since the day was fetched"
NOT_DELETED = "too many are missing in reports to have been deleted in Mixpanel"
NOTHING_REPORTED = (
    "reports count nothing at all on these days: they are another project's, a data view hides the events, or the plan "
    "has no reports"
)


@dataclass(frozen=True)
class Evidence:
    """What is known of an export day's partition that explains events which only reports have; how many of each."""

    late: int
    duplicates: int
    quarantined: int


def explained_by_evidence(
    differences: Sequence[Difference],
    ours: Mapping[Cell, int],
    evidence: Mapping[date, Evidence],
    calendar: ExportCalendar,
    *,
    swept: bool,
) -> list[Difference]:
    """The differences with their reasons, unexplained where what is known does not suffice.

    `ours` are all counts of the days compared, `evidence` is of every export day that covers one of them, `swept` says
    that Mixpanel was asked for late events just now.
    """
    missing_there = [cell for cell in differences if cell.difference < 0]
    if sum(ours.values()) + sum(cell.difference for cell in differences) == 0:
        return [replace(cell, reason=NOTHING_REPORTED) for cell in missing_there]
    missing_here = [cell for cell in differences if cell.difference > 0]
    return [
        *_explained_by_deletion(missing_there, ours),
        *_explained_by_what_is_known(missing_here, evidence, calendar, swept),
    ]


def _explained_by_deletion(missing: Sequence[Difference], ours: Mapping[Cell, int]) -> list[Difference]:
    """Deleted is what is little of its day, while Mixpanel still has most of the event: of that day's or, where a few
    are all there were, of all days'."""
    ours_of_event, ours_of_day = _sums(ours.items())
    missing_of_event, missing_of_day = _sums(((cell.event, cell.day), -cell.difference) for cell in missing)

    def is_little(cell: Difference) -> bool:
        of_day = missing_of_day[cell.day]
        most_is_there = _is_most(cell.mixpanel, cell.ours) or (
            -cell.difference <= FEW
            and _is_most(ours_of_event[cell.event] - missing_of_event[cell.event], ours_of_event[cell.event])
        )
        return most_is_there and (of_day <= FEW or of_day <= FEW_OF_A_DAY * ours_of_day[cell.day])

    return [
        replace(cell, kind="deleted", reason=DELETED) if is_little(cell) else replace(cell, reason=NOT_DELETED)
        for cell in missing
    ]


def _sums(counts: Iterable[tuple[Cell, int]]) -> tuple[Counter[str], Counter[date]]:
    """By event and by day."""
    by_event: Counter[str] = Counter()
    by_day: Counter[date] = Counter()
    for (event, day), events in counts:
        by_event[event] += events
        by_day[day] += events
    return by_event, by_day


def _is_most(part: int, whole: int) -> bool:
    # Exactly half is what a day that was loaded twice would leave.
    return part * 2 > whole


def _explained_by_what_is_known(
    missing: Sequence[Difference], evidence: Mapping[date, Evidence], calendar: ExportCalendar, swept: bool
) -> list[Difference]:
    """Nothing explains two events: what explained one day is used up for the next, which may lie in the same export
    day."""
    left = {day: Counter(vars(known)) for day, known in evidence.items()}
    by_day: defaultdict[date, list[Difference]] = defaultdict(list)
    for cell in missing:
        by_day[cell.day].append(cell)
    explained: list[Difference] = []
    for day in sorted(by_day):
        explained += _day_explained(by_day[day], [left[each] for each in covering_days(calendar, day)], swept)
    return explained


def _day_explained(cells: Sequence[Difference], left: Sequence[Counter[str]], swept: bool) -> list[Difference]:
    """All of a day's cells with one reason, or none: which of them what is known is of, nobody knows."""
    surplus = sum(cell.difference for cell in cells)
    known: dict[Kind, int] = {kind: sum(each[kind] for each in left) for kind in REASONS}
    # A duplicate is a copy of an event that is here.
    known["duplicates"] = min(known["duplicates"], sum(min(cell.difference, cell.ours) for cell in cells))
    present: list[Kind] = [kind for kind in known if known[kind]]
    # One that suffices alone is likelier than all together.
    suffices: list[Kind] = [kind for kind in present if known[kind] >= surplus]
    enough = suffices[:1] or present
    if sum(known[kind] for kind in enough) < surplus:
        reasons = [f"only {known[kind]} {REASONS[kind]}" for kind in present]
        unknown = [] if swept else ["late events could not be asked for"]
        return [replace(cell, reason="; ".join(reasons + unknown)) for cell in cells]
    used = surplus
    for kind in enough:
        used -= _use_up(left, kind, min(used, known[kind]))
    reason = "; ".join(f"{known[kind]} {REASONS[kind]}" for kind in enough)
    return [replace(cell, kind=enough[0], reason=reason) for cell in cells]


def _use_up(left: Sequence[Counter[str]], kind: Kind, events: int) -> int:
    """Takes so many away, of the older export day first, which no later day lies in; returns how many."""
    rest = events
    for each in left:
        taken = min(each[kind], rest)
        each[kind] -= taken
        rest -= taken
    return events
