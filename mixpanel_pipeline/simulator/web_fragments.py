"""The pre-rendered parts of web rows, as fields of COPY's binary format; numpy draws the index of each."""

import itertools
import random
from collections.abc import Iterable, Sequence
from functools import cached_property
from ipaddress import ip_address
from typing import Any

import numpy as np

from mixpanel_pipeline.simulator.web_copy import JSONB_VERSION, compact_json, inet, jsonb, text
from mixpanel_pipeline.simulator.web_words import (
    CLICK_WEIGHTS,
    DOCUMENTATION_NETWORKS,
    EVENT_LABELS,
    PAGE_WEIGHTS,
    PATHS,
    REFERRERS,
    USER_AGENTS,
)
from mixpanel_pipeline.simulator.web_world import Opening, WebProject

EVENT_DATA_VARIANTS = 1_024
HOSTS_PER_NETWORK = 254
NO_LABEL = (None, "")  # a label is missing in one of two ways
EVENTS = tuple((event, label) for event, labels in EVENT_LABELS.items() for label in (*labels, *NO_LABEL))
ADDRESSES = tuple(
    ip_address(network) + host for network in DOCUMENTATION_NETWORKS for host in range(1, HOSTS_PER_NETWORK + 1)
)
MISSING_FORMS = 3  # of a share code or contact in the legacy form: no key, null, or ''


def column(fragments: Iterable[bytes]) -> np.ndarray:
    """An array of which numpy takes any rows at once."""
    listed = list(fragments)
    array = np.empty(len(listed), dtype=object)
    array[:] = listed
    return array


def _object_end(pairs: dict[str, Any]) -> bytes:
    """The last members of an object; what is None has no key."""
    return compact_json({key: value for key, value in pairs.items() if value is not None})[1:]


def _object_start(way: Opening, missing: int) -> bytes:
    """The first members of an object; old clients sent what they did not know in three ways."""
    pairs = {"userCode": way.user_code, "shareCode": way.share_code, "contactId": way.contact_id}
    if missing == 0:
        known = {key: value for key, value in pairs.items() if value is not None}
    else:
        known = {key: (None, "")[missing - 1] if value is None else value for key, value in pairs.items()}
    return JSONB_VERSION + compact_json(known)[:-1] + b","


def _event_data(generator: random.Random) -> dict[str, Any]:
    if generator.random() < 0.1:
        return {}
    return {
        "path": generator.choice(PATHS),
        "position": generator.randrange(20),
        "visible_seconds": round(generator.random() * 60, 2),
        "viewport": [generator.choice((390, 768, 1440)), generator.choice((844, 1024, 900))],
        "experiment": generator.choice(("a", "b", None)),
    }


class WebFragments:
    """What belongs to a world of projects and openings, and what is the same in every world."""

    events = column(text(event) + text(label) for event, label in EVENTS)
    pages = column(map(text, PAGE_WEIGHTS))
    clicks = column(text(target) + text(category) for category, target in CLICK_WEIGHTS)
    user_agents = column(map(text, USER_AGENTS))
    referrers = column(map(text, REFERRERS))
    addresses = column(map(inet, ADDRESSES))
    legacy_types = column(text(event) + text(None) for event in ("page_view", "click"))
    legacy_addresses = column(compact_json({"ipAddress": str(address)})[1:-1] + b"," for address in ADDRESSES)
    legacy_pages = column(
        _object_end({"pageType": page, "userAgent": agent, "referrer": referrer})
        for page, agent, referrer in itertools.product(PAGE_WEIGHTS, USER_AGENTS, REFERRERS)
    )
    legacy_clicks = column(
        _object_end({"clickTarget": target, "clickCategory": category}) for category, target in CLICK_WEIGHTS
    )

    def __init__(self, seed: int, projects: Sequence[WebProject], ways: Sequence[Opening]) -> None:
        self._ways = ways
        generator = random.Random(f"web event data {seed}")
        self.projects = column(text(project.project_id) for project in projects)
        self.openings = column(text(way.user_code) + text(way.share_code) + text(way.contact_id) for way in ways)
        self.event_data = column(jsonb(_event_data(generator)) for _ in range(EVENT_DATA_VARIANTS))

    @cached_property
    def legacy_openings(self) -> np.ndarray:
        """The beginning of a legacy row's event_data: `MISSING_FORMS` an opening."""
        return column(_object_start(way, missing) for way in self._ways for missing in range(MISSING_FORMS))
