"""What the service may be told; where it listens aside."""

from dataclasses import dataclass
from typing import Literal

from mixpanel_pipeline.collector.visitors import IpAddresses


@dataclass(frozen=True)
class Options:
    """As the settings COLLECTOR_… have it."""

    body_bytes: int
    queue_events: int
    queue_bytes: int
    requests_per_address: int
    requests_per_key: int
    ip_addresses: IpAddresses
    bots: Literal["refuse", "store"]
