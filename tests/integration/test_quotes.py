"""Quotes: the market's word on a price, for one buyer, one input and one order."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from market import catalog
from market.base.clock import ManualClock
from market.base.settings import Settings
from market.base.store import Store
from market.protocol.canonical import MAX_DEPTH, digest
from market.protocol.commitments import QUOTE, QuoteClaims
from market.protocol.wire import AskQuote, QuoteView
from tests.factories import Party, enter, publish, race


@pytest.fixture
async def seller(store: Store) -> Party:
    return await enter(store, "acme", "seller")


@pytest.fixture
async def buyer(store: Store) -> Party:
    return await enter(store, "thrifty", "buyer")


@pytest.fixture
async def other(store: Store) -> Party:
    return await enter(store, "other", "buyer")


async def ask(party: Party, service_id: str, **request: Any) -> QuoteView:
    wanted = AskQuote(service_id=service_id, input=request or {"pages": ["1"]})
    return await party.store.write(catalog.quote, caller=party.caller, ask=wanted)


def price(amount: str, per: str = "call") -> dict[str, str]:
    return {"per": per, "amount": amount, "currency": "XTS"}


async def test_a_quote_is_the_markets_signed_word_on_one_input(
    store: Store, seller: Party, buyer: Party
):
    service = await publish(seller)
    request = {"pages": ["1", "2"]}

    view = await ask(buyer, service.id, **request)

    claims = store.signer.public.read(view.quote, typ=QUOTE, claims=QuoteClaims)
    assert view.digest == digest(msgspec.to_builtins(claims))
    assert (claims.quote_id, claims.buyer_id, claims.seller_id) == (view.id, buyer.id, seller.id)
    assert claims.input_digest == view.input_digest == digest(request)
    assert claims.manifest_digest == service.manifest_digest
    assert (view.units, view.amount_minor, view.currency) == (2, 400_000, "XTS")
    assert claims.exp - claims.iat == store.settings.quote_ttl_seconds
    assert await store.read(catalog.quoted_input, quote_id=view.id) == request
    assert await store.read(catalog.read_quote, caller=buyer.caller, quote_id=view.id) == view


async def test_units_are_counted_in_the_input(seller: Party, buyer: Party):
    service = await publish(
        seller,
        price=price("0.001", per="unit"),
        measure={"unit": "2 pages", "counts": "items", "of": "pages", "size": 2},
    )

    view = await ask(buyer, service.id, pages=["1", "2", "3"])

    assert (view.units, view.amount_minor) == (2, 2_000)


@pytest.mark.parametrize(
    ("request_", "kind", "words"),
    [
        ({"pages": [1]}, catalog.InputDoesNotFit, "pages/0"),
        ({"rows": []}, catalog.InputDoesNotFit, "pages"),
        ({"pages": [], "big": 2**53}, catalog.InputNotPlain, r"\$\.big"),
        ({"pages": ["\0"]}, catalog.InputNotPlain, r"\$\.pages\[0\]"),
        ({"pages": [], "x": float("nan")}, catalog.InputNotPlain, "nan"),
        ({"pages": ["x" * catalog.MAX_INPUT]}, catalog.InputTooLong, "bytes"),
    ],
)
async def test_an_input_that_cannot_be_ordered_is_refused_by_name(
    seller: Party, buyer: Party, request_: dict[str, Any], kind: type[Exception], words: str
):
    pages = {"type": "array", "items": {"type": "string"}}
    schema = {"type": "object", "required": ["pages"], "properties": {"pages": pages}}
    service = await publish(seller, input=schema)

    with pytest.raises(kind, match=words):
        await ask(buyer, service.id, **request_)


async def test_an_input_nested_too_deep_is_refused(seller: Party, buyer: Party):
    service = await publish(seller)
    deep: Any = []
    for _ in range(MAX_DEPTH):
        deep = [deep]

    with pytest.raises(catalog.InputNotPlain, match="nested"):
        await ask(buyer, service.id, pages=[], deep=deep)


async def test_the_longest_input_is_accepted(seller: Party, buyer: Party):
    service = await publish(seller)
    page = "x" * (catalog.MAX_INPUT - len('{"pages":[""]}'))

    assert await ask(buyer, service.id, pages=[page])
    with pytest.raises(catalog.InputTooLong):
        await ask(buyer, service.id, pages=[page + "x"])


async def test_a_price_beyond_the_largest_amount_is_refused(seller: Party, buyer: Party):
    service = await publish(
        seller,
        price=price("9000000000", per="unit"),
        measure={"unit": "page", "counts": "items", "of": "pages"},
    )

    assert await ask(buyer, service.id, pages=["1"])
    with pytest.raises(catalog.PriceTooLarge):
        await ask(buyer, service.id, pages=["1", "2"])


async def test_only_a_buyer_asks_for_quotes(seller: Party):
    service = await publish(seller)

    with pytest.raises(catalog.BuyersOnly):
        await ask(seller, service.id)


async def test_a_quote_for_an_unknown_service_is_refused(buyer: Party):
    with pytest.raises(catalog.ServiceNotFound):
        await ask(buyer, "svc_01h455vb4pex5vsknk084sn02q")


async def test_a_principals_buyer_does_not_buy_from_its_seller(store: Store, other: Party):
    house = await enter(store, "house", "principal")
    service = await publish(await enter(store, "shop", "seller", house.id))

    with pytest.raises(catalog.OwnService):
        await ask(await enter(store, "errand", "buyer", house.id), service.id)

    assert await ask(other, service.id)


async def test_a_strangers_quote_can_be_neither_read_nor_redeemed(
    store: Store, seller: Party, buyer: Party, other: Party
):
    service = await publish(seller)
    quote = await ask(buyer, service.id)

    with pytest.raises(catalog.QuoteNotFound):
        await store.read(catalog.read_quote, caller=other.caller, quote_id=quote.id)
    with pytest.raises(catalog.QuoteNotFound):
        await store.write(catalog.redeem_quote, quote_id=quote.id, buyer_id=other.id)
    with pytest.raises(catalog.QuoteNotFound):
        await store.write(catalog.redeem_quote, quote_id="qte_none", buyer_id=buyer.id)


async def test_a_redeemed_quote_has_all_that_an_order_takes_over(
    store: Store, seller: Party, buyer: Party
):
    service = await publish(
        seller,
        limits={"deliver_seconds": 60, "max_chunks": 5},
        policies={"refund": "within-window", "refund_window_seconds": 90},
    )
    quote = await ask(buyer, service.id)

    row = await store.write(catalog.redeem_quote, quote_id=quote.id, buyer_id=buyer.id)

    assert (row.id, row.service_id, row.slug) == (quote.id, service.id, "acme-pdf")
    assert (row.seller_id, row.buyer_id) == (seller.id, buyer.id)
    assert (row.manifest_digest, row.digest) == (service.manifest_digest, quote.digest)
    assert (row.input, row.input_digest) == ({"pages": ["1"]}, quote.input_digest)
    assert (row.units, row.amount_minor, row.currency) == (1, 400_000, "XTS")
    assert (row.price_per, row.deliver_seconds, row.max_chunks) == ("call", 60, 5)
    assert (row.refund, row.refund_window_seconds) == ("within-window", 90)
    assert row.tags == ["pdf", "table"]


async def test_a_quote_is_redeemed_once(store: Store, seller: Party, buyer: Party):
    service = await publish(seller)
    quote = await ask(buyer, service.id)
    await store.write(catalog.redeem_quote, quote_id=quote.id, buyer_id=buyer.id)

    with pytest.raises(catalog.QuoteUsed):
        await store.write(catalog.redeem_quote, quote_id=quote.id, buyer_id=buyer.id)


async def test_a_quote_outlives_the_version_it_was_made_for(
    store: Store, seller: Party, buyer: Party
):
    service = await publish(seller)
    quote = await ask(buyer, service.id)
    await publish(seller, version="2", price=price("9"))

    row = await store.write(catalog.redeem_quote, quote_id=quote.id, buyer_id=buyer.id)

    assert (row.amount_minor, row.manifest_digest) == (400_000, service.manifest_digest)


async def test_a_quote_holds_until_it_expires_and_no_longer(settings: Settings):
    clock = ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
    with closing(Store.open(settings, clock=clock)) as store:
        service = await publish(await enter(store, "acme", "seller"))
        buyer = await enter(store, "thrifty", "buyer")
        early, late = [await ask(buyer, service.id) for _ in range(2)]

        clock.advance(timedelta(seconds=settings.quote_ttl_seconds) - timedelta(microseconds=1))
        assert await store.write(catalog.redeem_quote, quote_id=early.id, buyer_id=buyer.id)

        clock.advance(timedelta(microseconds=1))
        with pytest.raises(catalog.QuoteExpired):
            await store.write(catalog.redeem_quote, quote_id=late.id, buyer_id=buyer.id)


async def test_only_quotes_that_expired_unused_are_forgotten(settings: Settings):
    clock = ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
    with closing(Store.open(settings, clock=clock)) as store:
        service = await publish(await enter(store, "acme", "seller"))
        buyer = await enter(store, "thrifty", "buyer")
        used, unused = [await ask(buyer, service.id) for _ in range(2)]
        await store.write(catalog.redeem_quote, quote_id=used.id, buyer_id=buyer.id)
        clock.advance(timedelta(seconds=settings.quote_ttl_seconds) + catalog.KEEP_UNUSED)
        assert await store.write(catalog.forget_quotes) == 0

        clock.advance(timedelta(microseconds=1))
        assert await store.write(catalog.forget_quotes) == 1

        assert await store.read(catalog.read_quote, caller=buyer.caller, quote_id=used.id)
        with pytest.raises(catalog.QuoteNotFound):
            await store.read(catalog.read_quote, caller=buyer.caller, quote_id=unused.id)


async def test_only_one_of_racing_orders_gets_the_quote(store: Store, seller: Party, buyer: Party):
    service = await publish(seller)
    quote = await ask(buyer, service.id)

    refusals = await race(
        20,
        lambda: store.write(catalog.redeem_quote, quote_id=quote.id, buyer_id=buyer.id),
        collect=catalog.QuoteUsed,
    )

    assert len(refusals) == 19


# Contracts


async def test_delivered_chunks_are_checked_against_the_bought_version(store: Store, seller: Party):
    first = await publish(seller)
    await publish(seller, version="2", output={"type": "object", "required": ["table"]})

    checker = await store.read(catalog.output_checker, manifest_digest=first.manifest_digest)

    assert checker.is_valid({"rows": []})
    assert not checker.is_valid({"table": []})


async def test_a_contract_is_compiled_once(store: Store, seller: Party):
    service = await publish(seller)

    one = await store.read(catalog.contract_of, manifest_digest=service.manifest_digest)
    two = await store.scan(catalog.contract_of, manifest_digest=service.manifest_digest)

    assert one is two


async def test_an_unpublished_manifest_has_no_contract(store: Store):
    with pytest.raises(catalog.ServiceNotFound):
        await store.read(catalog.contract_of, manifest_digest="none")
