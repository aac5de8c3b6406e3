"""A little web traffic in the raw tables, and runs over hours and days of it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg

from mixpanel_pipeline.dagster_project.web_assets import partition_key
from mixpanel_pipeline.dagster_project.web_jobs import WEB_DAILY_JOB, WEB_HOURLY_JOB
from mixpanel_pipeline.dagster_project.web_requests import web_config, web_range_tags
from mixpanel_pipeline.web.marks import hour_of
from mixpanel_pipeline_tests.dagster.conftest import Dagster
from mixpanel_pipeline_tests.web import site
from mixpanel_pipeline_tests.web.plain_web import Row

HOURLY, DAILY, USERS = "analytics_events_hourly_agg", "analytics_events_daily_agg", "analytics_daily_user_stats"
YESTERDAY = site.TODAY - timedelta(days=1)


def traffic(days: int = 91, every: int = 1) -> dict[str, list[Row]]:
    """On every so-manieth of the days some events of people who come back, and a visit to a card."""
    rows: dict[str, list[Row]] = {kind: [] for kind in site.TIME_COLUMN}
    for day in range(0, days, every):
        visit = f"visit-{day}"
        rows["events"] += [
            site.event(site.at(day, 3 * number), f"visitor-{(day + number) % 7}", event_label=label)
            for number, label in enumerate((None, "", "hero", "hero"))
        ]
        rows["sessions"].append(site.session_row(site.at(day, 9), visit))
        rows["page_views"].append(site.page_view(site.at(day, 9), visit, share_code="g" if day % 2 else None))
        rows["clicks"].append(site.click(site.at(day, 10), visit, click_target="x"))
    return rows


def insert(web: Dagster, rows: dict[str, list[Row]]) -> None:
    with web.pipeline.warehouse.connect() as connection:
        for kind, of_kind in rows.items():
            if of_kind:
                site.copy(connection, kind, of_kind)


def add(rows: dict[str, list[Row]], more: dict[str, list[Row]]) -> dict[str, list[Row]]:
    return {kind: [*of_kind, *more.get(kind, [])] for kind, of_kind in rows.items()}


def run_hours(web: Dagster, first: datetime, last: datetime, *, everything: bool = True) -> dg.ExecuteInProcessResult:
    return _run(web, WEB_HOURLY_JOB, first, last, everything)


def run_days(web: Dagster, first: date, last: date, *, everything: bool = True) -> dg.ExecuteInProcessResult:
    return _run(web, WEB_DAILY_JOB, first, last, everything)


def _run(web: Dagster, job: str, first: Any, last: Any, everything: bool) -> dg.ExecuteInProcessResult:
    result = web.run(job, web_config(job, everything=everything), web_range_tags(first, last))
    assert result.success
    return result


def last_hour() -> datetime:
    """The newest hour that is over; the clock goes on while tests run."""
    return hour_of(datetime.now(UTC)) - timedelta(hours=1)


def aggregate(web: Dagster) -> datetime:
    """What the next hourly and daily run would do; the hour that it ran for."""
    hour = last_hour()
    run_hours(web, hour, hour, everything=False)
    run_days(web, YESTERDAY, YESTERDAY, everything=False)
    return hour


def day_of(number: int) -> date:
    return site.OLDEST + timedelta(days=number)


def metadata(web: Dagster, asset: str, bucket: date | datetime) -> dict[str, Any]:
    """What the asset's page shows for a partition."""
    filter_ = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[partition_key(bucket)])
    record = web.instance.fetch_materializations(filter_, limit=1).records[0]
    assert record.asset_materialization
    return {name: value.value for name, value in record.asset_materialization.metadata.items()}


def times_materialized(web: Dagster, asset: str, bucket: date | datetime) -> int:
    filter_ = dg.AssetRecordsFilter(dg.AssetKey(asset), asset_partitions=[partition_key(bucket)])
    return len(web.instance.fetch_materializations(filter_, limit=100).records)
