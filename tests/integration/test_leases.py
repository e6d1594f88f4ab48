"""Leases: a worker's signs of life, the warning when they stop, and the end that is settled."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam, update

from market import audit, orders
from market.base.clock import ManualClock
from market.base.errors import InsufficientScope
from market.base.settings import Settings
from market.base.sql import Sql
from market.chores import expire_orders
from market.orders.tables import orders as rows
from market.protocol.wire import AnswerControl, LeaseView, OrderView
from tests.aftermath import kinds, log_of
from tests.factories import Party, Town, build_town, enter
from tests.workers import Hold, somebody_waits, two_workers

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEASE = timedelta(seconds=30)
PRICE = 400_000
FORGET_DEADLINE = Sql(update(rows).where(rows.c.id == bindparam("order_id")).values(due_at=None))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


async def start(town: Town, order: OrderView) -> OrderView:
    return await town.store.write(orders.start, caller=town.seller.caller, order_id=order.id)


async def beat(town: Town, order: OrderView, by: Party | None = None) -> LeaseView:
    caller = (by or town.seller).caller
    return await town.store.write(orders.heartbeat, caller=caller, order_id=order.id)


async def give_up(town: Town, order: OrderView) -> OrderView:
    return await town.store.write(
        orders.fail, caller=town.seller.caller, order_id=order.id, reason="no paper"
    )


async def control(town: Town, order: OrderView, action: str, by: Party | None = None) -> Any:
    [answer] = await town.control(order.session_id, action, by, text="faster")
    return answer


async def test_a_silent_worker_is_stalled_and_then_fails_with_everything_back(
    town: Town, clock: ManualClock
):
    order = await town.place()
    await town.deliver(order, 0, units=2)
    clock.advance(LEASE)

    assert await expire_orders(town.store) == 1
    stalled = (await log_of(town, order))[-1]
    assert await expire_orders(town.store) == 0
    clock.advance(LEASE)
    assert await expire_orders(town.store) == 1

    assert (stalled["kind"], stalled["actor_id"]) == ("order.stalled", "market")
    assert stalled["body"] == {
        "lease_until": "2026-11-22T12:00:30.000000Z",
        "fails_at": "2026-11-22T12:01:00.000000Z",
    }
    after = await town.order(order)
    failed = (await log_of(town, order))[-1]
    assert (failed["kind"], failed["body"]["reason"]) == (
        "order.failed",
        "the seller gave no sign of life",
    )
    assert (after.state, after.captured_minor, after.returned_minor) == ("failed", 0, PRICE)
    assert await town.available(town.buyer) == 10_000_000
    assert await town.store.scan(audit.audit) == []


async def test_one_second_before_its_end_a_lease_holds(town: Town, clock: ManualClock):
    order = await town.place()
    await start(town, order)
    clock.advance(LEASE - timedelta(seconds=1))

    assert await expire_orders(town.store) == 0


async def by_chunk(town: Town, order: OrderView) -> None:
    await town.deliver(order, (await town.order(order)).chunks_delivered, units=0)


async def by_start(town: Town, order: OrderView) -> None:
    await start(town, order)


async def by_heartbeat(town: Town, order: OrderView) -> None:
    await beat(town, order)


async def by_answer(town: Town, order: OrderView) -> None:
    asked = await control(town, order, "steer")
    await town.store.write(
        orders.answer_control,
        caller=town.seller.caller,
        session_id=order.session_id,
        offset=asked.offset,
        request=AnswerControl(answer="consumed"),
    )


SIGNS = pytest.mark.parametrize("sign", [by_chunk, by_start, by_heartbeat, by_answer])


@SIGNS
async def test_every_sign_of_life_renews_the_lease(town: Town, clock: ManualClock, sign: Any):
    order = await town.place()
    await start(town, order)

    for _ in range(4):
        clock.advance(LEASE - timedelta(seconds=1))
        await sign(town, order)
        assert await expire_orders(town.store) == 0
    clock.advance(LEASE)

    assert await expire_orders(town.store) == 1
    assert (await kinds(town, order)).count("order.stalled") == 1


@SIGNS
async def test_a_stalled_order_goes_on_at_a_sign_of_life(town: Town, clock: ManualClock, sign: Any):
    order = await town.place()
    await start(town, order)
    clock.advance(LEASE)
    await expire_orders(town.store)
    clock.advance(LEASE - timedelta(seconds=1))

    await sign(town, order)
    clock.advance(timedelta(seconds=2))

    assert await expire_orders(town.store) == 0
    assert (await town.order(order)).state == "started"
    clock.advance(LEASE)
    assert await expire_orders(town.store) == 1
    assert (await kinds(town, order)).count("order.stalled") == 2


async def test_an_order_that_nobody_started_has_no_lease(town: Town, clock: ManualClock):
    order = await town.place()
    clock.advance(timedelta(seconds=599))

    assert await expire_orders(town.store) == 0
    with pytest.raises(orders.WrongState):
        await beat(town, order)


async def test_signs_of_life_do_not_move_the_deadline(town: Town, clock: ManualClock):
    order = await town.place()
    await start(town, order)
    for _ in range(24):
        clock.advance(timedelta(seconds=25))
        await beat(town, order)

    assert await expire_orders(town.store) == 1

    failed = (await log_of(town, order))[-1]
    assert (failed["kind"], failed["body"]["reason"]) == ("order.failed", "not delivered in time")


async def test_a_paused_order_has_no_lease_and_gets_a_new_one_when_it_is_resumed(
    town: Town, clock: ManualClock
):
    order = await town.place()
    await start(town, order)
    clock.advance(LEASE)
    await expire_orders(town.store)
    await control(town, order, "pause")
    clock.advance(timedelta(minutes=30))
    assert await expire_orders(town.store) == 0

    await control(town, order, "resume")
    clock.advance(LEASE - timedelta(seconds=1))
    assert await expire_orders(town.store) == 0
    clock.advance(timedelta(seconds=1))

    assert await expire_orders(town.store) == 1
    assert (await kinds(town, order))[-1] == "order.stalled"


async def test_a_paused_order_may_be_started_and_its_pause_keeps_its_end(
    town: Town, clock: ManualClock
):
    order = await town.place()
    await control(town, order, "pause")
    await start(town, order)
    clock.advance(timedelta(minutes=59))

    assert await expire_orders(town.store) == 0


async def test_a_seller_that_pauses_itself_is_held_to_its_deadline_alone(
    town: Town, clock: ManualClock
):
    order = await town.place()
    await start(town, order)
    await control(town, order, "pause", by=town.seller)
    clock.advance(timedelta(seconds=599))

    assert await expire_orders(town.store) == 0
    clock.advance(timedelta(seconds=1))
    assert await expire_orders(town.store) == 1
    assert (await town.order(order)).state == "failed"


async def test_a_market_that_was_down_warns_before_it_fails_an_order(
    town: Town, clock: ManualClock
):
    order = await town.place()
    await start(town, order)
    clock.advance(timedelta(minutes=5))

    await expire_orders(town.store)
    await expire_orders(town.store)

    assert (await kinds(town, order))[-1] == "order.stalled"
    await beat(town, order)


async def test_a_delivered_order_has_no_lease(town: Town, clock: ManualClock):
    order = await town.place()
    await town.deliver(order)
    await town.complete(order)
    clock.advance(timedelta(seconds=3_599))

    assert await expire_orders(town.store) == 0
    with pytest.raises(orders.WrongState):
        await beat(town, order)


async def test_nobody_gives_signs_of_life_for_another(town: Town):
    rival = await enter(town.store, "rival", "seller")
    order = await town.place()
    await start(town, order)
    reader = town.seller._replace(caller=town.seller.caller._replace(scopes=frozenset({"read"})))

    for stranger in (rival, town.buyer):
        with pytest.raises(orders.OrderNotFound):
            await beat(town, order, by=stranger)
    with pytest.raises(InsufficientScope):
        await beat(town, order, by=reader)


async def test_a_worker_that_comes_after_a_cancel_learns_at_which_offset_it_was(town: Town):
    order = await town.place()
    asked = await control(town, order, "cancel")

    acts = (start, beat, give_up, Town.deliver)
    for act in acts:
        with pytest.raises(orders.OrderCancelled) as refusal:
            await act(town, order)
        assert refusal.value.facts == {"state": "cancelled", "cancel_offset": asked.offset}

    again = await control(town, order, "cancel")
    assert (asked.answer, again.answer) == ("accepted", "too_late")
    assert await town.available(town.buyer) == 10_000_000


async def test_a_worker_that_completes_after_a_cancel_learns_where_it_was(town: Town):
    order = await town.place()
    chunk = await town.deliver(order)
    asked = await control(town, order, "cancel")

    again = await town.deliver(order)
    with pytest.raises(orders.OrderCancelled) as refusal:
        await town.complete(order)

    assert (again.offset, again.repeated) == (chunk.offset, True)
    assert refusal.value.facts["cancel_offset"] == asked.offset


async def test_an_order_that_failed_is_not_said_to_be_cancelled(town: Town):
    order = await town.place()
    await give_up(town, order)

    with pytest.raises(orders.WrongState) as refusal:
        await start(town, order)

    assert not isinstance(refusal.value, orders.OrderCancelled)


async def test_a_thousand_renewed_leases_are_noted_in_one_turn(town: Town, clock: ManualClock):
    placed = [await town.place() for _ in range(12)]
    for order in placed:
        await start(town, order)
    clock.advance(timedelta(seconds=20))
    for order in placed[:-1]:
        await beat(town, order)
    clock.advance(timedelta(seconds=10))

    assert await town.store.write(orders.follow_leases) == 11
    assert await town.store.read(orders.due) == [placed[-1].id]


async def test_the_audit_finds_an_open_order_that_nothing_would_ever_end(town: Town):
    order = await town.place()
    await town.store.write(lambda uow: uow.run(FORGET_DEADLINE, order_id=order.id))

    found = await town.store.scan(orders.check)

    broken = "the ending, its moment, its receipt or its deadline disagree"
    assert found == [f"order {order.id}: {broken}"]


async def test_a_sign_of_life_racing_the_end_of_a_lease_has_one_winner(
    postgres_settings: Settings, clock: ManualClock
):
    with two_workers(postgres_settings, clock=clock) as (left, right):
        town = await build_town(left)
        order = await town.place()
        await start(town, order)
        clock.advance(LEASE)
        await expire_orders(left)
        clock.advance(LEASE)
        sign = Hold(orders.heartbeat)
        beating = asyncio.create_task(
            left.write(sign, caller=town.seller.caller, order_id=order.id)
        )
        await sign.has_worked()
        expiring = asyncio.create_task(right.write(orders.expire, order_id=order.id))
        await somebody_waits(postgres_settings)
        sign.let_go()

        await beating
        assert await expiring == "nothing"

        assert (await town.order(order)).state == "started"


async def test_a_clock_that_was_set_back_takes_no_time_from_a_paused_orders_seller(
    town: Town, clock: ManualClock
):
    order = await town.place()
    clock.advance(timedelta(minutes=5))
    await control(town, order, "pause")
    clock._now -= timedelta(minutes=4)

    await control(town, order, "resume")

    assert (await town.order(order)).deliver_by == order.deliver_by
