"""64 spenders at once on one wallet and one mandate: never below zero, never over the budget.

On PostgreSQL the spenders come through two stores, as two workers of one market do.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from market import ledger, mandates, orders
from market.base.errors import MarketError
from market.base.settings import Settings
from market.base.store import Store
from market.protocol.wire import MandateView, QuoteView
from tests.factories import Party, Town, build_town, enter, mandate

PRICE = 400_000
SPENDERS = 64


@pytest.fixture
def stores(settings: Settings) -> Iterator[list[Store]]:
    """One store on SQLite, which has one writer; two on PostgreSQL."""
    count = 2 if settings.store else 1
    opened = [Store.open(settings) for _ in range(count)]
    yield opened
    for store in opened:
        store.close()


async def build(store: Store, *, minor: int, **limits: Any) -> tuple[Town, Party, MandateView]:
    principal = await enter(store, "firm", "principal")
    town = await build_town(store, minor=minor, principal=principal)
    return town, principal, await mandate(principal, town.buyer, **limits)


async def spend_at_once(town: Town, stores: list[Store], given: MandateView) -> list[MarketError]:
    """Let 64 orders race, spread over the stores; return how those that failed were refused."""
    quotes = [await town.quote() for _ in range(SPENDERS)]

    async def place(number: int, quote: QuoteView) -> Any:
        through = town._replace(store=stores[number % len(stores)])
        return await through.place(quote, mandate_id=given.id)

    results = await asyncio.gather(
        *(place(number, quote) for number, quote in enumerate(quotes)), return_exceptions=True
    )
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, MarketError):
            raise result
    return [result for result in results if isinstance(result, MarketError)]


async def prove(town: Town, given: MandateView, *, placed: int, left: int) -> None:
    after = await town.store.read(mandates.mandate, caller=town.buyer.caller, mandate_id=given.id)
    assert (after.spent_minor, after.orders) == (placed * PRICE, placed)
    assert await town.available(town.buyer) == left
    assert await town.store.scan(ledger.check) == []
    assert await town.store.scan(orders.check) == []


async def test_a_poor_wallet_pays_for_what_it_affords_and_no_more(stores: list[Store]):
    """M1."""
    town, _, given = await build(stores[0], minor=23 * PRICE + 1)

    refusals = await spend_at_once(town, stores, given)

    assert {refusal.code for refusal in refusals} == {"insufficient_funds"}
    assert len(refusals) == SPENDERS - 23
    await prove(town, given, placed=23, left=1)


@pytest.mark.parametrize(
    "limits",
    [
        {"budget_minor": 17 * PRICE + PRICE - 1},
        {"max_orders": 17},
        {"period_budget_minor": 17 * PRICE, "period_seconds": 3_600},
        {"period_max_orders": 17, "period_seconds": 3_600},
    ],
    ids=lambda limits: next(iter(limits)),
)
async def test_a_mandate_is_never_exceeded(stores: list[Store], limits: dict[str, int]):
    """M13, M14."""
    town, _, given = await build(stores[0], minor=100 * PRICE, **limits)

    refusals = await spend_at_once(town, stores, given)

    assert {refusal.code for refusal in refusals} == {"mandate_exceeded"}
    assert len(refusals) == SPENDERS - 17
    await prove(town, given, placed=17, left=83 * PRICE)


async def test_wallet_and_mandate_together_let_the_smaller_decide(stores: list[Store]):
    town, _, given = await build(stores[0], minor=9 * PRICE, budget_minor=11 * PRICE)

    refusals = await spend_at_once(town, stores, given)

    assert len(refusals) == SPENDERS - 9
    await prove(town, given, placed=9, left=0)


async def test_nothing_is_placed_after_a_revocation_was_answered(stores: list[Store]):
    """P5, P6."""
    town, principal, given = await build(stores[0], minor=100 * PRICE)
    quotes = [await town.quote() for _ in range(SPENDERS)]
    revoked = asyncio.Event()
    late: list[bool] = []

    async def place(number: int, quote: QuoteView) -> None:
        through = town._replace(store=stores[number % len(stores)])
        if number >= SPENDERS // 2:
            await revoked.wait()
        try:
            await through.place(quote, mandate_id=given.id)
        except mandates.MandateEnded:
            return
        late.append(revoked.is_set() and number >= SPENDERS // 2)

    async def revoke() -> None:
        await stores[-1].write(
            mandates.revoke, caller=principal.caller, mandate_id=given.id, reason="stop"
        )
        revoked.set()

    await asyncio.gather(*(place(number, quote) for number, quote in enumerate(quotes)), revoke())

    assert not any(late)
    await prove(town, given, placed=len(late), left=(100 - len(late)) * PRICE)
