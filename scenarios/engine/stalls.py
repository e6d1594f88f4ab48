"""Programs that may crash in a story, and come back: a seller's, and the market's own."""

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

import anyio
from anyio.abc import TaskStatus

from buyer_agents import MarketUnreachable
from market.base.settings import Settings
from scenarios.engine.agents import SellersClient
from scenarios.engine.worlds import World
from seller_services import Seller

RETURN_SECONDS: Final = 5.0
"""How long a seller waits before it comes back to a market that stayed away."""


Broke = Callable[[Exception], Awaitable[None]]
"""Hears what ended a seller whose code is the story's own."""


class Stall:
    """A seller at work. What it knew when it crashed is lost; what the market has is not.

    Of one whose own code breaks ``broke`` is told; without, that ends the run.
    """

    def __init__(self, seller: Seller, client: SellersClient, broke: Broke | None = None) -> None:
        self._seller = seller
        self._client = client
        self._broke = broke
        self._scope = anyio.CancelScope()
        self._away_seconds = 0.0

    async def open(self, *, task_status: TaskStatus[Any] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled, after a crash anew, or until its own code breaks.

        It is started when its service is listed.
        """
        while True:
            self._away_seconds = RETURN_SECONDS
            try:
                with anyio.CancelScope() as self._scope:
                    await self._seller.serve_at(self._client, task_status=task_status)
            except MarketUnreachable:
                if task_status is not anyio.TASK_STATUS_IGNORED:
                    raise
            except Exception as error:
                # The edge to code of the story's own: whatever it raises ends its agent alone.
                if self._broke is None or not self._client.service_id:
                    raise
                return await self._broke(error)
            task_status = anyio.TASK_STATUS_IGNORED
            await anyio.sleep(self._away_seconds)

    def crash(self, away_seconds: float) -> None:
        """End all that it does, now; it comes back after so long."""
        self._scope.cancel()
        self._away_seconds = away_seconds


class MarketProgram:
    """The market of a run, within the block."""

    def __init__(self, world: World, settings: Settings) -> None:
        self._world = world
        self._settings = settings
        self._running = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._begin()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._running.aclose()

    async def crash(self, away_seconds: float, cut: Callable[[float], None]) -> None:
        """Stop; ``cut`` takes every agent's line away first, so nobody hears a last word.

        It comes back after ``away_seconds`` with what is on disk, and nothing else.
        """
        cut(away_seconds)
        await self._running.aclose()
        await anyio.sleep(away_seconds)
        await self._begin()

    async def _begin(self) -> None:
        self._running = AsyncExitStack()
        await self._running.enter_async_context(self._world.market(self._settings))
