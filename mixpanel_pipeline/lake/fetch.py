"""One day from Mixpanel to a staged partition, tried again as a whole until it is complete."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from mixpanel_pipeline.lake.completeness import prove_complete
from mixpanel_pipeline.lake.landing import StagedDay, landing_error, staged_day
from mixpanel_pipeline.lake.wall_clock import WallClock
from mixpanel_pipeline.mixpanel.errors import place_of
from mixpanel_pipeline.mixpanel.export import Download, ExportClient
from mixpanel_pipeline.mixpanel.retry import RetryPolicy, retrying


@dataclass(frozen=True)
class ExportRequest:
    """What to ask for: days, both included, which events (None: all), and a condition on them."""

    from_day: date
    to_day: date
    events: tuple[str, ...] | None
    where: str | None = None


@dataclass
class FetchedExport:
    """A complete export. `staged` is None when its bytes are those known already."""

    download: Download
    staged: StagedDay | None
    seconds: dict[str, float] = field(default_factory=dict)


@contextmanager
def fetched_export(
    client: ExportClient,
    request: ExportRequest,
    clock: WallClock,
    scratch: Path,
    *,
    known_sha256: str | None,
    policy: RetryPolicy,
    sleep: Callable[[float], None],
    log: Callable[[str], None],
) -> Iterator[FetchedExport]:
    """Downloads, proves complete and parses; an export that breaks off is fetched again as a whole.

    Raises:
        MixpanelError: the last attempt's.
        LandingError: the export cannot be kept on this machine.
    """

    def attempt() -> tuple[FetchedExport, ExitStack]:
        with ExitStack() as stack:
            fetched = _fetch_once(client, request, clock, scratch, known_sha256, stack)
            return fetched, stack.pop_all()

    fetched, stack = retrying(attempt, policy=policy, sleep=sleep, log=log)
    with stack:
        yield fetched


def _fetch_once(
    client: ExportClient,
    request: ExportRequest,
    clock: WallClock,
    scratch: Path,
    known_sha256: str | None,
    stack: ExitStack,
) -> FetchedExport:
    started = time.monotonic()
    place = place_of(client.project_id, request.from_day, request.to_day)
    try:
        download = client.download(
            request.from_day, request.to_day, scratch / "download", events=request.events, where=request.where
        )
    except OSError as error:
        raise landing_error(place, error) from error
    seconds = {"download": time.monotonic() - started}
    if download.wire_sha256 == known_sha256:
        # The same bytes were proven complete and landed before.
        return FetchedExport(download, None, seconds)
    # Proving takes one core, parsing what is left of all of them; neither needs the other's result to begin.
    with ThreadPoolExecutor(1, thread_name_prefix="prove") as prover:
        proof = prover.submit(prove_complete, download.path, download.encoding, place)
        staged = stack.enter_context(staged_day(download, proof.result, request.from_day, clock, scratch, place))
    seconds["prove_and_parse"] = time.monotonic() - started - sum(seconds.values())
    return FetchedExport(download, staged, seconds)
