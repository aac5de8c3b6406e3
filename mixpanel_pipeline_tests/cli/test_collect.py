"""`collect`: write keys are made, listed and ended; what is wrong is said before anything starts; what is served."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests

from mixpanel_pipeline_tests.cli.conftest import PROGRAM, Run

ANSWER_SECONDS = 30
SECRET = "a secret of the tests, long enough for HS256"


@pytest.mark.usefixtures("on_database")
def test_a_key_is_made_listed_and_ended(run: Run) -> None:
    made = run(
        "collect",
        "--new-key",
        "shop",
        "--origin",
        "https://Cards.example/",
        "--origin",
        "http://localhost:8000",
        "--origin",
        "https://shop.example:443",
        "--origin",
        "http://shop.example:443/",
    )
    assert made.returncode == 0
    key = made.stdout.strip()
    assert key.startswith("wk_")
    assert "only time that it is shown" in made.stderr

    [listed] = json.loads(run("collect", "--keys", "--json").stdout)["keys"]
    assert key.startswith(listed["hint"])
    assert listed["project_id"] == "shop"
    origins = ["https://cards.example", "http://localhost:8000", "https://shop.example", "http://shop.example:443"]
    assert listed["origins"] == origins  # as browsers write them
    assert listed["ended_at"] is None
    assert key not in run("collect", "--keys").stdout

    assert run("collect", "--end-key", key).returncode == 0
    [listed] = json.loads(run("collect", "--keys", "--json").stdout)["keys"]
    assert listed["ended_at"] is not None
    again = run("collect", "--end-key", listed["hint"])
    assert again.returncode == 2
    assert f"no write key that is in use begins with {listed['hint']}" in again.stderr


@pytest.mark.usefixtures("on_database")
def test_a_key_without_an_origin_says_what_it_is_for(run: Run) -> None:
    finished = run("collect", "--new-key", "shop", "--json")
    assert json.loads(finished.stdout)["origins"] == []
    assert "a key for servers" in finished.stderr


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--origin", "https://cards.example"], "--origin goes with --new-key"),
        (["--new-key", "shop", "--origin", "cards.example"], "it takes a site such as https://www.example.com"),
        (["--new-key", "shop", "--origin", "https://cards.example/page"], "it takes a site"),
        (["--new-key", "shop", "--origin", "*"], "it takes a site"),
        (["--new-key", "shop", "--origin", "https://*.example"], "it takes a site"),
        (["--new-key", "shop", "--origin", "https://bücher.example"], "as browsers send it: https://xn--"),
        (["--new-key", "shop", "--keys"], "go one at a time"),
        (["--new-key", "s" * 201], "a project of 1 to 200 bytes"),
        (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1, port 8080"),
        (["--host", "nowhere.invalid"], "cannot listen on nowhere.invalid"),
        (["--port", "70000"], "--port"),
        (["--sign-in-as", "people.json", "--host", "203.0.113.1"], "goes with --host 127.0.0.1: it lets everybody in"),
        (
            ["--sign-in-as", "people.json"],
            "people.json: expected a JSON array of objects with name, description and user",
        ),
    ],
)
@pytest.mark.usefixtures("on_database")
def test_bad_usage(run: Run, arguments: list[str], part: str) -> None:
    finished = run("collect", *arguments)
    assert finished.returncode == 2
    assert part in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.usefixtures("on_database")
def test_the_dashboard_stands_beside_the_collector(environment: dict[str, str], tmp_path: Path) -> None:
    people = [{"name": "Stranger", "description": "sees nothing", "user_id": "00000000-0000-0000-0000-000000000001"}]
    (tmp_path / "people.json").write_text(json.dumps(people))
    environment["DASHBOARD_JWT_SECRET"] = SECRET
    with collecting(environment, tmp_path, "--sign-in-as", "people.json") as (process, told):
        assert told["dashboard"] == f"{told['url']}/dashboard"
        with requests.Session() as browser:
            for address in (told["url"], told["dashboard"]):
                page = browser.get(address, timeout=ANSWER_SECONDS)
                assert page.url.startswith(f"{told['dashboard']}/sign-in?next="), address
                assert "Stranger" in page.text
            answer = browser.post(
                f"{told['dashboard']}/sign-in", {"reader": "0"}, headers={"Origin": told["url"]}, timeout=ANSWER_SECONDS
            )
            assert (answer.status_code, answer.url) == (200, f"{told['dashboard']}/")
        assert requests.get(f"{told['url']}/readyz", timeout=ANSWER_SECONDS).json() == {"ready": True, "problems": []}
        refused = requests.post(f"{told['url']}/v1/batch", json={"events": []}, timeout=ANSWER_SECONDS)
        assert refused.status_code == 401
        process.terminate()
        assert process.wait(ANSWER_SECONDS) == 0
    written = (tmp_path / "stderr").read_text()
    assert "ended; what was acknowledged is stored" in written
    assert SECRET not in written


@pytest.mark.usefixtures("on_database")
def test_without_a_secret_there_is_no_dashboard(environment: dict[str, str], tmp_path: Path) -> None:
    with collecting(environment, tmp_path) as (process, told):
        assert told["dashboard"] is None
        assert requests.get(f"{told['url']}/dashboard/", timeout=ANSWER_SECONDS).status_code == 404
        assert requests.get(f"{told['url']}/healthz", timeout=ANSWER_SECONDS).ok
        process.terminate()
        assert process.wait(ANSWER_SECONDS) == 0
    assert "no DASHBOARD_JWT_SECRET is set" in (tmp_path / "stderr").read_text()


@contextmanager
def collecting(
    environment: dict[str, str], directory: Path, *arguments: str
) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """`collect` on a free port, and what it printed; killed at the end of the block if it still runs."""
    command = [*PROGRAM, "collect", "--port", "0", "--json", *arguments]
    with (
        (directory / "stderr").open("w") as errors,
        subprocess.Popen(
            command, env=environment, cwd=directory, stdout=subprocess.PIPE, stderr=errors, text=True
        ) as process,
    ):
        try:
            assert process.stdout is not None
            yield process, json.loads(process.stdout.readline())
        finally:
            process.kill()
