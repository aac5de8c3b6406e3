"""Every refusal becomes the right typed error, and its message says what to change, without the secret."""

import pickle
from datetime import date
from typing import ClassVar

import pytest

from mixpanel_pipeline.mixpanel import errors
from mixpanel_pipeline.mixpanel.export import ExportClient
from mixpanel_pipeline.mixpanel.refusals import refusal
from mixpanel_pipeline_tests.mixpanel.conftest import DAY, SECRET

PLACE = errors.place_of(12345, DAY, DAY)

FAULTS: list[tuple[str, type[errors.MixpanelError], str]] = [
    ("wrong_region", errors.WrongCredentials, r"MIXPANEL_RESIDENCY \(us, eu or in\)"),
    ("expired_account", errors.WrongCredentials, "MIXPANEL_USERNAME and MIXPANEL_SECRET"),
    ("plan_without_export", errors.PlanWithoutExport, "pricing to upgrade. Choose a Mixpanel plan"),
    ("forbidden", errors.NoAccess, "MIXPANEL_PROJECT_ID"),
    ("unknown_error_500", errors.ServerFailure, "HTTP 500: unknown error"),
    ("bad_gateway_502", errors.ServerFailure, "HTTP 502: 502 Bad Gateway 502 Bad Gateway. Run it again later"),
    ("unavailable_503", errors.ServerFailure, "HTTP 503"),
    ("gateway_timeout_504", errors.ServerFailure, "HTTP 504"),
    ("rate_limited_hour", errors.RateLimited, "Run it again after 20"),
    ("rate_limited_short", errors.RateLimited, "Run it again after 20"),
    ("rate_limited_without_headers", errors.RateLimited, "Run it again in a few minutes"),
    ("too_many_exports", errors.RateLimited, "too many export requests in progress"),
    ("cut_stream", errors.ConnectionFailure, "Check the network"),
]


@pytest.mark.parametrize(("fault", "kind", "text"), FAULTS, ids=[fault for fault, _, _ in FAULTS])
def test_every_fault_has_its_error(download, project, fault, kind, text) -> None:
    project.faults.add(fault)
    with pytest.raises(kind, match=text) as raised:
        download()
    message = str(raised.value)
    assert "(project 12345, 2026-01-31): " in message
    assert SECRET not in message
    assert download().wire_bytes > 0, "only the answer was wrong"


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ((12345, "account", "wr0ng-secret"), errors.WrongCredentials),
        ((12345, "nobody", SECRET), errors.WrongCredentials),
        ((12345, None, "wr0ng-secret"), errors.WrongCredentials),
        ((999, "account", SECRET), errors.NoAccess),
    ],
)
def test_wrong_settings_have_their_error(server, budget, tmp_path, settings, kind) -> None:
    project_id, username, secret = settings
    client = ExportClient(server.url, project_id, username, secret, budget)
    with pytest.raises(kind) as raised:
        client.download(DAY, DAY, tmp_path / "body", events=None)
    assert secret not in str(raised.value)


def test_tomorrow_is_not_exported(client, tmp_path) -> None:
    with pytest.raises(
        errors.DateInTheFuture, match=r"2026-02-03 to 2026-02-04.*MIXPANEL_TIME_MODE.*MIXPANEL_TIMEZONE"
    ):
        client.download(date(2026, 2, 3), date(2026, 2, 4), tmp_path / "body", events=None)


def test_a_range_beyond_100_days_is_not_exported(client, tmp_path) -> None:
    with pytest.raises(errors.DateRangeNotAllowed, match="Ask for fewer"):
        client.download(date(2025, 1, 1), DAY, tmp_path / "body", events=None)


def test_a_filter_that_mixpanel_cannot_read_is_a_bad_request(client, tmp_path) -> None:
    with pytest.raises(errors.BadRequest, match="Error in where"):
        client.download(DAY, DAY, tmp_path / "body", events=None, where="properties[")


def test_a_wrong_data_url_is_named(server, budget, tmp_path) -> None:
    client = ExportClient(server.url + "/elsewhere", 12345, "account", SECRET, budget)
    with pytest.raises(errors.NotFound, match="MIXPANEL_DATA_URL"):
        client.download(DAY, DAY, tmp_path / "body", events=None)


def test_a_redirect_is_not_followed_with_the_credentials(serve_bytes, budget, tmp_path) -> None:
    moved = b"HTTP/1.1 301 Moved\r\nLocation: https://elsewhere.example/\r\nContent-Length: 0\r\n\r\n"
    client = ExportClient(serve_bytes(moved), 12345, "account", SECRET, budget)
    with pytest.raises(errors.NotFound, match=r"redirected to https://elsewhere\.example/"):
        client.download(DAY, DAY, tmp_path / "body", events=None)


def test_a_secret_that_the_answer_repeats_is_blotted_out(serve_bytes, budget, tmp_path) -> None:
    body = b"no account has the secret " + SECRET.encode()
    answer = b"HTTP/1.1 400 Bad\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    client = ExportClient(serve_bytes(answer), 12345, "account", SECRET, budget)
    with pytest.raises(errors.BadRequest, match=r"no account has the secret \*\*\*") as raised:
        client.download(DAY, DAY, tmp_path / "body", events=None)
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b"error: to_date cannot be later than today", errors.DateInTheFuture),
        (400, b'{"error": "Unable to authenticate request"}', errors.WrongCredentials),
        (400, b"Your plan does not support raw data export.", errors.PlanWithoutExport),
        (403, b'{"error": "Date range exceeds 90 days into the past"}', errors.DateRangeNotAllowed),
        (400, b'["not", "an", "object"]', errors.BadRequest),
        (400, b"\xff\xfe", errors.BadRequest),
        (404, b"", errors.NotFound),
        (408, b"", errors.ServerFailure),
        (418, b"", errors.BadRequest),
        (599, b"date range", errors.ServerFailure),
        (400, b'{"error": "request for page in uncached query for params: {}"}', errors.SessionLost),
        (500, b"request for page in uncached query", errors.SessionLost),
    ],
)
def test_status_and_text_decide_the_kind(status, body, kind) -> None:
    assert type(refusal(status, {}, body, PLACE)) is kind


def test_a_long_page_is_cut() -> None:
    assert len(str(refusal(502, {}, b"<p>very</p> long " * 1000, PLACE))) < 500


class TestWaitOfA429:
    """Headers as a real Query API sent them (reference/mixpanel.md A1.7)."""

    HOUR: ClassVar = {"RateLimit": '"project";r=0;t=1234, "project-concurrency";r=3', "Retry-After": "3600"}
    CONCURRENCY: ClassVar = {"RateLimit": '"project";r=12, "project-concurrency";r=0;t=10', "Retry-After": "3600"}
    BOTH: ClassVar = {"RateLimit": '"project";r=0;t=1234, "project-concurrency";r=0;t=10'}
    TENS: ClassVar = {"RateLimit": '"project";r=10;t=99', "Retry-After": "7"}
    HOURLY_BODY = b"1/5 queries running concurrently and 61/60 queries running in the last hour."
    CONCURRENCY_BODY = b"6/5 queries running concurrently and 12/60 queries running in the last hour."

    @pytest.mark.parametrize(
        ("headers", "body", "seconds"),
        [
            (HOUR, b"", 1234),
            (CONCURRENCY, b"", 10),
            (BOTH, b"", 1234),
            (TENS, b"", 7),
            ({"Retry-After": "3600"}, b"", 3600),
            ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, b"", None),
            ({}, HOURLY_BODY, 3600),
            ({}, CONCURRENCY_BODY, None),
            ({}, b"", None),
        ],
    )
    def test_wait(self, headers, body, seconds) -> None:
        error = refusal(429, headers, body, PLACE)
        assert isinstance(error, errors.RateLimited)
        assert error.wait_seconds == seconds
        assert (error.retry_at is None) == (seconds is None)

    def test_a_known_wait_is_told_to_all_runs(self, download, project, budget) -> None:
        project.faults.add("rate_limited_hour")
        project.faults.add("rate_limited_without_headers")
        for _ in range(2):
            with pytest.raises(errors.RateLimited):
                download()
        assert budget.blocked_for == [3600]


def test_errors_cross_processes() -> None:
    error = errors.RateLimited(PLACE, "HTTP 429", 60)
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (str(copy), copy.wait_seconds, copy.retry_at) == (str(error), 60, error.retry_at)
