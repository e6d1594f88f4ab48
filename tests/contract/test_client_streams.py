"""Following a log by the client library: cut at any byte, nothing is lost or repeated."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest

from buyer_agents import (
    BadAnswer,
    MarketClient,
    MarketUnreachable,
    Refused,
    follow_inbox,
    follow_session,
    follow_socket,
)
from buyer_agents.connection import Connection
from market.app import running
from market.protocol.chain import BrokenChain, Entry
from market.protocol.signing import SigningKey
from market.protocol.wire import WriteEvent
from tests.contract.conftest import Market
from tests.factories import PAGES, manifest
from tests.faults import Cut, faults
from tests.processes import free_port

LIMIT_SECONDS = 20.0
FOLLOWERS = [follow_session, follow_socket]
Follow = Callable[..., Any]


@asynccontextmanager
async def client(url: str, key: SigningKey | None = None) -> AsyncIterator[MarketClient]:
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        MarketClient(url, key or SigningKey.generate(), patience_seconds=5.0) as made,
    ):
        yield made


async def write(market: MarketClient, session_id: str, *texts: str) -> None:
    notes = [WriteEvent(kind="note.written", body={"text": text}) for text in texts]
    await market.write_events(session_id, notes)


async def read_all(log: Any) -> list[Entry]:
    async with aclosing(log):
        return [entry async for entry in log]


@pytest.mark.parametrize("follow", FOLLOWERS)
async def test_a_reader_gets_the_past_then_what_comes_then_the_end(
    served: Market, follow: Follow
) -> None:
    async with client(served.settings.issuer) as buyer:
        await buyer.register("thrifty", "buyer")
        session = await buyer.open_session("tables")
        await write(buyer, session.id, "past")

        reading = asyncio.create_task(read_all(follow(buyer, session.id)))
        await write(buyer, session.id, "live one", "live two")
        await buyer.close_session(session.id)
        read = await reading

        assert read == (await buyer.events(session.id)).items
        assert read[-1].offset == 4


@pytest.mark.parametrize("follow", FOLLOWERS)
async def test_a_reader_cut_ten_times_at_any_byte_loses_and_repeats_nothing(
    served: Market, follow: Follow
) -> None:
    chance = random.Random(2026)
    tear = Cut(at=(1, 4_000), times=None)
    key = SigningKey.generate()
    async with (
        client(served.settings.issuer, key) as buyer,
        faults(served.settings.issuer, tear) as proxy,
        client(proxy.url, key) as reader,
    ):
        await buyer.register("thrifty", "buyer")
        session = await buyer.open_session("tables")

        reading = asyncio.create_task(read_all(follow(reader, session.id)))
        for _ in range(80):
            # Random letters, since a WebSocket may compress what repeats itself.
            await write(buyer, session.id, chance.randbytes(chance.randrange(400)).hex())
        await buyer.close_session(session.id)
        read = await reading

        assert read == await read_all(follow_session(buyer, session.id))
        assert len(read) == 82
        assert tear.fired >= 10


@pytest.mark.parametrize("follow", FOLLOWERS)
async def test_a_reader_that_left_goes_on_behind_what_it_saw(
    served: Market, follow: Follow
) -> None:
    async with client(served.settings.issuer) as buyer:
        await buyer.register("thrifty", "buyer")
        session = await buyer.open_session("tables")
        await write(buyer, session.id, *map(str, range(5)))
        await buyer.close_session(session.id)

        async with aclosing(follow(buyer, session.id)) as log:
            first = [await anext(log) for _ in range(3)]
        rest = await read_all(follow(buyer, session.id, first[-1].offset))

        assert [entry.offset for entry in first + rest] == list(range(7))


@pytest.mark.parametrize("follow", FOLLOWERS)
async def test_a_log_that_is_not_ones_own_is_refused(served: Market, follow: Follow) -> None:
    async with (
        client(served.settings.issuer) as buyer,
        client(served.settings.issuer) as stranger,
    ):
        await buyer.register("thrifty", "buyer")
        await stranger.register("nosy", "buyer")
        session = await buyer.open_session("tables")

        with pytest.raises(Refused) as refused:
            await read_all(follow(stranger, session.id))

        assert (refused.value.code, refused.value.status) == ("session_not_found", 404)


@pytest.mark.parametrize("follow", FOLLOWERS)
async def test_readers_outlive_a_restart_of_the_market(served: Market, follow: Follow) -> None:
    port, home = free_port(), served.settings.home / "second"
    settings = served.settings.with_(port=port, issuer=f"http://127.0.0.1:{port}", home=home)
    async with client(settings.issuer) as buyer:
        async with running(settings):
            await buyer.register("thrifty", "buyer")
            session = await buyer.open_session("tables")
            reading = asyncio.create_task(read_all(follow(buyer, session.id)))
            await write(buyer, session.id, "before")
        async with running(settings):
            await write(buyer, session.id, "after")
            await buyer.close_session(session.id)

            assert [entry.offset for entry in await reading] == [0, 1, 2, 3]


@pytest.mark.parametrize("follow", FOLLOWERS)
async def test_a_market_that_does_not_come_back_is_unreachable(
    served: Market, follow: Follow
) -> None:
    async with client(served.settings.issuer) as buyer:
        await buyer.register("thrifty", "buyer")
        session = await buyer.open_session("tables")
        async with faults(served.settings.issuer) as proxy:
            buyer.url = proxy.url
            gone = MarketClient(proxy.url, buyer.key, patience_seconds=0.3)
        # From here on nobody listens behind the proxy's address.
        with pytest.raises(MarketUnreachable):
            await read_all(follow(gone, session.id, patience_seconds=0.3))
        await gone.aclose()


async def test_an_inbox_is_followed_across_cuts(served: Market) -> None:
    key = SigningKey.generate()
    tear = Cut("/v1/inbox/stream", at=900, times=2)
    async with (
        client(served.settings.issuer, key) as seller,
        client(served.settings.issuer) as buyer,
        faults(served.settings.issuer, tear) as proxy,
        client(proxy.url, key) as reader,
    ):
        await seller.register("acme", "seller")
        service = await seller.publish(manifest())
        await buyer.register("thrifty", "buyer")
        placed = []
        for _ in range(5):
            quote = await buyer.ask_quote(service.id, PAGES)
            placed.append((await buyer.place_order(quote)).id)

        async with aclosing(follow_inbox(reader)) as inbox:
            messages = [await anext(inbox) for _ in placed]

        assert [message.body["order_id"] for message in messages] == placed
        assert [message.offset for message in messages] == list(range(5))
        assert tear.fired == 2


class Liar(Connection):
    """Hands out frames of its own instead of a market's."""

    def __init__(self, *frames: bytes) -> None:
        super().__init__("http://127.0.0.1:1", SigningKey.generate())
        self._frames = frames

    @asynccontextmanager
    async def stream(self, path: str, **_: Any) -> AsyncIterator[Any]:
        yield _Answer(self._frames)


class _Answer:
    headers = {"content-type": "text/event-stream"}

    def __init__(self, frames: tuple[bytes, ...]) -> None:
        self._frames = frames

    async def aiter_text(self) -> AsyncIterator[str]:
        for frame in self._frames:
            yield f"data: {frame.decode()}\n\n"


async def forged(served: Market, change: Callable[[bytes], bytes]) -> list[bytes]:
    buyer = await served.enter("thrifty", "buyer")
    session = await buyer.made("/v1/sessions", {"need": "tables"})
    await buyer.made(f"/v1/sessions/{session['id']}/close", {})
    answer = await buyer.get(f"/v1/sessions/{session['id']}/stream")
    lines = answer.content.split(b"\n")
    events = [line.removeprefix(b"data: ") for line in lines if b'"hash"' in line]
    return [change(event) for event in events]


async def test_a_changed_event_is_found_by_its_reader(served: Market) -> None:
    events = await forged(served, lambda event: event.replace(b"tables", b"chairs"))

    async with Liar(*events) as liar:
        with pytest.raises(BrokenChain) as broken:
            await read_all(follow_session(liar, "ses_1"))

    assert broken.value.offset == 0


@pytest.mark.parametrize("frame", [b"{", b"[]", b'{"offset":0}', b'{"offset":"0"}', b"{}"])
async def test_a_frame_that_is_no_entry_is_told_as_such(frame: bytes) -> None:
    async with Liar(frame) as liar:
        with pytest.raises(BadAnswer):
            await read_all(follow_session(liar, "ses_1"))


async def test_a_gap_in_the_log_is_found_by_its_reader(served: Market) -> None:
    events = await forged(served, lambda event: event)

    async with Liar(events[1]) as liar:
        with pytest.raises(BadAnswer, match="jumps from offset -1 to 1"):
            await read_all(follow_session(liar, "ses_1"))
