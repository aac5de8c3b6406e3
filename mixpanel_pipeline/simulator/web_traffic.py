"""Web traffic made up from a seed, as rows of the web tables: the same seed and day give the same bytes.

A day's rows are those of the sessions that begin on that (UTC) day: a few happen up to 90 minutes after midnight.
They come in the order in which they happened, as streams for
`COPY table (columns) FROM STDIN (FORMAT binary)` with the columns of `COLUMN_TYPES[table]`.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from functools import cached_property
from typing import Any

import numpy as np

from mixpanel_pipeline.simulator.web_copy import COLUMN_TYPES, HEADER, TRAILER, read_rows
from mixpanel_pipeline.simulator.web_fragments import EVENT_DATA_VARIANTS, NO_LABEL, WebFragments
from mixpanel_pipeline.simulator.web_rendering import DayRendering
from mixpanel_pipeline.simulator.web_visits import (
    CLICK,
    EVENT,
    PAGE_VIEW,
    Rates,
    chunks,
    draw_sessions,
    in_order,
)
from mixpanel_pipeline.simulator.web_words import (
    CLICK_WEIGHTS,
    EVENT_TYPE_WEIGHTS,
    LABEL_WEIGHTS,
    PAGE_WEIGHTS,
)
from mixpanel_pipeline.simulator.web_world import (
    Card,
    WebProject,
    make_cards,
    make_projects,
    openings,
)

TABLES = ("analytics_sessions", "analytics_page_views", "analytics_clicks", "analytics_events")
LEGACY = "analytics_events_legacy"  # page views and clicks as rows with the columns of analytics_events
KINDS = {
    "analytics_page_views": (PAGE_VIEW,),
    "analytics_clicks": (CLICK,),
    "analytics_events": (EVENT,),
    LEGACY: (PAGE_VIEW, CLICK),
}
MOST_PROJECTS = 2**11
MOST_EVENTS_PER_VISITOR = 60


class WebTraffic:
    """Sites with cards, their visitors and what these do, on any day from `first_day` on.

    `events_per_day` are rows of analytics_events on an average day of the week, and `visitors_per_day` those who come;
    both are met within a few per cent. Missing labels are null or empty, as often the one as the other. A late row
    is received minutes to days after it happened.
    """

    def __init__(
        self,
        seed: int = 1,
        *,
        projects: int = 5,
        cards_per_project: int = 10,
        visitors_per_day: int = 500,
        events_per_day: int = 4_000,
        first_day: date = date(2026, 1, 1),
        late_fraction: float = 0.005,
        missing_label_fraction: float = 0.1,
    ) -> None:
        _check(seed, projects, cards_per_project, visitors_per_day, events_per_day)
        _check_fractions(late_fraction=late_fraction, missing_label_fraction=missing_label_fraction)
        self.first_day = first_day
        self.projects: tuple[WebProject, ...] = make_projects(seed, projects)
        self.cards: tuple[Card, ...] = make_cards(seed, self.projects, cards_per_project)
        self._rates = Rates(
            seed=seed,
            visitors_per_day=visitors_per_day,
            events_per_day=events_per_day,
            late_fraction=late_fraction,
            project_shares=_shares([project.share for project in self.projects]),
            opening_shares=_shares([way.share for card in self.cards[:cards_per_project] for way in openings(card)]),
            choice_shares=(
                _shares(list(PAGE_WEIGHTS.values())),
                _shares(list(CLICK_WEIGHTS.values())),
                _event_shares(missing_label_fraction),
            ),
            variants=EVENT_DATA_VARIANTS,
        )

    def copy(
        self,
        table: str,
        day: date,
        *,
        received_from: datetime | None = None,
        received_before: datetime | None = None,
    ) -> Iterator[bytes]:
        """That day's rows of the table (of `TABLES`, or `LEGACY`), those received in the given span only.

        A session's row is received with its first page view.
        """
        if table not in COLUMN_TYPES:
            raise ValueError(f"no web table named {table!r}: expected one of {', '.join(COLUMN_TYPES)}")
        span = _milliseconds(received_from, -np.inf), _milliseconds(received_before, np.inf)
        yield HEADER
        if day >= self.first_day:
            yield from filter(None, self._blocks(table, day, *span))
        yield TRAILER

    def rows(
        self,
        table: str,
        day: date,
        *,
        received_from: datetime | None = None,
        received_before: datetime | None = None,
    ) -> Iterator[dict[str, Any]]:
        """The same rows as Python values by column, which is slow."""
        return read_rows(table, self.copy(table, day, received_from=received_from, received_before=received_before))

    def _blocks(self, table: str, day: date, earliest_ms: float, latest_ms: float) -> Iterator[bytes]:
        sessions = draw_sessions(day, self._rates)
        rendering = DayRendering(sessions, self._rates.seed, self._fragments)
        render = {
            "analytics_sessions": rendering.sessions,
            "analytics_page_views": rendering.page_views,
            "analytics_clicks": rendering.clicks,
            "analytics_events": rendering.events,
            LEGACY: rendering.legacy,
        }[table]
        drawn = chunks(day, sessions, self._rates)
        if table == "analytics_sessions":
            for actions in drawn:
                yield render(actions.take(_received(actions.received_of_session, earliest_ms, latest_ms)))
        else:
            for actions in in_order(sessions, drawn):
                of_table = np.isin(actions.kinds, KINDS[table])
                yield render(actions.take(of_table & _received(actions.received_ms, earliest_ms, latest_ms)))

    @cached_property
    def _fragments(self) -> WebFragments:
        return WebFragments(self._rates.seed, self.projects, [way for card in self.cards for way in openings(card)])


def _received(times_ms: np.ndarray, earliest_ms: float, latest_ms: float) -> np.ndarray:
    return (times_ms >= earliest_ms) & (times_ms < latest_ms)


def _milliseconds(moment: datetime | None, otherwise: float) -> float:
    if moment is None:
        return otherwise
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone: give one, e.g. datetime(…, tzinfo=UTC)")
    return moment.timestamp() * 1000


def _shares(weights: Sequence[float]) -> np.ndarray:
    return np.array(weights) / sum(weights)


def _event_shares(missing_labels: float) -> np.ndarray:
    """In the order of `web_fragments.EVENTS`."""
    labels = [*(_shares(LABEL_WEIGHTS) * (1 - missing_labels)), *[missing_labels / len(NO_LABEL)] * len(NO_LABEL)]
    return _shares([event * label for event in EVENT_TYPE_WEIGHTS for label in labels])


def _check(seed: int, projects: int, cards_per_project: int, visitors_per_day: int, events_per_day: int) -> None:
    if not (
        seed >= 0
        and 1 <= projects <= MOST_PROJECTS
        and min(cards_per_project, visitors_per_day) >= 1
        and 1 <= events_per_day <= MOST_EVENTS_PER_VISITOR * visitors_per_day
    ):
        raise ValueError(
            f"web traffic: expected a seed from 0, 1 to {MOST_PROJECTS} projects, at least 1 card a project and "
            f"1 visitor a day, and 1 to {MOST_EVENTS_PER_VISITOR} events a visitor; got seed {seed}, "
            f"{projects} projects, {cards_per_project} cards, {visitors_per_day} visitors, {events_per_day} events"
        )


def _check_fractions(**fractions: float) -> None:
    for name, fraction in fractions.items():
        if not 0 <= fraction <= 1:
            raise ValueError(f"web traffic: expected {name} from 0 to 1, got {fraction}")
