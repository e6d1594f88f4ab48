"""Bonds, caps and freezes over HTTP and by the client."""

from datetime import timedelta

import httpx
import pytest

from buyer_agents import MarketClient, Refused
from market import catalog
from market.protocol.signing import SigningKey
from tests.contract.conftest import Street
from tests.contract.test_refusals import buy, refused

BOND = {"amount_minor": 1_000_000, "currency": "XTS"}


async def earn(street: Street) -> None:
    """Let the seller have earned enough for a bond."""
    for _ in range(3):
        await street.settled()


async def fail(street: Street, times: int) -> None:
    for _ in range(times):
        order = await street.placed()
        await street.seller.made(f"/v1/orders/{order['id']}/fail", {"reason": "no"})


async def test_a_seller_posts_its_bond_and_everybody_sees_it(street: Street):
    await earn(street)

    posted = await street.seller.post("/v1/bonds", BOND)

    assert posted.status_code == 200
    assert posted.json() == {
        "seller_id": street.seller.id,
        "currency": "XTS",
        "typical_minor": None,
        "bond_minor": 1_000_000,
        "bond_due_minor": 0,
        "is_on_probation": False,
        "order_cap_minor": None,
        "frozen_since": None,
    }
    own = await street.seller.get("/v1/bonds")
    seen = await street.buyer.get(f"/v1/bonds?seller_id={street.seller.id}")
    assert own.json() == seen.json() == posted.json()
    refused(await street.buyer.get("/v1/bonds"), 404, "not_found")


async def test_what_cannot_be_done_with_a_bond_is_refused(street: Street):
    refused(await street.seller.post("/v1/bonds", BOND), 402, "insufficient_funds")
    refused(await street.buyer.post("/v1/bonds", BOND), 403, "insufficient_scope")
    euros = {**BOND, "currency": "EUR"}
    refused(await street.seller.post("/v1/bonds", euros), 422, "currency_mismatch")
    await earn(street)
    refused(await street.seller.post("/v1/bonds/release", BOND), 409, "bond_needed")


async def test_a_bond_comes_back_after_the_cool_off(street: Street):
    await earn(street)
    await street.seller.post("/v1/bonds", BOND)
    street.market.clock.advance(timedelta(days=8))
    street.seller.token = (await street.seller.ask_token()).json()["access_token"]

    released = await street.seller.post("/v1/bonds/release", BOND)

    assert released.json()["bond_minor"] == 0


async def test_a_quote_above_the_cap_is_refused_with_the_cap(street: Street):
    """T5: the refusal tells how large an order may be."""
    limits = {"currency": "XTS", "typical_minor": 1_000, "orders": 100}
    await street.market.store.write(catalog.set_order_limits, **limits)
    request = {"service_id": street.service["id"], "input": {"pages": ["1"]}}

    problem = refused(await street.buyer.post("/v1/quotes", request), 409, "order_cap_exceeded")

    assert (problem["cap_minor"], problem["amount_minor"]) == (50_000, 400_000)


async def test_a_frozen_seller_is_refused_a_fourth_order_and_freed_by_an_overseer(street: Street):
    """T5: the freeze that follows a fall, seen from outside."""
    await fail(street, 2)
    placed = [await street.placed() for _ in range(3)]
    quote = await street.buyer.quote(street.service["id"])
    refused(await buy(street.buyer, quote), 409, "seller_frozen")
    found = (await street.buyer.get("/v1/services?q=tables")).json()["items"]
    report = (await street.buyer.get(f"/v1/services/{street.service['id']}/trust")).json()
    assert found[0]["flags"] == ["frozen"]
    assert "frozen" in report["flags"]
    path = f"/v1/agents/{street.seller.id}/unfreeze"
    why = {"reason": "their power was out"}
    refused(await street.seller.post(path, why), 403, "insufficient_scope")

    overseer = await street.market.overseer()
    freed = await overseer.post(path, why)

    assert freed.json()["frozen_since"] is None
    assert (await buy(street.buyer, quote)).status_code == 201
    refused(await overseer.post(path, why), 409, "not_frozen")
    inbox = (await street.seller.get("/v1/inbox")).json()["items"]
    told = [message["kind"] for message in inbox if message["kind"].startswith("seller.")]
    assert told == ["seller.frozen", "seller.unfrozen"]
    assert len(placed) == 3


async def test_the_client_has_a_verb_for_each(street: Street):
    await earn(street)
    await fail(street, 5)
    seller = client(street, street.seller.key)
    watch = client(street, (await street.market.overseer()).key)
    async with seller, watch:
        posted = await seller.post_bond(1_000, "XTS", idempotency_key="bond-1")
        again = await seller.post_bond(1_000, "XTS", idempotency_key="bond-1")
        with pytest.raises(Refused, match="still hang on the bond"):
            await seller.release_bond(1_000, "XTS")
        freed = await watch.unfreeze(street.seller.id, "they asked")
        seen = await watch.bond(street.seller.id)

    assert posted == again
    assert posted.bond_minor == 1_000
    assert freed == seen


def client(street: Street, key: SigningKey) -> MarketClient:
    """A client of the market in process, on its own clock."""
    transport = httpx.ASGITransport(street.market.app)
    return MarketClient(
        street.market.settings.issuer,
        key,
        http=lambda url: httpx.AsyncClient(transport=transport, base_url=url),
        now=lambda: street.market.clock.now().timestamp(),
    )
