"""The body of a Query API answer: one JSON document, and the faults that spoil the whole of it."""

from collections.abc import Iterable

from mixpanel_pipeline.simulator.body import LARGEST_PLAIN_BODY, Body
from mixpanel_pipeline.simulator.events import encode_json
from mixpanel_pipeline.simulator.faults import Fault
from mixpanel_pipeline.simulator.generated_days import compress

UNKNOWN_ERROR = "unknown error"


def json_body(document: bytes, faults: Iterable[Fault], gzip: bool) -> Body:
    """Compressed under the same rule as an export; for the Query API that is not documented."""
    dropped = False
    for fault in faults:
        if fault.name == "error_in_200":
            document = encode_json({"error": fault.parameters.get("error", UNKNOWN_ERROR)})
        elif fault.name == "cut_json":
            document = document[: len(document) // 2]
        elif fault.name == "dropped_json":
            document, dropped = document[: len(document) // 2], True
    gzip = gzip and len(document) > LARGEST_PLAIN_BODY
    return Body(compress(iter([document])) if gzip else iter([document]), gzip, dropped)
