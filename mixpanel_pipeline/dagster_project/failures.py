"""What a run says when it fails, and whether trying again may help."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import psycopg

from mixpanel_pipeline.lake.engine import is_interruption
from mixpanel_pipeline.lake.landing import LandingError
from mixpanel_pipeline.mixpanel.errors import MixpanelError, PermanentMixpanelError, RateLimited
from mixpanel_pipeline.settings import SettingsError
from mixpanel_pipeline.subscribers.identity import WrongProjectError
from mixpanel_pipeline.subscribers.lake_queries import LakeReadError
from mixpanel_pipeline.subscribers.profile_sync import EmptySnapshotError
from mixpanel_pipeline.warehouse.connection import WarehouseError
from mixpanel_pipeline.web.legacy import LegacyMigrationError

STEP_SECONDS = 0.5


@contextmanager
def described_failures(**place: str) -> Iterator[None]:
    """Turns the rooms' errors into failures that the run page shows as they are; other errors pass as they are.

    `place` (day=…) goes into the metadata. Only the op's own retries are told here: a run that failed is not
    launched again by the instance (dagster.yaml: run_retries takes crashes only).
    """
    try:
        yield
    except MixpanelError as error:
        # Waiting for the limit was done already, for as long as a run should wait; half a minute more is no help.
        hopeless = isinstance(error, PermanentMixpanelError | RateLimited)
        raise _failure(str(error), error, place, allow_retries=not hopeless, fix=error.advice()) from error
    except (SettingsError, LakeReadError, WrongProjectError, EmptySnapshotError, LegacyMigrationError) as error:
        raise _failure(str(error), error, place, allow_retries=False) from error
    except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
        # The same statement over the same rows fails the same way; what may pass is an OperationalError.
        raise _failure(f"Postgres: {error}", error, place, allow_retries=False) from error
    except (LandingError, WarehouseError) as error:
        raise _failure(str(error), error, place, allow_retries=True) from error


@contextmanager
def tried_again(context: dg.AssetExecutionContext, policy: dg.RetryPolicy) -> Iterator[None]:
    """Another round of the op after an error, but not after an interruption, and none follows an interruption of the
    wait in between.

    An op's own `retry_policy` is followed after interruptions too (dagster/_core/execution/plan/utils.py): a run
    that a person terminated would begin the step again half a minute later, and stay CANCELING. And a wait that is
    left to Dagster's executor hears of no signal before it is over, so the op waits itself.
    """
    try:
        yield
    except dg.DagsterError:
        raise
    except Exception as error:
        if is_interruption(error):
            raise dg.DagsterExecutionInterruptedError from error
        if isinstance(error, dg.Failure) and not error.allow_retries:
            raise
        if context.retry_number < policy.max_retries:
            _wait_for_next_round(context, policy, error)
        raise dg.RetryRequested(max_retries=policy.max_retries, seconds_to_wait=0) from error


def _wait_for_next_round(context: dg.AssetExecutionContext, policy: dg.RetryPolicy, error: Exception) -> None:
    """In steps, for a signal that arrives while another thread runs does not end a sleep of this one."""
    seconds = policy.calculate_delay(context.retry_number + 1)
    context.log.info(
        f"round {context.retry_number + 1} of {policy.max_retries + 1} failed, next in {seconds:.0f} s: {error}"
    )
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, STEP_SECONDS))


def _failure(
    message: str, error: Exception, place: dict[str, str], *, allow_retries: bool, fix: str | None = None
) -> dg.Failure:
    metadata = {**place, "error": type(error).__name__, **({"fix": fix} if fix else {})}
    return dg.Failure(description=message, metadata=metadata, allow_retries=allow_retries)
