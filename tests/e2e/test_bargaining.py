"""Bargaining, metering and paying in parts, with the real libraries at a live market."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import pytest

from buyer_agents import MarketClient, Refused, follow_inbox
from market.base.settings import Settings
from market.protocol.signing import BadSignature, SigningKey
from market.protocol.wire import CounterView, MessageView, QuoteView
from seller_services import Order, Seller, down_to
from tests.town import PAGES, Tickets, Town, of_kind, open_town, reader, serving, until

PRICE = 600_000
FLOOR = 480_000
COMPLETED = of_kind("delivery.completed")


async def heard(market: MarketClient, kind: str) -> MessageView:
    """The first message of a kind in an inbox, waited for."""
    async with aclosing(follow_inbox(market, -1)) as messages:
        async for message in messages:
            if message.kind == kind:
                return message
    raise AssertionError("the inbox ended")


async def bargain(
    town: Town, buyer: MarketClient, seller: Seller, minor: int
) -> tuple[QuoteView, CounterView]:
    service = await town.open(seller)
    quote = await buyer.ask_quote(service.id, PAGES)
    return quote, await buyer.counter(quote, minor, note="I come often.")


@pytest.mark.parametrize(("asked", "agreed"), [(550_000, 550_000), (100_000, FLOOR)])
async def test_a_seller_goes_down_to_its_floor(sqlite_settings: Settings, asked: int, agreed: int):
    async with open_town(sqlite_settings) as town:
        seller = town.seller(reader(Tickets(6)))
        seller.bargain(down_to(80))
        buyer = await town.client("thrifty")
        quote, _ = await bargain(town, buyer, seller, asked)

        answered = await heard(buyer, "quote.answered")
        fresh = await buyer.quote(answered.body["quote_id"])
        offer = await buyer.read_offer(fresh)
        order = await buyer.place_order(fresh)
        await until(buyer, order.session_id, COMPLETED)
        settled = await buyer.accept(order.id)

        assert (quote.amount_minor, fresh.amount_minor, offer.amount_minor) == (
            PRICE,
            agreed,
            agreed,
        )
        assert settled.captured_minor == agreed
        with pytest.raises(BadSignature):
            await buyer.read_offer(quote)


async def test_nobody_bargains_a_seller_below_its_floor_step_by_step(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        seller = town.seller(reader(Tickets(6)))
        seller.bargain(down_to(80))
        buyer = await town.client("thrifty")
        await bargain(town, buyer, seller, 100_000)
        answered = await heard(buyer, "quote.answered")
        at_its_floor = await buyer.quote(answered.body["quote_id"])

        again = await buyer.counter(at_its_floor, FLOOR - 1)
        await heard(buyer, "quote.declined")

        assert at_its_floor.amount_minor == FLOOR
        assert (await buyer.counter_offer(again.id)).state == "declined"


async def test_a_seller_without_a_mind_to_bargain_declines(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        buyer = await town.client("thrifty")
        _, counter = await bargain(town, buyer, town.seller(reader(Tickets())), 550_000)

        declined = await heard(buyer, "quote.declined")

        assert declined.body["counter_id"] == counter.id
        assert (await buyer.counter_offer(counter.id)).state == "declined"


async def test_what_came_while_the_seller_was_away_is_answered_when_it_returns(
    sqlite_settings: Settings,
):
    async with open_town(sqlite_settings) as town:
        key = SigningKey.generate()
        away = town.seller(reader(Tickets()), key=key)
        async with serving(town, away) as service:
            buyer = await town.client("thrifty")
        quote = await buyer.ask_quote(service.id, PAGES)
        counter = await buyer.counter(quote, 550_000)

        back = town.seller(reader(Tickets()), key=key)
        back.bargain(down_to(80))
        await town.open(back)
        await heard(buyer, "quote.answered")

        [seen] = (await buyer.counters(state="answered")).items
        assert (seen.id, seen.slug) == (counter.id, "reader")


async def test_asking_more_than_the_signed_price_is_refused_to_the_seller(
    sqlite_settings: Settings,
):
    """S9: bait and switch."""
    async with open_town(sqlite_settings) as town:
        key = SigningKey.generate()
        async with serving(town, town.seller(reader(Tickets()), key=key)) as service:
            buyer = await town.client("thrifty")
        greedy = await town.client("reader", "seller", key=key)
        quote = await buyer.ask_quote(service.id, PAGES)
        counter = await buyer.counter(quote, 550_000)

        [seen] = (await greedy.counters(state="open")).items
        with pytest.raises(Refused) as refused:
            await greedy.answer_counter(seen, PRICE + 1)

        assert refused.value.code == "bait_and_switch"
        assert (await buyer.counter_offer(counter.id)).state == "refused"
        assert (await buyer.trust(service.id)).price_changes == 1


async def test_a_buyer_pays_for_what_came_while_the_rest_is_made(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        tickets = Tickets()
        service = await town.open(town.seller(reader(tickets)))
        buyer = await town.client("thrifty")
        order = await town.order(buyer, service)
        for count in range(1, 4):
            tickets.give()
            await until(buyer, order.session_id, of_kind("delivery.chunk"), count=count)

        two = await buyer.release(order.id, units=2)
        three = await buyer.release(order.id)
        tickets.give(3)
        await until(buyer, order.session_id, COMPLETED)
        settled = await buyer.accept(order.id)

        assert [view.captured_minor for view in (two, three, settled)] == [
            200_000,
            300_000,
            PRICE,
        ]
        assert settled.fee_minor == 9_000


METERED = """
manifest = 1
id = "talker"
summary = "Say things about a topic until all is said."
tags = ["talk"]
price = { per = "unit", amount = "0.01", currency = "XTS" }
measure = { unit = "sentence", counts = "delivered", at_most = 50 }
input = { type = "object", required = ["topic"] }
output = { type = "object", required = ["said"] }
"""


async def test_a_metered_seller_is_paid_for_what_it_said(sqlite_settings: Settings):
    async def talk(order: Order) -> AsyncIterator[dict[str, Any]]:
        for number in range(4):
            yield {"said": f"{number} on {order.input['topic']}"}

    async with open_town(sqlite_settings) as town:
        path = sqlite_settings.home / "talker.toml"
        path.write_text(METERED, "utf-8")
        seller = Seller(path, key=SigningKey.generate(), handle="talker")
        seller.handle(talk)
        service = await town.open(seller)
        buyer = await town.client("thrifty")

        quote = await buyer.ask_quote(service.id, {"topic": "rain"}, max_minor=100_000)
        order = await buyer.place_order(quote)
        await until(buyer, order.session_id, COMPLETED)
        settled = await buyer.accept(order.id)

        assert (quote.units, quote.terms.is_cap) == (10, True)
        assert (settled.units_delivered, settled.captured_minor) == (4, 40_000)
        assert settled.returned_minor == 60_000
