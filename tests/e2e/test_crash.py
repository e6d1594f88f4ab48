"""kill -9 at any moment: what was acknowledged is there, once; what ran is finished.

``CRASH_CYCLES`` sets how often the market is killed under load (4 by default, 50 by hand).
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from random import Random

from buyer_agents import MarketClient, MarketUnreachable, Producer
from market.protocol import commitments
from market.protocol.signing import SigningKey
from market.protocol.wire import OrderView, PlaceOrder, QuoteView, WriteEvent
from tests.e2e.conftest import GRANT_MINOR
from tests.e2e.proofs import assert_whole, log_of
from tests.factories import PAGES, manifest
from tests.processes import MarketProcess

CYCLES = int(os.environ.get("CRASH_CYCLES", "4"))
BUYERS = 8
LIMIT_SECONDS = 60.0


@dataclass
class Attempt:
    """A request to place an order, with what was answered, if anything was."""

    key: str
    request: PlaceOrder
    order: OrderView | None = None


@dataclass
class Note:
    """An event that was written as a producer, with the offset that was acknowledged, if any."""

    sequence: int
    offset: int | None = None

    @property
    def events(self) -> list[WriteEvent]:
        return [WriteEvent(kind="note.written", body={"text": f"note {self.sequence}"})]


@dataclass
class Witness:
    """A buyer that remembers all it asked for, and all it was told."""

    key: SigningKey
    handle: str
    session_id: str = ""
    attempts: list[Attempt] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)

    async def place(self, market: MarketClient, attempt: Attempt) -> None:
        """Ask, or ask again; the answer must be that of the first time."""
        order = await market.create("/v1/orders", OrderView, attempt.request, attempt.key)
        assert attempt.order is None or attempt.order == order
        attempt.order = order

    async def write(self, market: MarketClient, note: Note) -> None:
        """Append, or append again; it must land where it landed the first time."""
        producer = Producer(self.handle, 0, note.sequence)
        landed = await market.write_events(self.session_id, note.events, producer=producer)
        assert note.offset in (None, landed.first_offset)
        note.offset = landed.first_offset

    async def repeat(self, market: MarketClient) -> None:
        """Ask again for all that was ever asked for, answered or not."""
        for attempt in self.attempts:
            await self.place(market, attempt)
        # A producer repeats its last request alone: it made none before that was answered.
        for note in self.notes[-1:]:
            await self.write(market, note)

    async def load(self, market: MarketClient, service_id: str, told: "Countdown") -> None:
        """Order and write until the market is gone."""
        try:
            while True:
                quote = await market.ask_quote(service_id, PAGES)
                attempt = Attempt(f"order-{len(self.attempts)}", await signed(market, quote))
                self.attempts.append(attempt)
                await self.place(market, attempt)
                note = Note(len(self.notes))
                self.notes.append(note)
                await self.write(market, note)
                told.count()
        except MarketUnreachable:
            return


class Countdown:
    """Something to wait for: that a number of answers has come."""

    def __init__(self, number: int) -> None:
        self._left = number
        self.is_over = asyncio.Event()

    def count(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self.is_over.set()


async def signed(market: MarketClient, quote: QuoteView) -> PlaceOrder:
    commitment = await market.sign(
        commitments.ORDER,
        commitments.OrderClaims,
        quote_id=quote.id,
        quote_digest=quote.digest,
        seller_id=quote.seller_id,
        amount_minor=quote.amount_minor,
        currency=quote.currency,
    )
    return PlaceOrder(quote_id=quote.id, commitment=commitment)


@asynccontextmanager
async def clients(
    process: MarketProcess, witnesses: list[Witness]
) -> AsyncIterator[list[MarketClient]]:
    """Every witness's way to the market, once; none tries a second time by itself."""
    async with AsyncExitStack() as stack:
        opened = []
        for witness in witnesses:
            client = MarketClient(process.url, witness.key, patience_seconds=0.001)
            opened.append(await stack.enter_async_context(client))
            await client.register(witness.handle, "buyer")
        yield opened


async def published(process: MarketProcess) -> str:
    """A service that nobody works on: its orders stay as they are placed."""
    async with MarketClient(process.url, SigningKey.generate()) as seller:
        await seller.register("acme", "seller")
        return (await seller.publish(manifest())).id


async def test_what_was_acknowledged_survives_every_kill_and_nothing_is_doubled(
    market_process: MarketProcess,
):
    chance = Random(2026)
    service_id = await published(market_process)
    witnesses = [Witness(SigningKey.generate(), f"buyer-{number}") for number in range(BUYERS)]
    async with clients(market_process, witnesses) as opened:
        for witness, client in zip(witnesses, opened, strict=True):
            witness.session_id = (await client.open_session("pages")).id

    for _ in range(CYCLES):
        async with clients(market_process, witnesses) as opened:
            told = Countdown(chance.randint(1, 60))
            pairs = list(zip(witnesses, opened, strict=True))
            loads = [
                asyncio.create_task(witness.load(client, service_id, told))
                for witness, client in pairs
            ]
            async with asyncio.timeout(LIMIT_SECONDS):
                await told.is_over.wait()
            # Seven others are in the middle of something just now.
            market_process.kill()
            async with asyncio.timeout(LIMIT_SECONDS):
                await asyncio.gather(*loads)
        market_process.start()
        async with clients(market_process, witnesses) as opened:
            pairs = list(zip(witnesses, opened, strict=True))
            await asyncio.gather(*(witness.repeat(client) for witness, client in pairs))

    async with clients(market_process, witnesses) as opened:
        for witness, client in zip(witnesses, opened, strict=True):
            await prove(client, witness)
    assert_whole(market_process)


async def prove(market: MarketClient, witness: Witness) -> None:
    """Hold what a buyer was told against what the market has."""
    orders = [attempt.order for attempt in witness.attempts if attempt.order is not None]
    assert len(orders) == len(witness.attempts)
    assert len({order.id for order in orders}) == len(orders)
    assert await ids_at_the_market(market) == {order.id for order in orders}
    [balance] = (await market.wallet()).balances
    held_minor = sum(order.amount_minor for order in orders)
    assert (balance.available_minor, balance.held_minor) == (GRANT_MINOR - held_minor, held_minor)
    texts = {
        entry.offset: entry.body["text"]
        for entry in await log_of(market, witness.session_id)
        if entry.kind == "note.written"
    }
    assert texts == {note.offset: f"note {note.sequence}" for note in witness.notes}


async def ids_at_the_market(market: MarketClient) -> set[str]:
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await market.orders(cursor=cursor)
        found += [order.id for order in page.items]
        cursor = page.next
        if cursor is None:
            assert len(found) == len(set(found))
            return set(found)
