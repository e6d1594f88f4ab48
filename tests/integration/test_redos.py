"""Redo and explain: an order delivered again at no price, and told what became of it."""

from datetime import UTC, datetime, timedelta

import pytest

from market import inbox, orders, reviews, trust
from market.base.clock import ManualClock
from market.base.store import Store
from market.protocol.wire import OrderView
from tests.aftermath import (
    FEE,
    PRICE,
    answer,
    delivered,
    empty,
    kinds,
    nothing_is_wrong,
    open_dispute,
    receipts,
    refund,
    support,
    sweep,
)
from tests.factories import Party, Town, build_town, enter, mandate, post_review

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY = {
    "redo": 2,
    "redo_window_seconds": 600,
    "refund": "within-window",
    "refund_window_seconds": 60,
}
START = 10_000_000
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
async def town(store: Store) -> Town:
    return await build_town(store, policies=POLICY)


async def redo(town: Town, order: OrderView) -> OrderView:
    """Have an order delivered again; return the order under which it is."""
    answered = await support(town, order, "redo")
    assert answered.answer == "done", answered.detail
    return await town.store.read(
        orders.order, caller=town.buyer.caller, order_id=answered.redo_order_id
    )


async def deliver_all(town: Town, order: OrderView) -> OrderView:
    for index in range(2):
        await town.deliver(order, index, units=2)
    return await town.complete(order)


async def control(town: Town, order: OrderView, action: str, by: Party | None = None) -> None:
    await town.control(order.session_id, action, by, order_id=order.id)


async def test_a_redo_is_an_order_at_no_price_that_the_seller_gets_like_any_other(town: Town):
    order = await delivered(town)

    again = await redo(town, order)

    assert (again.state, again.redo_of, again.amount_minor) == ("placed", order.id, 0)
    assert (again.session_id, again.input) == (order.session_id, order.input)
    box = await town.store.read(inbox.read, caller=town.seller.caller, after=-1, limit=9)
    assert box.items[-1].kind == "order.placed"
    assert box.items[-1].body["redo_of"] == order.id
    assert (await town.order(order)).redo_id == again.id
    await nothing_is_wrong(town.store)


async def test_delivered_again_the_buyer_inspects_anew_and_pays_once(
    town: Town, clock: ManualClock
):
    order = await delivered(town)
    again = await redo(town, order)
    clock.advance(30 * SECOND)

    done = await deliver_all(town, again)

    assert (done.state, done.captured_minor) == ("settled", 0)
    waiting = await town.order(order)
    assert (waiting.state, waiting.redo_id) == ("delivered", None)
    assert waiting.accept_by == (NOON + HOUR + 30 * SECOND).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    await town.accept(order)
    assert await town.available(town.seller) == PRICE - FEE
    standing = await town.store.read(trust.standing, seller_id=town.seller.id)
    assert standing.settled == 1
    assert (await receipts(town, again))[0].held_minor == 0
    await nothing_is_wrong(town.store)


async def test_not_delivered_again_everything_goes_back_from_escrow(town: Town, clock: ManualClock):
    """S11: no delivery, no money."""
    order = await delivered(town)
    again = await redo(town, order)

    clock.advance(timedelta(seconds=601))
    await sweep(town.store)

    assert (await town.order(again)).state == "failed"
    after = await town.order(order)
    assert (after.state, after.returned_minor, after.redo_id) == ("failed", PRICE, None)
    assert await town.available(town.buyer) == START
    await nothing_is_wrong(town.store)


async def test_not_delivered_again_a_settled_payment_is_refunded(town: Town):
    order = await town.settled()
    await refund(town, order, 100_000)
    again = await redo(town, order)

    await town.store.write(
        orders.fail, caller=town.seller.caller, order_id=again.id, reason="no paper"
    )

    after = await town.order(order)
    assert (after.state, after.refunded_minor) == ("settled", PRICE)
    assert await town.available(town.buyer) == START
    await nothing_is_wrong(town.store)


async def test_a_seller_that_calls_its_redo_off_has_not_delivered_it(town: Town):
    order = await town.settled()
    again = await redo(town, order)

    await control(town, again, "cancel", town.seller)

    assert (await town.order(again)).state == "failed"
    assert (await town.order(order)).refunded_minor == PRICE
    await nothing_is_wrong(town.store)


async def test_a_redo_that_the_buyer_calls_off_changes_nothing(town: Town):
    order = await delivered(town)
    again = await redo(town, order)

    await control(town, again, "cancel")

    assert (await town.order(again)).state == "cancelled"
    assert (await town.order(order)).state == "delivered"
    await nothing_is_wrong(town.store)


async def test_a_failed_redo_that_the_seller_cannot_cover_is_owed(town: Town):
    order = await town.settled()
    again = await redo(town, order)
    await empty(town, town.seller)

    await town.store.write(
        orders.fail, caller=town.seller.caller, order_id=again.id, reason="no paper"
    )

    assert (await town.order(order)).owed_minor == PRICE


async def test_a_delivery_that_waits_for_its_redo_is_not_settled_meanwhile(
    town: Town, clock: ManualClock
):
    order = await delivered(town)
    again = await redo(town, order)
    await town.deliver(again, 0, units=2)
    await control(town, again, "pause")

    clock.advance(HOUR - SECOND)
    await sweep(town.store)

    assert (await town.order(order)).state == "delivered"
    clock.advance(2 * SECOND)
    await sweep(town.store)
    assert (await town.order(again)).state == "cancelled"
    clock.advance(HOUR + SECOND)
    await sweep(town.store)
    assert (await town.order(order)).state == "settled"
    await nothing_is_wrong(town.store)


async def test_behind_a_closed_session_a_redo_has_a_session_of_its_own(town: Town):
    order = await town.settled()
    await town.store.write(
        orders.close_session, caller=town.buyer.caller, session_id=order.session_id, reason="done"
    )

    again = await redo(town, order)

    assert again.session_id != order.session_id
    assert (await kinds(town, again))[:2] == ["session.opened", "order.placed"]
    await deliver_all(town, again)
    await nothing_is_wrong(town.store)


async def test_policy_says_how_often_and_how_long(town: Town, clock: ManualClock):
    first, second = await town.settled(), await town.settled()
    for _ in range(2):
        await deliver_all(town, await redo(town, first))

    once_more = await support(town, first, "redo")
    clock.advance(timedelta(seconds=601))
    late = await support(town, second, "redo")

    assert [one.answer for one in (once_more, late)] == ["refused", "refused"]
    assert "at most 2 times" in once_more.detail
    assert "ended" in late.detail


async def test_one_thing_at_a_time(town: Town):
    order = await delivered(town)
    again = await redo(town, order)

    assert (await support(town, order, "redo")).answer == "refused"
    assert (await support(town, again, "redo")).answer == "refused"
    with pytest.raises(orders.RedoUnderWay):
        await open_dispute(town, order)
    await deliver_all(town, again)
    dispute = await open_dispute(town, order)
    assert (await support(town, order, "redo")).answer == "refused"
    await answer(town, dispute, "concede")
    assert (await support(town, order, "redo")).answer == "refused"
    await nothing_is_wrong(town.store)


async def test_what_is_not_delivered_or_all_refunded_is_not_redone(town: Town):
    placed, settled = await town.place(), await town.settled()
    await refund(town, settled)

    for order in (placed, settled):
        assert (await support(town, order, "redo")).answer == "refused"


async def test_a_redo_is_not_reviewed(town: Town):
    """T6: one review per purchase."""
    order = await town.settled()
    again = await deliver_all(town, await redo(town, order))

    with pytest.raises(reviews.NothingToReview):
        await post_review(town.buyer, again)


async def test_a_redo_spends_nothing_of_a_mandate(store: Store):
    principal = await enter(store, "boss", "principal")
    town = await build_town(store, principal=principal, policies=POLICY)
    given = await mandate(principal, town.buyer, budget_minor=PRICE, max_orders=1)
    order = await delivered(town, mandate_id=given.id)

    await deliver_all(town, await redo(town, order))

    await nothing_is_wrong(store)


# Explain


async def test_explain_names_each_movement_with_its_transaction_and_its_place(town: Town):
    order = await town.settled()
    await refund(town, order, 100_000)

    told = await town.store.read(orders.explain, caller=town.seller.caller, order_id=order.id)

    assert [(one.reason, one.amount_minor, one.fee_minor) for one in told.movements] == [
        ("escrow.hold", PRICE, 0),
        ("escrow.capture", PRICE, FEE),
        ("order.refund", 100_000, -1_500),
    ]
    names = await kinds(town, order)
    assert [names[one.offset] for one in told.movements if one.offset is not None] == [
        "order.placed",
        "order.settled",
        "order.refunded",
    ]
    assert told.ordered.startswith("4 units of acme-pdf at 2026-11-22 12:00:00 UTC, for 0.40 XTS")
    assert told.held == "0.40 XTS was held until 2026-11-22 12:00:00 UTC; nothing is held now."
    assert told.paid == "0.40 XTS was paid, with a fee of 0.006 XTS; 0.10 XTS was refunded."
    assert told.refundable_minor == 300_000
    assert len(told.receipts) == 2


async def test_explain_says_what_may_be_done_by_whom_and_until_when(town: Town):
    order = await delivered(town)

    answered = await support(town, order, "explain")

    told = answered.explained
    assert told is not None
    assert [(one.who, one.action) for one in told.may_do] == [
        ("buyer", "accept"),
        ("buyer", "redo"),
        ("buyer", "dispute"),
    ]
    assert [one.name for one in told.deadlines] == ["inspection"]
    assert {one.name for one in told.policies} == {"refund", "redo", "dispute"}
    assert (await kinds(town, order))[-2:] == ["support.asked", "support.answered"]


@pytest.mark.parametrize("state", ["placed", "started", "paused", "disputed", "answered", "failed"])
async def test_explain_has_an_answer_wherever_an_order_stands(town: Town, state: str):
    order = await town.place() if state in ("placed", "paused") else await delivered(town)
    if state == "started":
        order = await town.place()
        await town.deliver(order)
    elif state == "paused":
        await control(town, order, "pause")
    elif state in ("disputed", "answered", "failed"):
        dispute = await open_dispute(town, order)
        said = {"answered": "contest", "failed": "concede"}
        if state in said:
            await answer(town, dispute, said[state])

    told = await town.store.read(orders.explain, caller=town.buyer.caller, order_id=order.id)

    assert told.state == (await town.order(order)).state
    assert bool(told.deadlines) == (state != "failed")
    assert all(one.sentence.endswith(".") for one in (*told.deadlines, *told.may_do))
