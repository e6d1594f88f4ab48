"""Outgoing requests to addresses that agents gave: to the public Internet over TLS, or not at all.

The one guard for all of them (``security.md`` S1 to S4, S16). A name is resolved first; if any of
its addresses is not public, nothing is sent to any. The connection then goes to the very address
that was checked, so that a name cannot change its meaning in between. There are no redirects, no
proxies of the environment, no compression, and a limit on every wait and on what is read.
"""

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from functools import cache
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import httpcore
import httpx

from market.base.settings import Settings

CONNECT_SECONDS: Final = 3.0
TOTAL_SECONDS: Final = 10.0
MAX_ANSWER: Final = 64 * 1024
"""Bytes of an answer's body that are read; the rest stays where it is."""

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
Resolve = Callable[[str, int], Awaitable[list[str]]]


class AddressRefused(ValueError):
    """The market does not call this address; the message says why. Nothing was sent."""


class NotDelivered(Exception):
    """The other side could not be reached, or did not answer in time."""


class Answered(NamedTuple):
    """What the other side said. ``body`` None: encoded, or longer than ``MAX_ANSWER``."""

    status: int
    body: bytes | None


class _Target(NamedTuple):
    """A URL that may be called. ``address``: the host, if it is one already."""

    url: str
    host: str
    port: int
    address: Address | None
    is_local: bool


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name, as the system knows them."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(place[0]) for *_, place in found]


class Outgoing:
    """Calls addresses that agents gave, for one market.

    Loopback addresses are called only by a market that itself listens there in sandbox mode, or
    that is open to all for tests.
    """

    def __init__(self, settings: Settings, *, resolve: Resolve = resolve) -> None:
        self._calls_itself = settings.open_streams or (
            settings.mode == "sandbox" and _is_loopback_host(settings.host)
        )
        self._resolve = resolve

    async def check(self, url: str) -> None:
        """Let pass an address that may be called as things stand: a name may not be known yet.

        Raises:
            AddressRefused: it must not be called.
        """
        target = self._target(url)
        try:
            await self._addresses(target)
        except NotDelivered:
            return

    async def post(self, url: str, *, body: bytes, headers: dict[str, str]) -> Answered:
        """Send a body, over a connection of its own, and return the answer.

        Raises:
            AddressRefused: the address must not be called.
            NotDelivered: there was no answer.
        """
        target = self._target(url)
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                addresses = await self._addresses(target)
                return await _post(target, addresses[0], body, headers)
        except TimeoutError as error:
            raise NotDelivered(f"There was no whole answer within {TOTAL_SECONDS} s.") from error
        except (httpcore.NetworkError, httpcore.TimeoutException) as error:
            raise NotDelivered(f"The connection failed: {error!r}.") from error
        except (httpcore.ProtocolError, ssl.SSLError, OSError) as error:
            raise NotDelivered(f"The other side does not speak HTTP: {error!r}.") from error

    def _target(self, url: str) -> _Target:
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
        if self._calls_itself and parts.scheme == "http" and _is_loopback_host(host):
            return _Target(url, host, port or 80, address, is_local=True)
        if parts.scheme != "https":
            raise AddressRefused("Only https is called.")
        if (port or 443) not in PORTS or port == 0:
            raise AddressRefused(f"Only the ports {', '.join(map(str, PORTS))} are called.")
        if address is None and not _is_name(host):
            raise AddressRefused("The host is neither a name nor an address in its usual form.")
        if address is not None and not is_public(address):
            raise AddressRefused("The host is not on the public Internet.")
        return _Target(url, host, port or 443, address, is_local=False)

    async def _addresses(self, target: _Target) -> list[Address]:
        """Return the addresses of a host, which may all be called."""
        if target.address is not None:
            return [target.address]
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                texts = await self._resolve(target.host, target.port)
        except (OSError, TimeoutError) as error:
            raise NotDelivered("The name is not known.") from error
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in texts]
        if not addresses:
            raise NotDelivered("The name has no address.")
        if not _may_call(addresses, is_local=target.is_local):
            raise AddressRefused("The name leads to an address that is not public.")
        return addresses


def is_public(address: Address) -> bool:
    """Whether an address is one machine's on the public Internet, in no other form than its own."""
    if any(address in network for network in _NOT_PUBLIC if network.version == address.version):
        return False
    if address.version == 6 and address not in _PUBLIC_V6:
        return False  # among them mapped and translated IPv4 addresses
    return address.is_global and not address.is_multicast and not address.is_reserved


def _may_call(addresses: Iterable[Address], *, is_local: bool) -> bool:
    if is_local:
        return all(address.is_loopback for address in addresses)
    return all(is_public(address) for address in addresses)


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


def _is_loopback_host(host: str) -> bool:
    address = _address(host)
    return host == _LOCAL if address is None else address.is_loopback


class _Pinned(httpcore.AsyncNetworkBackend):
    """Dials one address, whatever the name says."""

    def __init__(self, address: Address) -> None:
        self._address = str(address)
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return await self._inner.connect_tcp(self._address, port, timeout)


async def _post(
    target: _Target, address: Address, body: bytes, headers: dict[str, str]
) -> Answered:
    told = {"accept-encoding": "identity", "user-agent": "agent-market", **headers}
    tls = None if target.is_local else _trusted()
    async with (
        httpcore.AsyncConnectionPool(
            ssl_context=tls, network_backend=_Pinned(address), max_connections=1
        ) as pool,
        pool.stream(
            "POST",
            target.url,
            headers=[(name.encode(), value.encode()) for name, value in told.items()],
            content=body,
            extensions={"timeout": {"connect": CONNECT_SECONDS, "read": TOTAL_SECONDS}},
        ) as answer,
    ):
        return Answered(answer.status, await _read(answer))


async def _read(answer: httpcore.Response) -> bytes | None:
    encoding = dict(answer.headers).get(b"content-encoding", b"identity")
    if encoding.lower() != b"identity":
        return None
    read = b""
    async for part in answer.aiter_stream():
        read += part
        if len(read) > MAX_ANSWER:
            return None
    return read


@cache
def _trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
