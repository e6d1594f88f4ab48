"""Letting sub-agents check a delivery while it comes: each by a delegation, with a key of its own.

Each reads the session's log over its own connection, looks at every so many-th chunk, and writes
what it found into a run of its own: the buyer relays nothing, and reads their word when the
delivery is complete.
"""

import random
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Annotated, Final

import anyio
from msgspec import Meta

from buyer_agents.choosing import Trip
from buyer_agents.deciding import checkers_of, complaint_of
from buyer_agents.delegating import SubAgent
from buyer_agents.errors import MarketTrouble
from buyer_agents.needs import Need
from buyer_agents.runs import Run
from buyer_agents.weighing import BestValue, Checking, lacking
from market.protocol.events import Event
from market.protocol.signing import SigningKey
from market.protocol.wire import OrderView

END_SECONDS: Final = 10.0
"""How long sub-agents may take to end when there is nothing more to check."""

_KEY_BYTES: Final = 32


class Delegating(BestValue):
    """Like best value, but ``workers`` sub-agents check the delivery, chunk by chunk, as it comes.

    One complaint of theirs makes the delivery bad. ``chance`` draws their keys.
    """

    def __init__(
        self, chance: random.Random, workers: Annotated[int, Meta(ge=1, le=8)] = 2
    ) -> None:
        self.chance = chance
        self.workers = workers

    def checkers(self) -> list[SigningKey]:
        return [
            SigningKey.from_seed(self.chance.randbytes(_KEY_BYTES)) for _ in range(self.workers)
        ]

    def complaint(self, index: int, output: Mapping[str, object], need: Need) -> str:
        return lacking(index, output, need)


class Checks:
    """What the sub-agents of one order found. ``complaints`` are theirs, as they came."""

    def __init__(self) -> None:
        self.complaints: list[str] = []
        self._left = 0
        self._over = anyio.Event()

    def begin(self, count: int) -> None:
        """So many are at work."""
        self._left = count

    def end(self) -> None:
        """One of them is through."""
        self._left -= 1
        if not self._left:
            self._over.set()

    async def over(self) -> None:
        """Wait until all are through, or took too long: then their part is the buyer's again."""
        if self._left:
            with anyio.move_on_after(END_SECONDS):
                await self._over.wait()


@asynccontextmanager
async def checkers_at_work(trip: Trip, order: OrderView) -> AsyncGenerator[Checks, None]:
    """Let a policy's sub-agents check an order within the block; its end waits for theirs.

    Nobody is let in where the policy has none.
    """
    checks = Checks()
    if not isinstance(trip.policy, Checking):
        yield checks
        return
    keys = checkers_of(trip.policy)
    checks.begin(len(keys))
    try:
        async with anyio.create_task_group() as group:
            for number in range(len(keys)):
                group.start_soon(_Worker(trip, trip.policy, order, keys, number).work, checks)
            try:
                yield checks
            finally:
                await checks.over()
                group.cancel_scope.cancel()
    except BaseExceptionGroup as several:
        # What ended the block is for the one who opened it; the sub-agents keep theirs.
        raise several.exceptions[0] from None


class _Worker:
    """One sub-agent; of all chunks it looks at those whose turn is its number."""

    def __init__(
        self,
        trip: Trip,
        policy: Checking,
        order: OrderView,
        keys: Sequence[SigningKey],
        number: int,
    ) -> None:
        self._trip = trip
        self._policy = policy
        self._order = order
        self._keys = keys
        self._number = number

    async def work(self, checks: Checks) -> None:
        """Be let in, check, and say so."""
        name, key = f"check-{self._number + 1}", self._keys[self._number]
        market = self._trip.market
        try:
            delegation = await market.delegate(self._order.session_id, key.public.jwk, run=name)
            options = {"http": market.opens, "dial": market.dial}
            async with SubAgent(
                market.url, key, delegation, now=market.now, nonce=market.nonce, **options
            ) as agent:
                run = await agent.run(name, self._title())
                await self._check(agent, run, checks)
        except MarketTrouble:
            # A human stopped it, its line is down, or an earlier life has its run: the buyer
            # judges all chunks itself, too.
            pass
        finally:
            checks.end()

    def _title(self) -> str:
        count = len(self._keys)
        further = f", and every {count} further" if count > 1 else " and all after it"
        return f"Check chunk {self._number}{further}"

    async def _check(self, agent: SubAgent, run: Run, checks: Checks) -> None:
        async with aclosing(agent.follow()) as entries:
            async for entry in entries:
                if not isinstance(entry, Event) or entry.order_id != self._order.id:
                    continue
                if entry.kind == "delivery.chunk":
                    await self._look_at(entry.body["index"], entry.body["output"], run, checks)
                elif entry.kind == "delivery.completed":
                    await run.end("done")
                    return
                elif entry.kind in ("order.cancelled", "order.failed"):
                    await run.end("cancelled", "the order ended")
                    return

    async def _look_at(
        self, index: int, output: Mapping[str, object], run: Run, checks: Checks
    ) -> None:
        if index % len(self._keys) == self._number:
            complaint = complaint_of(self._policy, index, output, self._trip.need)
            await run.step(f"chunk-{index}", complaint or "as ordered")
            checks.complaints += [complaint] if complaint else []
