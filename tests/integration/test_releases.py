"""Paying while work runs: each part once, together never more than the hold."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import bindparam, select

from market import inbox, orders
from market.audit import audit
from market.base.clock import ManualClock
from market.base.once import Once
from market.base.sql import Sql
from market.base.store import Store
from market.ledger.posting import captured_minor
from market.ledger.tables import transactions
from market.protocol.commitments import RECEIPT, ReceiptClaims
from market.protocol.wire import AskSupport, OrderView, ReleasePayment
from tests.factories import Party, Town, build_town, enter

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
UNIT = {"per": "unit", "amount": "0.000333", "currency": "XTS"}
PAGES = 4
EACH = 333


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
async def town(store: Store) -> Town:
    return await build_town(store, price=UNIT)


async def release(
    town: Town, order: OrderView, units: int | None = None, by: Party | None = None
) -> OrderView:
    return await town.store.write(
        orders.release,
        caller=(by or town.buyer).caller,
        order_id=order.id,
        request=ReleasePayment(units=units),
    )


async def running(town: Town, chunks: int) -> OrderView:
    order = await town.place()
    for index in range(chunks):
        await town.deliver(order, index)
    return order


async def released(town: Town, order: OrderView) -> list[dict[str, Any]]:
    events = await town.log_of(order.session_id)
    return [event["body"] for event in events if event["kind"] == "order.released"]


async def movements(town: Town, order: OrderView) -> list[str]:
    """What moved for an order, oldest first."""
    of_order = Sql(
        select(transactions.c.reason)
        .where(transactions.c.order_id == bindparam("order_id"))
        .order_by(transactions.c.id)
    )
    rows = await town.store.scan(lambda snapshot: snapshot.all(of_order, order_id=order.id))
    return [row.reason for row in rows]


async def test_what_is_delivered_is_paid_while_work_goes_on(town: Town):
    order = await running(town, 1)

    first = await release(town, order)
    await town.deliver(order, 1)
    second = await release(town, order)

    assert (first.state, first.captured_minor, first.fee_minor) == ("started", EACH, 5)
    assert (second.captured_minor, second.fee_minor) == (2 * EACH, 10)
    assert await town.available(town.seller) == 2 * EACH - 10
    assert [body["part"] for body in await released(town, order)] == [1, 2]
    assert await town.store.scan(audit) == []


async def test_parts_leave_in_fees_what_one_capture_would(town: Town):
    """M12: an order paid in four parts pays the fee of one."""
    order = await running(town, 0)
    for index in range(PAGES):
        await town.deliver(order, index)
        await release(town, order)
    await town.complete(order)

    settled = await town.accept(order)

    assert (settled.captured_minor, settled.fee_minor) == (PAGES * EACH, 20)
    assert await town.available(town.seller) == PAGES * EACH - 20
    [receipt] = await town.store.read(
        orders.receipts_of, caller=town.buyer.caller, order_id=order.id
    )
    claims = town.store.signer.public.read(receipt.receipt, typ=RECEIPT, claims=ReceiptClaims)
    assert (claims.captured_minor, claims.fee_minor) == (PAGES * EACH, 20)
    assert await town.store.scan(audit) == []


async def test_a_cancel_settles_what_was_not_released(town: Town):
    order = await running(town, 3)
    await release(town, order, units=2)

    await town.control(order.session_id, "cancel")

    ended = await town.order(order)
    assert (ended.state, ended.captured_minor, ended.returned_minor) == ("cancelled", 999, EACH)
    assert await town.store.scan(audit) == []


async def test_what_was_released_stays_paid_when_the_seller_gives_up(town: Town):
    order = await running(town, 2)
    await release(town, order, units=1)

    failed = await town.store.write(
        orders.fail, caller=town.seller.caller, order_id=order.id, reason="no more"
    )

    assert (failed.captured_minor, failed.returned_minor) == (EACH, 3 * EACH)
    assert await town.store.scan(audit) == []


async def test_what_was_released_stays_paid_when_the_time_is_over(town: Town, clock: ManualClock):
    """M15: one outcome; the sweep gives back what is left."""
    order = await running(town, 2)
    await release(town, order)

    for _ in range(3):
        clock.advance(timedelta(seconds=town.store.settings.lease_seconds + 1))
        await town.store.write(orders.expire, order_id=order.id)

    ended = await town.order(order)
    assert (ended.state, ended.captured_minor) == ("failed", 2 * EACH)
    assert await town.store.scan(audit) == []


async def test_fifty_releases_at_once_pay_one_part(town: Town):
    """M8: one posting; everyone gets the same answer."""
    order = await running(town, 2)

    views = await asyncio.gather(*(release(town, order) for _ in range(50)))

    assert {view.captured_minor for view in views} == {2 * EACH}
    assert await movements(town, order) == ["escrow.hold", "escrow.capture"]
    assert await town.store.scan(audit) == []


async def test_fifty_acceptances_at_once_capture_once(town: Town):
    """M8: one posting; everyone gets the same answer."""
    order = await running(town, PAGES)
    await town.complete(order)

    views = await asyncio.gather(*(town.accept(order) for _ in range(50)))

    assert {(view.state, view.receipt_id) for view in views} == {("settled", views[0].receipt_id)}
    assert await movements(town, order) == ["escrow.hold", "escrow.capture"]


async def test_a_release_that_is_sent_again_has_its_first_answer(town: Town):
    """M16: the stored reply, though more is delivered by then."""
    order = await running(town, 1)
    once = Once(town.buyer.id, "pay-one", "print")

    async def send() -> OrderView:
        return await town.store.write_once(
            once,
            orders.release,
            caller=town.buyer.caller,
            order_id=order.id,
            request=ReleasePayment(),
        )

    first = await send()
    await town.deliver(order, 1)

    assert await send() == first
    assert (await town.order(order)).captured_minor == EACH


async def test_no_more_is_released_than_was_delivered(town: Town):
    """M7: more than is earned is 422."""
    order = await running(town, 2)

    with pytest.raises(orders.ReleaseTooLarge) as refusal:
        await release(town, order, units=3)

    assert (refusal.value.status, refusal.value.facts["units_delivered"]) == (422, 2)
    assert (await town.order(order)).captured_minor == 0


async def test_naming_fewer_units_than_were_paid_takes_nothing_back(town: Town):
    order = await running(town, 2)
    await release(town, order)

    again = await release(town, order, units=1)

    assert again.captured_minor == 2 * EACH


@pytest.mark.parametrize("ending", ["cancelled", "failed", "settled"])
async def test_nothing_is_released_after_the_end(town: Town, ending: str):
    """M9: after a void, a cancel or a settlement it is 409."""
    order = await running(town, 1)
    if ending == "cancelled":
        await town.control(order.session_id, "cancel")
    elif ending == "failed":
        await town.store.write(
            orders.fail, caller=town.seller.caller, order_id=order.id, reason="no"
        )
    else:
        await town.complete(order)
        await town.accept(order)
    before = await town.order(order)

    with pytest.raises(orders.WrongState) as refusal:
        await release(town, order)

    assert refusal.value.status == 409
    assert await town.order(order) == before


async def test_nothing_is_released_while_an_order_is_paused(town: Town):
    """L6: no money moves after the pause."""
    order = await running(town, 1)
    await town.control(order.session_id, "pause")

    with pytest.raises(orders.OrderPaused):
        await release(town, order)

    await town.control(order.session_id, "resume")
    assert (await release(town, order)).captured_minor == EACH


async def test_only_its_buyer_releases_an_order(town: Town):
    """Z1: to others it is not there."""
    order = await running(town, 1)
    stranger = await enter(town.store, "stranger", "buyer")

    for party in (stranger, town.seller):
        with pytest.raises(orders.OrderNotFound):
            await release(town, order, by=party)


async def test_an_order_that_has_not_begun_has_nothing_to_release(town: Town):
    order = await town.place()

    with pytest.raises(orders.WrongState):
        await release(town, order)


async def test_the_seller_is_told_of_each_part(town: Town):
    order = await running(town, 1)
    await release(town, order)

    view = await town.store.read(inbox.read, caller=town.seller.caller, after=-1, limit=100)

    [told] = [message.body for message in view.items if message.kind == "payment.released"]
    assert (told["order_id"], told["captured_minor"], told["part"]) == (order.id, EACH, 1)


async def test_a_refund_covers_all_the_parts(store: Store):
    policies = {"refund": "within-window", "refund_window_seconds": 60}
    town = await build_town(store, price=UNIT, policies=policies)
    order = await running(town, 1)
    await release(town, order)
    await town.deliver(order, 1)
    await town.complete(order)
    await town.accept(order)

    await store.write(
        orders.support,
        caller=town.buyer.caller,
        order_id=order.id,
        request=AskSupport(action="refund"),
    )

    assert await store.write(captured_minor, order_id=order.id) == 2 * EACH
    assert (await town.order(order)).refunded_minor == 2 * EACH
    assert await town.available(town.buyer) == 10_000_000
    assert await store.scan(audit) == []
