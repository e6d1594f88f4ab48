"""The seller SDK at a live market: streaming, control, crashes, limits."""

import traceback
from collections.abc import AsyncIterator, Iterator
from typing import Any, cast

import anyio
import pytest
from structlog.testing import capture_logs

from buyer_agents import MarketClient
from market.base.settings import Settings
from market.protocol.chain import verify_chain
from market.protocol.events import Event
from market.protocol.signing import SigningKey
from market.protocol.wire import OrderView
from seller_services import Chunk, Order
from tests.town import PAGES, Tickets, of_kind, open_town, reader, serving, until

CHUNK = of_kind("delivery.chunk")
COMPLETED = of_kind("delivery.completed")


async def pages_of(market: MarketClient, order: OrderView) -> list[str]:
    """The delivered pages in order; also that the log holds, and each chunk stands in it once."""
    entries = (await market.events(order.session_id)).items
    verify_chain(entries)
    chunks = [entry for entry in entries if isinstance(entry, Event) and CHUNK(entry)]
    assert [chunk.body["index"] for chunk in chunks] == list(range(len(chunks)))
    return [chunk.body["output"]["page"] for chunk in chunks]


async def delivered(market: MarketClient, order: OrderView) -> list[str]:
    """Wait for the whole delivery and return its pages."""
    await until(market, order.session_id, COMPLETED)
    return await pages_of(market, order)


async def test_an_order_is_delivered_chunk_by_chunk_as_the_handler_yields(
    sqlite_settings: Settings,
):
    async with open_town(sqlite_settings) as town:
        tickets = Tickets()
        service = await town.open(town.seller(reader(tickets)))
        buyer = await town.client("thrifty")
        order = await town.order(buyer, service)

        for count in range(1, 7):
            tickets.give()
            await until(buyer, order.session_id, CHUNK, count=count)

        assert await delivered(buyer, order) == PAGES["pages"]
        settled = await buyer.accept(order.id)
        assert (settled.units_delivered, settled.captured_minor) == (6, order.amount_minor)


async def test_a_plain_generator_runs_beside_the_loop_and_shares_its_units(
    sqlite_settings: Settings,
):
    def spell(order: Order) -> Iterator[dict[str, Any]]:
        for page in order.input["pages"][:3]:
            yield {"page": page}

    async with open_town(sqlite_settings) as town:
        service = await town.open(town.seller(spell))
        buyer = await town.client("thrifty")
        order = await town.order(buyer, service)

        events = await until(buyer, order.session_id, COMPLETED)

        units = [event.body["units"] for event in events if CHUNK(event)]
        assert units == [1, 1, 4]


async def test_orders_placed_before_the_seller_came_are_taken(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        key = SigningKey.generate()
        async with serving(town, town.seller(reader(Tickets()), key=key)) as service:
            buyer = await town.client("thrifty")
        early = [await town.order(buyer, service) for _ in range(3)]

        await town.open(town.seller(reader(Tickets(18)), key=key))

        for order in early:
            assert await delivered(buyer, order) == PAGES["pages"]


@pytest.mark.parametrize("cut_after", [0, 1, 3, 6])
async def test_a_seller_that_was_cut_off_goes_on_behind_the_last_chunk(
    sqlite_settings: Settings, cut_after: int
):
    async with open_town(sqlite_settings) as town:
        key, buyer = SigningKey.generate(), await town.client("thrifty")
        first = town.seller(reader(Tickets(cut_after)), key=key)
        if cut_after == 6:
            first.handle(waiting_at_the_end)
        async with serving(town, first) as service:
            order = await town.order(buyer, service)
            seen = CHUNK if cut_after else of_kind("order.started")
            await until(buyer, order.session_id, seen, count=max(cut_after, 1))

        await town.open(town.seller(reader(Tickets(6)), key=key))

        assert await delivered(buyer, order) == PAGES["pages"]
        assert (await buyer.accept(order.id)).captured_minor == order.amount_minor


async def waiting_at_the_end(order: Order) -> AsyncIterator[Chunk]:
    """Read all pages, and never finish."""
    for page in order.input["pages"]:
        yield Chunk({"page": page}, units=1)
    await anyio.sleep_forever()


async def test_a_handler_that_does_not_repeat_itself_fails_the_order(sqlite_settings: Settings):
    async def otherwise(order: Order) -> AsyncIterator[Chunk]:
        for page in order.input["pages"]:
            yield Chunk({"page": page.upper()}, units=1)

    async with open_town(sqlite_settings) as town:
        key, buyer = SigningKey.generate(), await town.client("thrifty")
        async with serving(town, town.seller(reader(Tickets(2)), key=key)) as service:
            order = await town.order(buyer, service)
            await until(buyer, order.session_id, CHUNK, count=2)

        await town.open(town.seller(otherwise, key=key))

        await until(buyer, order.session_id, of_kind("order.failed"))
        failed = await buyer.order(order.id)
        assert failed.returned_minor == order.amount_minor


async def test_a_paused_seller_sends_nothing_until_it_is_resumed(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        tickets = Tickets(2)
        service = await town.open(town.seller(reader(tickets)))
        buyer = await town.client("thrifty")
        order = await town.order(buyer, service)
        await until(buyer, order.session_id, CHUNK, count=2)

        await buyer.control(order.session_id, "pause")
        tickets.give(4)
        await buyer.control(order.session_id, "resume")
        events = await until(buyer, order.session_id, COMPLETED)

        kinds = [event.kind for event in events]
        paused, resumed = (
            next(
                n for n, event in enumerate(events) if of_kind("control.answered", action=a)(event)
            )
            for a in ("pause", "resume")
        )
        assert "delivery.chunk" not in kinds[paused:resumed]
        assert kinds.count("delivery.chunk") == 6
        assert await pages_of(buyer, order) == PAGES["pages"]


async def test_a_pause_survives_a_restart_of_the_seller(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        key, buyer = SigningKey.generate(), await town.client("thrifty")
        async with serving(town, town.seller(reader(Tickets(2)), key=key)) as service:
            order = await town.order(buyer, service)
            await until(buyer, order.session_id, CHUNK, count=2)
            await buyer.control(order.session_id, "pause")

        await town.open(town.seller(reader(Tickets(6)), key=key))
        await buyer.control(order.session_id, "resume")

        assert await delivered(buyer, order) == PAGES["pages"]


async def test_a_cancelled_seller_stops_and_is_paid_for_what_it_sent(sqlite_settings: Settings):
    stopped = anyio.Event()

    async def read(order: Order) -> AsyncIterator[Chunk]:
        try:
            for page in order.input["pages"][:2]:
                yield Chunk({"page": page}, units=1)
            await anyio.sleep_forever()
        finally:
            stopped.set()

    async with open_town(sqlite_settings) as town:
        service = await town.open(town.seller(read))
        buyer = await town.client("thrifty")
        order = await town.order(buyer, service)
        await until(buyer, order.session_id, CHUNK, count=2)

        await buyer.control(order.session_id, "cancel")
        await stopped.wait()

        cancelled = await buyer.order(order.id)
        assert cancelled.state == "cancelled"
        assert cancelled.captured_minor == order.amount_minor * 2 // 6


async def test_steering_reaches_the_handler_and_is_answered_before_its_chunk(
    sqlite_settings: Settings,
):
    async with open_town(sqlite_settings) as town:
        tickets = Tickets(2)
        service = await town.open(town.seller(reader(tickets)))
        buyer = await town.client("thrifty")
        order = await town.order(buyer, service)
        await until(buyer, order.session_id, CHUNK, count=2)

        await buyer.control(order.session_id, "steer", text="loud ")
        tickets.give(4)
        events = await until(buyer, order.session_id, COMPLETED)

        pages = await pages_of(buyer, order)
        assert pages[:2] == ["a", "b"]
        assert pages[-1] == "loud f"
        answers = [event for event in events if of_kind("control.answered")(event)]
        first_loud = pages.index(next(page for page in pages if page.startswith("loud")))
        chunks = [event.offset for event in events if CHUNK(event)]
        assert [answer.body["answer"] for answer in answers] == ["consumed"]
        assert chunks[first_loud - 1] < answers[0].offset < chunks[first_loud]


async def test_steering_is_repeated_at_its_place_after_a_restart(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        key, buyer, tickets = SigningKey.generate(), await town.client("thrifty"), Tickets(2)
        async with serving(town, town.seller(reader(tickets), key=key)) as service:
            order = await town.order(buyer, service)
            await until(buyer, order.session_id, CHUNK, count=2)
            await buyer.control(order.session_id, "steer", text="loud ")
            tickets.give(2)
            await until(buyer, order.session_id, CHUNK, count=4)
        before = await pages_of(buyer, order)

        await town.open(town.seller(reader(Tickets(6)), key=key))

        pages = await delivered(buyer, order)
        assert pages[:4] == before
        assert pages[4:] == ["loud e", "loud f"]


async def test_steering_that_came_before_the_seller_waits_for_it(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        key, buyer = SigningKey.generate(), await town.client("thrifty")
        async with serving(town, town.seller(reader(Tickets()), key=key)) as service:
            pass
        order = await town.order(buyer, service)
        await buyer.control(order.session_id, "steer", text="soft ")

        await town.open(town.seller(reader(Tickets(6)), key=key))

        assert await delivered(buyer, order) == [f"soft {page}" for page in PAGES["pages"]]


async def test_as_many_orders_run_at_once_as_the_manifest_says(sqlite_settings: Settings):
    running, most = 0, 0
    tickets = Tickets()

    async def read(order: Order) -> AsyncIterator[Chunk]:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await tickets.take()
        running -= 1
        yield Chunk({"page": "a"}, units=6)

    async with open_town(sqlite_settings) as town:
        service = await town.open(town.seller(read))
        buyer = await town.client("thrifty")
        orders = [await town.order(buyer, service) for _ in range(5)]
        for order in orders[:2]:
            await until(buyer, order.session_id, of_kind("order.started"))

        tickets.give(5)
        for order in orders:
            await until(buyer, order.session_id, COMPLETED)

        assert most == 2


async def test_two_services_of_one_key_each_take_their_own_orders(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        key, buyer = SigningKey.generate(), await town.client("thrifty")
        plain = town.seller(reader(Tickets(100)), slug="plain", key=key, handle="acme")
        fancy = town.seller(fancily, slug="fancy", key=key, handle="acme")
        services = [await town.open(plain), await town.open(fancy)]

        orders = [await town.order(buyer, service) for service in services]

        assert (await delivered(buyer, orders[0]))[0] == "a"
        assert (await delivered(buyer, orders[1]))[0] == "*a*"


async def fancily(order: Order) -> AsyncIterator[Chunk]:
    for page in order.input["pages"]:
        yield Chunk({"page": f"*{page}*"}, units=1)


async def yields_a_list(order: Order) -> AsyncIterator[Any]:
    yield ["a"]


async def yields_nothing(order: Order) -> AsyncIterator[Chunk]:
    for page in ():
        yield page


async def yields_another_form(order: Order) -> AsyncIterator[Any]:
    yield {"page": 7}


async def yields_what_is_no_json(order: Order) -> AsyncIterator[Any]:
    yield Chunk({"page": "a", "share": float("nan")}, units=6)


async def yields_too_much(order: Order) -> AsyncIterator[Chunk]:
    yield Chunk({"page": "a"}, units=7)


@pytest.mark.parametrize(
    ("handler", "told"),
    [
        (yields_a_list, "yields a list"),
        (yields_nothing, "nothing to deliver"),
        (yields_another_form, "the market refused the delivery: page: it is not of type"),
        (yields_what_is_no_json, "no JSON form"),
        (yields_too_much, "more than the 6 units"),
    ],
)
async def test_an_order_that_cannot_be_delivered_fails_with_a_reason(
    sqlite_settings: Settings, handler: Any, told: str
):
    async with open_town(sqlite_settings) as town:
        service = await town.open(town.seller(handler))
        buyer = await town.client("thrifty")
        order = await town.order(buyer, service)

        events = await until(buyer, order.session_id, of_kind("order.failed"))

        assert told in events[-1].body["reason"]
        assert (await buyer.order(order.id)).returned_minor == order.amount_minor


SECRET = "the number of my card"


async def breaks(order: Order) -> AsyncIterator[Chunk]:
    yield Chunk({"page": "a"}, units=1)
    raise KeyError(SECRET)


async def takes_no_order() -> AsyncIterator[Chunk]:
    yield Chunk({"page": "a"}, units=6)


async def counts_in_words(order: Order) -> AsyncIterator[Any]:
    yield Chunk({"page": "a"}, units=cast("Any", "six"))


@pytest.mark.parametrize(
    ("handler", "told", "logged"),
    [
        (breaks, "the handler failed with KeyError", SECRET),
        (takes_no_order, "the handler failed with TypeError", "takes_no_order() takes 0"),
        (counts_in_words, "the handler yields a Chunk with a str for its units", ""),
    ],
)
async def test_a_handler_that_breaks_is_told_whole_to_its_seller_and_by_type_to_its_buyer(
    sqlite_settings: Settings, handler: Any, told: str, logged: str
):
    with capture_logs() as logs:
        async with open_town(sqlite_settings) as town:
            service = await town.open(town.seller(handler))
            buyer = await town.client("thrifty")
            orders = [await town.order(buyer, service) for _ in range(2)]

            # The seller is still there for the second.
            for order in orders:
                events = await until(buyer, order.session_id, of_kind("order.failed"))
                assert events[-1].body["reason"] == told
                assert SECRET not in str([event.body for event in events])

    failed = [line for line in logs if line["event"] == "handler.failed"]
    assert {line["order_id"] for line in failed} == {order.id for order in orders}
    for line in failed:
        assert line["log_level"] == "error"
        assert told in line["detail"]
        assert logged in line["detail"]
        if logged:
            raised = "".join(traceback.format_exception(line["exc_info"]))
            assert logged in raised
            assert __file__ in raised or "takes 0" in raised
            assert ".py:" in line["detail"]
