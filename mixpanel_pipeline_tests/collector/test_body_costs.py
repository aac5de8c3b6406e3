"""Bodies made to be expensive are read in time that grows with their length, no faster."""

import contextlib
import time

import pytest

from mixpanel_pipeline.collector.batches import TooManyEventsError, UnusableBodyError, read_batch, read_events

MOST = 524_288
MOST_SECONDS = 5  # each takes a tenth of that at most; what is quadratic takes minutes
COSTLY = {
    "deep": b'{"events":[' + b"[" * (MOST // 2) + b"]" * (MOST // 2) + b"]}",
    "open": b'{"events":[' + b"[" * MOST,
    "strings": b'{"events":[NaN,' + b",".join([b'""'] * (MOST // 3)) + b"]}",
    "commas": b'{"events":[{"a":[NaN' + b"," * MOST + b"]}]}",
    "backslashes": b'{"events":["' + b"\\" * MOST,
    "escaped quotes": b'{"events":["' + b'\\"' * (MOST // 2),
    "quotes": b'{"events":[' + b'"' * (MOST + 1),
    "names": b'{"a":NaN,' + b",".join([b'"":1'] * (MOST // 5)) + b',"events":[]}',
    "NULs": b'{"events":[{' + b",".join(b'"%d":"\\u0000"' % number for number in range(MOST // 20)) + b"}]}",
    "digits": b'{"events":[{"x":' + b"1" * MOST + b"}]}",
    "numbers": b'{"events":[[' + b",".join([b"1" * 999] * (MOST // 1000)) + b"]]}",
    "exponent": b'{"events":[[1e' + b"1" * MOST + b"]]}",
    "white space": b'{"events":[' + b" " * MOST + b"NaN]}",
}


@pytest.mark.parametrize("name", COSTLY)
def test_it_is_read_in_time(name: str) -> None:
    began = time.perf_counter()
    with contextlib.suppress(UnusableBodyError, TooManyEventsError):
        read_events(read_batch(COSTLY[name], 500).events, 8)
    assert time.perf_counter() - began < MOST_SECONDS
