"""What can go wrong with an answer, by name, and which of it is switched on.

Every fault here was seen in production or is handled by a client of the API (reference A1.4, A1.6, A2, A5).
"""

import threading
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Literal

Api = Literal["export", "engage", "events"]
Stage = Literal["answer", "ending", "rows", "delay", "json", "page", "profiles", "counts"]

APIS_OF_STAGE: dict[Stage, tuple[Api, ...]] = {
    "answer": ("export", "engage", "events"),
    "delay": ("export", "engage", "events"),
    "ending": ("export",),
    "rows": ("export",),
    "json": ("engage", "events"),
    "page": ("engage",),
    "profiles": ("engage",),
    "counts": ("events",),
}
# Contents that are as odd in a profile as in an event.
ROWS_OF_PROFILES_TOO = (
    "nul_character",
    "lone_surrogate",
    "line_separator",
    "big_integers",
    "case_colliding_keys",
    "invalid_utf8",
)


@dataclass(frozen=True)
class FaultKind:
    """`answer` replaces the response, `delay` lets it wait.

    Of an export `ending` spoils how the body ends, `rows` what is in it. Of the Query API's JSON `json` spoils
    the whole, `page` what surrounds the profiles, `profiles` what is in them, `counts` a report's numbers.
    """

    name: str
    stage: Stage
    sentence: str

    @property
    def apis(self) -> tuple[Api, ...]:
        apis = APIS_OF_STAGE[self.stage]
        return (*apis, "engage") if self.name in ROWS_OF_PROFILES_TOO else apis


_TABLE: tuple[tuple[str, Stage, str], ...] = (
    (
        "terminated_early",
        "ending",
        "200 whose body stops after `after_rows` rows with `terminated early`",
    ),
    ("export_terminated_early", "ending", "the same with the line `export terminated early`"),
    ("terminated_early_alone", "ending", "200 whose whole body is `terminated early`"),
    ("export_terminated_early_alone", "ending", "200 whose whole body is `export terminated early`"),
    ("error_line", "ending", 'the body stops after `after_rows` rows with the cut JSON `{"error":`'),
    ("cut_stream", "ending", "the connection drops in the middle of a chunk after `after_rows` rows"),
    ("cut_gzip", "ending", "HTTP ends properly but the gzip stream has no end and no trailer"),
    ("cut_line", "ending", "HTTP ends properly but the last line is cut in half"),
    ("rate_limited_hour", "answer", "429 of the hourly limit: RateLimit headers, Retry-After 3600"),
    ("rate_limited_short", "answer", "429 with Retry-After 1"),
    ("rate_limited_without_headers", "answer", "429 of load shedding: no rate limit headers at all"),
    ("too_many_exports", "answer", "429 with the old body `too many export requests in progress`"),
    ("unknown_error_500", "answer", "500 `unknown error`"),
    ("bad_gateway_502", "answer", "502 from the load balancer"),
    ("unavailable_503", "answer", "503 from the load balancer"),
    ("gateway_timeout_504", "answer", "504 from the load balancer"),
    ("slow_first_byte", "delay", "nothing is sent for `seconds` (1), then the right answer"),
    ("plan_without_export", "answer", "402: the plan has no raw data export"),
    ("expired_account", "answer", "400 `Unable to authenticate request`, as expired accounts get"),
    ("forbidden", "answer", "403: the account is valid but may not read the project"),
    ("wrong_region", "answer", "401, as for a project of another data residency"),
    ("shuffled_rows", "rows", "all rows, in random order"),
    ("materialisation_lag", "rows", "rows processed in the last `minutes` (60) are missing"),
    ("nul_character", "rows", "a text with \\u0000, which Postgres refuses, in the first `rows` (1)"),
    ("lone_surrogate", "rows", "a text with half a surrogate pair in the first `rows` (1)"),
    ("line_separator", "rows", "a text with a raw U+2028 in the first `rows` (1)"),
    ("big_integers", "rows", "integers beyond 64 bits in the first `rows` (1)"),
    ("case_colliding_keys", "rows", "keys that differ only in case in the first `rows` (1)"),
    ("iso_time", "rows", "`time` as ISO text in the first `rows` (1)"),
    ("missing_insert_id", "rows", "no `$insert_id` in the first `rows` (1)"),
    ("missing_distinct_id", "rows", "no `distinct_id` (nor `$user_id`) in the first `rows` (1)"),
    ("empty_distinct_id", "rows", "`distinct_id` is empty text in the first `rows` (1)"),
    ("garbage_line", "rows", "one more line that is no JSON at all"),
    ("invalid_utf8", "rows", "a text with the byte FF in the first `rows` (1)"),
    ("error_in_200", "json", '200 whose body is {"error": `error`} ("unknown error"), as the Query API does'),
    ("cut_json", "json", "HTTP ends properly but the JSON is cut in half"),
    ("dropped_json", "json", "the connection drops in the middle of the JSON"),
    ("session_lost", "page", "the session of this page has expired: `request for page in uncached query`"),
    ("other_session", "page", "the page bears another session's id"),
    ("status_not_ok", "page", "a page whose `status` is not `ok`"),
    ("page_without_results", "page", "a page that has no `results`"),
    ("short_page", "page", "the page's last `rows` (1) people are missing"),
    ("repeated_person", "page", "the page's first person is the last of the page before, instead of its own"),
    ("wrong_total", "page", "the first page's `total` is `by` (1) too high"),
    ("without_total", "page", "no `total`; with `short_page` nothing tells that people are missing"),
    ("without_last_seen", "profiles", "no `$last_seen` in the first `rows` (1)"),
    ("integer_distinct_ids", "profiles", "distinct ids made of digits come as integers"),
    ("without_distinct_id", "profiles", "no `$distinct_id` in the first `rows` (1)"),
    ("huge_property", "profiles", "10 MB (`bytes`) of text in `property` (income) of the first `rows` (1)"),
    ("list_for_text", "profiles", "a list in `property` (income) of the first `rows` (1)"),
    ("number_as_text", "profiles", "numeric text in `property` (buying_power) of the first `rows` (1)"),
    ("text_for_number", "profiles", "text that is no number in `property` (buying_power) of the first `rows` (1)"),
    ("counts_disagree", "counts", "`by` (1) more of `event` on `on` (the first of each that has any)"),
)
FAULTS: dict[str, FaultKind] = {row[0]: FaultKind(*row) for row in _TABLE}


def fault_table() -> str:
    """Every fault and its sentence, for `--help`."""
    width = max(map(len, FAULTS))
    return "\n".join(f"{kind.name:{width}}  {kind.sentence}" for kind in FAULTS.values())


@dataclass
class Fault:
    """A fault switched on: for how many more requests, of which day, API and page, with what parameters."""

    name: str
    times: int | None = 1
    day: date | None = None
    api: Api | None = None
    page: int | None = None
    parameters: dict[str, Any] = field(default_factory=dict)

    @property
    def stage(self) -> Stage:
        return FAULTS[self.name].stage

    def concerns(self, api: Api, day: date | None, page: int | None) -> bool:
        return (
            api in FAULTS[self.name].apis
            and self.api in (None, api)
            and self.day in (None, day)
            and self.page in (None, page)
        )

    def described(self) -> dict[str, Any]:
        day = self.day.isoformat() if self.day else None
        narrowed = {"api": self.api, "page": self.page}
        told = {name: value for name, value in narrowed.items() if value is not None}
        return {"name": self.name, "times": self.times, "day": day, **told, **self.parameters}


class FaultPlan:
    """The faults that coming requests will meet, in the order in which they were added."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._lock = threading.Lock()

    def add(
        self,
        name: str,
        times: int | None = 1,
        day: date | str | None = None,
        *,
        api: Api | None = None,
        page: int | None = None,
        **parameters: Any,
    ) -> None:
        """Switches a fault on for so many requests (None: until cleared), or only those of an API, those from
        that day, or those for that page of profiles."""
        if name not in FAULTS:
            raise ValueError(f"no fault is called {name!r}; there are {', '.join(FAULTS)}")
        if isinstance(day, str):
            day = date.fromisoformat(day)
        if api is not None and api not in FAULTS[name].apis:
            raise ValueError(f"fault {name!r} concerns {', '.join(FAULTS[name].apis)}, not {api!r}")
        with self._lock:
            self._faults.append(Fault(name, times, day, api, page, parameters))

    def add_from_text(self, text: str) -> None:
        """Takes the command line's NAME, NAME:TIMES or NAME:always."""
        name, _, times = text.partition(":")
        if times and times != "always" and not times.isdecimal():
            raise ValueError(f"fault {text!r}: after the colon comes a number of requests or `always`")
        self.add(name, times=None if times == "always" else int(times or 1))

    def clear(self, name: str | None = None) -> None:
        with self._lock:
            self._faults = [fault for fault in self._faults if name not in (None, fault.name)]

    def active(self) -> list[Fault]:
        with self._lock:
            return list(self._faults)

    def take(self, api: Api, day: date | None = None, page: int | None = None) -> list[Fault]:
        """What this request meets, counted down.

        Only one fault can answer, and then nothing else shows; only one can end a body. The others wait for
        a later request, so `502 twice, then terminated early` happens in that order.
        """
        with self._lock:
            due = [fault for fault in self._faults if fault.concerns(api, day, page)]
            taken = self._together(due)
            for fault in taken:
                if fault.times is not None:
                    fault.times -= 1
            self._faults = [fault for fault in self._faults if fault.times != 0]
            return taken

    @staticmethod
    def _together(due: list[Fault]) -> list[Fault]:
        taken: dict[str, Fault] = {}
        for fault in due:
            if fault.stage == "answer":
                if "ending" in taken:
                    continue
                return [*(other for other in taken.values() if other.stage == "delay"), fault]
            taken.setdefault("ending" if fault.stage == "ending" else fault.name, fault)
        return list(taken.values())
