"""Services behind HTTP endpoints, called by the gateway: the good, the crashed and the hostile."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from buyer_agents import MarketClient
from market.base.settings import Settings
from market.protocol.events import Event
from market.protocol.signing import SigningKey
from market.protocol.wire import OrderView, ServiceView
from seller_services import breaking, check_call, gateway
from tests.endpoints import (
    CHUNKED,
    NDJSON,
    Answering,
    Call,
    Endpoint,
    headed,
    http_seller,
    line,
    pages,
    piece,
    reading_well,
    saying,
    whole,
)
from tests.town import PAGES, Town, of_kind, open_town, serving, until

CHUNK = of_kind("delivery.chunk")
COMPLETED = of_kind("delivery.completed")
FAILED = of_kind("order.failed")
GOOD = line(output={"page": "a"}, units=1)


@asynccontextmanager
async def street(settings: Settings, answering: Answering) -> AsyncIterator[tuple[Town, Endpoint]]:
    """A town in which endpoints on this machine are called, and one such endpoint."""
    async with (
        Endpoint(answering) as endpoint,
        open_town(settings.with_(loopback_endpoints=True)) as town,
    ):
        yield town, endpoint


async def delivered(market: MarketClient, order: OrderView) -> list[str]:
    events = await until(market, order.session_id, COMPLETED)
    return [event.body["output"]["page"] for event in events if CHUNK(event)]


async def told_failed(market: MarketClient, order: OrderView) -> str:
    """Wait until an order fails; everything is back, and its receipt says so. Return the reason."""
    events = await until(market, order.session_id, FAILED)
    failed = await market.order(order.id)
    assert (failed.state, failed.captured_minor) == ("failed", 0)
    assert failed.returned_minor == order.amount_minor
    assert failed.receipt_id is not None
    receipt = await market.receipt(failed.receipt_id)
    assert receipt.order_id == order.id
    return str(events[-1].body["reason"])


async def test_each_line_is_a_chunk_as_it_comes(sqlite_settings: Settings):
    turn = asyncio.Semaphore(0)

    async def by_turns(call: Call, writer: asyncio.StreamWriter) -> None:
        writer.write(headed(NDJSON, CHUNKED))
        for one in pages(call):
            await turn.acquire()
            # A line may come in pieces, and empty lines keep a connection alive.
            writer.write(piece(b"\n") + piece(one[:5]) + piece(one[5:]))
        writer.write(piece(b""))

    async with street(sqlite_settings, by_turns) as (town, endpoint):
        service = await town.open(http_seller(town.settings.home, endpoint.url))
        buyer = await town.client("thrifty")
        order = await town.order(buyer, service)

        for count in range(1, 7):
            turn.release()
            await until(buyer, order.session_id, CHUNK, count=count)

        assert await delivered(buyer, order) == PAGES["pages"]
        settled = await buyer.accept(order.id)
        assert (settled.units_delivered, settled.captured_minor) == (6, order.amount_minor)


async def test_a_call_is_signed_for_its_endpoint_and_says_no_more_than_it_must(
    sqlite_settings: Settings,
):
    """S15: neither the buyer nor its session, budget or mandate is told to an endpoint."""
    async with street(sqlite_settings, reading_well) as (town, endpoint):
        key = SigningKey.generate()
        service = await town.open(http_seller(town.settings.home, endpoint.url, key=key))
        buyer = await town.client("thrifty")
        order = await town.order(buyer, service)
        assert await delivered(buyer, order) == PAGES["pages"]

        (call,) = endpoint.calls
        claims = check_call(
            call.headers["market-signature"],
            call.body,
            key=key.public,
            endpoint=endpoint.url,
            now=buyer.now(),
        )

    assert (claims.order_id, claims.iss) == (order.id, key.kid)
    assert call.headers["idempotency-key"] == order.id
    assert call.headers["accept-encoding"] == "identity"
    assert call.tree == {
        "order_id": order.id,
        "input": PAGES,
        "units": 6,
        "deliver_by": order.deliver_by,
        "from_chunk": 0,
    }
    assert buyer.agent_id not in str(call)


async def test_what_was_said_before_the_work_begins_goes_with_the_call(sqlite_settings: Settings):
    async with street(sqlite_settings, reading_well) as (town, endpoint):
        key, buyer = SigningKey.generate(), await town.client("thrifty")
        seller = http_seller(town.settings.home, endpoint.url, key=key)
        async with serving(town, seller) as service:
            pass
        order = await town.order(buyer, service)
        await buyer.control(order.session_id, "steer", text="loudly")

        await town.open(seller)
        await delivered(buyer, order)

        assert [call.tree["steering"] for call in endpoint.calls] == [["loudly"]]


def cut_then(resumed: Answering) -> Answering:
    """Deliver two pages and then no more; the second time go on as ``resumed`` does."""

    async def answer(call: Call, writer: asyncio.StreamWriter) -> None:
        if call.tree["from_chunk"]:
            await resumed(call, writer)
            return
        writer.write(headed(NDJSON, CHUNKED) + b"".join(piece(one) for one in pages(call)[:2]))
        await writer.drain()
        await asyncio.Event().wait()

    return answer


async def going_on(call: Call, writer: asyncio.StreamWriter) -> None:
    start = int(call.headers["from-chunk"])
    writer.write(whole(b"".join(pages(call, start)), NDJSON, f"From-Chunk: {start}"))


async def from_the_middle(call: Call, writer: asyncio.StreamWriter) -> None:
    writer.write(whole(b"".join(pages(call, 1)), NDJSON, "From-Chunk: 1"))


async def otherwise(call: Call, writer: asyncio.StreamWriter) -> None:
    body = b"".join(pages(call)).replace(b'"a"', b'"A"')
    writer.write(whole(body, NDJSON))


async def crashed(town: Town, endpoint: Endpoint) -> tuple[MarketClient, OrderView]:
    """An order whose gateway was cut off after two chunks, and serves again."""
    key, buyer = SigningKey.generate(), await town.client("thrifty")
    async with serving(town, http_seller(town.settings.home, endpoint.url, key=key)) as service:
        order = await town.order(buyer, service)
        await until(buyer, order.session_id, CHUNK, count=2)
    await town.open(http_seller(town.settings.home, endpoint.url, key=key))
    return buyer, order


@pytest.mark.parametrize("resumed", [going_on, from_the_middle, reading_well])
async def test_a_gateway_that_was_cut_off_goes_on_behind_the_last_chunk(
    sqlite_settings: Settings, resumed: Answering
):
    """M21: under the same key; what the market has stands once, wherever the endpoint begins."""
    async with street(sqlite_settings, cut_then(resumed)) as (town, endpoint):
        buyer, order = await crashed(town, endpoint)

        assert await delivered(buyer, order) == PAGES["pages"]
        assert [call.headers["idempotency-key"] for call in endpoint.calls] == [order.id] * 2
        assert endpoint.calls[1].headers["from-chunk"] == "2"
        assert (await buyer.accept(order.id)).captured_minor == order.amount_minor


async def test_an_endpoint_that_does_not_repeat_itself_fails_the_order(sqlite_settings: Settings):
    """M21: what is repeated must be equal."""
    async with street(sqlite_settings, cut_then(otherwise)) as (town, endpoint):
        buyer, order = await crashed(town, endpoint)

        assert "does not repeat" in await told_failed(buyer, order)


async def silence(_: Call, writer: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


def dripping(start: bytes, drop: bytes) -> Answering:
    """Send a little every now and then, and never come to an end."""

    async def drip(_: Call, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(0.05)

    return drip


def stopping(start: bytes) -> Answering:
    async def stop(_: Call, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        await writer.drain()
        await asyncio.Event().wait()

    return stop


async def endless(_: Call, writer: asyncio.StreamWriter) -> None:
    writer.write(headed(NDJSON, CHUNKED))
    while True:
        writer.write(piece(b" \n" * 32_768))
        await writer.drain()


async def of_another_order(call: Call, writer: asyncio.StreamWriter) -> None:
    other = "ord_01h455vb4pex5vsknk084sn02q"
    writer.write(whole(line(output={"page": "a"}, order_id=other), NDJSON))


def told(*lines: bytes) -> Answering:
    return saying(whole(b"".join(lines), NDJSON))


DEEP = b'{"output": {"page": "a", "deep": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}\n"
HOSTILE: dict[str, tuple[Answering, str]] = {
    "S5 silence": (silence, "in time"),
    "S5 slow header": (dripping(b"HTTP/1.1 200 OK\r\n", b"x: y\r\n"), "in time"),
    "S5 body that stops": (stopping(headed(NDJSON, CHUNKED) + piece(GOOD)), "in time"),
    "S3 redirect": (saying(whole(b"", "Location: http://127.0.0.1/", status="302 Found")), "302"),
    "S6 endless": (endless, "longer than"),
    "S6 endless lines": (told(*[GOOD.replace(b"1}", b"0}")] * 9), "more than 8 chunks"),
    "S6 gzip": (
        saying(whole(gzip.compress(b"\0" * 10**7), NDJSON, "Content-Encoding: gzip")),
        "compressed",
    ),
    "S7 long line": (told(b'{"output": {"page": "' + b"x" * 10_000_000 + b'"}}\n'), "a line is"),
    "S7 bad text": (told(b'{"output": {"page": "\xff\xfe"}}\n'), "not as agreed"),
    "S7 deep": (told(DEEP), "not as agreed"),
    "S7 deep but short": (
        told(b'{"output": {"page": "a", "x": ' + b"[" * 40 + b"]" * 40 + b"}}\n"),
        "no JSON form",
    ),
    "S7 NaN": (told(b'{"output": {"page": "a", "x": NaN}}\n'), "not as agreed"),
    "S7 huge number": (told(b'{"output": {"page": "a", "x": 1e999}}\n'), ""),
    "S7 half a letter": (told(b'{"output": {"page": "\\ud800"}}\n'), ""),
    "S7 no object": (told(b"[1]\n"), "not as agreed"),
    "S7 more members": (told(b'{"output": {"page": "a"}, "pay": 9}\n'), "not as agreed"),
    "S7 units below zero": (told(b'{"output": {"page": "a"}, "units": -1}\n'), "not as agreed"),
    "S7 neither": (told(b"{}\n"), "neither output nor error"),
    "S7 nothing": (told(), "nothing to deliver"),
    "S7 page of a proxy": (saying(whole(b"<html>", "Content-Type: text/html")), "ndjson"),
    "S7 another protocol": (saying(b"SSH-2.0-OpenSSH\r\n"), "HTTP"),
    "S7 broken": (saying(whole(b"", status="500 Oh")), "500"),
    "S7 refused": (saying(whole(b"", status="422 No")), "refuses the order"),
    "S7 given up": (told(line(error="no\u202e ink\n left")), "gives the order up: no ink left"),
    "S7 early close": (saying(headed(NDJSON, CHUNKED) + piece(GOOD)), "HTTP"),
    "S7 cut line": (told(GOOD[:-1]), "no end"),
    "S7 end unsaid": (saying(headed(NDJSON) + GOOD * 6), "where it ends"),
    "S10 chunk twice": (
        told(line(output={"page": "a"}, chunk=0), line(output={"page": "a"}, chunk=0)),
        "chunk 0 comes where chunk 1",
    ),
    "S10 another's chunk": (of_another_order, "another order"),
    "S10 not its schema": (told(line(output={"page": 7}, units=6)), "the market refused"),
    "S10 more units": (told(line(output={"page": "a"}, units=7)), "more than the 6 units"),
    "S10 ahead": (saying(whole(GOOD, NDJSON, "From-Chunk: 3")), "begins with chunk 3"),
    "S10 odd place": (saying(whole(GOOD, NDJSON, "From-Chunk: -1")), "no number"),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_endpoint_fails_its_order_and_nothing_else(
    sqlite_settings: Settings, name: str, monkeypatch: pytest.MonkeyPatch
):
    """S3, S5, S6, S7, S10: failed, voided, with a receipt; the gateway serves the next order."""
    answering, words = HOSTILE[name]
    if name.startswith("S5"):
        monkeypatch.setattr(gateway, "WAIT_SECONDS", 1.0)
    async with street(sqlite_settings, answering) as (town, endpoint):
        service = await town.open(http_seller(town.settings.home, endpoint.url))
        buyer = await town.client("thrifty")

        reason = await told_failed(buyer, await town.order(buyer, service))
        assert words in reason
        assert endpoint.connections == 1, "nothing is tried again by itself"

        endpoint.answering = reading_well
        assert await delivered(buyer, await town.order(buyer, service)) == PAGES["pages"]


async def test_a_body_that_drips_ends_with_the_orders_deadline(sqlite_settings: Settings):
    """S5: whoever is never silent for long has the order's time, and no more."""
    drips = dripping(headed(NDJSON, CHUNKED), piece(b"\n"))
    async with street(sqlite_settings, drips) as (town, endpoint):
        seller = http_seller(town.settings.home, endpoint.url)
        limits = seller._tree["limits"]
        limits["deliver_seconds"] = 1
        service = await town.open(seller)
        buyer = await town.client("thrifty")

        await told_failed(buyer, await town.order(buyer, service))

        endpoint.answering = reading_well
        assert await delivered(buyer, await town.order(buyer, service)) == PAGES["pages"]


async def test_a_cancelled_order_hangs_up_on_its_endpoint(sqlite_settings: Settings):
    hung_up = asyncio.Event()

    async def stays(call: Call, writer: asyncio.StreamWriter) -> None:
        writer.write(headed(NDJSON, CHUNKED) + piece(pages(call)[0]))
        await writer.drain()
        while not writer.is_closing():
            writer.write(piece(b"\n"))
            await asyncio.sleep(0.02)
        hung_up.set()

    async with street(sqlite_settings, stays) as (town, endpoint):
        service = await town.open(http_seller(town.settings.home, endpoint.url))
        buyer = await town.client("thrifty")
        order = await town.order(buyer, service)
        await until(buyer, order.session_id, CHUNK)

        await buyer.control(order.session_id, "cancel")

        await hung_up.wait()
        assert (await buyer.order(order.id)).captured_minor == order.amount_minor // 6


async def orders_failed(
    town: Town, buyer: MarketClient, service: ServiceView, count: int
) -> list[str]:
    return [await told_failed(buyer, await town.order(buyer, service)) for _ in range(count)]


async def test_an_endpoint_that_keeps_failing_is_left_alone(sqlite_settings: Settings):
    """S18: five failures, then no connection; each order fails at once, with the reason."""
    async with street(sqlite_settings, saying(whole(b"", status="503 No"))) as (town, endpoint):
        service = await town.open(http_seller(town.settings.home, endpoint.url, concurrency=1))
        buyer = await town.client("thrifty")

        reasons = await orders_failed(town, buyer, service, breaking.FAILURES + 3)

        assert endpoint.connections == breaking.FAILURES
        assert all("503" in reason for reason in reasons[: breaking.FAILURES])
        assert all("ask again later" in reason for reason in reasons[breaking.FAILURES :])


async def test_one_failing_seller_stalls_no_other(sqlite_settings: Settings):
    """S18: while one endpoint keeps all its orders waiting, another seller's are delivered."""
    async with street(sqlite_settings, silence) as (town, stuck), Endpoint(reading_well) as good:
        folder = town.settings.home
        slow = await town.open(http_seller(folder, stuck.url, slug="slow"))
        fast = await town.open(http_seller(folder, good.url, slug="fast"))
        buyer = await town.client("thrifty")
        waiting = [await town.order(buyer, slow) for _ in range(4)]

        for _ in range(3):
            assert await delivered(buyer, await town.order(buyer, fast)) == PAGES["pages"]

        assert stuck.connections <= 2, "no more at once than the manifest promises"
        states = [(await buyer.order(order.id)).state for order in waiting]
        assert set(states) <= {"placed", "started"}


async def test_what_is_delivered_is_stored_before_it_counts(sqlite_settings: Settings):
    """M21, M22: nothing is captured beyond what the market has, and nothing is shown unpaid."""
    async with street(sqlite_settings, stopping(headed(NDJSON, CHUNKED) + piece(GOOD) * 2)) as (
        town,
        endpoint,
    ):
        service = await town.open(http_seller(town.settings.home, endpoint.url))
        buyer = await town.client("thrifty")
        order = await town.order(buyer, service)
        events = await until(buyer, order.session_id, CHUNK, count=2)

        await buyer.control(order.session_id, "cancel")
        cancelled = await buyer.order(order.id)

    assert cancelled.units_delivered == 2
    assert cancelled.captured_minor == order.amount_minor * 2 // 6
    kinds = [event.kind for event in events if isinstance(event, Event)]
    assert kinds.index("order.placed") < kinds.index("delivery.chunk"), "held, then shown"
