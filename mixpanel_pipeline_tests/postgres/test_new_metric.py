"""A new metric is one catalog line and one generated migration; days fetched again, and profiles, have it."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, date, datetime
from pathlib import Path

from mixpanel_pipeline import metric_migration
from mixpanel_pipeline.simulator import Project, SimulatorServer
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline_tests.workbench import build_profile_sync, build_sync

DAY = date(2025, 3, 9)
NOW = datetime(2025, 3, 20, 12, tzinfo=UTC)
ROOT = Path(metric_migration.__file__).parent.parent

# What a developer does, in a copy of the project; then a sync of it.
PROGRAM = """
import sys
from datetime import date
from pathlib import Path
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.migrations import migrate
from mixpanel_pipeline.subscribers.replace import totals_that_differ
from mixpanel_pipeline_tests.workbench import build_profile_sync, build_sync
url, directory, server = sys.argv[1:]
warehouse = Warehouse(url)
print(migrate(warehouse))
sync = build_sync(warehouse, Path(directory), server)
try:
    totals_that_differ(warehouse, sync.storage)
except Exception as error:
    print(error)
sync.materialize_day(date(2025, 3, 9))
profiles = build_profile_sync(warehouse, Path(directory), server).synchronize()
print(profiles.changed, profiles.totals_changed)
print(totals_that_differ(warehouse, sync.storage))
"""


def test_nothing_is_missing_now() -> None:
    assert metric_migration.missing_columns() == {}


def test_a_new_line_reaches_the_totals(warehouse: Warehouse, database_url: str, tmp_path: Path) -> None:
    project = Project(today=lambda: NOW)
    at = int(datetime(2025, 3, 9, 5, tzinfo=UTC).timestamp())
    project.add("Shared Portfolio", "ann", at, properties={"riskProfile": "bold"})
    project.add("SubscriptionCreated", "ann", at, properties={"risk_profile": "shy", "time": at - 60})
    project.set_profile("ben", {"riskProfile": "timid"})
    project.set_profile("cleo", {"income": "1m"})
    copy = tmp_path / "project"
    for name in ("mixpanel_pipeline", "mixpanel_pipeline_tests", "sql"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    catalog = copy / "mixpanel_pipeline" / "catalog.py"
    text = catalog.read_text()
    text = text.replace(
        '    EventMetric("BankAcc', '    EventMetric("Shared Portfolio", "shares"),\n    EventMetric("BankAcc'
    )
    text = text.replace('    _property("income"', '    _property("risk_profile", "text"),\n    _property("income"')
    with SimulatorServer(project) as server:
        build_sync(warehouse, tmp_path, server.url, now=lambda: NOW).materialize_day(DAY)
        build_profile_sync(warehouse, tmp_path, server.url).synchronize()
        catalog.write_text(text)
        environment = {**os.environ, "PYTHONPATH": str(copy)}
        for module in ("catalog_sql", "metric_migration"):
            subprocess.run([sys.executable, "-m", f"mixpanel_pipeline.{module}"], cwd=copy, env=environment, check=True)
        synced = subprocess.run(
            [sys.executable, "-c", PROGRAM, database_url, str(tmp_path), server.url],
            cwd=copy, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert synced.returncode == 0, synced.stderr
    applied, refused, changed, differences = synced.stdout.splitlines()
    assert applied.endswith("_shares']")
    assert "1 days were landed with another catalog" in refused
    assert changed == "1 1"
    assert differences == "[]"
    with warehouse.connect() as connection:
        row = connection.execute(
            "select shares, risk_profile, risk_profile_at, total_subscriptions from subscribers_insights_v2 "
            "where distinct_id = 'ann'"
        ).fetchone()
        profiles = connection.execute(
            "select totals.risk_profile, totals.risk_profile_at = profile.changed_at "
            "from subscriber_profiles as profile "
            "join subscribers_insights_v2 as totals using (distinct_id) where profile.risk_profile is not null"
        ).fetchall()
    assert profiles == [("timid", True)]
    assert row == (1, "bold", datetime(2025, 3, 9, 5, tzinfo=UTC), 1)
