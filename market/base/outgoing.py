"""What the market sends to addresses that agents gave: a body, for a short answer.

The guard is ``protocol.dialling``'s; here stand the limits of the market's own requests.
"""

from typing import Final, NamedTuple

import anyio

from market.base.settings import Settings
from market.protocol.addresses import AddressRefused, is_loopback_host
from market.protocol.dialling import Answer, Dialler, NotDelivered, Resolve, resolve

__all__ = ["AddressRefused", "Answered", "NotDelivered", "Outgoing"]

TOTAL_SECONDS: Final = 10.0
MAX_ANSWER: Final = 64 * 1024
"""Bytes of an answer's body that are read; the rest stays where it is."""


class Answered(NamedTuple):
    """What the other side said. ``body`` None: encoded, or longer than ``MAX_ANSWER``."""

    status: int
    body: bytes | None


class Outgoing:
    """Calls addresses that agents gave, for one market.

    Loopback addresses are called only by a market that itself listens there in sandbox mode, or
    that is open to all for tests.
    """

    def __init__(self, settings: Settings, *, resolve: Resolve = resolve) -> None:
        calls_itself = settings.open_streams or (
            settings.mode == "sandbox" and is_loopback_host(settings.host)
        )
        self._dialler = Dialler(calls_loopback=calls_itself, resolve=resolve)

    async def check(self, url: str) -> None:
        """Let pass an address that may be called as things stand: a name may not be known yet.

        Raises:
            AddressRefused: it must not be called.
        """
        await self._dialler.check(url)

    async def post(self, url: str, *, body: bytes, headers: dict[str, str]) -> Answered:
        """Send a body, over a connection of its own, and return the answer.

        Raises:
            AddressRefused: the address must not be called.
            NotDelivered: there was no answer.
        """
        try:
            with anyio.fail_after(TOTAL_SECONDS):
                async with self._dialler.post(
                    url, body=body, headers=headers, seconds=TOTAL_SECONDS
                ) as answer:
                    return Answered(answer.status, await _read(answer))
        except TimeoutError as error:
            raise NotDelivered(f"There was no whole answer within {TOTAL_SECONDS} s.") from error


async def _read(answer: Answer) -> bytes | None:
    if not answer.is_plain:
        return None
    read = b""
    async for part in answer.parts():
        read += part
        if len(read) > MAX_ANSWER:
            return None
    return read
