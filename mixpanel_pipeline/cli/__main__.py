"""`python -m mixpanel_pipeline.cli`: the same as `mixpanel-pipeline`, for a child process of this interpreter."""

from mixpanel_pipeline.cli import main

main()
