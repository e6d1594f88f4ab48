"""A market with something in it: agents of every kind, a service, orders in several states."""

from contextlib import AsyncExitStack
from typing import Final

import msgspec

from buyer_agents import MarketClient
from market.protocol.commitments import Limits
from market.protocol.delivery import chain
from market.protocol.signing import SigningKey
from market.protocol.wire import WriteNote
from tests.factories import manifest

ROLES: Final = ("buyer", "seller", "principal", "overseer")
PAGES: Final = {"pages": ["1", "2", "3", "4"]}


class Town(msgspec.Struct, kw_only=True):
    """Where the market is, who calls, and what is there by the name of its path parameter."""

    url: str
    role: str
    ids: dict[str, list[str]]


def key_of(role: str) -> SigningKey:
    """Return the key of an agent of the town: the same in every run."""
    return SigningKey.from_seed(f"fuzz-{role}".encode().ljust(32, b"."))


async def settle(url: str) -> dict[str, list[str]]:
    """Let agents trade in a new market; return what came of it, by path parameter."""
    async with AsyncExitStack() as stack:
        agents = {
            role: await stack.enter_async_context(MarketClient(url, key_of(role))) for role in ROLES
        }
        buyer, seller = agents["buyer"], agents["seller"]
        await agents["overseer"].register("watch", "overseer")
        await agents["principal"].register("boss", "principal")
        await seller.register("acme", "seller")
        await buyer.register("thrifty", "buyer", agents["principal"].agent_id)
        limits = Limits(max_price_minor=1_000_000, max_orders=1_000)
        mandate = await agents["principal"].give_mandate(
            buyer.agent_id, limits, currency="XTS", seconds=3_600
        )
        service = await seller.publish(manifest())
        session = await buyer.open_session("to have pages read")
        quotes = [await buyer.ask_quote(service.id, PAGES) for _ in range(6)]
        orders = [
            await buyer.place_order(quote, session_id=session.id, mandate_id=mandate.id)
            for quote in quotes[:4]
        ]
        for order in orders[2:]:
            await _deliver(seller, order.id)
        settled = await buyer.accept(orders[3].id)
        await buyer.write_note("prices", "acme", WriteNote(value={"paid": 1}))
        receipts = await buyer.receipts(settled.id)
        return {
            "agent_id": [agent.agent_id for agent in agents.values()],
            "service_id": [service.id],
            "session_id": [session.id],
            "order_id": [order.id for order in orders],
            "mandate_id": [mandate.id],
            "quote_id": [quote.id for quote in quotes],
            "receipt_id": [receipt.id for receipt in receipts],
            "code": ["not_found", "invalid_body"],
            "name": ["manifest", "scenario"],
            "namespace": ["prices"],
            "key": ["acme"],
        }


async def _deliver(seller: MarketClient, order_id: str) -> None:
    output = {"rows": ["a"]}
    await seller.chunk(order_id, 0, output, units=4)
    await seller.complete(order_id, chunks=1, units=4, delivery_digest=chain("", output))
