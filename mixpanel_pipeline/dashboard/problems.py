"""Why there is no page, in words for the reader; what is not for everybody is in the log."""

import logging
from dataclasses import dataclass

import psycopg
from psycopg import errors

from mixpanel_pipeline.dashboard.parameters import BadParameterError
from mixpanel_pipeline.dashboard.reading import DatabaseAwayError, NotMigratedError
from mixpanel_pipeline.dashboard.view import ForbiddenError, NotFoundError

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Problem:
    """An answer's status, a heading, and a sentence."""

    status: int
    title: str
    message: str


NOT_FOUND = Problem(404, "Not found", "There is no such page, or it is not yours to see.")
NOT_ALLOWED = Problem(405, "Not allowed", "This address takes another method.")
UNEXPECTED = Problem(500, "Something went wrong", "The dashboard's log says what. Try again, or go to the overview.")
# In this order: the first that an error is.
OF_DATABASE: tuple[tuple[tuple[type[Exception], ...], Problem], ...] = (
    (
        (errors.QueryCanceled, errors.LockNotAvailable),
        Problem(
            503, "This took too long",
            "The database did not answer in time, and was told to stop. Choose a shorter period, or try again when it "
            "has less to do.",
        ),
    ),
    (
        (DatabaseAwayError, psycopg.OperationalError),
        Problem(503, "The database is away", "It does not answer now. Try again in a minute."),
    ),
    (
        (NotMigratedError, errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedColumn),
        Problem(503, "The database is not ready", "Migrations are missing: run `mixpanel-pipeline migrate`."),
    ),
    (
        (errors.InsufficientPrivilege,),
        Problem(
            503, "The database is not ready",
            "The dashboard's login may not read as its readers: `grant authenticated to` the user in DATABASE_URL.",
        ),
    ),
)  # fmt: skip


def problem_of(error: Exception) -> Problem:
    """What to tell the reader; what only the log may have is written there."""
    if isinstance(error, BadParameterError):
        return Problem(400, "This address cannot be shown", f"{error}.")
    if isinstance(error, NotFoundError):
        return NOT_FOUND
    if isinstance(error, ForbiddenError):
        return Problem(403, "This page is for others", str(error))
    for kinds, problem in OF_DATABASE:
        if isinstance(error, kinds):
            logger.warning("a page could not be shown (%s): %s", type(error).__name__, " ".join(str(error).split()))
            return problem
    logger.error("a page failed", exc_info=error)
    return UNEXPECTED
