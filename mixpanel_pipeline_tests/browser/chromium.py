"""The machine's own Chromium, without a window. Nothing is downloaded."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

from mixpanel_pipeline_tests.collector.conftest import BROWSER

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def chromium_path() -> str:
    """Where it is; without one the test fails, for a test that is skipped has shown nothing."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.fail(f"no {', '.join(NAMES)} found: install one (Debian, Ubuntu: apt-get install chromium)")
    return found


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Runs for the length of the block. Until then asyncio.run() cannot be called: Playwright has a loop of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(),
            # Without a window it says so in its name, and would be taken for a bot.
            args=["--no-sandbox", f"--user-agent={BROWSER}"],
            # Playwright turns it off otherwise, and people's browsers have it.
            ignore_default_args=["--disable-back-forward-cache"],
        )
        try:
            yield browser
        finally:
            browser.close()
