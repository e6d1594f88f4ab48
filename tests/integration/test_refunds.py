"""Refunds: in parts, never more than was captured, exact to the last unit of the fee."""

from datetime import UTC, datetime

import pytest

from market import ledger, orders, trust
from market.base.clock import ManualClock
from market.base.errors import InsufficientScope
from market.base.store import Store
from market.chores import pay_owed_refunds
from market.protocol.receipt_proof import ReceiptProof
from market.sessions import events
from tests.aftermath import (
    FEE,
    PRICE,
    answer,
    empty,
    kinds,
    messages,
    nothing_is_wrong,
    open_dispute,
    receipts,
    refund,
    support,
)
from tests.factories import Town, build_town, enter, race

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
POLICY = {"refund": "within-window", "refund_window_seconds": 60}
START = 10_000_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
async def town(store: Store) -> Town:
    return await build_town(store, policies=POLICY)


async def test_a_seller_gives_back_in_parts_and_the_fee_comes_back_whole(town: Town):
    """M12: however a payment is cut into refunds, the parts of the fee sum up to the fee."""
    order = await town.settled()

    parts = [1, 99_999, 133_333, 33, 166_634]
    for part in parts:
        order = await refund(town, order, part)

    assert (sum(parts), order.refunded_minor) == (PRICE, PRICE)
    assert await town.available(town.buyer) == START
    assert await town.available(town.seller) == 0
    said = await receipts(town, order)
    assert [one.outcome for one in said] == ["settled"] + 5 * ["refunded"]
    assert [one.refunded_minor for one in said[1:]] == parts
    assert sum(one.fee_returned_minor for one in said) == FEE
    await nothing_is_wrong(town.store)


async def test_without_an_amount_all_that_is_left_goes_back(town: Town):
    order = await town.settled()
    await refund(town, order, 100_000)

    after = await refund(town, order)

    assert after.refunded_minor == PRICE
    await nothing_is_wrong(town.store)


async def test_the_refund_that_would_exceed_is_refused(town: Town):
    """M11: refunds are at most what was captured, however many."""
    order = await town.settled()
    await refund(town, order, 300_000)

    for amount in (100_001, None):
        if amount is None:
            await refund(town, order, 100_000)
        with pytest.raises(ledger.RefundExceeded):
            await refund(town, order, amount)

    assert (await town.order(order)).refunded_minor == PRICE
    await nothing_is_wrong(town.store)


async def test_of_fifty_parallel_refunds_exactly_those_that_fit_are_made(town: Town):
    """M11: parallel refunds race; those that would exceed get a refusal."""
    order = await town.settled()
    part = PRICE // 7

    refused = await race(
        50,
        lambda: refund(town, order, part),
        collect=ledger.RefundExceeded,
    )

    assert len(refused) == 50 - 7
    assert (await town.order(order)).refunded_minor == 7 * part
    await nothing_is_wrong(town.store)


async def test_an_order_goes_back_in_at_most_twenty_parts(town: Town):
    order = await town.settled()
    for _ in range(orders.MAX_REFUNDS):
        await refund(town, order, 1)

    with pytest.raises(orders.TooManyRefunds):
        await refund(town, order, 1)

    dispute = await open_dispute(town, order)
    await answer(town, dispute, "concede")
    assert (await town.order(order)).refunded_minor == PRICE
    await nothing_is_wrong(town.store)


async def test_nothing_goes_back_before_anything_was_paid(town: Town):
    order = await town.place()

    with pytest.raises(orders.WrongState):
        await refund(town, order, 1)


async def test_only_the_orders_seller_gives_it_back(town: Town):
    rival = await enter(town.store, "rival", "seller")
    order = await town.settled()

    with pytest.raises(orders.OrderNotFound):
        await refund(town._replace(seller=rival), order)
    with pytest.raises(orders.OrderNotFound):
        await refund(town._replace(seller=town.buyer), order)
    reader = town.seller._replace(caller=town.seller.caller._replace(scopes=frozenset({"read"})))
    with pytest.raises(InsufficientScope):
        await refund(town._replace(seller=reader), order)


async def test_what_was_paid_of_a_cancelled_order_may_go_back_too(town: Town):
    order = await town.place()
    await town.deliver(order, units=2)
    await town.control(order.session_id, "cancel")

    after = await refund(town, order)

    assert (after.state, after.captured_minor) == ("cancelled", 200_000)
    assert after.refunded_minor == 200_000
    assert await town.available(town.buyer) == START
    await nothing_is_wrong(town.store)


async def test_a_buyer_asks_for_a_part_by_policy(town: Town, clock: ManualClock):
    order = await town.settled()

    part = await support(town, order, "refund", amount_minor=150_000)
    rest = await support(town, order, "refund")
    again = await support(town, order, "refund")

    assert [one.answer for one in (part, rest, again)] == ["done", "done", "done"]
    assert [one.order.refunded_minor for one in (part, rest, again)] == [150_000, PRICE, PRICE]
    assert (await kinds(town, order)).count("order.refunded") == 2
    await nothing_is_wrong(town.store)


async def test_a_buyer_asks_for_no_more_than_is_left(town: Town):
    order = await town.settled()

    with pytest.raises(ledger.RefundExceeded):
        await support(town, order, "refund", amount_minor=PRICE + 1)

    assert (await town.order(order)).refunded_minor == 0


async def test_a_service_that_does_not_list_refunds_gives_none(store: Store):
    town = await build_town(store, policies=POLICY, support=["status"])
    order = await town.settled()

    assert (await support(town, order, "refund")).answer == "refused"
    assert (await support(town, order, "redo")).answer == "refused"
    assert (await support(town, order, "explain")).answer == "done"


# What a seller cannot cover


async def test_a_seller_gives_back_no_more_than_it_has(town: Town):
    order = await town.settled()
    await empty(town, town.seller, but=100_000)

    with pytest.raises(ledger.RefundNotCovered):
        await refund(town, order)

    assert (await town.order(order)).refunded_minor == 0
    await refund(town, order, 100_000)
    assert (await town.order(order)).refunded_minor == 100_000


async def test_a_refund_that_was_decided_and_is_not_covered_stays_owed(
    town: Town, clock: ManualClock
):
    order = await town.settled()
    await empty(town, town.seller)

    answered = await support(town, order, "refund")

    assert (answered.answer, answered.order.owed_minor) == ("owed", PRICE)
    assert (await town.store.read(trust.standing, seller_id=town.seller.id)).refunded == 1
    for party in (town.buyer, town.seller):
        assert (await messages(town, party))[-1] == "refund.owed"
    assert (await support(town, order, "refund")).answer == "owed"
    with pytest.raises(ledger.RefundExceeded):
        await refund(town, order, 1)
    assert await pay_owed_refunds(town.store) == 0
    await town.settled()

    assert await pay_owed_refunds(town.store) == 1

    after = await town.order(order)
    assert (after.owed_minor, after.refunded_minor) == (0, PRICE)
    assert await pay_owed_refunds(town.store) == 0
    assert [one.outcome for one in await receipts(town, order)] == ["settled", "refunded"]


async def test_a_conceded_dispute_that_is_not_covered_is_owed(town: Town):
    order = await town.settled()
    await empty(town, town.seller)
    dispute = await open_dispute(town, order, claim_minor=100_000)

    resolved = await answer(town, dispute, "concede")

    assert (resolved.refund_minor, resolved.refunded_minor, resolved.owed_minor) == (
        100_000,
        0,
        100_000,
    )
    assert (await town.order(order)).owed_minor == 100_000


# Receipts


async def test_each_part_is_proven_by_the_log_alone(town: Town):
    order = await town.settled()
    await refund(town, order, 100_000)
    await refund(town, order, 50_000)
    dispute = await open_dispute(town, order, "late")
    reading = await town.store.read(
        events, caller=town.buyer.caller, session_id=order.session_id, after=-1, limit=500
    )

    said = await receipts(town, order)
    reports = []
    for claims in said:
        proof = ReceiptProof(claims)
        for line in reading.events:
            proof.take_bytes(line.json)
        reports.append(proof.report())

    assert dispute.state == "resolved"
    assert [one.outcome for one in said] == ["settled", "refunded", "refunded", "resolved"]
    assert [(one.flaws, one.disagreements, one.notes) for one in reports] == [([], [], [])] * 4
    assert await receipts(town, order, town.seller) == said
