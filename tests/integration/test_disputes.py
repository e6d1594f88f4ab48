"""Disputes: who may open one, what decides it, and where the money goes then."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from market import identity, ledger, orders, trust
from market.base.clock import ManualClock
from market.base.errors import InsufficientScope
from market.base.store import Store
from market.chores import expire_disputes
from market.protocol.commitments import DeliveryClaims
from market.protocol.money import MAX_MINOR
from market.protocol.wire import Chunk
from tests.aftermath import (
    FEE,
    PRICE,
    answer,
    delivered,
    kinds,
    log_of,
    messages,
    nothing_is_wrong,
    open_dispute,
    overseer,
    read,
    receipts,
    refund,
    resolve,
    sweep,
)
from tests.factories import Party, Town, build_town, digest_of, enter, mandate, output

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
START = 10_000_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
async def town(store: Store) -> Town:
    return await build_town(store)


# Money stays where it is


async def test_a_disputed_delivery_is_not_settled_by_its_deadline(town: Town, clock: ManualClock):
    order = await delivered(town)
    dispute = await open_dispute(town, order)
    await answer(town, dispute, "contest", detail="it is all there")

    clock.advance(2 * HOUR)
    await sweep(town.store)

    after = await town.order(order)
    assert (after.state, after.dispute_id) == ("delivered", dispute.id)
    assert await town.available(town.seller) == 0


async def test_a_disputed_settled_order_freezes_nothing(town: Town):
    order = await town.settled()

    dispute = await open_dispute(town, order)

    assert dispute.state == "open"
    assert await town.available(town.seller) == PRICE - FEE
    assert (await town.order(order)).state == "settled"
    await nothing_is_wrong(town.store)


async def test_accepting_a_disputed_delivery_takes_the_dispute_back(town: Town):
    order = await delivered(town)
    dispute = await open_dispute(town, order)

    accepted = await town.accept(order)

    assert (accepted.state, accepted.dispute_id) == ("settled", None)
    after = await read(town, dispute)
    assert (after.state, after.decided_by, after.refund_minor) == ("resolved", "buyer", 0)
    await nothing_is_wrong(town.store)


# Who decides


async def test_a_seller_concedes_and_everything_goes_back_from_escrow(town: Town):
    order = await delivered(town)
    dispute = await open_dispute(town, order, "not_as_described", detail="three pages only")

    resolved = await answer(town, dispute, "concede")

    assert (resolved.state, resolved.decided_by) == ("resolved", "seller")
    assert (resolved.refund_minor, resolved.refunded_minor, resolved.owed_minor) == (
        PRICE,
        PRICE,
        0,
    )
    after = await town.order(order)
    assert (after.state, after.captured_minor, after.returned_minor) == ("failed", 0, PRICE)
    assert await town.available(town.buyer) == START
    await nothing_is_wrong(town.store)


async def test_a_part_that_is_conceded_waits_for_the_rest_to_be_decided(
    town: Town, clock: ManualClock
):
    order = await delivered(town)
    dispute = await open_dispute(town, order, claim_minor=300_000)

    answered = await answer(town, dispute, "concede", concede_minor=100_000)

    assert (answered.state, answered.conceded_minor) == ("answered", 100_000)
    clock.advance(DAY + HOUR)
    await sweep(town.store)
    resolved = await read(town, dispute)
    assert (resolved.decided_by, resolved.refund_minor) == ("deadline", 100_000)
    after = await town.order(order)
    assert (after.state, after.captured_minor, after.returned_minor) == (
        "settled",
        300_000,
        100_000,
    )
    await nothing_is_wrong(town.store)


async def test_an_overseer_decides_what_a_seller_contests(town: Town):
    warden = await overseer(town.store)
    order = await delivered(town)
    dispute = await open_dispute(town, order, evidence=[2, 3])
    await answer(town, dispute, "contest", detail="see the log", evidence=[4])

    resolved = await resolve(town, warden, dispute, 150_000)

    assert (resolved.decided_by, resolved.decision) == ("overseer", "seen it")
    after = await town.order(order)
    assert (after.state, after.captured_minor, after.returned_minor) == (
        "settled",
        250_000,
        150_000,
    )
    [receipt] = await receipts(town, order)
    assert (receipt.outcome, receipt.reason) == ("settled", "dispute: seen it")
    await nothing_is_wrong(town.store)


async def test_a_seller_that_does_not_answer_concedes(town: Town, clock: ManualClock):
    order = await town.settled()
    dispute = await open_dispute(town, order, claim_minor=100_000)

    clock.advance(HOUR + timedelta(seconds=1))
    await sweep(town.store)

    resolved = await read(town, dispute)
    assert (resolved.decided_by, resolved.refunded_minor) == ("deadline", 100_000)
    assert (await town.order(order)).refunded_minor == 100_000
    await nothing_is_wrong(town.store)


async def test_what_nobody_decides_and_the_seller_contests_falls(town: Town, clock: ManualClock):
    order = await delivered(town)
    dispute = await open_dispute(town, order)
    await answer(town, dispute, "contest")

    clock.advance(DAY + HOUR)
    await sweep(town.store)

    assert (await read(town, dispute)).refund_minor == 0
    after = await town.order(order)
    assert (after.state, after.captured_minor) == ("settled", PRICE)
    await nothing_is_wrong(town.store)


async def test_a_dispute_that_is_taken_back_leaves_the_buyer_its_time(
    town: Town, clock: ManualClock
):
    order = await delivered(town)
    dispute = await open_dispute(town, order)

    await town.store.write(orders.withdraw_dispute, caller=town.buyer.caller, dispute_id=dispute.id)

    assert (await town.order(order)).state == "delivered"
    clock.advance(HOUR + timedelta(seconds=1))
    await sweep(town.store)
    assert (await town.order(order)).state == "settled"
    await nothing_is_wrong(town.store)


# What the log decides


async def test_missing_units_go_back_at_once(town: Town):
    order = await delivered(town, units=2)

    dispute = await open_dispute(town, order, "incomplete")

    assert (dispute.state, dispute.decided_by, dispute.refund_minor) == (
        "resolved",
        "policy",
        200_000,
    )
    assert dispute.decision == "2 of 4 units are missing"
    after = await town.order(order)
    assert (after.state, after.captured_minor, after.returned_minor) == (
        "settled",
        200_000,
        200_000,
    )
    await nothing_is_wrong(town.store)


async def test_a_delivery_in_time_is_not_late_and_still_to_be_inspected(town: Town):
    order = await delivered(town)

    dispute = await open_dispute(town, order, "late")

    assert (dispute.state, dispute.refund_minor) == ("resolved", 0)
    assert (await town.order(order)).state == "delivered"
    await nothing_is_wrong(town.store)


async def test_parts_that_fit_the_schema_and_the_digest_are_found_to(town: Town):
    order = await town.settled()
    chunk = next(event for event in await log_of(town, order) if event["kind"] == "delivery.chunk")

    for reason in ("schema", "digest"):
        dispute = await open_dispute(town, order, reason, evidence=[chunk["offset"]])
        assert (dispute.state, dispute.decided_by, dispute.refund_minor) == (
            "resolved",
            "policy",
            0,
        )

    assert [one.outcome for one in await receipts(town, order)] == [
        "settled",
        "resolved",
        "resolved",
    ]
    await nothing_is_wrong(town.store)


async def test_a_dispute_over_parts_names_them(town: Town):
    order = await delivered(town)

    with pytest.raises(orders.BadEvidence):
        await open_dispute(town, order, "schema", evidence=[1])


async def test_a_second_payment_for_the_same_is_looked_at_by_people(town: Town):
    first = await town.settled()
    second = await town.place(session_id=first.session_id)
    for index in range(2):
        await town.deliver(second, index, units=2)
    await town.complete(second)
    placed = next(event for event in await log_of(town, first) if event["order_id"] == first.id)

    unfounded = await open_dispute(town, second, "duplicate_charge")
    founded = await open_dispute(town, second, "duplicate_charge", evidence=[placed["offset"]])

    assert (unfounded.state, unfounded.refund_minor) == ("resolved", 0)
    assert founded.state == "open"
    await nothing_is_wrong(town.store)


# The market's own disputes


async def test_three_parts_that_break_the_schema_end_the_order(town: Town):
    """S10: a delivery that breaks its schema is refunded, and trust is told without a review."""
    order = await town.place()
    await town.deliver(order, 0, units=1)

    for _ in range(3):
        with pytest.raises(orders.OutputDoesNotFit):
            await town.store.write(
                orders.deliver,
                caller=town.seller.caller,
                order_id=order.id,
                chunk=Chunk(index=1, units=1, output={"nonsense": 1}),
            )

    after = await town.order(order)
    assert (after.state, after.returned_minor, after.dispute_id) == ("failed", PRICE, None)
    assert (await kinds(town, order))[-6:] == [
        "delivery.rejected",
        "delivery.rejected",
        "delivery.rejected",
        "dispute.opened",
        "order.failed",
        "dispute.resolved",
    ]
    listed = await town.store.read(
        orders.disputes_of,
        caller=town.seller.caller,
        state="",
        order_id=order.id,
        cursor=None,
        limit=9,
    )
    [dispute] = listed.items
    assert (dispute.opened_by, dispute.reason, dispute.decided_by) == ("market", "schema", "policy")
    assert (await town.store.read(trust.standing, seller_id=town.seller.id)).failed == 1
    with pytest.raises(orders.WrongState):
        await town.deliver(order, 1)
    await nothing_is_wrong(town.store)


async def test_completions_with_another_digest_end_the_order_too(town: Town):
    """S10: what was signed is not what was delivered."""
    order = await town.place()
    await town.deliver(order, 0, units=4)

    for _ in range(3):
        signed = town.seller.signs(
            DeliveryClaims, order_id=order.id, chunks=1, units=4, digest=digest_of(2)
        )
        with pytest.raises(orders.DeliveryMismatch):
            await town.store.write(
                orders.complete, caller=town.seller.caller, order_id=order.id, signed=signed
            )

    assert (await town.order(order)).state == "failed"
    rejected = [
        event for event in await log_of(town, order) if event["kind"] == "delivery.rejected"
    ]
    assert [event["body"]["rejected"] for event in rejected] == [1, 2, 3]
    assert {event["body"]["reason"] for event in rejected} == {"digest"}
    await nothing_is_wrong(town.store)


async def test_one_refused_part_is_noted_and_the_delivery_goes_on(town: Town):
    order = await town.place()
    with pytest.raises(orders.OutputDoesNotFit):
        await town.store.write(
            orders.deliver,
            caller=town.seller.caller,
            order_id=order.id,
            chunk=Chunk(index=0, units=4, output={"nonsense": "x" * 1_000}),
        )

    await town.deliver(order, 0, units=4)

    [rejected] = [
        event for event in await log_of(town, order) if event["kind"] == "delivery.rejected"
    ]
    told = 'the whole: "rows" is a required property; got {"nonsense":"xxx'
    assert rejected["body"]["detail"].startswith(told)
    assert (await town.complete(order)).state == "delivered"
    await nothing_is_wrong(town.store)


# Evidence


async def test_evidence_is_kept_as_places_and_hashes_and_never_as_words(town: Town):
    order = await delivered(town)
    log = await log_of(town, order)

    dispute = await open_dispute(town, order, evidence=[4, 3, 3], detail="look at these")

    assert [(one.offset, one.hash) for one in dispute.evidence] == [
        (offset, log[offset]["hash"]) for offset in (3, 4)
    ]
    opened = (await log_of(town, order))[-1]
    assert opened["body"]["evidence"] == [
        {"offset": offset, "hash": log[offset]["hash"]} for offset in (3, 4)
    ]
    assert str(output(0)["rows"][0]) not in str(opened["body"])


async def test_evidence_that_the_log_does_not_have_is_refused(town: Town):
    order = await delivered(town)

    with pytest.raises(orders.BadEvidence):
        await open_dispute(town, order, evidence=[99])
    dispute = await open_dispute(town, order)
    with pytest.raises(orders.BadEvidence):
        await answer(town, dispute, "contest", evidence=[99])


# Refusals


async def test_nothing_that_was_not_delivered_is_disputed(town: Town):
    order = await town.place()

    with pytest.raises(orders.WrongState):
        await open_dispute(town, order)


async def test_one_dispute_is_open_at_a_time_and_three_in_all(town: Town):
    order = await delivered(town)
    dispute = await open_dispute(town, order)

    with pytest.raises(orders.DisputeOpen):
        await open_dispute(town, order)
    await town.store.write(orders.withdraw_dispute, caller=town.buyer.caller, dispute_id=dispute.id)
    for _ in range(2):
        await open_dispute(town, order, "late")
    with pytest.raises(orders.TooManyDisputes):
        await open_dispute(town, order, "late")


@pytest.mark.parametrize(
    ("policies", "seconds"), [({}, 86_400), ({"dispute_window_seconds": 60}, 60)]
)
async def test_the_time_to_dispute_ends_as_the_manifest_or_the_market_says(
    store: Store, clock: ManualClock, policies: dict[str, int], seconds: int
):
    town = await build_town(store, policies=policies)
    first, second = await town.settled(), await town.settled()

    clock.advance(timedelta(seconds=seconds))
    assert (await open_dispute(town, first)).state == "open"
    clock.advance(timedelta(seconds=1))

    with pytest.raises(orders.DisputeTooLate):
        await open_dispute(town, second)


async def test_no_more_is_claimed_than_is_at_stake(town: Town):
    order = await town.settled()
    await refund(town, order, 300_000)

    with pytest.raises(orders.ClaimTooLarge):
        await open_dispute(town, order, claim_minor=100_001)
    assert (await open_dispute(town, order, claim_minor=100_000)).claim_minor == 100_000


async def test_what_went_back_meanwhile_does_not_go_back_again(town: Town):
    warden = await overseer(town.store)
    order = await town.settled()
    found = await open_dispute(town, order)
    await refund(town, order)

    with pytest.raises(ledger.RefundExceeded):
        await resolve(town, warden, found, 100_000)
    assert (await resolve(town, warden, found, 0)).state == "resolved"
    with pytest.raises(orders.NothingAtStake):
        await open_dispute(town, order)


async def test_strangers_and_the_wrong_side_find_no_dispute(town: Town):
    other = await enter(town.store, "stranger", "buyer")
    rival = await enter(town.store, "rival", "seller")
    order = await delivered(town)
    dispute = await open_dispute(town, order)

    for party in (other, rival):
        with pytest.raises(orders.DisputeNotFound):
            await read(town, dispute, party)
    with pytest.raises(orders.OrderNotFound):
        await open_dispute(town._replace(buyer=other), order)
    with pytest.raises(orders.DisputeNotFound):
        await answer(town._replace(seller=rival), dispute, "concede")
    with pytest.raises(orders.DisputeNotFound):
        await town.store.write(
            orders.withdraw_dispute, caller=town.seller.caller, dispute_id=dispute.id
        )


async def test_only_an_overseer_decides_and_not_a_buyers_principal(store: Store):
    """Z5: a principal oversees its own buyers, and decides no dispute for them."""
    principal = await enter(store, "boss", "principal")
    town = await build_town(store, principal=principal)
    given = await mandate(principal, town.buyer, budget_minor=START)
    order = await delivered(town, mandate_id=given.id)
    dispute = await open_dispute(town, order)

    with pytest.raises(identity.OverseersOnly):
        await resolve(town, principal, dispute, PRICE)
    for party in (town.buyer, town.seller):
        with pytest.raises(InsufficientScope):
            await resolve(town, party, dispute, PRICE)
    assert (await read(town, dispute, principal)).state == "open"


async def test_what_is_resolved_stays_resolved(town: Town):
    warden = await overseer(town.store)
    order = await delivered(town)
    dispute = await open_dispute(town, order)
    await answer(town, dispute, "concede")

    for again in (
        lambda: answer(town, dispute, "contest"),
        lambda: resolve(town, warden, dispute, 0),
    ):
        with pytest.raises(orders.WrongDisputeState):
            await again()
    assert (await town.store.write(orders.expire_dispute, dispute_id=dispute.id)) == "nothing"


# Who is told


async def test_both_sides_are_told_of_each_step(town: Town):
    order = await delivered(town)
    dispute = await open_dispute(town, order, claim_minor=100_000)
    await answer(town, dispute, "contest")
    warden = await overseer(town.store)
    await resolve(town, warden, dispute, 100_000)

    assert "dispute.opened" in await messages(town, town.seller)
    assert "dispute.answered" in await messages(town, town.buyer)
    for party in (town.buyer, town.seller):
        assert (await messages(town, party))[-2:] == ["receipt.issued", "dispute.resolved"]
    seen = [event["kind"] for event in await log_of(town, order, town.seller) if "kind" in event]
    assert seen[-4:] == ["dispute.opened", "dispute.answered", "order.settled", "dispute.resolved"]


async def test_an_overseer_has_a_queue_of_what_is_not_resolved(town: Town):
    warden = await overseer(town.store)
    first, second = await delivered(town), await delivered(town)
    waiting = await open_dispute(town, first)
    await open_dispute(town, second, "late")

    queue = await town.store.read(
        orders.disputes_of, caller=warden.caller, state="open", order_id="", cursor=None, limit=9
    )

    assert [one.id for one in queue.items] == [waiting.id]


async def mint(party: Party, minor: int) -> None:
    await party.store.write(
        ledger.mint, agent_id=party.id, amount_minor=minor, currency="XTS", idempotency_key="more"
    )


# What is counted as it is delivered


@pytest.mark.parametrize(
    "price",
    [
        {"per": "flat", "amount": "0.50", "includes": 2, "beyond": "0.05", "currency": "XTS"},
        {"per": "flat", "amount": "0.50", "includes": 20, "beyond": "0.05", "currency": "XTS"},
        {
            "per": "tiers",
            "tiers": [{"up_to": 2, "amount": "0.30"}, {"amount": "0.10"}],
            "currency": "XTS",
        },
    ],
)
async def test_of_metered_work_no_unit_is_missing_below_the_cap(
    store: Store, price: dict[str, Any]
):
    """A cap is the most that may come; what came is no part of what had to come."""
    measure = {"unit": "token", "counts": "delivered", "at_most": 40}
    town = await build_town(store, price=price, measure=measure)
    order = await delivered(town)

    dispute = await open_dispute(town, order, "incomplete")

    assert (dispute.state, dispute.refund_minor) == ("open", 0)


@pytest.mark.parametrize("last", ["0.10", "0.90"])
async def test_of_tiers_the_delivered_units_cost_what_their_tiers_say(store: Store, last: str):
    tiers = [{"up_to": 2, "amount": "0.30"}, {"amount": last}]
    town = await build_town(store, price={"per": "tiers", "tiers": tiers, "currency": "XTS"})
    order = await delivered(town, units=2)

    dispute = await open_dispute(town, order, "incomplete")

    assert (dispute.state, dispute.decided_by, dispute.refund_minor) == ("resolved", "policy", 0)
    await nothing_is_wrong(store)


async def test_of_a_flat_price_the_missing_part_of_what_it_covers_goes_back(store: Store):
    price = {"per": "flat", "amount": "0.50", "includes": 20, "beyond": "0.05", "currency": "XTS"}
    town = await build_town(store, price=price)
    order = await delivered(town, units=2)

    dispute = await open_dispute(town, order, "incomplete")

    assert (dispute.decided_by, dispute.refunded_minor) == ("policy", 250_000)
    await nothing_is_wrong(store)


# Deadlines


async def test_a_seller_that_answers_behind_its_time_has_conceded(town: Town, clock: ManualClock):
    order = await delivered(town)
    dispute = await open_dispute(town, order)
    clock.advance(HOUR)

    with pytest.raises(orders.WrongDisputeState, match="time to answer"):
        await answer(town, dispute, "contest")

    await sweep(town.store)
    assert (await read(town, dispute)).refund_minor == PRICE


async def test_a_seller_that_contests_concedes_nothing(town: Town):
    order = await delivered(town)
    dispute = await open_dispute(town, order)

    answered = await answer(town, dispute, "contest", concede_minor=PRICE)

    assert (answered.state, answered.conceded_minor) == ("answered", 0)
    assert (await town.order(order)).state == "delivered"


async def test_a_dispute_that_cannot_end_keeps_no_other_open(town: Town, clock: ManualClock):
    """M15: a wallet that is full to the brim takes nothing back; the next buyer's does."""
    other = town._replace(buyer=await enter(town.store, "ann", "buyer"))
    await mint(other.buyer, PRICE)
    first = await open_dispute(town, await town.settled())
    second = await open_dispute(other, await other.settled())
    await mint(town.buyer, MAX_MINOR - await town.available(town.buyer))
    clock.advance(HOUR)

    assert await expire_disputes(town.store) == 1

    assert (await read(town, first)).state == "open"
    assert (await read(other, second)).refunded_minor == PRICE
