"""Late joiners on real servers: one snapshot, then the tail, without gap or repeat."""

import asyncio
import itertools
import random
from contextlib import aclosing
from typing import Any

import msgspec

from buyer_agents import MarketClient, follow_snapshot
from market.protocol.chain import Entry, read_entry
from market.protocol.folded import Folded, SnapshotView
from market.protocol.folding import fold
from market.protocol.signing import SigningKey
from tests.contract.conftest import Market, open_street
from tests.contract.test_client_streams import client, write
from tests.contract.test_sockets import dial, rest
from tests.contract.test_streams import close, frames, open_session, stream, whole_log
from tests.contract.test_streams import write as write_note
from tests.cutting import cutting


def parts(folded: Folded) -> dict[str, Any]:
    return {name: getattr(folded, name) for name in Folded.__struct_fields__}


async def whole(market: MarketClient, session_id: str) -> Folded:
    """What the whole log comes to."""
    folded = Folded()
    after = -1
    while (page := await market.events(session_id, after=after)).items:
        for entry in page.items:
            fold(folded, entry)
        after = folded.next_offset - 1
    return folded


async def test_a_snapshot_says_what_became_of_an_order(served: Market):
    street = await open_street(served)
    order = await street.settled()

    answer = await street.buyer.get(f"/v1/sessions/{order['session_id']}/snapshot")
    seen = msgspec.json.decode(answer.content, type=SnapshotView, strict=True)

    [folded] = seen.orders.values()
    assert (folded.state, folded.outputs) == ("settled", [{"rows": [[n, "cell"]]} for n in (0, 1)])
    assert folded.captured_minor == order["captured_minor"]
    assert folded.receipt_id == order["receipt_id"]
    assert seen.session.next_offset == seen.next_offset


async def test_a_stream_from_a_snapshot_goes_on_with_the_tail(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer, events=2)

    async with stream(buyer, f"/v1/sessions/{session_id}/stream?from=snapshot") as response:
        following = asyncio.create_task(frames(response))
        await write_note(buyer, session_id, "live")
        await close(buyer, session_id)
        found = await following

    kind, place, data = found[0].split(b"\n", 2)
    first = msgspec.json.decode(data.removeprefix(b"data: "), type=SnapshotView)
    assert (kind, place) == (b"event: snapshot", b"id: %d" % (first.next_offset - 1))
    tail = [frame.split(b"\n")[0] for frame in found[1:-1]]
    assert tail == [b"id: %d" % offset for offset in range(first.next_offset, 5)]
    assert found[-1] == b'event: closed\ndata: {"next_offset":5}'


async def test_a_reader_that_has_something_gets_no_snapshot(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer, events=2)
    await close(buyer, session_id)
    path = f"/v1/sessions/{session_id}/stream?from=snapshot"

    async with stream(buyer, path, **{"last-event-id": "2"}) as response:
        found = await frames(response)

    assert [frame.split(b"\n")[0] for frame in found] == [b"id: 3", b"event: closed"]


async def test_a_start_that_is_none_is_refused(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer)

    for path in ("stream?from=null", "stream?from=noon", "stream?start=snapshot"):
        answer = await buyer.get(f"/v1/sessions/{session_id}/{path}")

        assert answer.json()["type"] == "/problems/invalid_parameter"


async def test_a_socket_from_a_snapshot_goes_on_with_the_tail(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer, events=2)

    async with dial(served, buyer, session_id, query="from=snapshot") as socket:
        following = asyncio.create_task(rest(socket))
        await write_note(buyer, session_id, "live")
        await close(buyer, session_id)
        found = await following

    folded = msgspec.convert(found[0]["snapshot"], SnapshotView, strict=True, str_keys=True)
    for tree in found[1:-1]:
        fold(folded, read_entry(tree))
    expected = Folded()
    for tree in await whole_log(buyer, session_id):
        fold(expected, read_entry(tree))
    assert parts(folded) == parts(expected)
    assert found[-1] == {"closed": True, "next_offset": 5}


async def test_a_late_joiner_cut_at_any_byte_folds_what_the_whole_log_comes_to(served: Market):
    chance = random.Random(2026)
    cuts = (chance.randrange(1, 4_000) for _ in itertools.count())
    key = SigningKey.generate()
    async with (
        client(served.settings.issuer, key) as buyer,
        cutting(served.settings.issuer, cuts) as proxy,
        client(proxy.url, key) as reader,
    ):
        await buyer.register("thrifty", "buyer")
        session = await buyer.open_session("tables")
        await write(buyer, session.id, *map(str, range(30)))

        joining = asyncio.create_task(join(reader, session.id))
        for _ in range(60):
            await write(buyer, session.id, chance.randbytes(chance.randrange(400)).hex())
        await buyer.close_session(session.id)
        folded, tail = await joining

        assert parts(folded) == parts(await whole(buyer, session.id))
        assert [entry.offset for entry in tail] == list(range(tail[0].offset, 92))
        assert proxy.cut_so_far >= 3


async def join(market: MarketClient, session_id: str) -> tuple[Folded, list[Entry]]:
    """Fold a snapshot and its tail."""
    tail: list[Entry] = []
    async with aclosing(follow_snapshot(market, session_id)) as log:
        folded = await anext(log)
        assert isinstance(folded, SnapshotView)
        async for entry in log:
            assert not isinstance(entry, SnapshotView)
            tail.append(entry)
            fold(folded, entry)
    return folded, tail
