"""Days through Dagster: each its own content, finished days stay finished, runs continue where they failed."""

import re

import pytest

from mixpanel_pipeline.dagster_project.resources import Pipeline
from mixpanel_pipeline.settings import Settings
from mixpanel_pipeline.simulator import Project
from mixpanel_pipeline_tests.dagster.conftest import Dagster, at, day

ASSETS = ["mixpanel_raw_events", "subscriber_daily_contributions", "subscribers_insights_v2", "sync_watermarks"]


def days(*numbers: int) -> set[str]:
    return {str(day(number)) for number in numbers}


@pytest.fixture
def requests(project: Project):
    """Days asked for since the last look, in order."""
    seen = 0

    def new_requests() -> list[str]:
        nonlocal seen
        fresh = [request.params["from_date"] for request in project.requests[seen:]]
        seen = len(project.requests)
        return fresh

    return new_requests


def test_a_single_day(dagster: Dagster):
    assert dagster.materialize(4, 4).success
    assert all(dagster.materialized(asset) == days(4) for asset in ASSETS)
    assert dagster.rows("select sum(total_pdp_views), count(*) from subscribers_insights_v2") == [(4, 5)]


def test_a_range_is_one_run_and_each_day_keeps_its_own_content(dagster: Dagster, requests):
    assert dagster.sync(2, 6).success
    assert all(dagster.materialized(asset) == days(2, 3, 4, 5, 6) for asset in ASSETS)
    assert dagster.instance.get_runs_count() == 1
    assert requests() == sorted(days(2, 3, 4, 5, 6))
    per_day = dagster.rows("select extract(day from export_day)::int, rows from raw_partitions order by 1")
    assert per_day == [(number, number + 1) for number in range(2, 7)]
    assert [dagster.newest("mixpanel_raw_events", number)["rows"] for number in range(2, 7)] == [3, 4, 5, 6, 7]
    assert dagster.rows("select income from subscribers_insights_v2 where distinct_id = 'ann'") == [
        ("income of day 6",)
    ]


def test_running_a_range_again_adds_nothing(dagster: Dagster):
    dagster.materialize(1, 3)
    before = dagster.rows("select * from subscribers_insights_v2 order by distinct_id")
    assert dagster.materialize(1, 3).success
    assert dagster.rows("select * from subscribers_insights_v2 order by distinct_id") == before
    shown = dagster.newest("mixpanel_raw_events", 2)
    assert (shown["unchanged"], shown["new_events"], shown["rows"]) == (True, 0, 3)


def test_what_a_day_tells(dagster: Dagster):
    dagster.materialize(3, 5)
    raw = dagster.newest("mixpanel_raw_events", 4)
    expected = {
        "rows": 5, "dagster/partition_row_count": 5, "new_events": 5, "users": 5, "duplicates": 0, "quarantined": 0,
        "bad_values": 0, "outside_day": 0, "ambiguous_times": 0, "shifted_times": 0, "unchanged": False,
    }  # fmt: skip
    assert {name: raw[name] for name in expected} == expected
    assert raw["bytes"] > 0
    assert raw["events_per_second"] > 0
    assert {"seconds", "seconds_download", "seconds_prove_and_parse", "seconds_write", "seconds_totals"} <= set(raw)
    assert len(raw["content_hash"]) > 10
    assert [record.data for record in raw["events"].records] == [
        {"event": "Viewed Portfolio Details", "events": 4},
        {"event": "$ae_session", "events": 1},
    ]
    assert "12:00 " + "█" * 40 + " 4" in raw["events_by_hour"]
    contributions = dagster.newest("subscriber_daily_contributions", 4)
    assert contributions["dagster/partition_row_count"] == 5
    assert [record.data["distinct_id"] for record in contributions["people"].records][:2] == ["ann", "person-0"]
    assert dagster.newest("subscribers_insights_v2", 4)["dagster/row_count"] == 5
    watermark = dagster.newest("sync_watermarks", 5)
    assert watermark["watermark"] == at(5, 13)
    assert watermark["total_events_synced"] == 4 + 5 + 6


def test_an_empty_day_is_a_day_like_any_other(dagster: Dagster, project: Project):
    project.delete(lambda _: True)
    assert dagster.materialize(4, 5).success
    assert dagster.newest("mixpanel_raw_events", 5)["rows"] == 0
    assert dagster.materialized() == days(4, 5)


def test_a_failure_on_the_third_day_leaves_two_done(dagster: Dagster, project: Project, requests):
    project.faults.add("forbidden", day=day(3))
    result = dagster.materialize(1, 5)
    assert not result.success
    assert all(dagster.materialized(asset) == days(1, 2) for asset in ASSETS)
    assert dagster.newest("mixpanel_raw_events", 2)["rows"] == 3
    assert dagster.rows("select sum(total_pdp_views) from subscribers_insights_v2") == [(1 + 2,)]
    assert requests() == sorted(days(1, 2, 3))


def test_a_permanent_error_is_not_tried_again_and_says_what_to_do(dagster: Dagster, project: Project):
    project.faults.add("forbidden", times=None, day=day(1))
    result = dagster.materialize(1, 1)
    failure = result.failure_data_for_node("mixpanel_days")
    assert failure
    assert failure.user_failure_data
    assert "Check MIXPANEL_PROJECT_ID" in (failure.user_failure_data.description or "")
    metadata = failure.user_failure_data.metadata
    assert metadata["day"].value == str(day(1))
    assert metadata["error"].value == "NoAccess"
    assert "Service Accounts" in str(metadata["fix"].value)
    assert not [event for event in result.all_events if event.event_type_value == "STEP_UP_FOR_RETRY"]


def test_a_limit_that_is_used_up_says_when_to_come_back(dagster: Dagster, project: Project):
    project.faults.add("rate_limited_hour", times=None)
    failure = dagster.materialize(1, 1).failure_data_for_node("mixpanel_days")
    assert failure
    assert failure.user_failure_data
    assert re.search(r"Run it again after \d{4}-\d\d-\d\d", failure.user_failure_data.description or "")


def test_a_second_attempt_of_the_op_goes_on_where_the_first_failed(dagster: Dagster, project: Project, requests):
    project.faults.add("unavailable_503", times=3, day=day(3))  # all requests of the first attempt
    assert dagster.materialize(1, 4).success
    assert requests() == [str(day(number)) for number in (1, 2, 3, 3, 3, 3, 4)]
    assert [dagster.newest("mixpanel_raw_events", number)["rows"] for number in (1, 2, 3, 4)] == [2, 3, 4, 5]
    assert all(dagster.materialized(asset) == days(1, 2, 3, 4) for asset in ASSETS)


def test_settings_that_are_missing_are_named(dagster: Dagster, settings: Settings):
    bare = settings.model_copy(update={"mixpanel_project_id": None})
    failure = Dagster(Pipeline(bare), dagster.instance).materialize(1, 1).failure_data_for_node("mixpanel_days")
    assert failure
    assert failure.user_failure_data
    assert "MIXPANEL_PROJECT_ID: not set" in (failure.user_failure_data.description or "")
