"""What a failed sync's row says."""

import duckdb
import pytest

from mixpanel_pipeline.subscribers.sync_log import INTERRUPTED, logged_sync
from mixpanel_pipeline.warehouse.connection import Warehouse


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("no day"), "no day"),
        (ValueError(), "ValueError"),
        (ValueError("with a NUL: \0"), "with a NUL: \ufffd"),
        (KeyboardInterrupt(), INTERRUPTED),
        # What a signal becomes that comes while DuckDB works.
        (RuntimeError("Query interrupted"), INTERRUPTED),
        (duckdb.IOException("IO Error: disk"), "IO Error: disk"),
    ],
)
def test_a_failure_says_why(warehouse: Warehouse, error: BaseException, said: str) -> None:
    with (
        warehouse.connect(autocommit=True) as connection,
        pytest.raises(type(error)),
        logged_sync(warehouse, connection, "profiles", "snapshot", {}),
    ):
        raise error
    with warehouse.connect() as connection:
        assert connection.execute("select status, error from sync_logs").fetchall() == [("failed", said)]
