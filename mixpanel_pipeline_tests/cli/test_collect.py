"""`collect`: write keys are made, listed and ended; what is wrong is said before anything starts."""

import json

import pytest

from mixpanel_pipeline_tests.cli.conftest import Run


@pytest.mark.usefixtures("on_database")
def test_a_key_is_made_listed_and_ended(run: Run) -> None:
    made = run(
        "collect", "--new-key", "shop", "--origin", "https://Cards.example/", "--origin", "http://localhost:8000"
    )
    assert made.returncode == 0
    key = made.stdout.strip()
    assert key.startswith("wk_")
    assert "only time that it is shown" in made.stderr

    [listed] = json.loads(run("collect", "--keys", "--json").stdout)["keys"]
    assert key.startswith(listed["hint"])
    assert listed["project_id"] == "shop"
    assert listed["origins"] == ["https://cards.example", "http://localhost:8000"]
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
        (["--new-key", "shop", "--keys"], "go one at a time"),
        (["--new-key", "s" * 201], "a project of 1 to 200 bytes"),
        (["--host", "203.0.113.1"], "cannot listen on 203.0.113.1, port 8080"),
        (["--host", "nowhere.invalid"], "cannot listen on nowhere.invalid"),
        (["--port", "70000"], "--port"),
    ],
)
@pytest.mark.usefixtures("on_database")
def test_bad_usage(run: Run, arguments: list[str], part: str) -> None:
    finished = run("collect", *arguments)
    assert finished.returncode == 2
    assert part in finished.stderr
    assert "Traceback" not in finished.stderr
