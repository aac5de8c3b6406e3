"""Pages and files that follow from the code say what the code says."""

import re
from pathlib import Path

from mixpanel_pipeline.cli.generated import outdated_files
from mixpanel_pipeline.settings import PROJECT_ROOT, Settings

PAGES = [PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").glob("*.md"))]


def test_generated_files_are_current() -> None:
    assert outdated_files() == []


def test_the_example_environment_names_settings_only() -> None:
    lines = (PROJECT_ROOT / ".env.example").read_text().splitlines()
    names = {line.lstrip("# ").split("=")[0].lower() for line in lines if re.match(r"#? ?[A-Z_]+=", line)}
    assert names == set(Settings.model_fields)


def test_links_between_pages_lead_somewhere() -> None:
    def targets(page: Path) -> list[str]:
        return [link for link in re.findall(r"\]\(([^)#]+)", page.read_text()) if not link.startswith("http")]

    later = {"docs/performance.md", "performance.md", "docs/pictures/dagster-assets.png"}
    broken = [
        f"{page.name}: {link}"
        for page in PAGES
        for link in targets(page)
        if link not in later and not (page.parent / link).exists()
    ]
    assert broken == []
