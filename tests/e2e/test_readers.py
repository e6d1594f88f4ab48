"""Readers of a live log at the level of bytes: cut at any place, or never reading at all."""

import asyncio
import socket
from random import Random

import msgspec

from buyer_agents import MarketClient
from market.protocol.signing import SigningKey
from market.protocol.wire import WriteEvent
from tests.faults import Cut, faults
from tests.processes import MarketProcess
from tests.readers import read_on, read_socket, read_sse

LIMIT_SECONDS = 60.0
NOTES = 300
CUTS = 10
SLEEPERS = 15
FILLING = 128
EVENT_BYTES = 50_000
MIB = 1 << 20


async def write_notes(buyer: MarketClient, session_id: str, chance: Random) -> None:
    """Write notes of many lengths, some in batches, and close the log."""
    written = 0
    while written < NOTES:
        number = chance.randint(1, 5)
        texts = [f"{written + place} " + "é" * chance.randint(0, 400) for place in range(number)]
        notes = [WriteEvent(kind="note.written", body={"text": text}) for text in texts]
        await buyer.write_events(session_id, notes)
        written += number
    await buyer.close_session(session_id)


async def test_readers_on_two_transports_cut_ten_times_end_with_the_bytes_of_one_never_cut(
    market_process: MarketProcess,
):
    chance = Random(22)
    tears = [Cut(at=(1, 12_000), times=CUTS) for _ in range(2)]
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        MarketClient(market_process.url, SigningKey.generate()) as buyer,
        faults(market_process.url, tears[0], seed=22) as torn_stream,
        faults(market_process.url, tears[1], seed=23) as torn_socket,
    ):
        await buyer.register("thrifty", "buyer")
        session_id = (await buyer.open_session("notes")).id
        bearer = await buyer.authorization()
        places = [
            (read_sse, market_process.url),
            (read_socket, market_process.url),
            (read_sse, torn_stream.url),
            (read_socket, torn_socket.url),
        ]
        readings = [
            asyncio.create_task(read_on(read, url, session_id, bearer)) for read, url in places
        ]
        await write_notes(buyer, session_id, chance)
        whole, *others = await asyncio.gather(*readings)

        assert [tear.fired for tear in tears] == [CUTS, CUTS]
        assert whole.openings == others[0].openings == 1
        assert others[1].openings > 5
        assert others[2].openings > 5
        assert all(copy.events == whole.events for copy in others)
        assert [msgspec.json.decode(event)["offset"] for event in whole.events] == list(
            range(len(whole.events))
        )


async def test_readers_that_never_read_do_not_grow_the_market(market_process: MarketProcess):
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        MarketClient(market_process.url, SigningKey.generate()) as buyer,
    ):
        await buyer.register("thrifty", "buyer")
        bearer = await buyer.authorization()
        alone = (await buyer.open_session("nobody reads this")).id
        await fill(buyer, alone)
        before = market_process.resident_bytes()

        session_id = (await buyer.open_session("many fall asleep over this")).id
        sleepers = [fall_asleep(market_process, session_id, bearer) for _ in range(SLEEPERS)]
        await fill(buyer, session_id)
        full = market_process.resident_bytes()
        for _ in range(3):
            await fill(buyer, session_id)
        later = market_process.resident_bytes()
        await buyer.close_session(session_id)
        copy = await read_on(read_sse, market_process.url, session_id, bearer)
        for sleeper in sleepers:
            sleeper.close()

        # What waits for one reader is a page on its way and what the server's pipe takes.
        assert full - before < SLEEPERS * 4 * MIB, f"{(full - before) / MIB:.1f} MiB"
        # Then nothing more, whatever is written: 360 MiB lie unread in the end.
        assert later - full < 4 * MIB, f"{(later - full) / MIB:.1f} MiB"
        assert len(copy.events) == 4 * FILLING + 2


async def fill(buyer: MarketClient, session_id: str) -> None:
    note = WriteEvent(kind="note.written", body={"text": "z" * EVENT_BYTES})
    for _ in range(FILLING // 8):
        await buyer.write_events(session_id, [note] * 8)


def fall_asleep(process: MarketProcess, session_id: str, bearer: str) -> socket.socket:
    """Open a stream over a narrow socket, and never read a byte of it."""
    sleeper = socket.socket()
    sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sleeper.connect(("127.0.0.1", process.port))
    head = f"GET /v1/sessions/{session_id}/stream HTTP/1.1\r\nhost: localhost\r\n"
    sleeper.sendall(f"{head}authorization: {bearer}\r\n\r\n".encode())
    return sleeper
