"""Referral shares: who sent a buyer gets what the seller promised, out of the seller's part."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from market import inbox, ledger, orders, recommendations
from market.audit import audit
from market.base.clock import ManualClock
from market.base.store import Store
from market.orders.attribution import HOLDS
from market.protocol.commitments import RECEIPT, ReceiptClaims, RecommendationClaims
from market.protocol.wire import AskSupport, OrderView, ReleasePayment
from tests.factories import Party, Town, build_town, enter, mandate

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PRICE, FEE, SHARE = 400_000, 6_000, 39_400
"""The share: 10 % of what is left of the price behind the fee."""

PROMISE = {"referral_basis_points": 1_000}
REFUNDABLE = {"refund": "within-window", "refund_window_seconds": 3_600}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
async def town(store: Store) -> Town:
    return await build_town(store, policies=PROMISE | REFUNDABLE)


async def recommend(party: Party, order: OrderView, *to: Party) -> None:
    signed = party.signs(
        RecommendationClaims,
        receipt_id=order.receipt_id,
        service_id=order.service_id,
        recipient_ids=[one.id for one in to],
    )
    await party.store.write(recommendations.send, caller=party.caller, signed=signed)


async def customer(town: Town, handle: str, principal_id: str | None = None) -> Town:
    """The same market with another buyer, who has money."""
    buyer = await enter(town.store, handle, "buyer", principal_id)
    await town.store.write(
        ledger.mint, agent_id=buyer.id, amount_minor=PRICE, currency="XTS", idempotency_key="start"
    )
    return town._replace(buyer=buyer)


async def sent(town: Town, handle: str = "friend", **more: Any) -> Town:
    """A buyer whom the first one told of the service."""
    first = await town.settled()
    friend = await customer(town, handle, **more)
    await recommend(town.buyer, first, friend.buyer)
    return friend


async def bought(town: Town, **signed: Any) -> OrderView:
    """A whole purchase."""
    order = await town.place(**signed)
    for index in range(4):
        await town.deliver(order, index)
    await town.complete(order)
    return await town.accept(order)


async def paid(party: Party) -> list[dict[str, Any]]:
    view = await party.store.read(inbox.read, caller=party.caller, after=-1, limit=100)
    return [message.body for message in view.items if message.kind == "referral.paid"]


async def test_who_recommended_gets_the_promised_share_of_the_sellers_part(town: Town):
    friend = await sent(town)
    before = {party.id: await town.available(party) for party in (town.buyer, town.seller)}

    order = await friend.settled()

    assert (order.referrer_id, order.referral_minor) == (town.buyer.id, SHARE)
    assert (order.captured_minor, order.fee_minor) == (PRICE, FEE)
    assert await town.available(town.buyer) == before[town.buyer.id] + SHARE
    assert await town.available(town.seller) == before[town.seller.id] + PRICE - FEE - SHARE
    [told] = await paid(town.buyer)
    assert (told["amount_minor"], told["slug"]) == (SHARE, "acme-pdf")
    assert "order_id" not in told
    assert await town.store.scan(audit) == []


async def test_the_receipt_says_who_got_what(town: Town):
    friend = await sent(town)
    order = await friend.settled()

    [receipt] = await town.store.read(
        orders.receipts_of, caller=town.seller.caller, order_id=order.id
    )

    claims = town.store.signer.public.read(receipt.receipt, typ=RECEIPT, claims=ReceiptClaims)
    assert (claims.referrer_id, claims.referral_minor) == (town.buyer.id, SHARE)


async def test_parts_pay_the_share_of_the_whole(town: Town):
    friend = await sent(town)
    order = await friend.place()
    for index in range(4):
        await friend.deliver(order, index)
        await town.store.write(
            orders.release,
            caller=friend.buyer.caller,
            order_id=order.id,
            request=ReleasePayment(),
        )
    await friend.complete(order)

    settled = await friend.accept(order)

    assert settled.referral_minor == SHARE
    assert sum(one["amount_minor"] for one in await paid(town.buyer)) == SHARE
    assert await town.store.scan(audit) == []


async def test_a_refund_takes_the_share_back(town: Town):
    """M11: everyone gives back what it got."""
    friend = await sent(town)
    before = await town.available(town.buyer)
    order = await friend.settled()

    await town.store.write(
        orders.support,
        caller=friend.buyer.caller,
        order_id=order.id,
        request=AskSupport(action="refund"),
    )

    assert await town.available(friend.buyer) == PRICE
    assert await town.available(town.buyer) == before
    assert await town.store.scan(audit) == []


async def test_an_order_without_a_recommendation_shares_nothing(town: Town):
    order = await town.settled()

    assert (order.referrer_id, order.referral_minor) == (None, 0)


async def test_without_a_promise_nobody_gets_a_share(store: Store):
    town = await build_town(store)
    friend = await sent(town)

    order = await friend.settled()

    assert (order.referrer_id, order.referral_minor) == (None, 0)
    assert await paid(town.buyer) == []


async def test_no_share_goes_to_those_who_act_for_one_principal(store: Store):
    """M18: a firm's buyers do not earn on each other, nor on the firm."""
    firm = await enter(store, "firm", "principal")
    town = await build_town(store, policies=PROMISE)
    scout = await customer(town, "scout", firm.id)
    mate = await customer(town, "mate", firm.id)
    other = await customer(town, "other")
    scouts = await mandate(firm, scout.buyer, max_orders=1)
    mates = await mandate(firm, mate.buyer, max_orders=1, budget_minor=PRICE)

    await recommend(
        scout.buyer, await bought(scout, mandate_id=scouts.id), mate.buyer, other.buyer, firm
    )

    assert (await bought(mate, mandate_id=mates.id)).referrer_id is None
    assert (await bought(other)).referrer_id == scout.buyer.id
    assert await store.scan(audit) == []


async def test_nobody_earns_on_orders_of_its_own(town: Town):
    """M18: to recommend to oneself is refused, and one's own orders share nothing."""
    first = await town.settled()

    with pytest.raises(recommendations.OwnRecommendation):
        await recommend(town.buyer, first, town.buyer)

    assert (await town.settled()).referral_minor == 0


async def test_the_first_to_tell_has_the_share_for_thirty_days(town: Town, clock: ManualClock):
    friend = await sent(town)
    rival = await customer(town, "rival")
    bought = await rival.settled()
    await recommend(rival.buyer, bought, friend.buyer)

    early = await friend.place()
    clock.advance(HOLDS + timedelta(microseconds=1))
    bought_late = await town.settled()
    await recommend(town.buyer, bought_late, rival.buyer)
    await town.store.write(
        ledger.mint,
        agent_id=friend.buyer.id,
        amount_minor=PRICE,
        currency="XTS",
        idempotency_key="more",
    )
    unclaimed = await friend.place()
    await town.store.write(
        orders.refer,
        buyer_id=friend.buyer.id,
        service_id=town.service.id,
        referrer_id=rival.buyer.id,
        recommendation_id="rec_2",
    )
    await town.store.write(
        ledger.mint,
        agent_id=friend.buyer.id,
        amount_minor=PRICE,
        currency="XTS",
        idempotency_key="yet more",
    )
    late = await friend.place()

    assert early.referrer_id == town.buyer.id
    assert unclaimed.referrer_id is None
    assert late.referrer_id == rival.buyer.id
