"""What a request says of who sends it: whether that is a browser, and what of it a session keeps."""

import ipaddress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import crawleruseragents
import msgspec

IpAddresses = Literal["drop", "truncate", "keep"]

# As many bits of an address as tell a network, not a household.
KEPT_BITS = {4: 24, 6: 48}


@dataclass(frozen=True)
class Visitor:
    """The address and the browser that a request came from; of a browser no more text than a session takes."""

    address: str | None
    user_agent: str

    @property
    def is_bot(self) -> bool:
        return not self.user_agent or is_crawler(self.user_agent)


@lru_cache(maxsize=10_000)
def is_crawler(user_agent: str) -> bool:
    """Whether the list of known crawlers and programs has it. It is long: a browser sends the same one each time."""
    return crawleruseragents.is_crawler(user_agent)


def completed(text: bytes, session: dict[str, Any], visitor: Visitor, addresses: IpAddresses) -> bytes:
    """A session's text with what it does not say itself, and without more of an address than may be kept.

    It is added at the end: of two members of one name jsonb takes the last.
    """
    added: dict[str, Any] = {}
    if session.get("user_agent") in (None, "") and visitor.user_agent:
        added["user_agent"] = visitor.user_agent
    given = session.get("ip_address")
    if given in (None, "") or is_address(given):
        added["ip_address"] = kept_address(given or visitor.address, addresses)
    return text.rstrip()[:-1] + b"," + msgspec.json.encode(added)[1:] if added else text


def kept_address(address: str | None, addresses: IpAddresses) -> str | None:
    """As much of it as the setting says."""
    if not is_address(address) or addresses == "drop":
        return None
    found = ipaddress.ip_address(str(address).partition("%")[0])  # what follows names a card of this machine
    found = getattr(found, "ipv4_mapped", None) or found  # a socket for both kinds writes ::ffff:192.0.2.7
    if addresses == "truncate":
        found = getattr(found, "sixtofour", None) or found  # the first 48 bits hold a whole IPv4 address
        return str(ipaddress.ip_network((found, KEPT_BITS[found.version]), strict=False).network_address)
    return str(found)


@lru_cache(maxsize=10_000)
def sender_of(address: str | None) -> str | None:
    """Whom a rate limit counts: an address, of IPv6 the 64 bits that one customer has."""
    if not is_address(address):
        return address
    found = ipaddress.ip_address(str(address).partition("%")[0])
    return str(found) if found.version == 4 else str(ipaddress.ip_network((found, 64), strict=False))


def is_address(value: Any) -> bool:
    """Whether it is one address as it is usually written. Postgres knows more ways, such as 192.0.2.7/32."""
    try:
        return isinstance(value, str) and bool(ipaddress.ip_address(value))
    except ValueError:
        return False
