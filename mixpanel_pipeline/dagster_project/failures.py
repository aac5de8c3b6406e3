"""What a run says when it fails, and whether trying again may help."""

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg
import psycopg

from mixpanel_pipeline.lake.landing import LandingError
from mixpanel_pipeline.mixpanel.errors import MixpanelError, PermanentMixpanelError, RateLimited
from mixpanel_pipeline.settings import SettingsError
from mixpanel_pipeline.subscribers.identity import WrongProjectError
from mixpanel_pipeline.subscribers.lake_queries import LakeReadError
from mixpanel_pipeline.subscribers.profile_sync import EmptySnapshotError
from mixpanel_pipeline.warehouse.connection import WarehouseError


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
    except (SettingsError, LakeReadError, WrongProjectError, EmptySnapshotError) as error:
        raise _failure(str(error), error, place, allow_retries=False) from error
    except (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError) as error:
        # The same statement over the same rows fails the same way; what may pass is an OperationalError.
        raise _failure(f"Postgres: {error}", error, place, allow_retries=False) from error
    except (LandingError, WarehouseError) as error:
        raise _failure(str(error), error, place, allow_retries=True) from error


@contextmanager
def tried_again(context: dg.AssetExecutionContext, policy: dg.RetryPolicy) -> Iterator[None]:
    """Another attempt of the op after an error, but not after an interruption.

    An op's own `retry_policy` is followed after interruptions too (dagster/_core/execution/plan/utils.py): a run
    that a person terminated would begin the step again half a minute later, and stay CANCELING.
    """
    try:
        yield
    except dg.DagsterError:
        raise
    except Exception as error:
        if isinstance(error, dg.Failure) and not error.allow_retries:
            raise
        delay = policy.calculate_delay(context.retry_number + 1)
        raise dg.RetryRequested(max_retries=policy.max_retries, seconds_to_wait=delay) from error


def _failure(
    message: str, error: Exception, place: dict[str, str], *, allow_retries: bool, fix: str | None = None
) -> dg.Failure:
    metadata = {**place, "error": type(error).__name__, **({"fix": fix} if fix else {})}
    return dg.Failure(description=message, metadata=metadata, allow_retries=allow_retries)
