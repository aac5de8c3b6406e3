"""Links from the health page lead to pages that Dagster's UI has."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from mixpanel_pipeline.cli.dagster_pages import ASSET_OF_CHECK, DagsterPages
from mixpanel_pipeline.dagster_project.checks import asset_checks
from mixpanel_pipeline.dagster_project.web_checks import web_asset_checks

# What Dagster's own pages say when they make the same addresses, or read them.
IN_DAGSTERS_WORDS = (
    "checkDetail:e.name",
    'view:"checks"',
    'case"partitions":',
    '"/runs?view=backfills"',
    'path:["/runs","/backfills"]',
    '"/automation"',
    'path:"/assets(/?.*)"',
)


def test_every_check_is_found_on_its_asset() -> None:
    keys = [key for check in (*asset_checks(), *web_asset_checks()) for key in check.check_keys]
    assert {key.name: key.asset_key.to_user_string() for key in keys} == ASSET_OF_CHECK


@pytest.fixture(scope="module")
def scripts() -> str:
    spec = find_spec("dagster_webserver")
    assert spec
    assert spec.origin
    build = Path(spec.origin).parent / "webapp" / "build"
    return "".join(path.read_text(encoding="utf-8") for path in build.rglob("*.js"))


@pytest.mark.parametrize("words", IN_DAGSTERS_WORDS)
def test_the_installed_user_interface_knows_the_addresses(scripts: str, words: str) -> None:
    assert words in scripts


def test_without_an_address_there_are_no_links() -> None:
    pages = DagsterPages(None)
    assert (pages.everywhere(), pages.check("add_equals_replace")) == ({}, None)
    assert DagsterPages("http://dagster").check("of nobody") is None
