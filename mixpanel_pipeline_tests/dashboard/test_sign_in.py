"""Who gets in, by what, and who does not."""

import base64
import json
import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import jwt
import pytest
import requests

from mixpanel_pipeline.dashboard.options import Reader
from mixpanel_pipeline.dashboard.sign_in import COOKIE
from mixpanel_pipeline.warehouse.connection import Warehouse
from mixpanel_pipeline.warehouse.embedded import EmbeddedPostgres
from mixpanel_pipeline_tests.conftest import fresh_database
from mixpanel_pipeline_tests.dashboard.conftest import (
    PEOPLE,
    SECRET,
    TIMEOUT_SECONDS,
    RunningDashboard,
    running,
    token_of,
)

READERS = (Reader("Owner", "has a project", PEOPLE["owner"]), Reader("Nobody", "has nothing", UUID(int=5)))


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres) -> Iterator[Warehouse]:
    """Nobody has anything in it."""
    with fresh_database(postgres) as url:
        yield Warehouse(url)


@pytest.fixture(scope="module")
def dashboard(database: Warehouse) -> Iterator[RunningDashboard]:
    with running(database) as dashboard:
        yield dashboard


@pytest.fixture(scope="module")
def demo(database: Warehouse) -> Iterator[RunningDashboard]:
    with running(database, readers=READERS) as dashboard:
        yield dashboard


def now() -> int:
    return int(datetime.now(UTC).timestamp())


def good() -> dict[str, Any]:
    """Claims that are."""
    return {"sub": str(PEOPLE["owner"]), "role": "authenticated", "aud": "authenticated", "exp": now() + 3600}


def signed(secret: str = SECRET, algorithm: str = "HS256", **claims: Any) -> str:
    given = {name: value for name, value in (good() | claims).items() if value is not None}
    return jwt.encode(given, secret, algorithm=algorithm)


def unsigned(algorithm: str) -> str:
    parts = [json.dumps(part).encode() for part in ({"alg": algorithm, "typ": "JWT"}, good())]
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts) + "."


def bad_tokens() -> dict[str, str]:
    """By what is wrong with them."""
    return {
        "wrong signature": signed("another secret of the tests, of 32 bytes"),
        "alg none": unsigned("none"),
        "alg None": unsigned("None"),
        "no signature": unsigned("HS256"),
        "HS512": signed(algorithm="HS512"),
        "not yet": signed(nbf=now() + 600),
        "issued later": signed(iat=now() + 600),
        "no sub": signed(sub=None),
        "sub is no UUID": signed(sub="admin"),
        "sub in another form": signed(sub=PEOPLE["owner"].hex),
        "sub is a URN": signed(sub=PEOPLE["owner"].urn),
        "service_role": signed(role="service_role"),
        "anon": signed(role="anon"),
        "no role": signed(role=None),
        "roles": signed(role=["authenticated"]),
        "another audience": signed(aud="shop"),
        "no audience": signed(aud=None),
        "no end": signed(exp=None),
        "no number as end": signed(exp="later"),
        "an end beyond all days": signed(exp=10**18),
        "no token": "x",
        "empty": "a.b.c",
        "not ASCII": "é.é.é",
    }


def post(url: str, form: dict[str, str], **headers: str) -> requests.Response:
    """A form as a browser sends it from the dashboard's own page, unless said otherwise."""
    sent = {"Sec-Fetch-Site": "same-origin"} | {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(url, data=form, headers=sent, timeout=TIMEOUT_SECONDS, allow_redirects=False)


def test_without_a_token_pages_lead_to_the_sign_in_and_programs_are_refused(dashboard: RunningDashboard) -> None:
    page = dashboard.get("/?sort=events", None)
    assert page.status_code == 303
    assert page.headers["Location"] == "/dashboard/sign-in?next=%2Fdashboard%2F%3Fsort%3Devents"
    for path in ("/api/overview", "/csv/overview?table=projects", "/api/project?project_id=p", "/api/health"):
        program = dashboard.get(path, None)
        assert program.status_code == 401
        assert program.json() == {"error": "Sign in first."}


def test_a_part_of_a_page_leads_to_the_whole_sign_in(dashboard: RunningDashboard) -> None:
    answer = requests.get(
        f"{dashboard.url}/", headers={"HX-Request": "true"}, timeout=TIMEOUT_SECONDS, allow_redirects=False
    )
    assert answer.status_code == 401
    assert answer.headers["HX-Redirect"].startswith("/dashboard/sign-in?next=")


def test_a_good_token_opens_pages_as_header_and_as_cookie(dashboard: RunningDashboard) -> None:
    assert "Nothing is yours yet" in dashboard.page("/", "owner")
    with_cookie = requests.get(f"{dashboard.url}/", cookies={COOKIE: token_of("owner")}, timeout=TIMEOUT_SECONDS)
    assert "Nothing is yours yet" in with_cookie.text
    upper = requests.get(
        f"{dashboard.url}/api/overview",
        headers={"Authorization": f"bearer {signed(sub=str(PEOPLE['owner']).upper())}"},
        timeout=TIMEOUT_SECONDS,
    )
    assert upper.status_code == 200


def test_bad_tokens_are_refused(dashboard: RunningDashboard, caplog: pytest.LogCaptureFixture) -> None:
    """By the API, by the form, and as a cookie; with the same words, and nothing of them in an answer or a log."""
    caplog.set_level(logging.DEBUG)
    bad = bad_tokens()
    for why, token in bad.items():
        answers = [
            requests.get(
                f"{dashboard.url}/api/overview", timeout=TIMEOUT_SECONDS,
                headers={"Authorization": f"Bearer {token}".encode()},
            ),
            post(f"{dashboard.url}/sign-in", {"token": token}),
        ]  # fmt: skip
        for answer in answers:
            assert answer.status_code == 401, why
            assert "This token is not valid here." in answer.text, why
            assert token not in answer.text or len(token) < 6
            assert COOKIE not in answer.cookies
    cookie = requests.get(
        f"{dashboard.url}/", cookies={COOKIE: bad["wrong signature"]}, timeout=TIMEOUT_SECONDS, allow_redirects=False
    )
    assert cookie.status_code == 303
    assert not any(token in caplog.text for token in bad.values() if len(token) > 6)
    assert SECRET not in caplog.text


def test_an_expired_token_is_told_so(dashboard: RunningDashboard) -> None:
    expired = signed(exp=now() - 60)
    program = requests.get(
        f"{dashboard.url}/api/overview", headers={"Authorization": f"Bearer {expired}"}, timeout=TIMEOUT_SECONDS
    )
    assert (program.status_code, program.json()) == (401, {"error": "Your sign-in has expired. Sign in again."})
    followed = requests.get(f"{dashboard.url}/", cookies={COOKIE: expired}, timeout=TIMEOUT_SECONDS)
    assert followed.status_code == 200
    assert "Your sign-in has expired" in followed.text


def test_signing_in_and_out(dashboard: RunningDashboard) -> None:
    token = signed()
    entered = post(f"{dashboard.url}/sign-in", {"token": f" {token}\n", "next": "/dashboard/project?project_id=p"})
    assert entered.status_code == 303
    assert entered.headers["Location"] == "/dashboard/project?project_id=p"
    cookie = entered.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}={token};")
    assert {"HttpOnly", "Path=/dashboard", "SameSite=lax"} <= set(cookie.split("; "))
    assert "Secure" not in cookie
    assert 3500 < int(cookie.partition("Max-Age=")[2].split(";")[0]) <= 3600
    left = post(f"{dashboard.url}/sign-out", {})
    assert left.status_code == 303
    assert "Max-Age=0" in left.headers["Set-Cookie"]
    assert requests.get(f"{dashboard.url}/sign-out", timeout=TIMEOUT_SECONDS).status_code == 405


@pytest.mark.parametrize(
    "target",
    ["https://example.org/", "//example.org/", "/\\example.org", "/dashboard\\..\\x", "\t/dashboard/", "/elsewhere",
     "/dashboard/\r\nSet-Cookie: a=b", "javascript:alert(1)", ""],
)  # fmt: skip
def test_after_the_sign_in_comes_a_page_of_ours(dashboard: RunningDashboard, target: str) -> None:
    entered = post(f"{dashboard.url}/sign-in", {"token": signed(), "next": target})
    assert entered.headers["Location"] == "/dashboard/"
    shown = requests.get(f"{dashboard.url}/sign-in", params={"next": target}, timeout=TIMEOUT_SECONDS)
    assert 'name="next" value=""' in shown.text


def test_only_our_own_page_signs_in_and_out(dashboard: RunningDashboard) -> None:
    ours = dashboard.url.removesuffix("/dashboard")
    for path in ("/sign-in", "/sign-out"):
        for site in ("cross-site", "same-site", "none"):
            assert post(f"{dashboard.url}{path}", {"token": signed()}, Sec_Fetch_Site=site).status_code == 403
        for origin, status in (("https://example.org", 403), ("null", 403), ("http://[", 403), (ours, 303)):
            answer = requests.post(
                f"{dashboard.url}{path}", data={"token": signed()}, headers={"Origin": origin},
                timeout=TIMEOUT_SECONDS, allow_redirects=False,
            )  # fmt: skip
            assert answer.status_code == status
        answer = requests.post(f"{dashboard.url}{path}", data={"token": signed()}, timeout=TIMEOUT_SECONDS)
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers


def test_forms_that_are_none_of_ours(dashboard: RunningDashboard) -> None:
    for form in ({}, {"token": ""}, {"token": "x" * 5000}, {"token": "x" * 100_000}, {"reader": "0"}):
        answer = post(f"{dashboard.url}/sign-in", form)
        assert answer.status_code == 401
        assert 'role="alert"' in answer.text
    for body in (b"\xff\xfe", b"&" * 50 + b"a=b" * 20):
        answer = requests.post(
            f"{dashboard.url}/sign-in", data=body, headers={"Sec-Fetch-Site": "same-origin"}, timeout=TIMEOUT_SECONDS
        )
        assert answer.status_code == 401


def test_readers_of_a_demo_sign_in_by_a_button(demo: RunningDashboard) -> None:
    page = requests.get(f"{demo.url}/sign-in", timeout=TIMEOUT_SECONDS).text
    assert "Owner" in page
    assert "has a project" in page
    entered = post(f"{demo.url}/sign-in", {"reader": "0"})
    assert entered.status_code == 303
    claims = jwt.decode(entered.cookies[COOKIE] or "", SECRET, algorithms=["HS256"], audience="authenticated")
    assert claims["sub"] == str(PEOPLE["owner"])
    assert datetime.fromtimestamp(claims["exp"], UTC) - datetime.now(UTC) < timedelta(hours=13)
    for place in ("2", "-1", "x", ""):
        assert post(f"{demo.url}/sign-in", {"reader": place}).status_code == 401


def test_a_strange_name_for_this_machine_signs_nobody_in(demo: RunningDashboard) -> None:
    """A page of another site whose name leads to 127.0.0.1 would be our own page to the browser."""
    for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "[", "[::1", "a b", "localhost:x"):
        assert post(f"{demo.url}/sign-in", {"reader": "0"}, Host=host).status_code == 401, host
    assert post(f"{demo.url}/sign-in", {"reader": "0"}, Host="localhost:8123").status_code == 303


def test_who_comes_through_a_proxy_is_no_reader_of_a_demo(demo: RunningDashboard) -> None:
    """It asks with its own name for the host; the form's page is still the one that the browser shows."""
    for origin, status in (("https://demo.example.org", 401), ("null", 401), ("http://localhost:8123", 303)):
        assert post(f"{demo.url}/sign-in", {"reader": "0"}, Origin=origin).status_code == status, origin
