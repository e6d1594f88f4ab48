"""64 spenders at once, on one wallet and on one mandate, through real servers.

Exactly as many orders as can be paid for succeed, and whoever reads meanwhile never sees a balance
below zero, a unit too many, or a budget overdrawn. On PostgreSQL two market processes share the
database, and every second spender asks the other one.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack
from typing import NamedTuple

import pytest

from buyer_agents import MarketClient, Refused
from market.audit import audit
from market.base.settings import Settings
from market.cli.local import looking
from market.protocol import commitments
from market.protocol.commitments import Limits
from market.protocol.signing import SigningKey
from market.protocol.wire import OrderView, PlaceOrder
from tests.factories import PAGES, manifest
from tests.processes import MarketProcess

SPENDERS = 64
AFFORDABLE = 20
PRICE = 400_000
GRANT = AFFORDABLE * PRICE + PRICE // 2
LIMIT_SECONDS = 60.0


class Scene(NamedTuple):
    """One buyer, as seen by every market process, and what it may spend."""

    settings: Settings
    buyers: Sequence[MarketClient]
    service_id: str
    mandate_id: str | None
    refusal: str


@pytest.fixture
def processes(settings: Settings) -> Iterator[list[MarketProcess]]:
    """One market process on SQLite; two on one PostgreSQL database, under one name."""
    count = 2 if settings.store else 1
    shared = {"store": settings.store, "signup_grant_minor": GRANT}
    with ExitStack() as stack:
        first = stack.enter_context(MarketProcess(settings.home, **shared))
        others = [
            stack.enter_context(MarketProcess(settings.home, issuer=first.url, **shared))
            for _ in range(count - 1)
        ]
        yield [first, *others]


async def enter(
    stack: AsyncExitStack, process: MarketProcess, key: SigningKey, handle: str, kind: str, **more
) -> MarketClient:
    client = await stack.enter_async_context(MarketClient(process.url, key))
    await client.register(handle, kind, **more)
    return client


async def set_scene(
    stack: AsyncExitStack, settings: Settings, processes: list[MarketProcess], limit: str
) -> Scene:
    """A buyer with money for twenty orders, or with a mandate for twenty and money for more."""
    seller = await enter(stack, processes[0], SigningKey.generate(), "acme", "seller")
    service = await seller.publish(manifest())
    key, principal_id, mandate_id = SigningKey.generate(), None, None
    boss = await enter(stack, processes[0], SigningKey.generate(), "boss", "principal")
    if limit == "mandate":
        principal_id = boss.agent_id
    buyers = [
        await enter(stack, process, key, "clerk", "buyer", principal_id=principal_id)
        for process in processes
    ]
    if limit == "mandate":
        # Its budget is below the grant, so that it is what stands in the way.
        budget = Limits(budget_minor=(AFFORDABLE - 5) * PRICE + 1)
        given = await boss.give_mandate(key.kid, budget, currency="XTS", seconds=3_600)
        mandate_id = given.id
    refusal = "mandate_exceeded" if limit == "mandate" else "insufficient_funds"
    return Scene(settings, buyers, service.id, mandate_id, refusal)


async def signed_orders(scene: Scene) -> list[PlaceOrder]:
    buyer = scene.buyers[0]
    orders = []
    for _ in range(SPENDERS):
        quote = await buyer.ask_quote(scene.service_id, PAGES)
        token = await buyer.sign(
            commitments.ORDER,
            commitments.OrderClaims,
            quote_id=quote.id,
            quote_digest=quote.digest,
            seller_id=quote.seller_id,
            amount_minor=quote.amount_minor,
            currency=quote.currency,
            mandate_id=scene.mandate_id,
        )
        orders.append(PlaceOrder(quote_id=quote.id, commitment=token))
    return orders


async def watch(scene: Scene, buyer: MarketClient, is_over: asyncio.Event) -> int:
    """Read the wallet, and the mandate, again and again; return how often."""
    reads = 0
    while not is_over.is_set():
        [balance] = (await buyer.wallet()).balances
        assert balance.available_minor >= 0
        assert balance.available_minor + balance.held_minor == GRANT
        if scene.mandate_id is not None:
            mandate = await buyer.mandate(scene.mandate_id)
            assert mandate.spent_minor <= (mandate.limits["budget_minor"] or 0)
            assert mandate.spent_minor == mandate.orders * PRICE
        reads += 1
    return reads


async def spend(buyer: MarketClient, order: PlaceOrder, number: int) -> OrderView | str:
    try:
        return await buyer.create("/v1/orders", OrderView, order, f"spend-{number}")
    except Refused as refused:
        return refused.code


@pytest.mark.parametrize("limit", ["wallet", "mandate"])
async def test_exactly_the_affordable_number_of_64_spenders_succeeds(
    settings: Settings, processes: list[MarketProcess], limit: str
):
    """M1, M14: never below zero, never over budget, at any read."""
    async with asyncio.timeout(LIMIT_SECONDS), AsyncExitStack() as stack:
        scene = await set_scene(stack, settings, processes, limit)
        orders = await signed_orders(scene)
        is_over = asyncio.Event()
        watches = [asyncio.create_task(watch(scene, buyer, is_over)) for buyer in scene.buyers]

        outcomes = await asyncio.gather(
            *(
                spend(scene.buyers[number % len(scene.buyers)], order, number)
                for number, order in enumerate(orders)
            )
        )

        is_over.set()
        assert min(await asyncio.gather(*watches)) > 0
        affordable = AFFORDABLE - 5 if limit == "mandate" else AFFORDABLE
        refusals = Counter(outcome for outcome in outcomes if isinstance(outcome, str))
        assert refusals == {scene.refusal: SPENDERS - affordable}
        [balance] = (await scene.buyers[-1].wallet()).balances
        assert balance.held_minor == affordable * PRICE
    with looking(settings.with_(issuer=processes[0].url)) as snapshot:
        assert audit(snapshot) == []
