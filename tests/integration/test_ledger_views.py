"""The house's balances and the agents' statements, on both databases."""

import asyncio
from typing import Any

import pytest

from market import ledger
from market.base.paging import BadCursor
from market.base.settings import Settings
from market.base.store import Store
from tests.money import (
    BUYER,
    ORDER,
    OTHER_ORDER,
    SELLER,
    balance,
    captured,
    fees,
    funded,
    held,
    voided,
)


@pytest.fixture(autouse=True)
async def _the_ledger_stays_whole(store: Store) -> Any:
    """Every test here ends with a proof."""
    yield
    assert await store.scan(ledger.check) == []


# The house


async def test_folding_changes_no_balance_and_takes_each_posting_once(store: Store) -> None:
    await funded(store, 500)
    await captured(store, 200, 3, await held(store, 200))
    await captured(store, 100, 2, await held(store, 100, OTHER_ORDER))
    before = await fees(store)

    taken = await store.write(ledger.fold_house)

    assert before == await fees(store) == 5
    assert taken == 3  # two fees and the issuance
    assert await store.write(ledger.fold_house) == 0
    assert await store.scan(ledger.check) == []


async def test_many_folds_at_once_take_each_posting_once(store: Store) -> None:
    for number in range(30):
        await store.write(
            ledger.mint,
            agent_id=BUYER,
            amount_minor=1,
            currency="XTS",
            idempotency_key=f"k{number}",
        )

    taken = await asyncio.gather(*(store.write(ledger.fold_house) for _ in range(8)))

    assert sum(taken) == 30
    assert await store.read(ledger.house_balance, kind="issuance", currency="XTS") == -30


async def test_two_workers_fold_and_spend_at_once_without_loss(
    postgres_settings: Settings,
) -> None:
    stores = [Store.open(postgres_settings) for _ in range(2)]
    await funded(stores[0], 1_000)
    await funded(stores[0], 0, SELLER)
    orders = [f"ord_{number:026d}" for number in range(40)]

    async def buy(store: Store, order_id: str) -> None:
        await captured(store, 10, 1, await held(store, 10, order_id))
        await store.write(ledger.fold_house)

    await asyncio.gather(
        *(buy(stores[place % 2], order_id) for place, order_id in enumerate(orders))
    )

    assert await balance(stores[1]) == (600, 0)
    assert await balance(stores[1], SELLER) == (360, 0)
    assert await fees(stores[1]) == 40
    assert await stores[1].scan(ledger.check) == []
    for store in stores:
        store.close()


async def test_the_house_of_an_unused_currency_has_nothing(store: Store) -> None:
    assert await store.read(ledger.house_balance, kind="fees", currency="JPY") == 0


# Statements


async def test_a_statement_tells_every_change_newest_first(store: Store) -> None:
    await funded(store, 500)
    await captured(store, 120, 2, escrow := await held(store, 200))
    await voided(store, 80, escrow)

    page = await store.read(ledger.statement, agent_id=BUYER)

    assert page.next is None
    assert [
        (row.reason, row.order_id, row.amount_minor, row.balance_minor) for row in page.items
    ] == [
        ("escrow.void", ORDER, 80, 380),
        ("escrow.hold", ORDER, -200, 300),
        ("issuance.mint", None, 500, 500),
    ]
    assert {row.currency for row in page.items} == {"XTS"}
    seller = await store.read(ledger.statement, agent_id=SELLER)
    assert [(row.reason, row.amount_minor) for row in seller.items] == [("escrow.capture", 118)]


async def test_a_statement_is_read_in_pages_over_all_currencies(store: Store) -> None:
    for number in range(7):
        await store.write(
            ledger.mint,
            agent_id=BUYER,
            amount_minor=number + 1,
            currency="XTS" if number % 2 else "EUR",
            idempotency_key=f"k{number}",
        )
    seen: list[int] = []
    cursor = None

    for _ in range(3):
        page = await store.read(ledger.statement, agent_id=BUYER, cursor=cursor, limit=3)
        seen += [row.amount_minor for row in page.items]
        cursor = page.next

    assert seen == [7, 6, 5, 4, 3, 2, 1]
    assert cursor is None


async def test_a_stranger_has_no_statement(store: Store) -> None:
    await funded(store, 500)

    assert (await store.read(ledger.statement, agent_id=SELLER)).items == []
    with pytest.raises(BadCursor):
        await store.read(ledger.statement, agent_id=BUYER, cursor="made-up")
