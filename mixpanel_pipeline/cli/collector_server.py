"""The collector and the dashboard as a child of `up` and `demo`."""

from collections.abc import Mapping
from pathlib import Path

from mixpanel_pipeline.cli.servers import Servers, answers, local_address

DASHBOARD_PATH = "/dashboard"
NO_DASHBOARD = "no DASHBOARD_JWT_SECRET is set: events are taken, the dashboard is not served (docs/dashboard.md)"


def start_collector(
    servers: Servers, host: str, port: int, environment: Mapping[str, str], readers: Path | None = None
) -> str:
    """Starts `collect` and waits until it answers; returns its address.

    Raises:
        ServerError: it ended, or did not come up.
    """
    arguments = ["-m", "mixpanel_pipeline.cli", "collect", "--host", host, "--port", str(port)]
    if readers is not None:
        arguments += ["--sign-in-as", str(readers)]
    server = servers.start("collector", arguments, environment)
    local = local_address(host, port)
    servers.wait_until(lambda: answers(f"{local}/healthz"), server)
    return local
