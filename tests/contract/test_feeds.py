"""Feeds on real servers: twenty sessions over one connection, cut at any byte."""

import asyncio
import itertools
import random
from collections import defaultdict
from contextlib import aclosing, suppress
from typing import Any, Literal

import httpx
import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from buyer_agents import Followed, MarketClient, Refused, follow_feed
from market.faces.http import limits
from market.faces.http.serve import drain
from market.protocol.signing import SigningKey
from tests.contract.agents import Agent
from tests.contract.conftest import Market, open_street
from tests.contract.test_client_streams import client, write
from tests.contract.test_sockets import ending
from tests.contract.test_streams import (
    LIMIT_SECONDS,
    close,
    frames,
    open_and_never_read,
    open_session,
    stream,
    until_open,
    whole_log,
)
from tests.contract.test_streams import write as write_note
from tests.cutting import cutting

BOTH = pytest.mark.parametrize("over", ["sse", "socket"])


async def read_feed(
    market: MarketClient, ids: list[str], over: Literal["sse", "socket"]
) -> list[Followed]:
    async with aclosing(follow_feed(market, dict.fromkeys(ids, -1), over=over)) as feed:
        return [followed async for followed in feed]


@BOTH
async def test_twenty_sessions_cut_at_any_byte_lose_and_repeat_nothing(
    served: Market, over: Literal["sse", "socket"]
):
    chance = random.Random(2026)
    cuts = (chance.randrange(1, 15_000) for _ in itertools.count())
    key = SigningKey.generate()
    async with (
        client(served.settings.issuer, key) as buyer,
        cutting(served.settings.issuer, cuts) as proxy,
        client(proxy.url, key) as reader,
    ):
        await buyer.register("thrifty", "buyer")
        ids = [(await buyer.open_session(f"need {number}")).id for number in range(20)]

        reading = asyncio.create_task(read_feed(reader, ids, over))
        await asyncio.gather(*[tell(buyer, session_id, chance) for session_id in ids])
        read = await reading

        found: dict[str, list[Any]] = defaultdict(list)
        for followed in read:
            found[followed.session_id].append(followed.entry)
        for session_id in ids:
            assert found[session_id] == [*(await buyer.events(session_id)).items, None]
            assert len(found[session_id]) == 13
        assert proxy.cut_so_far >= 3


async def tell(buyer: MarketClient, session_id: str, chance: random.Random) -> None:
    for _ in range(10):
        # Random letters, since a WebSocket may compress what repeats itself.
        await write(buyer, session_id, chance.randbytes(chance.randrange(400)).hex())
    await buyer.close_session(session_id)


async def test_a_plain_event_source_resumes_every_session_by_its_last_event_id(served: Market):
    """As browsers do: the same address again, with the last id that was seen whole."""
    chance = random.Random(7)
    buyer = await served.enter("thrifty", "buyer")
    ids = [await open_session(buyer, events=3) for _ in range(4)]
    path = "/v1/feed?" + "&".join(f"session={session_id}:0" for session_id in ids)
    for session_id in ids[1:]:
        await close(buyer, session_id)
    cuts = (chance.randrange(200, 2_500) for _ in itertools.count())

    found: list[Any] = []
    last = ""
    async with cutting(served.settings.issuer, cuts) as proxy, asyncio.timeout(LIMIT_SECONDS):
        while not found or found[-1][0] != "end":
            headers = {**buyer.bearer, **({"last-event-id": last} if last else {})}
            async with httpx.AsyncClient(base_url=proxy.url) as http:
                new = await whole_frames(http, path, headers)
            if not last:
                # One that is open at first: closed while its reader is away.
                await close(buyer, ids[0])
            found += new
            last = next((place for _, place, _ in reversed(new) if place), last)
        assert proxy.cut_so_far >= 3

    read: dict[str, list[Any]] = defaultdict(list)
    for kind, _, data in found[:-1]:
        read[data["session_id"]].append("closed" if kind == "closed" else data["event"])
    for session_id in ids:
        assert read[session_id] == [*(await whole_log(buyer, session_id))[1:], "closed"]


async def whole_frames(
    http: httpx.AsyncClient, path: str, headers: dict[str, str]
) -> list[tuple[str, str, Any]]:
    """Return kind, id and data of every frame that arrives whole before the connection is cut."""
    text = ""
    with suppress(httpx.TransportError):
        async with http.stream("GET", path, headers=headers) as response:
            async for part in response.aiter_text():
                text += part
    found = []
    for frame in text.split("\n\n")[:-1]:
        if not frame.startswith(":"):
            fields = dict(line.split(": ", 1) for line in frame.split("\n"))
            data = msgspec.json.decode(fields["data"])
            found.append((fields.get("event", ""), fields.get("id", ""), data))
    return found


async def test_a_session_that_closes_says_so_and_the_others_go_on(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    first, second = await open_session(buyer), await open_session(buyer)

    async with stream(buyer, f"/v1/feed?session={first}&session={second}:0") as response:
        following = asyncio.create_task(frames(response))
        await close(buyer, first)
        await until_open(served, 1)
        await write_note(buyer, second, "on")
        await close(buyer, second)
        found = [frame.decode() for frame in await following]

    assert response.headers["content-type"] == "text/event-stream"
    endings = [frame for frame in found if frame.startswith("event: ")]
    assert endings[0].split("\n")[2] == f'data: {{"session_id":"{first}","next_offset":2}}'
    assert endings[1].split("\n")[2] == f'data: {{"session_id":"{second}","next_offset":3}}'
    assert endings[2] == "event: end\ndata: {}"
    assert found[-2].split("\n")[1] == "id: 0.1c,1.2c"


async def test_a_reader_that_has_seen_all_is_told_so(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer)
    await close(buyer, session_id)

    path = f"/v1/feed?session={session_id}"
    async with stream(buyer, path, **{"last-event-id": "0.1c"}) as response:
        found = await frames(response)

    assert found == [b"event: end\ndata: {}"]


@pytest.mark.parametrize(
    ("query", "last", "status", "code"),
    [
        ("", "", 400, "invalid_parameter"),
        ("session=ses_1", "", 400, "invalid_parameter"),
        ("session={0}&session={0}", "", 400, "invalid_parameter"),
        ("session={0}:x", "", 400, "invalid_parameter"),
        ("session={0}&after=1", "", 400, "invalid_parameter"),
        ("session={0}", "1.4", 400, "invalid_parameter"),
        ("session={0}", "0.4,", 400, "invalid_parameter"),
        ("session={0}&session=ses_01h455vb4pex5vsknk084sn02q", "", 404, "session_not_found"),
    ],
)
async def test_what_cannot_be_followed_is_refused_at_the_start(
    market: Market, query: str, last: str, status: int, code: str
):
    buyer = await market.enter("thrifty", "buyer")
    session_id = await open_session(buyer)

    headers = {**buyer.bearer, **({"last-event-id": last} if last else {})}
    answer = await market.http.get(f"/v1/feed?{query.format(session_id)}", headers=headers)

    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{code}")


async def test_more_than_a_hundred_sessions_are_refused(market: Market):
    buyer = await market.enter("thrifty", "buyer")
    session_id = await open_session(buyer)

    query = "&".join([f"session={session_id}"] * 101)
    answer = await market.http.get(f"/v1/feed?{query}", headers=buyer.bearer)

    assert answer.json()["type"] == "/problems/invalid_parameter"


@BOTH
async def test_a_strangers_session_is_refused(served: Market, over: Literal["sse", "socket"]):
    async with (
        client(served.settings.issuer) as buyer,
        client(served.settings.issuer) as stranger,
    ):
        await buyer.register("thrifty", "buyer")
        await stranger.register("nosy", "buyer")
        session = await buyer.open_session("tables")

        with pytest.raises(Refused) as refused:
            await read_feed(stranger, [session.id], over)

        assert (refused.value.code, refused.value.status) == ("session_not_found", 404)


async def test_a_draining_market_ends_a_feed_where_it_can_be_resumed(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer)

    async with stream(buyer, f"/v1/feed?session={session_id}") as response:
        following = asyncio.create_task(frames(response))
        await until_open(served, 1)
        async with asyncio.timeout(2):
            await drain(served.app.state.desk)
        found = await following

    assert found[-1] == b"event: drain\ndata: {}"


async def test_a_feed_that_nobody_reads_is_cut_and_costs_others_nothing(
    served: Market, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "STALL_SECONDS", 0.2)
    buyer = await served.enter("thrifty", "buyer")
    ids = [await open_session(buyer) for _ in range(2)]
    readers = served.store.hub.readers
    for session_id in ids * 10:
        event = {"kind": "note.written", "body": {"text": "x" * 60_000}}
        await buyer.made(f"/v1/sessions/{session_id}/events", {"events": [event] * 10})

    path = "/v1/feed?" + "&".join(f"session={session_id}" for session_id in ids)
    silent = await open_and_never_read(served, buyer, path)
    await until_open(served, 1)
    answer = await buyer.get("/v1/me")
    await until_open(served, 0)

    assert answer.status_code == 200
    assert served.store.hub.readers == readers
    silent.close()


# The socket


def dial(market: Market, agent: Agent, query: str = "") -> connect:
    address = market.settings.issuer.replace("http", "ws", 1)
    return connect(
        f"{address}/v1/feed/socket{query}",
        additional_headers=agent.bearer,
        proxy=None,
        open_timeout=LIMIT_SECONDS,
    )


async def ask(socket: ClientConnection, **frame: Any) -> None:
    await socket.send(msgspec.json.encode(frame).decode())


async def hear(socket: ClientConnection, count: int) -> list[Any]:
    async with asyncio.timeout(LIMIT_SECONDS):
        return [msgspec.json.decode(await socket.recv()) for _ in range(count)]


async def test_sessions_come_and_go_over_one_socket(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    first, second = await open_session(buyer), await open_session(buyer, events=1)

    async with dial(served, buyer, f"?session={first}") as socket:
        opened = await hear(socket, 1)
        await ask(socket, follow={"session_id": second, "after": 0})
        followed = await hear(socket, 2)
        await ask(socket, unfollow={"session_id": first})
        left = await hear(socket, 1)
        await write_note(buyer, first, "unheard")
        await close(buyer, second)
        closed = await hear(socket, 2)

    assert [(one["session_id"], one["event"]["offset"]) for one in opened] == [(first, 0)]
    assert {"following": {"session_id": second, "after": 0}} in followed
    assert [one["event"]["offset"] for one in followed if "event" in one] == [1]
    assert left == [{"unfollowed": {"session_id": first}}]
    assert closed[0]["event"]["kind"] == "session.closed"
    assert closed[1] == {"session_id": second, "next_offset": 3, "closed": True}


async def test_an_order_is_cancelled_over_the_feed_that_shows_it(served: Market):
    street = await open_street(served)
    order = await street.placed()
    session_id = order["session_id"]

    async with dial(served, street.buyer, f"?session={session_id}:1") as socket:
        await ask(socket, control={"session_id": session_id, "action": "cancel"})
        found = await hear(socket, 4)

    [answer] = [frame for frame in found if "control" in frame]
    assert answer["session_id"] == session_id
    assert [view["answer"] for view in answer["control"]] == ["accepted"]
    kinds = {frame["event"]["kind"] for frame in found if "event" in frame}
    assert {"control.requested", "order.cancelled"} <= kinds


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ({}, "malformed"),
        ({"follow": {"session_id": "ses_01h455vb4pex5vsknk084sn02q"}}, "session_not_found"),
        ({"follow": {"session_id": "x"}}, "invalid_body"),
        ({"wave": {}}, "invalid_body"),
    ],
)
async def test_a_frame_that_asks_for_nothing_possible_is_answered_with_a_problem(
    served: Market, frame: dict[str, Any], code: str
):
    buyer = await served.enter("thrifty", "buyer")

    async with dial(served, buyer) as socket:
        await ask(socket, **frame)
        [answer] = await hear(socket, 1)
        await ask(socket, **frame)
        [again] = await hear(socket, 1)

    assert answer["problem"]["type"] == f"/problems/{code}"
    assert again["problem"]["type"] == answer["problem"]["type"]


async def test_a_feed_socket_with_another_query_is_refused(served: Market):
    buyer = await served.enter("thrifty", "buyer")

    with pytest.raises(InvalidStatus) as caught:
        async with dial(served, buyer, "?after=1"):
            pass

    assert caught.value.response.status_code in (400, 403)


async def test_a_suspended_agents_feed_is_closed(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    overseer = await served.overseer()
    session_id = await open_session(buyer)

    async with dial(served, buyer, f"?session={session_id}") as socket:
        await until_open(served, 1)
        await overseer.made(f"/v1/agents/{buyer.id}/suspend", {"reason": "test"})
        assert await ending(socket) == (1008, "revoked")
