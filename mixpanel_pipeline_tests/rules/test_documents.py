"""What the documents show and lead to is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "clients").glob("*/README.md"))]
LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")
TABLE_ROW = re.compile(r"^\|.*\|$")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_pictures_and_links_lead_somewhere(document: Path) -> None:
    named = [target for target in LINK.findall(document.read_text()) if "://" not in target and "mailto:" not in target]
    assert [target for target in named if not (document.parent / target).exists()] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_tables_have_a_head(document: Path) -> None:
    """A row behind an empty line is shown as it is written."""
    lines = ["", *document.read_text().splitlines(), "", ""]
    firsts = [place for place in range(1, len(lines) - 1) if TABLE_ROW.match(lines[place]) and not lines[place - 1]]
    assert [lines[place] for place in firsts if not re.match(r"^\|[\s:|-]+\|$", lines[place + 1])] == []
