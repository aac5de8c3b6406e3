"""Where a benchmark works: everything made for it, and gone afterwards."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline.warehouse.migrations import migrate


class Workplace:
    """An empty warehouse, lake and simulator."""

    def __init__(self, directory: Path, database_url: str, server: SimulatorServer) -> None:
        self.directory = directory
        self.database_url = database_url
        self.server = server

    def run(self, module: str, what: str, *days: date) -> dict[str, Any]:
        """One piece of work in a fresh process."""
        command = [sys.executable, "-m", module, what, self.database_url, str(self.directory), self.server.url]
        finished = subprocess.run([*command, *map(str, days)], stdout=subprocess.PIPE, text=True, check=True)
        return json.loads(finished.stdout.splitlines()[-1])


@contextmanager
def workplace(profiles: int = 0) -> Iterator[Workplace]:
    """Made in a temporary directory, and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="mp-bench-") as directory:
        postgres = EmbeddedPostgres(Path(directory) / "postgres")
        database_url = postgres.start()
        try:
            migrate(Warehouse(database_url))
            with SimulatorServer(Project(profiles=profiles)) as server:
                yield Workplace(Path(directory), database_url, server)
        finally:
            postgres.stop()
