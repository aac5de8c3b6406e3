"""Writes docs/settings.md from the settings' fields: `python -m mixpanel_pipeline.cli.settings_page` (`make docs`)."""

from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo

from mixpanel_pipeline.settings import PROJECT_ROOT, Settings

PAGE = PROJECT_ROOT / "docs" / "settings.md"
HEADER = """\
# Settings

<!-- Made from mixpanel_pipeline/settings.py by `make docs`; edit that. -->

Environment variables, also read from a file `.env` in the directory where a command starts; what the environment
says wins. A value that cannot be used ends the command with exit code 2 and one line that names the variable, what
it got and what it takes. A secret is never printed, logged, or put in a run's config. An empty value counts as unset.

| variable | meaning | default |
|---|---|---|
"""


def rendered_page() -> str:
    """The page as it must be."""
    return HEADER + "".join(_row(name, field) for name, field in Settings.model_fields.items())


def _row(name: str, field: FieldInfo) -> str:
    return f"| `{name.upper()}` | {field.description} | {_default(field.default)} |\n"


def _default(value: Any) -> str:
    if value is None:
        return "unset"
    if isinstance(value, Path):
        return f"`{value.relative_to(PROJECT_ROOT)}` in the project's directory"
    return f"`{value}`"


def main() -> None:
    """Writes the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(rendered_page(), encoding="utf-8")


if __name__ == "__main__":
    main()
