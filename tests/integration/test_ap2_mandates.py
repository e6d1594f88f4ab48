"""AP2 mandates at a running market, on both databases: given, closed over quotes, used up once.

The mandates of half of these tests are made with bare PyJWT: an outsider needs none of our code.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import jwt
import pytest

from buyer_agents import Refused
from market.base.settings import Settings
from market.protocol.commitments import Limits
from market.protocol.wire import (
    Ap2Closed,
    Ap2ReceiptsView,
    CheckoutView,
    MandateView,
    QuoteView,
)
from tests import ap2_by_hand as hand
from tests.ap2_town import (
    BUDGET,
    MINOR,
    PRICE,
    Ap2Town,
    open_ap2_town,
    read_checkout,
    recurring,
    refused,
    up_to,
)


@pytest.fixture
async def town(settings: Settings) -> AsyncIterator[Ap2Town]:
    async with open_ap2_town(settings) as town:
        yield town


# Giving


async def test_constraints_become_limits(town: Ap2Town):
    given = await town.give(
        up_to(PRICE, least=1),
        BUDGET,
        recurring("DAILY", 3),
        {"type": "payment.allowed_payees", "allowed": [town.merchant, {"id": "x", "name": "X"}]},
    )

    limits = {name: value for name, value in given.limits.items() if value is not None}
    assert limits == {
        "min_price_minor": 1,
        "max_price_minor": PRICE,
        "budget_minor": 10 * PRICE,
        "max_orders": 3,
        "period_seconds": 86_400,
        "period_max_orders": 1,
        "sellers_allow": [town.seller.agent_id],
    }
    assert (given.form, given.currency, given.open_checkout) == ("ap2", "XTS", None)


async def test_a_mandate_without_recurrence_is_good_for_one_order(town: Ap2Town):
    given = await town.give(up_to(PRICE))
    await town.buy(given)

    assert given.limits["max_orders"] == 1
    again = await refused(town.buy(given))
    assert (again.code, again.facts["ap2_error"]) == ("mandate_exceeded", "invalid_mandate")


async def test_the_buyer_hears_of_its_mandate(town: Ap2Town):
    given = await town.give(up_to(PRICE))

    [message] = (await town.buyer.inbox()).items
    assert (message.kind, message.body["mandate_id"]) == ("mandate.given", given.id)


async def test_the_same_mandate_again_is_the_same(town: Ap2Town):
    text = hand.open_payment(town.user, town.agent, **town.by_hand())
    first = await town.post_mandate(text)
    town.clock.advance(timedelta(seconds=1))

    assert (await town.post_mandate(text)).id == first.id
    assert len((await town.buyer.inbox()).items) == 1


@pytest.mark.parametrize(
    ("constraints", "code"),
    [
        ([{"type": "payment.weather"}], "unresolved_constraint"),
        ([up_to(PRICE), {**up_to(PRICE), "currency": "USD"}], "invalid_mandate"),
        ([], "invalid_mandate"),
        ([{**up_to(PRICE), "currency": "ABC"}], "invalid_mandate"),
        ([up_to(0)], "invalid_mandate"),
        ([up_to(5, least=6)], "invalid_mandate"),
        ([recurring("DAILY"), up_to(PRICE)], "invalid_mandate"),
        ([recurring("DAILY"), recurring("DAILY"), up_to(PRICE), BUDGET], "unresolved_constraint"),
        (
            [
                up_to(PRICE),
                {
                    "type": "payment.allowed_payment_instruments",
                    "allowed": [{"id": "card", "type": "card"}],
                },
            ],
            "invalid_mandate",
        ),
        (
            [
                up_to(PRICE),
                {
                    "type": "payment.allowed_pisps",
                    "allowed": [{"legal_name": "a", "brand_name": "b", "domain_name": "c"}],
                },
            ],
            "invalid_mandate",
        ),
        (
            [
                up_to(PRICE),
                {"type": "payment.reference", "conditional_transaction_id": "x" * 43},
            ],
            "invalid_mandate",
        ),
    ],
)
async def test_a_mandate_that_cannot_be_kept_is_refused(
    town: Ap2Town, constraints: list[dict[str, Any]], code: str
):
    """M6."""
    refusal = await refused(town.give(*constraints))

    assert (refusal.status, refusal.code, refusal.facts["ap2_error"]) == (422, "ap2_refused", code)


async def test_only_the_principals_own_p256_key_gives(town: Ap2Town):
    """I3, I4, I10."""
    strangers = hand.open_payment(hand.key(77), town.agent, **town.by_hand())
    unnamed = hand.open_payment(town.user, town.agent, payees=(), header={}, **town.rules())
    not_buyers = hand.open_payment(town.user, hand.key(78), **town.by_hand())

    for text in (strangers, unnamed, not_buyers, "a.b.c~"):
        refusal = await refused(town.post_mandate(text))
        assert refusal.facts["ap2_error"] == "invalid_credential"


async def test_a_mandate_is_for_a_buyer_of_the_principal_alone(town: Ap2Town):
    text = hand.open_payment(town.user, town.agent, **town.by_hand())

    refusal = await refused(town.post_mandate(text, buyer_id=town.seller.agent_id))

    assert refusal.code == "buyer_not_yours"


async def test_both_open_mandates_must_name_one_key(town: Ap2Town):
    kid = town.principal.key.kid
    checkout = {"vct": "mandate.checkout.open.1", "constraints": []}
    beside = hand.token(
        {**checkout, "cnf": {"jwk": hand.public(hand.key(9))}}, town.user, header={"kid": kid}
    )
    text = hand.open_payment(town.user, town.agent, **town.by_hand())

    refusal = await refused(town.post_mandate(text, checkout=beside))

    assert refusal.facts["ap2_error"] == "invalid_mandate"


async def test_a_mandate_that_names_another_issuer_is_refused(town: Ap2Town):
    kid = town.principal.key.kid
    mandate = {
        "vct": "mandate.payment.open.1",
        "cnf": {"jwk": hand.public(town.agent)},
        "exp": hand.NOW + 60,
        **town.rules(),
    }
    text = hand.token(mandate, town.user, header={"kid": kid}, iss=town.buyer.agent_id)

    assert (await refused(town.post_mandate(text))).facts["ap2_error"] == "invalid_credential"


# Checkouts


async def test_a_checkout_is_the_quote_in_ap2s_words(town: Ap2Town):
    quote = await town.quote()

    checkout = await town.buyer.checkout(quote.id)

    said = read_checkout(town, checkout)
    [line] = said["line_items"]
    assert (said["id"], said["merchant"]["id"]) == (quote.id, town.seller.agent_id)
    assert (line["item"]["id"], line["quantity"]) == (town.service.id, 1)
    assert [total["amount"] for total in said["totals"]] == [PRICE, PRICE]
    assert checkout.transaction_id == hand.hash_of(checkout.checkout_jwt)
    assert (checkout.aud, checkout.nonce) == (town.settings.issuer, quote.id)


async def test_a_checkout_is_for_the_buyer_while_the_quote_holds(town: Ap2Town):
    """Z1."""
    quote = await town.quote()

    assert (await refused(town.seller.checkout(quote.id))).code == "quote_not_found"
    town.clock.advance(timedelta(seconds=301))
    assert (await refused(town.buyer.checkout(quote.id))).code == "quote_expired"


async def test_the_key_of_checkouts_is_published_beside_the_other(town: Ap2Town):
    keys = await town.buyer.published_keys("/.well-known/jwks.json")

    assert {key.algorithm for key in keys.values()} == {"EdDSA", "ES256"}
    assert (town.settings.home / "merchant.key").stat().st_mode & 0o777 == 0o600


# Orders


async def test_an_order_closes_its_mandate_and_receipts_refer_to_it(town: Ap2Town):
    given = await town.give(up_to(PRICE))
    order = await town.buy(given)
    early = await refused(town.buyer.ap2_receipts(order.id))
    await town.settle(order)

    checkout, payment = await town.buyer.ap2_receipts(order.id)

    assert early.code == "wrong_order_state"
    assert (checkout.status, payment.status) == ("Success", "Success")
    assert (checkout.order_id, checkout.error) == (order.id, None)
    [receipt] = await town.buyer.receipts(order.id)
    assert payment.payment_id == payment.psp_confirmation_id == receipt.id
    assert (await town.seller.ap2_receipts(order.id))[0] == checkout


async def test_an_order_by_an_outsider_without_our_code_goes_through(town: Ap2Town):
    mandate, quote, checkout = await given_by_hand(town)
    chain = hand.hop(
        mandate.mandate, town.closed_by_hand(mandate, checkout), town.agent, nonce=quote.id
    )

    order = await town.post_order(
        quote, mandate.id, Ap2Closed(payment=chain, checkout_jwt=checkout.checkout_jwt)
    )

    await town.settle(order)
    _, payment = await town.buyer.ap2_receipts(order.id)
    assert payment.reference == hand.hash_of(chain.split("~~")[1].split("~")[0])
    after = await town.buyer.mandate(mandate.id)
    assert (after.spent_minor, after.orders) == (PRICE, 1)


async def given_by_hand(town: Ap2Town) -> tuple[MandateView, QuoteView, CheckoutView]:
    mandate = await town.post_mandate(hand.open_payment(town.user, town.agent, **town.by_hand()))
    quote = await town.quote()
    return mandate, quote, await town.buyer.checkout(quote.id)


async def test_an_order_under_an_ap2_mandate_must_close_it(town: Ap2Town):
    given = await town.give(up_to(PRICE))

    refusal = await refused(town.buyer.place_order(await town.quote(), mandate_id=given.id))

    assert refusal.facts["ap2_error"] == "invalid_mandate"
    assert await town.available() == MINOR


async def test_what_closes_an_ap2_mandate_is_refused_under_another(town: Ap2Town):
    mandate, quote, checkout = await given_by_hand(town)
    closed = town.buyer.close_mandate(mandate, checkout)

    for mandate_id in (None, "mdt_01h455vb4pex5vsknk084sn02q"):
        refusal = await refused(town.post_order(quote, mandate_id, closed))
        assert refusal.code in ("ap2_refused", "not_found")


@pytest.mark.parametrize(
    ("changes", "hop", "code"),
    [
        ({"payment_amount": {"amount": PRICE - 1, "currency": "XTS"}}, {}, "invalid_mandate"),
        ({"payment_amount": {"amount": PRICE, "currency": "USD"}}, {}, "invalid_mandate"),
        ({"payee": {"id": "m-1", "name": "acme"}}, {}, "invalid_mandate"),
        ({"transaction_id": "x" * 43}, {}, "invalid_mandate"),
        ({"payment_instrument": {"id": "card", "type": "wallet"}}, {}, "invalid_mandate"),
        ({"pisp": {"legal_name": "a", "brand_name": "b", "domain_name": "c"}}, {},
         "invalid_mandate"),
        ({"tip": 1}, {}, "invalid_mandate"),
        ({"vct": "mandate.checkout.1"}, {}, "mandates_not_supported"),
        ({}, {"aud": "http://other.test"}, "invalid_credential"),
        ({}, {"nonce": "another"}, "invalid_credential"),
        ({}, {"iat": hand.NOW + 60}, "invalid_credential"),
        ({}, {"sd_hash": "x" * 43}, "invalid_credential"),
    ],
)  # fmt: skip
async def test_a_closed_mandate_for_something_else_moves_no_money(
    town: Ap2Town, changes: dict[str, Any], hop: dict[str, Any], code: str
):
    """M3, M6: bound to the checkout, payee, amount, currency, audience and nonce."""
    mandate, quote, checkout = await given_by_hand(town)
    claims = town.closed_by_hand(mandate, checkout, **changes)
    chain = hand.hop(mandate.mandate, claims, town.agent, **{"nonce": quote.id, **hop})

    refusal = await refused(
        town.post_order(
            quote, mandate.id, Ap2Closed(payment=chain, checkout_jwt=checkout.checkout_jwt)
        )
    )

    assert refusal.facts["ap2_error"] == code
    assert await town.available() == MINOR
    assert (await town.buyer.mandate(mandate.id)).spent_minor == 0


async def test_a_closed_mandate_by_a_foreign_key_or_over_a_foreign_checkout_is_refused(
    town: Ap2Town,
):
    """M3."""
    mandate, quote, checkout = await given_by_hand(town)
    claims = town.closed_by_hand(mandate, checkout)
    stolen = hand.hop(mandate.mandate, claims, hand.key(5), nonce=quote.id)
    forged = hand.sign(read_checkout(town, checkout), hand.key(5), typ="checkout+jwt", kid="k")
    over_forged = hand.hop(
        mandate.mandate, {**claims, "transaction_id": hand.hash_of(forged)}, town.agent,
        nonce=quote.id,
    )  # fmt: skip
    other_root = hand.open_payment(town.user, town.agent, **town.by_hand())
    over_other = hand.hop(other_root, claims, town.agent, nonce=quote.id)

    for chain, checkout_jwt in (
        (stolen, checkout.checkout_jwt),
        (over_forged, forged),
        (over_other, checkout.checkout_jwt),
    ):
        closed = Ap2Closed(payment=chain, checkout_jwt=checkout_jwt)
        refusal = await refused(town.post_order(quote, mandate.id, closed))
        assert refusal.facts["ap2_error"] == "invalid_credential"


async def test_a_closed_mandate_is_good_for_one_order(town: Ap2Town):
    """M2: used up in the unit of work that holds the money."""
    mandate, quote, checkout = await given_by_hand(town)
    closed = town.buyer.close_mandate(mandate, checkout)
    await town.post_order(quote, mandate.id, closed)

    again = await refused(town.post_order(quote, mandate.id, closed))
    elsewhere = await refused(town.post_order(await town.quote(), mandate.id, closed))

    assert again.code == "quote_used"
    assert elsewhere.facts["ap2_error"] == "invalid_credential"
    assert await town.available() == MINOR - PRICE


async def test_of_twenty_orders_with_one_closed_mandate_one_is_placed(town: Ap2Town):
    """M2."""
    mandate, quote, checkout = await given_by_hand(town)
    closed = town.buyer.close_mandate(mandate, checkout)

    results = await asyncio.gather(
        *(town.post_order(quote, mandate.id, closed) for _ in range(20)), return_exceptions=True
    )

    assert [isinstance(result, Refused) for result in results].count(False) == 1
    assert await town.available() == MINOR - PRICE


async def test_a_budget_holds_over_parallel_orders(town: Ap2Town):
    """M13, M14."""
    given = await town.give(up_to(PRICE), {**BUDGET, "max": 3 * PRICE + 1}, recurring())

    results = await asyncio.gather(*(town.buy(given) for _ in range(8)), return_exceptions=True)

    refusals = [result for result in results if isinstance(result, Refused)]
    assert len(refusals) == 5
    assert {refusal.code for refusal in refusals} == {"mandate_exceeded"}
    assert {refusal.facts["ap2_error"] for refusal in refusals} == {"invalid_mandate"}
    assert (await town.buyer.mandate(given.id)).spent_minor == 3 * PRICE


async def test_one_payment_is_made_in_each_period(town: Ap2Town):
    given = await town.give(up_to(PRICE), BUDGET, recurring("DAILY"), seconds=10 * 86_400)
    await town.buy(given)

    second = await refused(town.buy(given))
    town.clock.advance(timedelta(days=1))
    await town.buy(given)

    assert second.facts["limit"] == "period_max_orders"
    assert (await town.buyer.mandate(given.id)).orders == 2


async def test_a_window_of_dates_is_kept(town: Ap2Town):
    window = {
        "type": "payment.execution_date",
        "not_before": "2026-11-22T12:01:00Z",
        "not_after": "2026-11-22T12:02:00Z",
    }
    given = await town.give(up_to(PRICE), window)

    early = await refused(town.buy(given))
    town.clock.advance(timedelta(seconds=60))
    await town.buy(given)

    assert early.facts["ap2_error"] == "invalid_mandate"
    assert given.expires_at == "2026-11-22T12:02:00.000000Z"


async def test_a_refusal_carries_receipts_of_what_was_refused(town: Ap2Town):
    mandate, quote, checkout = await given_by_hand(town)
    claims = town.closed_by_hand(mandate, checkout, transaction_id="x" * 43)
    chain = hand.hop(mandate.mandate, claims, town.agent, nonce=quote.id)
    key = jwt.PyJWK(town.store.merchant_key.public.jwk).key

    refusal = await refused(
        town.post_order(
            quote, mandate.id, Ap2Closed(payment=chain, checkout_jwt=checkout.checkout_jwt)
        )
    )

    payment = jwt.decode(refusal.facts["ap2_receipts"]["payment"], key, algorithms=["ES256"])
    offered = jwt.decode(refusal.facts["ap2_receipts"]["checkout"], key, algorithms=["ES256"])
    assert (payment["status"], payment["error"]) == ("Error", "invalid_mandate")
    assert payment["reference"] == hand.hash_of(chain.split("~~")[1].split("~")[0])
    assert offered["reference"] == hand.hash_of(checkout.checkout_jwt)


# Checkout mandates


def items(*ids: str) -> dict[str, Any]:
    acceptable = [{"id": each, "title": "t"} for each in ids]
    requirement = {"id": "1", "acceptable_items": acceptable, "quantity": 1}
    return {"type": "checkout.line_items", "items": [requirement]}


async def test_an_open_checkout_mandate_says_what_may_be_bought(town: Ap2Town):
    allowed = {"type": "checkout.allowed_merchants", "allowed": [town.merchant]}
    given = await town.give(up_to(PRICE), checkout=[allowed, items(town.service.id)])

    order = await town.settle(await town.buy(given))

    assert order.state == "settled"
    checkout, _ = await town.buyer.ap2_receipts(order.id)
    assert checkout.status == "Success"


async def test_what_an_open_checkout_mandate_does_not_name_is_refused(town: Ap2Town):
    given = await town.give(up_to(PRICE), checkout=[items("svc-of-another")])

    refusal = await refused(town.buy(given))

    assert refusal.facts["ap2_error"] == "invalid_mandate"
    assert await town.available() == MINOR


async def test_an_open_checkout_mandate_must_be_closed_too(town: Ap2Town):
    given = await town.give(up_to(PRICE), checkout=[items(town.service.id)])
    quote = await town.quote()
    checkout = await town.buyer.checkout(quote.id)
    whole = town.buyer.close_mandate(given, checkout)
    bare = Ap2Closed(payment=whole.payment, checkout_jwt=checkout.checkout_jwt)
    swapped = Ap2Closed(payment=whole.payment, checkout=whole.payment)

    for closed in (bare, swapped):
        refusal = await refused(town.post_order(quote, given.id, closed))
        assert refusal.facts["ap2_error"] in ("invalid_mandate", "mandates_not_supported")
    await town.post_order(quote, given.id, whole)


async def test_what_the_agent_withholds_binds_it_all_the_same(town: Ap2Town):
    """The rules are read from what the market keeps, never from what the agent shows."""
    payees = {"type": "payment.allowed_payees", "allowed": [{"id": "m-1", "name": "M"}]}
    given = await town.give(up_to(PRICE), payees)
    quote = await town.quote()
    checkout = await town.buyer.checkout(quote.id)
    signed, hidden, mandate = given.mandate.split("~")[:3]
    narrowed = f"{signed}~{mandate}~"
    claims = town.closed_by_hand(given, checkout)
    chain = hand.hop(narrowed, claims, town.agent, nonce=quote.id, binding="issuer_jwt_hash")

    refusal = await refused(
        town.post_order(
            quote, given.id, Ap2Closed(payment=chain, checkout_jwt=checkout.checkout_jwt)
        )
    )

    assert hidden
    assert refusal.facts["ap2_error"] == "invalid_mandate"


async def test_a_payment_is_bound_to_its_open_checkout_mandate(town: Ap2Town):
    kid = town.principal.key.kid
    beside = hand.token(
        {
            "vct": "mandate.checkout.open.1",
            "constraints": [items(town.service.id)],
            "cnf": {"jwk": hand.public(town.agent)},
            "exp": hand.NOW + 60,
        },
        town.user,
        header={"kid": kid},
    )
    reference = {
        "type": "payment.reference",
        "conditional_transaction_id": hand.hash_of(beside),
    }
    usual = town.by_hand() | {"constraints": [up_to(PRICE), reference]}
    text = hand.open_payment(town.user, town.agent, **usual)

    alone = await refused(town.post_mandate(text))
    given = await town.post_mandate(text, checkout=beside)
    order = await town.buy(given)

    assert alone.facts["ap2_error"] == "invalid_mandate"
    assert order.mandate_id == given.id


# Keys and endings


async def test_a_revoked_key_closes_nothing(town: Ap2Town):
    """I13."""
    mandate, quote, checkout = await given_by_hand(town)
    closed = town.buyer.close_mandate(mandate, checkout)
    new = type(town.buyer.key).generate()
    await town.buyer.add_key(new)
    old, town.buyer.key = town.buyer.key, new
    await town.buyer.revoke_key(old.kid)

    refusal = await refused(town.post_order(quote, mandate.id, closed))

    assert refusal.facts["ap2_error"] == "invalid_credential"


async def test_a_cancelled_order_has_receipts_that_say_so(town: Ap2Town):
    given = await town.give(up_to(PRICE))
    order = await town.buy(given)
    await town.buyer.control(order.session_id, "cancel", order_id=order.id)

    checkout, payment = await town.buyer.ap2_receipts(order.id)

    assert (checkout.status, checkout.error) == ("Error", "order_cancelled")
    assert (payment.status, payment.psp_confirmation_id) == ("Error", None)


async def test_receipts_are_for_those_who_take_part_in_an_ap2_order(town: Ap2Town):
    """Z1."""
    own = await town.principal.give_mandate(
        town.buyer.agent_id, Limits(), currency="XTS", seconds=60
    )
    order = await town.buyer.place_order(await town.quote(), mandate_id=own.id)

    assert (await refused(town.buyer.ap2_receipts(order.id))).code == "not_found"
    given = await town.give(up_to(PRICE))
    other = await town.buy(given)
    await town.settle(other)
    await town.principal.ap2_receipts(other.id)
    await town.overseer.ap2_receipts(other.id)


async def test_receipts_are_read_with_bare_pyjwt(town: Ap2Town):
    given = await town.give(up_to(PRICE))
    order = await town.settle(await town.buy(given))
    found = await town.buyer.call("GET", f"/v1/orders/{order.id}/ap2-receipts", Ap2ReceiptsView)
    key = jwt.PyJWK(town.store.merchant_key.public.jwk).key

    payment = jwt.decode(found.payment, key, algorithms=["ES256"])

    names = {"status", "iss", "iat", "reference", "payment_id"}
    assert set(payment) == names | {"psp_confirmation_id", "network_confirmation_id"}
