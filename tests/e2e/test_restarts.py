"""A seller or the market is killed in the middle of a delivery, and everybody finishes."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from buyer_agents import MarketClient, Need, Shopper, follow_session, policy_named
from buyer_agents.connection import Connection
from market.protocol.chain import Entry
from market.protocol.delivery import chain
from market.protocol.events import Event
from market.protocol.signing import SigningKey
from market.protocol.wire import OrderView
from tests.e2e.proofs import assert_whole, listed, log_of
from tests.processes import MarketProcess, Process

PAGES = [f"page {number} says {number * 7}" for number in range(40)]
ROWS = [{"rows": page.split()} for page in PAGES]
LIMIT_SECONDS = 90.0


def chunk_index(entry: Entry) -> int | None:
    """The number of the chunk that an entry carries, if it carries one."""
    if isinstance(entry, Event) and entry.kind == "delivery.chunk":
        index: int = entry.body["index"]
        return index
    return None


def assert_delivered_once(log: list[Event], order: OrderView) -> None:
    """Every page is in the log, once, in order, and nothing else is."""
    chunks = [entry for entry in log if entry.kind == "delivery.chunk"]
    assert [entry.body["index"] for entry in chunks] == list(range(len(PAGES)))
    assert [entry.body["output"] for entry in chunks] == ROWS
    digest = ""
    for output in ROWS:
        digest = chain(digest, output)
    assert order.delivery_digest == digest
    assert (order.state, order.units_delivered) == ("settled", len(PAGES))
    assert order.captured_minor == order.amount_minor


async def test_a_seller_that_is_killed_three_times_delivers_every_chunk_once(
    market_process: MarketProcess, seller_process: Process
):
    kills = {7, 19, 33}
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        MarketClient(market_process.url, SigningKey.generate()) as buyer,
    ):
        await buyer.register("thrifty", "buyer")
        quote = await buyer.ask_quote(
            await listed(buyer, within_seconds=LIMIT_SECONDS), {"pages": PAGES}
        )
        order = await buyer.place_order(quote)
        async with aclosing(follow_session(buyer, order.session_id)) as log:
            async for entry in log:
                if chunk_index(entry) in kills:
                    seller_process.kill()
                    seller_process.start()
                if isinstance(entry, Event) and entry.kind == "delivery.completed":
                    break
        settled = await buyer.accept(order.id)

        assert_delivered_once(await log_of(buyer, order.session_id), settled)
    assert_whole(market_process)


async def test_a_market_that_is_killed_midway_lets_seller_and_buyer_finish_by_themselves(
    market_process: MarketProcess, seller_process: Process
):
    restarts: list[asyncio.Task[None]] = []
    follow = restarting(market_process, {11, 29}, restarts)
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        MarketClient(market_process.url, SigningKey.generate()) as buyer,
    ):
        await buyer.register("thrifty", "buyer")
        await listed(buyer, within_seconds=LIMIT_SECONDS)
        shopper = Shopper(buyer, policy_named("cheapest"), follow=follow)

        journey = await shopper.run(Need(query="page rows", input={"pages": PAGES}))
        await asyncio.gather(*restarts)

        assert (journey.outcome, journey.stage) == ("advance", "recommending"), journey.detail
        assert journey.outputs == ROWS
        assert journey.order_id is not None
        assert len(restarts) == 2
        order = await buyer.order(journey.order_id)
        assert_delivered_once(await log_of(buyer, journey.session_id), order)
    assert_whole(market_process)


def restarting(
    process: MarketProcess, kills: set[int], restarts: list[asyncio.Task[None]]
) -> Callable[[Connection, str, int], AsyncGenerator[Entry, None]]:
    """Follow a session as buyers do; when a chunk of ``kills`` comes, the market dies meanwhile."""

    async def follow(market: Connection, session_id: str, after: int) -> Any:
        async with aclosing(follow_session(market, session_id, after)) as log:
            async for entry in log:
                index = chunk_index(entry)
                if index in kills:
                    kills.remove(index)
                    restarts.append(asyncio.create_task(asyncio.to_thread(process.restart)))
                yield entry

    return follow
