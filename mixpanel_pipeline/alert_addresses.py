"""The addresses of ALERT_URLS: told apart, and opened as channels of Apprise, which knows a hundred services."""

import logging
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing Apprise with its services takes a quarter of a second
    from apprise import NotifyBase

# Commas also stand inside an address (several recipients of a mail); what begins another one is its scheme.
BETWEEN_ADDRESSES = re.compile(r"[\s,;]+(?=[a-z0-9]+://)", re.IGNORECASE)
AROUND_ADDRESSES = " \t\r\n,;"


def split_addresses(text: str) -> list[str]:
    """Each address; they stand apart by spaces, commas, semicolons or line ends, as Apprise takes them."""
    return [address for address in BETWEEN_ADDRESSES.split(text.strip(AROUND_ADDRESSES)) if address]


def open_channel(address: str) -> "NotifyBase | None":
    """What sends to `address`; none when Apprise cannot make sense of it. Nothing is asked over the network."""
    from apprise import Apprise, AppriseAsset

    _quieten(logging.getLogger("apprise"))
    if any(character.isspace() for character in address):
        return None
    asset = AppriseAsset(app_id="mixpanel-pipeline", app_desc="mixpanel-pipeline", storage_mode="memory")
    return Apprise.instantiate(address, asset=asset)


def places_of_unusable(text: str) -> list[int]:
    """Which addresses, counted from 1, cannot be used: they are secret, and their places are not."""
    addresses = split_addresses(text)
    return [place for place, address in enumerate(addresses, start=1) if open_channel(address) is None]


_SILENCE = logging.NullHandler()


def _quieten(logger: logging.Logger) -> None:
    """What Apprise logs of an address holds parts of it, at DEBUG all. Whoever needs its lines captures them."""
    logger.propagate = False
    logger.setLevel(logging.WARNING)
    logger.addHandler(_SILENCE)
