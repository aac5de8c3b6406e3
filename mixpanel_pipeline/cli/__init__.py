"""The command line. Each command is a few lines over the rooms; Dagster is imported only by those that need it."""

from mixpanel_pipeline.cli.group import pipeline as main

__all__ = ["main"]
