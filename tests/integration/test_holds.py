"""Holds: each ends once, by its deadline and one sweep, whatever else is under way."""

import asyncio
from collections import Counter
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest

from market import audit, orders
from market.base.clock import ManualClock
from market.base.errors import MarketError
from market.base.settings import Settings
from market.base.store import Store
from market.protocol.wire import OrderView
from tests.aftermath import (
    PRICE,
    answer,
    delivered,
    log_of,
    nothing_is_wrong,
    open_dispute,
    overseer,
    refund,
    resolve,
    support,
    sweep,
)
from tests.factories import Town, build_town, enter, mandate
from tests.workers import Hold, somebody_waits, two_workers

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY = {
    "redo": 2,
    "redo_window_seconds": 600,
    "refund": "within-window",
    "refund_window_seconds": 60,
}
START = 10_000_000
LONG = timedelta(days=3)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
async def town(store: Store) -> Town:
    return await build_town(store, policies=POLICY)


async def control(town: Town, order: OrderView, action: str) -> None:
    await town.control(order.session_id, action, order_id=order.id)


async def stuck_orders(town: Town) -> dict[str, OrderView]:
    """One order for each way in which nobody goes on."""
    stuck = {"placed": await town.place(), "started": await town.place()}
    await town.deliver(stuck["started"])
    stuck["paused"] = await town.place()
    await town.deliver(stuck["paused"])
    await control(town, stuck["paused"], "pause")
    stuck["delivered"] = await delivered(town)
    stuck["disputed"] = await delivered(town)
    await open_dispute(town, stuck["disputed"])
    stuck["contested"] = await delivered(town)
    await answer(town, await open_dispute(town, stuck["contested"]), "contest")
    stuck["redone"] = await delivered(town)
    await support(town, stuck["redone"], "redo")
    return stuck


ENDS = {
    "placed": ("failed", 0),
    "started": ("failed", 0),
    "paused": ("cancelled", 100_000),
    "delivered": ("settled", PRICE),
    "disputed": ("failed", 0),
    "contested": ("settled", PRICE),
    "redone": ("failed", 0),
}


async def test_every_open_order_has_a_deadline(town: Town):
    for order in (await stuck_orders(town)).values():
        row = await town.store.read(orders.order_row, order_id=order.id)
        assert row.due_at is not None, order.state


async def test_every_hold_ends_by_its_deadline_and_one_sweep(town: Town, clock: ManualClock):
    """P4, S11: each hold ends in exactly one of captured or voided, or in parts of both."""
    stuck = await stuck_orders(town)
    ended: dict[str, datetime] = {}

    for _ in range(400):
        due = {
            name: (await town.store.read(orders.order_row, order_id=order.id)).due_at
            for name, order in stuck.items()
            if name not in ended
        }
        if not due:
            break
        # Up to the next deadline that there is, and one sweep.
        clock.advance(max(min(due.values()) - clock.now(), timedelta(0)))
        await sweep(town.store)
        for name in due:
            if (await town.order(stuck[name])).state in orders.ENDED:
                ended[name] = clock.now()

    ends = {}
    for name, order in stuck.items():
        now = await town.order(order)
        ends[name] = (now.state, now.captured_minor)
        said = Counter(event["kind"] for event in await log_of(town, order))
        assert sum(said[f"order.{state}"] for state in orders.ENDED) <= 2, "the redo's own besides"
    assert ends == ENDS
    assert await town.available(town.buyer) == START - 2 * PRICE - 100_000
    await nothing_is_wrong(town.store)


async def test_an_approval_that_nobody_gives_ends_its_hold(store: Store, clock: ManualClock):
    principal = await enter(store, "boss", "principal")
    town = await build_town(store, principal=principal)
    given = await mandate(principal, town.buyer, approval_over_minor=1)
    order = await town.place(mandate_id=given.id)

    clock.advance(timedelta(seconds=store.settings.approval_ttl_seconds))
    await sweep(store)

    assert (await town.order(order)).state == "cancelled"
    assert await town.available(town.buyer) == START
    [receipt] = await store.read(orders.receipts_of, caller=town.buyer.caller, order_id=order.id)
    assert receipt.outcome == "cancelled"
    await nothing_is_wrong(store)


async def test_a_sweep_that_was_killed_midway_is_finished_by_the_next(
    town: Town, clock: ManualClock
):
    """M15: the sweeper may die between any two orders, and be run twice over the same."""
    placed = [await town.place() for _ in range(5)]
    clock.advance(LONG)
    due = await town.store.scan(orders.due)
    for order_id in due[:2]:
        await town.store.write(orders.expire, order_id=order_id)

    for order_id in [*due, *due]:
        await town.store.write(orders.expire, order_id=order_id)

    assert {(await town.order(order)).state for order in placed} == {"failed"}
    assert await town.available(town.buyer) == START
    await nothing_is_wrong(town.store)


async def test_a_capture_in_flight_and_the_expiry_have_one_winner(
    postgres_settings: Settings, clock: ManualClock
):
    """M15: the deadline passes while the buyer's acceptance is being written."""
    with two_workers(postgres_settings, clock=clock) as (left, right):
        town = await build_town(left)
        order = await delivered(town)
        clock.advance(timedelta(hours=2))
        first = Hold(orders.accept)
        accepting = asyncio.create_task(
            left.write(first, caller=town.buyer.caller, order_id=order.id)
        )
        await first.has_worked()
        expiring = asyncio.create_task(right.write(orders.expire, order_id=order.id))
        await somebody_waits(postgres_settings)
        first.let_go()

        assert (await accepting).state == "settled"
        assert await expiring == "nothing"

        said = Counter(event["kind"] for event in await log_of(town, order))
        assert (said["order.settled"], said["order.accepted"]) == (1, 1)
        await nothing_is_wrong(left)


async def test_of_a_refund_and_a_dispute_that_race_nothing_goes_back_twice(
    postgres_settings: Settings, clock: ManualClock
):
    """M11: over two workers, a seller's refund and an overseer's decision."""
    with two_workers(postgres_settings, clock=clock) as (left, right):
        town = await build_town(left)
        warden = await overseer(left)
        order = await town.settled()
        dispute = await open_dispute(town, order)
        first = Hold(orders.refund)
        giving = asyncio.create_task(
            refund(town._replace(store=_Through(left, first)), order)  # type: ignore[arg-type]
        )
        await first.has_worked()
        deciding = asyncio.create_task(resolve(town._replace(store=right), warden, dispute, PRICE))
        await somebody_waits(postgres_settings)
        first.let_go()

        assert (await giving).refunded_minor == PRICE
        with pytest.raises(MarketError):
            await deciding

        assert await town.available(town.buyer) == START
        await nothing_is_wrong(left)


class _Through:
    """A store that runs another verb in place of the one it is given."""

    def __init__(self, store: Store, verb: Hold) -> None:
        self._store = store
        self._verb = verb

    async def write(self, _: Any, **members: Any) -> Any:
        return await self._store.write(self._verb, **members)


@pytest.mark.parametrize("seed", range(2))
async def test_fifty_at_once_leave_one_ending_and_no_unit_twice(
    store: Store, clock: ManualClock, seed: int
):
    """M8, M9, M10, M11: capture, void, expire, refund, dispute and resolve, all at once."""
    town = await build_town(store, policies=POLICY)
    warden = await overseer(store)
    order = await delivered(town)
    dispute = await open_dispute(town, order, claim_minor=150_000)
    chance = Random(seed)
    clock.advance(timedelta(hours=1, seconds=1))

    def moves() -> Any:
        yield from (town.accept(order) for _ in range(10))
        yield from (store.write(orders.expire, order_id=order.id) for _ in range(10))
        yield from (answer(town, dispute, "concede") for _ in range(5))
        yield from (resolve(town, warden, dispute, 150_000) for _ in range(5))
        yield from (control(town, order, "cancel") for _ in range(5))
        yield from (refund(town, order, 90_000) for _ in range(10))
        yield from (support(town, order, "refund", amount_minor=70_000) for _ in range(5))

    racing = list(moves())
    chance.shuffle(racing)
    answers = await asyncio.gather(*racing, return_exceptions=True)

    strange = [one for one in answers if isinstance(one, BaseException)]
    assert [one for one in strange if not isinstance(one, MarketError)] == []
    after = await town.order(order)
    assert after.state in orders.ENDED
    assert after.captured_minor + after.returned_minor == PRICE
    assert after.refunded_minor <= after.captured_minor
    said = Counter(event["kind"] for event in await log_of(town, order))
    assert sum(said[f"order.{state}"] for state in orders.ENDED) == 1
    assert said["dispute.resolved"] == 1
    assert await store.scan(audit.audit) == []
