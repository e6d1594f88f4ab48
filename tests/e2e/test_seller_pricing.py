"""Prices that change while a market runs: new versions, the rules for them, and what buyers see."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from buyer_agents import MarketClient, Shopper, policy_named
from market.base.settings import Settings
from market.protocol.signing import SigningKey
from market.protocol.wire import ServiceView
from seller_services.behaviours import behaviour_named
from tests.town import PAGES, Tickets, need, open_town, reader, serving

PRICE = 600_000
SOON = 0.05


async def quoted(buyer: MarketClient, service: ServiceView) -> int:
    return (await buyer.ask_quote(service.id, PAGES)).amount_minor


async def until(is_so: Callable[[], Awaitable[Any]]) -> Any:
    """What it says, as soon as that is true."""
    while True:
        if found := await is_so():
            return found
        await anyio.sleep(SOON / 2)


def pricing(name: str, **params: Any) -> Any:
    return behaviour_named(name, {"every_seconds": SOON, **params})


async def test_a_discounter_publishes_lower_prices_until_its_floor(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        discounting = pricing("discounting", step_percent=20, floor_percent=50)
        service = await town.open(discounting.joins(town.seller(reader(Tickets()))))
        buyer = await town.client("thrifty")
        given = await buyer.ask_quote(service.id, PAGES)

        async def is_at_its_floor() -> bool:
            return await quoted(buyer, service) == PRICE // 2

        await until(is_at_its_floor)
        await anyio.sleep(3 * SOON)

        now = await buyer.service(service.id)
        assert (service.version, now.version) == ("1", "1.0.3")
        assert await buyer.read_manifest(now) == now.manifest
        report = await buyer.trust(service.id)
        assert (report.price_changes, report.price_raises) == (3, 0)
        # A quote that was given stays good at its own price.
        assert (await buyer.place_order(given)).amount_minor == given.amount_minor


async def test_a_dynamic_price_rises_with_orders_and_falls_without(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        dynamic = pricing("dynamic", busy=1, step_percent=50, ceiling_percent=150)
        service = await town.open(dynamic.joins(town.seller(reader(Tickets(6)))))
        buyer = await town.client("thrifty")
        await town.order(buyer, service)

        async def went_up_and_down() -> bool:
            raises = (await buyer.trust(service.id)).price_raises
            return bool(raises) and await quoted(buyer, service) == PRICE // 2

        await until(went_up_and_down)

        report = await buyer.trust(service.id)
        assert (report.price_changes, report.price_raises) == (3, 1)


async def test_a_seller_that_returns_begins_with_its_first_price(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        key = SigningKey.generate()
        discounting = pricing("discounting", step_percent=20, floor_percent=80)
        seller = discounting.joins(town.seller(reader(Tickets()), key=key))
        buyer = await town.client("thrifty")
        async with serving(town, seller) as service:

            async def is_cheaper() -> bool:
                return await quoted(buyer, service) < PRICE

            await until(is_cheaper)

        slow = behaviour_named("discounting", {"every_seconds": 600})
        back = await town.open(slow.joins(town.seller(reader(Tickets()), key=key)))

        assert (back.id, back.version) == (service.id, "1.0.2")
        assert await quoted(buyer, back) == PRICE


async def test_who_is_content_pays_a_premium_and_who_is_not_has_it_back(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        premium = behaviour_named("premium", {"percent": 200})
        await town.open(premium.joins(town.seller(reader(Tickets(12)), refund="never")))
        buyer = await town.client("thrifty")
        shopper = Shopper(buyer, policy_named("cheapest"))

        content = await shopper.run(need())
        picky = await shopper.run(need(check=lambda outputs: False))

        assert content.receipt is not None
        assert (await buyer.read_receipt(content.receipt)).captured_minor == 2 * PRICE
        assert (picky.reason, picky.detail.endswith("The order was refunded")) == ("quality", True)
