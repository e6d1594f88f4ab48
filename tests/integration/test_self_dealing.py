"""Nobody makes its own reputation: buying from oneself, and speaking for what one did not buy."""

from typing import Any

import pytest

from market import catalog, identity, ledger, mandates, orders, reviews, trust
from market.base.clock import seconds_of
from market.base.errors import InsufficientScope
from market.base.settings import Settings
from market.base.store import Store
from market.protocol.commitments import (
    REGISTRATION,
    Limits,
    MandateClaims,
    RegistrationClaims,
)
from market.protocol.wire import AskQuote, AskSupport, Fund, ServiceView
from tests.factories import (
    PAGES,
    Party,
    Town,
    build_town,
    enter,
    mandate,
    post_review,
    publish,
)


@pytest.fixture
async def town(store: Store) -> Town:
    return await build_town(store)


async def open_shop(seller: Party) -> ServiceView:
    return await publish(seller, id=f"of-{seller.caller.handle}")


async def ask(party: Party, service: ServiceView) -> Any:
    request = AskQuote(service_id=service.id, input=PAGES)
    return await party.store.write(catalog.quote, caller=party.caller, ask=request)


async def score(town: Town) -> float:
    report = await town.store.read(catalog.trust_report, service_id=town.service.id)
    return report.score


# M18


async def test_no_buyer_of_a_principal_buys_from_its_sellers(store: Store):
    """M18: buying from the same principal is refused, whichever of its buyers tries."""
    house = await enter(store, "house", "principal")
    service = await open_shop(await enter(store, "shop", "seller", house.id))

    for handle in ("errand", "other-errand"):
        with pytest.raises(catalog.OwnService):
            await ask(await enter(store, handle, "buyer", house.id), service)


async def test_a_principal_itself_buys_nothing(store: Store):
    """M18: a principal lends its money, it does not order."""
    house = await enter(store, "house", "principal")
    service = await open_shop(await enter(store, "shop", "seller", house.id))

    with pytest.raises((catalog.BuyersOnly, InsufficientScope)):
        await ask(house, service)


async def test_a_seller_buys_nothing_not_even_from_itself(store: Store):
    """M18: buying from oneself is refused before there is a quote."""
    seller = await enter(store, "shop", "seller")
    service = await publish(seller)

    with pytest.raises(catalog.BuyersOnly):
        await ask(seller, service)


async def test_a_principal_cannot_lend_its_money_to_anothers_buyer(store: Store):
    """M18: or it would buy from its own seller by a buyer that is not known to be its own."""
    house = await enter(store, "house", "principal")
    front = await enter(store, "front", "buyer")
    signed = house.signs(
        MandateClaims,
        exp=seconds_of(store.clock.now()) + 60,
        jti="for-the-front",
        buyer_id=front.id,
        currency="XTS",
        limits=Limits(),
    )

    with pytest.raises(mandates.BuyerNotYours):
        await store.write(mandates.give, caller=house.caller, signed=signed)


async def test_an_agent_keeps_its_principal_for_life(store: Store):
    """M18: nobody changes sides between two orders: its key entered under other particulars."""
    house = await enter(store, "house", "principal")
    errand = await enter(store, "errand", "buyer", house.id)
    service = await open_shop(await enter(store, "shop", "seller", house.id))
    now = store.clock.now()
    claims = RegistrationClaims(
        iss=errand.id,
        aud=store.settings.issuer,
        iat=seconds_of(now),
        exp=seconds_of(now) + 60,
        jti="once-again",
        jwk=errand.key.public.jwk,
        handle="errand",
        kind="buyer",
        principal_id=None,
    )
    token = errand.key.sign(claims, typ=REGISTRATION)
    signed = identity.read_registration(token, issuer=store.settings.issuer, now=now)

    with pytest.raises(identity.KeyTaken):
        await store.write(identity.register, signed=signed)
    with pytest.raises(catalog.OwnService):
        await ask(errand, service)


async def test_what_one_bought_of_oneself_counts_for_nothing(store: Store):
    """M18: were such an order made all the same, trust leaves it out."""
    fact = {
        "order_id": "ord_1",
        "service_id": "svc_1",
        "seller_id": "shop",
        "buyer_id": "errand",
        "amount_minor": 100,
    }

    await store.write(trust.record, kind="order.settled", is_own=True, **fact)
    await store.write(trust.record, kind="review.good", **fact | {"amount_minor": None})

    standing = await store.read(trust.standing, seller_id="shop")
    assert set(standing) == {0}


# M20


@pytest.mark.parametrize("kind", ["buyer", "seller", "principal"])
async def test_no_ordinary_agent_makes_money(store: Store, kind: Any):
    """M20: the faucet is for overseers; a forged scope does not open it either."""
    party = await enter(store, "greedy", kind)
    request = Fund(agent_id=party.id, amount_minor=1, currency="XTS")

    with pytest.raises(InsufficientScope):
        await store.write(ledger.fund, caller=party.caller, request=request, idempotency_key="one")
    forged = party.caller._replace(scopes=frozenset({"fund"}))
    with pytest.raises(ledger.FaucetClosed):
        await store.write(ledger.fund, caller=forged, request=request, idempotency_key="one")


async def test_no_overseer_makes_money_in_production(settings: Settings):
    """M20: a market with real money has no faucet for anybody."""
    store = Store.open(settings.with_(mode="production"))
    try:
        watch = await enter(store, "watch", "buyer")
        caller = watch.caller._replace(kind="overseer", scopes=frozenset({"fund", "oversee"}))
        request = Fund(agent_id=watch.id, amount_minor=1, currency="XTS")

        with pytest.raises(ledger.FaucetClosed):
            await store.write(ledger.fund, caller=caller, request=request, idempotency_key="one")
    finally:
        store.close()


# T6


async def test_a_seller_does_not_review_itself(town: Town):
    """T6: not even with a token that could review."""
    order = await town.settled()
    caller = town.seller.caller._replace(scopes=frozenset({"review", "read"}))

    with pytest.raises(orders.OrderNotFound):
        await post_review(town.seller._replace(caller=caller), order)


async def test_a_buyers_principal_does_not_review_in_its_place(store: Store):
    """T6: one order, one voice: that of the buyer."""
    house = await enter(store, "house", "principal")
    town = await build_town(store, principal=house)
    given = await mandate(house, town.buyer)
    order = await town.place(mandate_id=given.id)
    await town.deliver(order, 0, units=4)
    await town.complete(order)
    order = await town.accept(order)
    caller = house.caller._replace(scopes=frozenset({"review", "read"}))

    with pytest.raises(orders.OrderNotFound):
        await post_review(house._replace(caller=caller), order)


async def test_an_order_that_has_not_settled_is_not_reviewed(town: Town):
    """T6: neither one that runs nor one that came to nothing."""
    done, running = await town.settled(), await town.place()
    with pytest.raises(reviews.OrderNotEnded):
        await post_review(town.buyer, running, receipt_id=done.receipt_id)

    await town.store.write(orders.fail, caller=town.seller.caller, order_id=running.id, reason="no")
    with pytest.raises(reviews.NothingToReview):
        await post_review(town.buyer, await town.order(running))


async def test_praise_for_a_refunded_order_counts_for_nothing(store: Store):
    """T6: the ledger outranks the text: nobody sells praise for a refund."""
    town = await build_town(
        store, policies={"refund": "within-window", "refund_window_seconds": 60}
    )
    order = await town.settled()
    await store.write(
        orders.support,
        caller=town.buyer.caller,
        order_id=order.id,
        request=AskSupport(action="refund"),
    )
    before = await score(town)

    await post_review(town.buyer, await town.order(order))

    assert await score(town) == before
