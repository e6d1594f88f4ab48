"""Market, seller, buyer and connections are ended at random moments; everything resumes by itself.

``RECOVERY_SEEDS`` sets how many bad networks a journey is walked over (2 by default).
"""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import httpx
import msgspec
import pytest
import stamina

from buyer_agents import (
    MarketClient,
    Producer,
    Refused,
    Shopper,
    follow_session,
    open_http,
    policy_named,
)
from market.base.settings import Settings
from market.protocol.events import Event
from market.protocol.signing import SigningKey
from market.protocol.wire import FoundView, WriteEvent
from tests.e2e.proofs import assert_whole, log_of
from tests.factories import PAGES as REQUEST
from tests.factories import manifest
from tests.faults import Cut, Delay, Double, HalfOpen, Hold, LoseAnswer, Refuse, faults
from tests.processes import MarketProcess, Process
from tests.readers import Read, read_on, read_polls, read_socket, read_sse
from tests.town import Tickets, need, open_town, reader

HERE = Path(__file__).parent
SEEDS = int(os.environ.get("RECOVERY_SEEDS", "2"))
LIMIT_SECONDS = 90.0
PAGES = 40
PACE = "0.04"
"""Seconds that the seller takes for a page: enough to be killed in the middle of an order."""
NOTES = 150
KILLS = 2

Found = TypeVar("Found")


class NotThere(Exception):
    """It has not happened yet."""


async def soon(fetch: Callable[[], Awaitable[Found | None]]) -> Found:
    """Ask until there is an answer."""
    async for attempt in stamina.retry_context(on=NotThere, attempts=None, timeout=LIMIT_SECONDS):
        with attempt:
            found = await fetch()
            if found is None:
                raise NotThere
            return found
    raise AssertionError("the loop above returns or raises")


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    """The buyer's key; its file is ``buyer.key``."""
    made = SigningKey.generate()
    made.save(tmp_path / "buyer.key")
    return made


@pytest.fixture
def people(
    market_process: MarketProcess, tmp_path: Path, key: SigningKey
) -> Iterator[list[Process]]:
    """A seller at work, and a buyer that is still to be started, as processes."""
    program = [sys.executable, "-m"]
    keys = [str(tmp_path / "rows.key"), str(tmp_path / "buyer.key")]
    url = market_process.url
    selling = [*program, "tests.e2e.page_seller", str(HERE / "pages.toml"), keys[0], url, PACE]
    buying = [*program, "tests.e2e.page_buyer", keys[1], url, str(PAGES)]
    buyer = Process(buying, log=tmp_path / "buyer.log")
    with Process(selling, log=tmp_path / "seller.log") as seller:
        yield [seller, buyer]
        buyer.kill()


async def test_market_seller_and_buyer_are_killed_together_twice_and_finish_by_themselves(
    market_process: MarketProcess, people: list[Process], key: SigningKey
):
    seller, buyer = people
    kills = {Random(5).randrange(3, 15), Random(6).randrange(18, 36)}
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        MarketClient(market_process.url, key, patience_seconds=LIMIT_SECONDS) as device,
    ):
        await device.register("thrifty", "buyer")
        await soon(lambda: a_listing(device))
        buyer.start()
        session_id = await soon(lambda: a_session(device))
        async with aclosing(follow_session(device, session_id)) as log:
            async for entry in log:
                if isinstance(entry, Event) and entry.body.get("index") in kills:
                    kills.remove(entry.body["index"])
                    for process in (buyer, seller, market_process):
                        process.kill()
                    await asyncio.to_thread(market_process.start)
                    for process in people:
                        process.start()

        assert kills == set()
        assert await asyncio.to_thread(buyer.running.wait, LIMIT_SECONDS) == 0, buyer.said
        journey = msgspec.json.decode(buyer.said.splitlines()[-1])
        assert (journey["outcome"], journey["stage"]) == ("advance", "recommending")
        assert journey["session_id"] == session_id
        assert len(journey["outputs"]) == PAGES
        events = await log_of(device, session_id)
        chunks = [event.body["index"] for event in events if event.kind == "delivery.chunk"]
        assert chunks == list(range(PAGES))
        assert [event.kind for event in events].count("order.settled") == 1
        assert len((await device.sessions()).items) == 1
    assert_whole(market_process)


async def a_listing(market: MarketClient) -> FoundView | None:
    found = (await market.services(q="page rows")).items
    return found[0] if found else None


async def a_session(device: MarketClient) -> str | None:
    found = (await device.sessions()).items
    return found[0].id if found else None


async def test_readers_by_three_transports_have_the_same_bytes_after_kills_of_the_market(
    market_process: MarketProcess,
):
    chance = Random(71)
    reads: list[Read] = [read_sse, read_socket, read_polls]
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        MarketClient(
            market_process.url, SigningKey.generate(), patience_seconds=LIMIT_SECONDS
        ) as buyer,
    ):
        await buyer.register("thrifty", "buyer")
        session_id = (await buyer.open_session("notes")).id
        bearer = await buyer.authorization()
        readings = [
            asyncio.create_task(read_on(read, market_process.url, session_id, bearer))
            for read in reads
        ]
        killing = asyncio.create_task(kill_at_times(market_process, chance))
        sequence = 0
        while not killing.done() or sequence < NOTES:
            text = f"{sequence} " + "é" * chance.randint(0, 400)
            note = WriteEvent(kind="note.written", body={"text": text})
            producer = Producer("notes", 0, sequence)
            await buyer.write_events(session_id, [note], producer=producer)
            sequence += 1
        await buyer.close_session(session_id)
        whole, *others = await asyncio.gather(*readings)

        assert all(copy.events == whole.events for copy in others)
        assert all(copy.openings > KILLS for copy in (whole, *others))
        texts = [event.body.get("text", "") for event in await log_of(buyer, session_id)]
        assert [text.split(" ")[0] for text in texts[1:-1]] == [str(n) for n in range(sequence)]
    assert_whole(market_process)


async def kill_at_times(process: MarketProcess, chance: Random) -> None:
    for _ in range(KILLS):
        await asyncio.sleep(chance.uniform(0.05, 0.3))
        await asyncio.to_thread(process.restart)


async def test_a_deadline_that_passed_while_the_market_was_dead_is_kept_when_it_is_back(
    market_process: MarketProcess,
):
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        MarketClient(
            market_process.url, SigningKey.generate(), patience_seconds=LIMIT_SECONDS
        ) as seller,
        MarketClient(
            market_process.url, SigningKey.generate(), patience_seconds=LIMIT_SECONDS
        ) as buyer,
    ):
        await seller.register("acme", "seller")
        service = await seller.publish(manifest(limits={"deliver_seconds": 1}))
        await buyer.register("thrifty", "buyer")
        [before] = (await buyer.wallet()).balances
        order = await buyer.place_order(await buyer.ask_quote(service.id, REQUEST))
        market_process.restart()

        async with aclosing(follow_session(buyer, order.session_id)) as log:
            async for entry in log:
                if isinstance(entry, Event) and entry.kind == "order.failed":
                    break
        [after] = (await buyer.wallet()).balances

        assert after == before
    assert_whole(market_process)


@pytest.mark.parametrize("seed", range(SEEDS))
async def test_a_journey_over_a_bad_network_is_a_journey(sqlite_settings: Settings, seed: int):
    async with (
        open_town(sqlite_settings) as town,
        faults(town.url, *bad_weather(), seed=seed) as buyers_line,
        faults(town.url, *bad_weather(), seed=seed + 1_000) as sellers_line,
    ):
        await town.open(town.seller(reader(Tickets(6))), url=sellers_line.url)
        buyer = await town.client("thrifty", url=buyers_line.url)

        journey = await Shopper(buyer, policy_named("best-value")).run(need())

        assert journey.outcome == "advance", journey.detail
        assert [output["page"] for output in journey.outputs] == list("abcdef")
        kinds = [event.kind for event in await log_of(buyer, journey.session_id)]
        once = ["evaluating.quoted", "order.placed", "order.settled", "review.posted"]
        assert [kinds.count(kind) for kind in once] == [1] * len(once)
        assert kinds.count("delivery.chunk") == 6
        assert kinds.count("decision.made") == 6


def bad_weather() -> list[Any]:
    """Every connection may be cut anywhere, requests come late and twice, the door is shut."""
    return [
        Cut(at=(1, 900), share=0.2, times=8),
        Cut(at=(1, 600), toward="server", share=0.2, times=4),
        Delay(milliseconds=(1, 30), share=0.3, times=6),
        Double("^POST", share=0.3, times=6),
        LoseAnswer("^POST", share=0.3, times=4),
        Refuse("^POST", milliseconds=(20, 80), spare=4),
    ]


async def test_requests_that_arrive_out_of_order_land_in_the_order_of_their_producer(
    sqlite_settings: Settings,
):
    first_comes_late = Hold("/events$", until="/events$")
    async with open_town(sqlite_settings) as town, faults(town.url, first_comes_late) as network:
        buyer = await town.client("thrifty", url=network.url)
        session_id = (await buyer.open_session("notes")).id

        late = asyncio.create_task(write(buyer, session_id, 0))
        await first_comes_late.happens.wait()
        with pytest.raises(Refused) as refused:
            await write(buyer, session_id, 1)
        await late
        await write(buyer, session_id, 1)

        assert refused.value.code == "producer_gap"
        assert await texts_of(buyer, session_id) == ["note 0", "note 1"]


async def test_a_late_copy_of_a_request_lands_nowhere(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town, faults(town.url) as network:
        buyer = await town.client("thrifty", url=network.url)
        session_id = (await buyer.open_session("notes")).id
        for sequence in range(3):
            await write(buyer, session_id, sequence)

        for exchange in list(network.exchanges):
            await network.send_apart(exchange.request)

        assert await texts_of(buyer, session_id) == ["note 0", "note 1", "note 2"]
        assert len((await buyer.sessions()).items) == 1


async def write(buyer: MarketClient, session_id: str, sequence: int) -> None:
    """Write a note as the producer of all notes."""
    note = WriteEvent(kind="note.written", body={"text": f"note {sequence}"})
    await buyer.write_events(session_id, [note], producer=Producer("notes", 0, sequence))


async def texts_of(buyer: MarketClient, session_id: str) -> list[str]:
    events = await log_of(buyer, session_id)
    return [event.body["text"] for event in events if event.kind == "note.written"]


async def test_a_half_open_connection_is_left_and_the_reader_goes_on(sqlite_settings: Settings):
    deaf = HalfOpen("/stream", at=2_000, times=2)
    async with open_town(sqlite_settings) as town, faults(town.url, deaf) as network:
        key = SigningKey.generate()
        buyer = await town.client("thrifty", key=key)
        session_id = (await buyer.open_session("notes")).id
        for sequence in range(30):
            await write(buyer, session_id, sequence)
        await buyer.close_session(session_id)

        async with (
            MarketClient(network.url, key, http=soon_impatient) as device,
            aclosing(follow_session(device, session_id)) as log,
        ):
            read = [entry.offset async for entry in log]

        assert read == list(range(32))
        assert deaf.fired == 2


def soon_impatient(url: str) -> httpx.AsyncClient:
    """A client that calls a silence of a moment dead."""
    http = open_http(url)
    http.timeout = httpx.Timeout(0.3)
    return http
