# ruff: noqa: N818 - the names say what happened
"""What can go wrong with Mixpanel. Every message says what, where, and what to do; none has a secret.

Two families: after a `TransientMixpanelError` the same request may succeed (retry.py repeats it), after a
`PermanentMixpanelError` a person has to change something first. Which answer becomes which error is told
in refusals.py.
"""

from datetime import UTC, date, datetime, timedelta
from typing import ClassVar


def place_of(project_id: int | None, from_day: date, to_day: date) -> str:
    """Where an export or a count failed: `project 123, 2026-01-31` or `project 123, 2026-01-01 to 2026-01-31`."""
    days = f"{from_day}" if from_day == to_day else f"{from_day} to {to_day}"
    return f"project {project_id}, {days}"


class MixpanelError(Exception):
    """Base of all: `place` is the project and days, `detail` what Mixpanel or the network said."""

    what: ClassVar[str] = "Mixpanel's answer cannot be used"
    fix: ClassVar[str] = ""

    def __init__(self, place: str, detail: str = "") -> None:
        super().__init__(place, detail)
        self.place = place
        self.detail = detail

    def __str__(self) -> str:
        said = f": {self.detail.rstrip('.')}" if self.detail else ""
        return f"{self.what} ({self.place}){said}. {self.advice()}"

    def advice(self) -> str:
        """What to do about it."""
        return self.fix


class TransientMixpanelError(MixpanelError):
    """The same request may succeed later."""


class PermanentMixpanelError(MixpanelError):
    """The same request fails again until somebody changes a setting or an account."""


class WrongCredentials(PermanentMixpanelError):
    what = "Mixpanel does not accept the credentials"
    fix = (
        "Check MIXPANEL_USERNAME and MIXPANEL_SECRET (a service account that has not expired), and that "
        "MIXPANEL_RESIDENCY (us, eu or in) is where the project's data is kept."
    )


class NoAccess(PermanentMixpanelError):
    what = "The service account has no access to the project"
    fix = (
        "Check MIXPANEL_PROJECT_ID, and add the service account to that project with a role that may export "
        "(Mixpanel: Organization Settings, Service Accounts)."
    )


class DateRangeNotAllowed(PermanentMixpanelError):
    what = "Mixpanel does not export these dates"
    fix = (
        "Ask for fewer or later days, or set a later MIXPANEL_START_DATE: the plan limits how far back "
        "exports go, and one export takes 100 days at most."
    )


class DateInTheFuture(PermanentMixpanelError):
    what = "The day has not begun in the project's time zone"
    fix = (
        "Check MIXPANEL_TIME_MODE (project for projects created before 2023, else utc), MIXPANEL_TIMEZONE, "
        "and this machine's clock."
    )


class PlanWithoutExport(PermanentMixpanelError):
    what = "The project's plan does not include this API"
    fix = (
        "Choose a Mixpanel plan that has it (raw data export; reports need Growth or Enterprise), or another "
        "project (MIXPANEL_PROJECT_ID)."
    )


class BadRequest(PermanentMixpanelError):
    what = "Mixpanel refuses the request"
    fix = "That is Mixpanel's reason; if no setting explains it, please report it as a bug."


class NotFound(PermanentMixpanelError):
    what = "There is no Mixpanel API at this address"
    fix = (
        "Check MIXPANEL_DATA_URL and MIXPANEL_QUERY_URL: bases such as https://data.mixpanel.com; unset, "
        "those of MIXPANEL_RESIDENCY are used."
    )


class ServerFailure(TransientMixpanelError):
    what = "Mixpanel failed to answer"
    fix = "Run it again later; status.mixpanel.com tells of outages."


class ConnectionFailure(TransientMixpanelError):
    what = "The connection to Mixpanel failed"
    fix = (
        "Check the network, proxies (HTTPS_PROXY), and MIXPANEL_DATA_URL and MIXPANEL_QUERY_URL if they are "
        "set; then run it again."
    )


class IncompleteExport(TransientMixpanelError):
    what = "The export broke off before its end, and what was stored before is kept"
    fix = "Run it again later; if one day keeps breaking off, ask Mixpanel's support about that day."


class IncompleteAnswer(TransientMixpanelError):
    what = "Mixpanel's answer is not whole or contradicts itself"
    fix = "Run it again later; if it stays so, ask Mixpanel's support, with this message."


class IncompleteSnapshot(TransientMixpanelError):
    what = "The profiles could not be read as one whole, and what was stored before is kept"
    fix = "Run it again later; if it stays so, ask Mixpanel's support, with this message."


class SessionLost(IncompleteSnapshot):
    what = "Mixpanel forgot the result in the middle of reading the profiles; what was stored before is kept"


class RateLimited(TransientMixpanelError):
    """`wait_seconds` is how long to wait, None when nobody said; `retry_at` the same as a moment."""

    what = "The project's limit for Mixpanel requests is used up"

    def __init__(self, place: str, detail: str = "", wait_seconds: float | None = None) -> None:
        super().__init__(place, detail)
        self.wait_seconds = wait_seconds
        now = datetime.now(UTC)
        self.retry_at = None if wait_seconds is None else now + timedelta(seconds=wait_seconds)

    def advice(self) -> str:
        moment = f"after {self.retry_at:%Y-%m-%d %H:%M:%S} UTC" if self.retry_at else "in a few minutes"
        return (
            f"Run it again {moment}. Mixpanel allows a project 60 requests an hour and 3 a second, whoever makes them."
        )
