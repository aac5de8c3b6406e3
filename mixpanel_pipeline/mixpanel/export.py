"""Mixpanel's raw Export API: one request, its answer on disk byte for byte, or a typed error.

A body that ends here has reached its end by HTTP's account: the last chunk came, or Content-Length bytes.
Whether it also is a complete export (gzip trailer, last line, no `terminated early`) is the lake's to prove.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import requests

from mixpanel_pipeline.mixpanel.connection import Budget, Connection, encoding_of
from mixpanel_pipeline.mixpanel.errors import place_of

EXPORT_PATH = "/api/2.0/export"
HOSTS = {
    "us": ("https://data.mixpanel.com", "https://mixpanel.com"),
    "eu": ("https://data-eu.mixpanel.com", "https://eu.mixpanel.com"),
    "in": ("https://data-in.mixpanel.com", "https://in.mixpanel.com"),
}
READ_BYTES = 256 * 1024


def residency_urls(residency: str) -> tuple[str, str]:
    """The bases of the data API (exports) and the query API (profiles, reports) of `us`, `eu` or `in`."""
    return HOSTS[residency]


@dataclass(frozen=True)
class Download:
    """An answer on disk. `path` holds the bytes of the wire, still gzip when `encoding` is `gzip`, else
    `identity`; equal `wire_sha256` means equal bytes, so a day proven complete once needs no second proof."""

    path: Path
    encoding: str
    wire_bytes: int
    wire_sha256: str


class ExportClient:
    """Downloads exports of one project. Threads may share it: every download has its own connection."""

    def __init__(
        self,
        data_url: str,
        project_id: int,
        username: str | None,
        secret: str,
        budget: Budget,
        *,
        connect_timeout: float = 10,
        # The first byte of a large export may take minutes; Mixpanel's own mixpanel-utils waits 1200 s.
        read_timeout: float = 1200,
    ) -> None:
        """`data_url` is a base, https://data.mixpanel.com. Without `username`, `secret` is the project's."""
        self._connection = Connection(
            data_url.rstrip("/").removesuffix(EXPORT_PATH) + EXPORT_PATH,
            project_id,
            username,
            secret,
            budget,
            connect_timeout=connect_timeout,
            read_timeout=read_timeout,
        )
        self.project_id = project_id

    def __repr__(self) -> str:
        return f"ExportClient(project {self.project_id} at {self._connection.host})"

    def download(
        self,
        from_day: date,
        to_day: date,
        destination: Path,
        *,
        events: Sequence[str] | None,
        where: str | None = None,
    ) -> Download:
        """Exports the days, both inclusive, to `destination`, in one attempt. `events` None means all.

        Raises:
            MixpanelError: the typed reason; a 429's wait is then known to all runs of the project.
            OSError: `destination` cannot be written (a full disk). No part of it stays after any error.
        """
        place = place_of(self.project_id, from_day, to_day)
        self._connection.budget.acquire()
        parameters = self._parameters(from_day, to_day, events, where)
        with (
            self._connection.session() as session,
            self._connection.answer(session, place, parameters=parameters) as response,
        ):
            return self._write(response, destination)

    def _parameters(
        self, from_day: date, to_day: date, events: Sequence[str] | None, where: str | None
    ) -> dict[str, str]:
        parameters = {"from_date": from_day.isoformat(), "to_date": to_day.isoformat()}
        parameters |= self._connection.project_parameters()
        if events is not None:
            parameters["event"] = json.dumps(list(events))
        if where is not None:
            parameters["where"] = where
        return parameters

    def _write(self, response: requests.Response, destination: Path) -> Download:
        digest = hashlib.sha256()
        size = 0
        try:
            with destination.open("wb") as file:
                while block := response.raw.read(READ_BYTES, decode_content=False):
                    file.write(block)
                    digest.update(block)
                    size += len(block)
        except BaseException:
            destination.unlink(missing_ok=True)
            raise
        return Download(destination, encoding_of(response), size, digest.hexdigest())
