"""`python -m mixpanel_pipeline.simulator`: the simulator alone, until Ctrl-C."""

import argparse
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mixpanel_pipeline.simulator.faults import fault_table
from mixpanel_pipeline.simulator.limits import Limits
from mixpanel_pipeline.simulator.project import Project
from mixpanel_pipeline.simulator.server import serve


def main(arguments: Sequence[str] | None = None, program: str = "python -m mixpanel_pipeline.simulator") -> None:
    parser = _parser(program)
    given = parser.parse_args(arguments)
    project = Project(
        project_id=given.project_id,
        username=given.username,
        secret=given.secret,
        timezone=given.timezone,
        time_mode=given.time_mode,
        seed=given.seed,
        events_per_day=given.events_per_day,
        people=given.people,
        profiles=given.profiles,
        first_day=datetime.now(UTC).date() - timedelta(days=given.days),
        limits=Limits() if given.no_limits else Limits.as_published(),
        query_limits=Limits() if given.no_limits else Limits.of_queries(),
        cache_directory=given.cache_directory,
    )
    try:
        for fault in given.fault:
            project.faults.add_from_text(fault)
    except ValueError as error:
        parser.error(str(error))
    serve(project, port=given.port, url_file=given.url_file)


def _parser(program: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=program,
        description="A stand-in for Mixpanel's read APIs (export, profiles, counts) on this machine.",
        epilog=f"faults:\n{fault_table()}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one (default)")
    parser.add_argument("--url-file", type=Path, help="where to write the address once it answers")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--days", type=int, default=30, help="days of history before today (30)")
    parser.add_argument("--events-per-day", type=int, default=2_000)
    parser.add_argument("--people", type=int, default=200)
    parser.add_argument("--profiles", type=int, default=200, help="profiles; the first are of the people (200)")
    parser.add_argument("--timezone", default="UTC", help="the project's IANA time zone")
    parser.add_argument("--time-mode", choices=("utc", "project"), default="utc")
    parser.add_argument("--project-id", type=int, default=12345)
    parser.add_argument("--username", default="demo-account")
    parser.add_argument("--secret", default="demo-secret")
    parser.add_argument(
        "--no-limits", action="store_true", help="without Mixpanel's limits by hour, second and at a time"
    )
    parser.add_argument("--cache-directory", type=Path, help="keeps generated days between runs")
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="NAME[:TIMES]",
        help="a fault for the next request, or so many, or `:always`; may be repeated",
    )
    return parser


if __name__ == "__main__":
    main()
