"""Addresses that agents gave, and which of them may be called: only those of the public Internet.

Pure rules, for the market (webhooks) and the seller SDK (endpoints) alike (``security.md`` S1 to
S4, S16): a URL has one form, and every address that its host's name leads to is public.
``protocol.dialling`` connects by them.
"""

import ipaddress
import re
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import urlsplit

MAX_URL: Final = 2_048
PORTS: Final = (443, 8443)
"""Where public addresses are called."""

_TEXT: Final = re.compile(r"[!-\[\]-~]+")
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?")
_TOP: Final = re.compile(r"[a-z][a-z0-9-]{0,61}[a-z0-9]")
_LOCAL: Final = "localhost"
_PUBLIC_V6: Final = ipaddress.ip_network("2000::/3")
_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(network)
    for network in ("192.0.0.0/24", "192.88.99.0/24", "2001::/23", "2002::/16", "3fff::/20")
)
"""What Python takes for global, in part: protocol assignments, tunnels, documentation."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AddressRefused(ValueError):
    """Nobody calls this address for an agent; the message says why. Nothing was sent."""


class Target(NamedTuple):
    """A URL that may be called. ``address``: the host, if it is one already."""

    url: str
    host: str
    port: int
    address: Address | None
    is_local: bool


def target_of(url: str, *, calls_loopback: bool = False) -> Target:
    """Return what a URL leads to, if its form is one that is called.

    That is https to a public host; with ``calls_loopback`` also http to this machine.

    Raises:
        AddressRefused: it is not.
    """
    if len(url) > MAX_URL or not _TEXT.fullmatch(url) or "#" in url:
        raise AddressRefused("A URL is plain ASCII without blanks, and not too long.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise AddressRefused(f"This is no URL: {error}.") from error
    if parts.username is not None or parts.password is not None or "%" in parts.netloc:
        raise AddressRefused("A URL here names a host and no user.")
    address = _address(host)
    if calls_loopback and parts.scheme == "http" and is_loopback_host(host):
        return Target(url, host, port or 80, address, is_local=True)
    if parts.scheme != "https":
        raise AddressRefused("Only https is called.")
    if (port or 443) not in PORTS or port == 0:
        raise AddressRefused(f"Only the ports {', '.join(map(str, PORTS))} are called.")
    if address is None and not _is_name(host):
        raise AddressRefused("The host is neither a name nor an address in its usual form.")
    if address is not None and not is_public(address):
        raise AddressRefused("The host is not on the public Internet.")
    return Target(url, host, port or 443, address, is_local=False)


def may_call(addresses: Iterable[Address], *, is_local: bool) -> bool:
    """Whether every address of a host may be called."""
    if is_local:
        return all(address.is_loopback for address in addresses)
    return all(is_public(address) for address in addresses)


def is_public(address: Address) -> bool:
    """Whether an address is one machine's on the public Internet, in no other form than its own."""
    if any(address in network for network in _NOT_PUBLIC if network.version == address.version):
        return False
    if address.version == 6 and address not in _PUBLIC_V6:
        return False  # among them mapped and translated IPv4 addresses
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_loopback_host(host: str) -> bool:
    """Whether a host is this machine by its name or address."""
    address = _address(host)
    return host == _LOCAL if address is None else address.is_loopback


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _is_name(host: str) -> bool:
    labels = host.split(".")
    return (
        len(host) <= 253
        and len(labels) > 1
        and all(_LABEL.fullmatch(label) for label in labels)
        and _TOP.fullmatch(labels[-1]) is not None
    )
