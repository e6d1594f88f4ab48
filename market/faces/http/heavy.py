"""Heavy work: what reads a great deal for one answer is done one at a time for each agent.

A few more of its requests wait in line; those beyond are told to come back. All agents together
have a few places, so that the database's readers are left to others.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from market.faces.http import limits
from market.faces.http.problems import TooManyRequests


class _Line:
    """Those of one sender: one has its turn, the others wait."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.length = 0


class Heavy:
    """Gives turns. One event loop uses it."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._places = asyncio.Semaphore(limits.HEAVY)

    @asynccontextmanager
    async def turn(self, sender: str) -> AsyncIterator[None]:
        """Do something heavy for a sender within the block, which begins when it may.

        Raises:
            TooManyRequests: as many of the sender's wait as may.
        """
        line = self._lines.setdefault(sender, _Line())
        if line.length >= limits.HEAVY_WAITING:
            raise TooManyRequests(
                "Wait for the answers to what was asked for before.",
                limit=limits.HEAVY_WAITING,
                retry_after_seconds=1,
            )
        line.length += 1
        try:
            async with line.turn, self._places:
                yield
        finally:
            line.length -= 1
            if not line.length:
                del self._lines[sender]
