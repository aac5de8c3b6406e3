"""Filters for an export's `where`, in Mixpanel's expression language (reference/mixpanel.md A1.10)."""


def processed_between(after_milliseconds: int, up_to_milliseconds: int) -> str:
    """Events that Mixpanel processed in (after, up to]: late arrivals of any day, in one export."""
    processed = 'properties["mp_processing_time_ms"]'
    return f"{processed} > {after_milliseconds} and {processed} <= {up_to_milliseconds}"
