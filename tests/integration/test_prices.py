"""Forms of price through a whole purchase: quoted, held, delivered, captured, given back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from market import catalog, orders
from market.audit import audit
from market.base.clock import ManualClock
from market.base.store import Store
from market.catalog import SearchQuery
from market.protocol.commitments import QUOTE, QuoteClaims
from market.protocol.wire import AskQuote, OrderView, QuoteView
from tests.factories import Town, build_town, enter, publish

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
XTS = {"currency": "XTS"}
UNIT = {"per": "unit", "amount": "0.10", **XTS}
TIERS = {
    "per": "tiers",
    "tiers": [{"up_to": 2, "amount": "0.30"}, {"amount": "0.10"}],
    **XTS,
}
FLAT = {"per": "flat", "amount": "0.50", "includes": 2, "beyond": "0.05", **XTS}
CALL = {"per": "call", "amount": "0.40", **XTS}
METERED = {"unit": "token", "counts": "delivered", "at_most": 100}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


async def delivered(town: Town, units: int, quote: QuoteView | None = None) -> OrderView:
    """An order of which so many units are in, each a chunk of its own."""
    order = await town.place(quote)
    for index in range(units):
        await town.deliver(order, index)
    return order


async def cancelled(town: Town, order: OrderView) -> OrderView:
    await town.control(order.session_id, "cancel")
    return await town.order(order)


async def ask(town: Town, **more: Any) -> QuoteView:
    wanted = AskQuote(service_id=town.service.id, input={"pages": ["1", "2", "3", "4"]}, **more)
    return await town.store.write(catalog.quote, caller=town.buyer.caller, ask=wanted)


@pytest.mark.parametrize(
    ("price", "hold", "accepted", "broken_off"),
    [
        (CALL, 400_000, 400_000, 300_000),
        (UNIT, 400_000, 300_000, 300_000),
        (TIERS, 800_000, 700_000, 700_000),
        (FLAT, 600_000, 550_000, 550_000),
    ],
)
async def test_three_of_four_units_capture_by_the_form_of_the_price(
    store: Store, price: dict[str, Any], hold: int, accepted: int, broken_off: int
):
    town = await build_town(store, price=price)
    one = await delivered(town, 3)
    other = await delivered(town, 3)

    await town.complete(one)
    settled = await town.accept(one)
    ended = await cancelled(town, other)

    assert one.amount_minor == hold
    assert (settled.captured_minor, settled.returned_minor) == (accepted, hold - accepted)
    assert (ended.captured_minor, ended.returned_minor) == (broken_off, hold - broken_off)
    assert await store.scan(audit) == []


async def test_what_a_quote_says_of_its_price_is_signed(store: Store):
    town = await build_town(store, price=TIERS, policies={"referral_basis_points": 500})

    quote = await town.quote()
    order = await town.place(quote)

    claims = store.signer.public.read(quote.quote, typ=QUOTE, claims=QuoteClaims)
    assert claims.terms == quote.terms == order.terms
    assert [msgspec.structs.astuple(step) for step in quote.terms.steps] == [
        (2, 300_000),
        (None, 100_000),
    ]
    assert claims.referral_basis_points == 500


async def test_metered_work_holds_its_cap_and_captures_what_came(store: Store):
    town = await build_town(store, price=UNIT, measure=METERED)

    quote = await ask(town, max_units=7)
    order = await delivered(town, 5, quote)
    await town.complete(order)
    settled = await town.accept(order)

    assert (quote.units, quote.amount_minor, quote.terms.is_cap) == (7, 700_000, True)
    assert (settled.captured_minor, settled.returned_minor) == (500_000, 200_000)
    assert await store.scan(audit) == []


async def test_no_more_is_delivered_than_the_cap_has_units(store: Store):
    """M7: the hold is the cap."""
    town = await build_town(store, price=UNIT, measure=METERED)
    order = await delivered(town, 3, await ask(town, max_minor=399_999))

    assert (order.units, order.amount_minor) == (3, 300_000)
    with pytest.raises(orders.DeliveryTooLarge):
        await town.deliver(order, 3)


@pytest.mark.parametrize(
    ("price", "measure", "most"),
    [
        (UNIT, None, {"max_minor": 399_999}),
        (UNIT, None, {"max_units": 3}),
        (CALL, None, {"max_minor": 1}),
        (UNIT, METERED, {"max_minor": 99_999}),
        (FLAT, METERED, {"max_minor": 499_999}),
    ],
)
async def test_what_costs_more_than_the_buyer_would_pay_is_not_quoted(
    store: Store, price: dict[str, Any], measure: dict[str, Any] | None, most: dict[str, int]
):
    changes = {"measure": measure} if measure else {}
    town = await build_town(store, price=price, **changes)

    with pytest.raises(catalog.AboveMax) as refusal:
        await ask(town, **most)

    assert refusal.value.facts["amount_minor"] > most.get("max_minor", 0)


async def test_a_bound_that_is_not_reached_changes_nothing(store: Store):
    town = await build_town(store, price=UNIT)

    quote = await ask(town, max_minor=400_000, max_units=4)

    assert (quote.units, quote.amount_minor) == (4, 400_000)


@pytest.mark.parametrize(
    "validity", [{"valid_seconds": 60}, {"valid_until": "2026-11-22T12:01:00Z"}]
)
async def test_a_price_that_has_run_out_is_neither_quoted_nor_found(
    store: Store, clock: ManualClock, validity: dict[str, Any]
):
    town = await build_town(store, price=CALL | validity)
    query = SearchQuery(q="tables")
    quote = await town.quote()
    found = await store.scan(catalog.search, query=query)

    clock.advance(timedelta(seconds=60))

    assert quote.expires_at == "2026-11-22T12:01:00.000000Z"
    assert len(found.items) == 1
    with pytest.raises(catalog.PriceExpired):
        await town.quote()
    assert (await store.scan(catalog.search, query=query)).items == []
    await publish(town.seller, version="2", price=CALL)
    assert await town.quote()


@pytest.mark.parametrize("until", ["2026-11-22T12:00:00Z", "2026-02-31T12:00:00Z"])
async def test_a_version_whose_price_cannot_be_paid_is_not_published(store: Store, until: str):
    seller = await enter(store, "acme", "seller")

    with pytest.raises(catalog.BadManifestRefused, match="valid_until"):
        await publish(seller, price=CALL | {"valid_until": until})


async def test_search_compares_by_the_most_that_one_unit_can_cost(store: Store):
    """S17: neither a cheap first tier nor a cheap flat amount moves a service to the front."""
    town = await build_town(store, price=TIERS)
    other = await enter(store, "rival", "seller")
    lure = [{"up_to": 1, "amount": "0.000001"}, {"amount": "5"}]
    await publish(other, id="rival-pdf", price=TIERS | {"tiers": lure})

    found = await store.scan(catalog.search, query=SearchQuery(q="tables"))

    dear, cheap = sorted(found.items, key=lambda item: -item.amount_minor)
    assert (dear.slug, dear.amount_minor, dear.price_per) == ("rival-pdf", 5_000_000, "tiers")
    assert (cheap.service_id, cheap.amount_minor) == (town.service.id, 300_000)
    assert cheap.parts["price"] == 1.0
    assert dear.parts["price"] < 0.1
    below = SearchQuery(q="tables", max_price_minor=300_000)
    assert [item.slug for item in (await store.scan(catalog.search, query=below)).items] == [
        cheap.slug
    ]
