"""Chores: what time brings about, and that one chore's failure does not end the others."""

import asyncio
from datetime import timedelta

import pytest

from market import chores
from market.base.errors import Overloaded
from market.base.store import Store
from market.chores import Chore, keep_house, run_chores
from tests.contract.conftest import Market, Street


class Turns:
    """A pause that ends when the test says so."""

    def __init__(self) -> None:
        self._turns: asyncio.Queue[None] = asyncio.Queue()

    async def __call__(self, _seconds: float) -> None:
        await self._turns.get()
        self._turns.task_done()

    async def pass_by(self, count: int) -> None:
        for _ in range(count):
            self._turns.put_nowait(None)
        await self._turns.join()


async def test_an_order_that_is_not_delivered_in_time_fails_by_itself(street: Street):
    order = await street.placed()

    street.market.clock.advance(timedelta(seconds=601))
    done = await run_chores(street.market.store)

    street.buyer.token = (await street.buyer.ask_token()).json()["access_token"]
    after = (await street.buyer.get(f"/v1/orders/{order['id']}")).json()
    assert done["orders.expire"] == 1
    assert (after["state"], after["returned_minor"]) == ("failed", order["amount_minor"])


async def test_a_delivery_that_nobody_inspects_is_accepted_by_itself(street: Street):
    order = await street.placed()
    await street.seller.deliver(order["id"], 0, units=4)
    await street.seller.complete(order["id"], chunks=1, units=4)

    street.market.clock.advance(timedelta(seconds=3_601))
    await run_chores(street.market.store)

    street.buyer.token = (await street.buyer.ask_token()).json()["access_token"]
    assert (await street.buyer.get(f"/v1/orders/{order['id']}")).json()["state"] == "settled"


async def test_chores_find_nothing_to_do_twice(street: Street):
    await street.settled()
    street.market.clock.advance(timedelta(days=8))

    first = await run_chores(street.market.store)
    second = await run_chores(street.market.store)

    assert first["house.fold"] > 0
    assert first["answers.forget"] > 0
    assert set(second.values()) == {0}


async def test_a_chore_that_fails_is_tried_again_and_ends_no_other(
    market: Market, monkeypatch: pytest.MonkeyPatch
):
    calls: list[str] = []

    async def refused(_: Store) -> int:
        calls.append("refused")
        raise Overloaded("Not now.")

    async def broken(_: Store) -> int:
        calls.append("broken")
        raise ZeroDivisionError

    async def seldom(_: Store) -> int:
        calls.append("seldom")
        return 1

    kept = (Chore("a", 1, refused), Chore("b", 1, broken), Chore("c", 2, seldom))
    monkeypatch.setattr(chores, "CHORES", kept)
    turns = Turns()
    task = asyncio.create_task(keep_house(market.store, pause=turns))

    async with asyncio.timeout(5):
        await turns.pass_by(3)
    task.cancel()

    assert calls[:5] == ["refused", "broken", "refused", "broken", "seldom"]
