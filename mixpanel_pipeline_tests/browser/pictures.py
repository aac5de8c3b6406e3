"""Takes the pictures of docs/pictures from a demo that runs: `python -m mixpanel_pipeline_tests.browser.pictures URL`,
URL being its dashboard's."""

import sys
from pathlib import Path

from playwright.sync_api import Page

from mixpanel_pipeline_tests.browser.chromium import running_chromium

DIRECTORY = Path(__file__).parents[2] / "docs" / "pictures"
SIZES = {"desktop": (1280, 800), "phone": (390, 844)}
# Below this a long page is more of the same.
MOST_PIXELS = 1800
# Page → from where, and the link on it that leads there; without one the address itself.
PAGES = {
    "sign-in": ("/sign-in", None),
    "overview": ("/", None),
    "project": ("/", "main a[href*='/project?']"),
    "card": ("/", "main a[href*='/card?']"),
    "subscribers": ("/subscribers?sort=total_deposits", None),
    "subscriber": ("/subscribers", "main a[href*='/subscriber?']"),
    "health": ("/health", None),
}


def main() -> None:
    """Every page, on a desktop and a phone, light and dark."""
    dashboard = sys.argv[1].rstrip("/")
    with running_chromium() as browser:
        for scheme in ("light", "dark"):
            for size, (width, height) in SIZES.items():
                context = browser.new_context(
                    color_scheme=scheme, viewport={"width": width, "height": height}, timezone_id="UTC", locale="en-GB"
                )  # fmt: skip
                page = context.new_page()
                for name, (address, link) in PAGES.items():
                    page.goto(dashboard + address)
                    if link:
                        page.locator(link).first.click()
                    page.wait_for_load_state("networkidle")
                    take(page, f"dashboard-{name}-{size}-{scheme}.png", width)
                    if name == "sign-in":
                        page.get_by_role("button", name="Administrator").click()
                        page.wait_for_load_state("networkidle")
                context.close()


def take(page: Page, name: str, width: int) -> None:
    """The page's upper part."""
    height = min(page.evaluate("document.documentElement.scrollHeight"), MOST_PIXELS)
    page.screenshot(path=DIRECTORY / name, full_page=True, clip={"x": 0, "y": 0, "width": width, "height": height})


if __name__ == "__main__":
    main()
