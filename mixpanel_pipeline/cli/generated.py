"""Fails when a generated file is not what it is made from: `python -m mixpanel_pipeline.cli.generated`."""

import sys

from mixpanel_pipeline.catalog_sql import rendered_files
from mixpanel_pipeline.cli.settings_page import PAGE, rendered_page


def outdated_files() -> list[str]:
    """Generated files whose text is out of date, and what makes them."""
    wanted = {path: (text, "make sql") for path, text in rendered_files().items()}
    wanted[PAGE] = (rendered_page(), "make docs")
    return [
        f"{path} is out of date: run `{command}`"
        for path, (text, command) in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]


if __name__ == "__main__":
    sys.exit("\n".join(outdated_files()) or None)
