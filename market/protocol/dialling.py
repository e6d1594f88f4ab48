"""Calling addresses that agents gave: the one guard before all such requests.

A name is resolved first; if any of its addresses is not public, nothing is sent to any. The
connection then goes to the very address that was checked, so that a name cannot change its meaning
in between. There are no redirects, no proxies of the environment, no compression, and a limit on
every wait (``security.md`` S1 to S6, S16).
"""

import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import cache
from typing import Final

import anyio
import httpcore
import httpx

from market.protocol.addresses import Address, AddressRefused, Target, may_call, target_of

CONNECT_SECONDS: Final = 3.0
AGENT: Final = "agent-market"
IDENTITY: Final = "identity"

Resolve = Callable[[str, int], Awaitable[list[str]]]


class NotDelivered(Exception):
    """The other side could not be reached, or did not answer as it should, or not in time."""


async def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a name, as the system knows them."""
    found = await anyio.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(place[0]) for *_, place in found]


class Answer:
    """The head of an answer, and the way to its body. ``headers`` by their names in lower case."""

    def __init__(self, response: httpcore.Response, seconds: float) -> None:
        self._response = response
        self._seconds = seconds
        self.status = response.status
        self.headers = {
            name.decode("latin-1").lower(): value.decode("latin-1")
            for name, value in response.headers
        }

    @property
    def is_plain(self) -> bool:
        """Whether the body is what it seems: no compression, which could make much of little."""
        return self.headers.get("content-encoding", IDENTITY).lower() == IDENTITY

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield the body, part by part, as it comes.

        Raises:
            NotDelivered: it broke off, or the next part did not come in time.
        """
        stream = self._response.aiter_stream()
        while True:
            with _told(), anyio.fail_after(self._seconds):
                part = await anext(stream, None)
            if part is None:
                return
            yield part


class Dialler:
    """Calls public addresses; with ``calls_loopback`` also those of this machine, over http."""

    def __init__(self, *, calls_loopback: bool, resolve: Resolve = resolve) -> None:
        self._calls_loopback = calls_loopback
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

    @asynccontextmanager
    async def post(
        self, url: str, *, body: bytes, headers: Mapping[str, str], seconds: float
    ) -> AsyncIterator[Answer]:
        """Send a body, over a connection of its own; yield the answer as soon as its head is read.

        That, and each later wait for a part of its body, takes at most ``seconds``.

        Raises:
            AddressRefused: the address must not be called.
            NotDelivered: there was no answer.
        """
        target = self._target(url)
        told = {"accept-encoding": IDENTITY, "user-agent": AGENT, **headers}
        async with AsyncExitStack() as stack:
            with _told(), anyio.fail_after(seconds):
                address = (await self._addresses(target))[0]
                pool = httpcore.AsyncConnectionPool(
                    ssl_context=None if target.is_local else _trusted(),
                    network_backend=_Pinned(address),
                    max_connections=1,
                )
                request = pool.stream(
                    "POST",
                    url,
                    headers=[(name.encode(), text.encode()) for name, text in told.items()],
                    content=body,
                    extensions={"timeout": {"connect": CONNECT_SECONDS}},
                )
                await stack.enter_async_context(pool)
                response = await stack.enter_async_context(request)
            yield Answer(response, seconds)

    def _target(self, url: str) -> Target:
        return target_of(url, calls_loopback=self._calls_loopback)

    async def _addresses(self, target: Target) -> list[Address]:
        """Return the addresses of a host, which may all be called."""
        if target.address is not None:
            return [target.address]
        try:
            with anyio.fail_after(CONNECT_SECONDS):
                texts = await self._resolve(target.host, target.port)
        except (OSError, TimeoutError) as error:
            raise NotDelivered("The name is not known.") from error
        addresses = [ipaddress.ip_address(text.partition("%")[0]) for text in texts]
        if not addresses:
            raise NotDelivered("The name has no address.")
        if not may_call(addresses, is_local=target.is_local):
            raise AddressRefused("The name leads to an address that is not public.")
        return addresses


@contextmanager
def _told() -> Iterator[None]:
    """Tell what can go wrong on the way in the words of this module."""
    try:
        yield
    except TimeoutError as error:
        raise NotDelivered("There was no answer in time.") from error
    except (httpcore.NetworkError, httpcore.TimeoutException) as error:
        raise NotDelivered(f"The connection failed: {error!r}.") from error
    except (httpcore.ProtocolError, ssl.SSLError, OSError) as error:
        raise NotDelivered(f"The other side does not speak HTTP: {error!r}.") from error


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


@cache
def _trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)
