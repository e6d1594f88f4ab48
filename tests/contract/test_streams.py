"""Server-sent events on real servers: framing, resuming, endings, slow readers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from market.faces.http import limits
from market.faces.http.serve import drain
from market.faces.http.sessions import follow_session
from market.faces.http.streaming import event_frames, steps
from market.identity import TOKEN_SECONDS
from tests.contract.agents import Agent
from tests.contract.conftest import Market, open_street

LIMIT_SECONDS = 10.0


@asynccontextmanager
async def stream(agent: Agent, path: str, **headers: str) -> AsyncIterator[httpx.Response]:
    sent = {**agent.bearer, **headers}
    async with (
        asyncio.timeout(LIMIT_SECONDS),
        agent.http.stream("GET", path, headers=sent) as response,
    ):
        yield response


async def frames(response: httpx.Response, count: int = 1_000_000) -> list[bytes]:
    """Return up to ``count`` frames that are no comments."""
    found: list[bytes] = []
    rest = b""
    async for part in response.aiter_raw():
        *whole, rest = (rest + part).split(b"\n\n")
        found += [frame for frame in whole if not frame.startswith(b":")]
        if len(found) >= count:
            break
    return found[:count]


async def open_session(buyer: Agent, events: int = 0) -> str:
    session = await buyer.made("/v1/sessions", {"need": "tables"})
    session_id: str = session["id"]
    for number in range(events):
        await write(buyer, session_id, f"note {number}")
    return session_id


async def write(buyer: Agent, session_id: str, text: str) -> None:
    event = {"kind": "note.written", "body": {"text": text}}
    await buyer.made(f"/v1/sessions/{session_id}/events", {"events": [event]})


async def close(buyer: Agent, session_id: str) -> None:
    await buyer.made(f"/v1/sessions/{session_id}/close", {})


async def whole_log(buyer: Agent, session_id: str) -> list[Any]:
    answer = await buyer.get(f"/v1/sessions/{session_id}/events")
    return msgspec.json.decode(answer.content, type=dict[str, Any])["items"]


async def test_a_stream_gives_the_past_then_what_comes_then_its_end(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer, events=2)

    async with stream(buyer, f"/v1/sessions/{session_id}/stream") as response:
        following = asyncio.create_task(frames(response))
        await write(buyer, session_id, "live")
        await close(buyer, session_id)
        found = await following

    assert response.headers["content-type"] == "text/event-stream"
    assert response.headers["cache-control"] == "no-store"
    assert found[-1] == b'event: closed\ndata: {"next_offset":5}'
    ids, data = zip(*(frame.split(b"\n", 1) for frame in found[:-1]), strict=True)
    assert list(ids) == [b"id: %d" % number for number in range(5)]
    events = [msgspec.json.decode(line.removeprefix(b"data: ")) for line in data]
    assert events == await whole_log(buyer, session_id)


async def test_page_and_stream_give_the_same_bytes(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer, events=3)
    await close(buyer, session_id)

    page = await buyer.get(f"/v1/sessions/{session_id}/events")
    async with stream(buyer, f"/v1/sessions/{session_id}/stream") as response:
        found = await frames(response)

    data = [frame.split(b"\ndata: ")[1] for frame in found[:-1]]
    assert page.content == b'{"items":[%b],"next_offset":5,"closed":true}' % b",".join(data)


async def test_a_reader_resumes_behind_the_last_event_it_saw(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer, events=4)
    await close(buyer, session_id)

    async with stream(
        buyer, f"/v1/sessions/{session_id}/stream?after=-1", **{"last-event-id": "3"}
    ) as response:
        found = await frames(response)

    assert [frame.split(b"\n")[0] for frame in found] == [b"id: 4", b"id: 5", b"event: closed"]


async def test_an_inbox_is_followed_live(served: Market):
    street = await open_street(served)

    async with stream(street.seller, "/v1/inbox/stream") as response:
        following = asyncio.create_task(frames(response, count=1))
        order = await street.placed()
        [frame] = await following

    assert frame.startswith(b"id: 0\ndata: ")
    message = msgspec.json.decode(frame.split(b"\ndata: ")[1])
    assert (message["offset"], message["kind"]) == (0, "order.placed")
    assert message["body"]["order_id"] == order["id"]


async def test_a_long_poll_ends_with_what_it_waited_for(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer)

    place = {"after": 0, "wait_seconds": 20}
    waiting = asyncio.create_task(buyer.get(f"/v1/sessions/{session_id}/events", params=place))
    await write(buyer, session_id, "late")
    async with asyncio.timeout(LIMIT_SECONDS):
        answer = (await waiting).json()

    assert [event["body"] for event in answer["items"]] == [{"text": "late"}]
    assert (answer["next_offset"], answer["closed"]) == (2, False)


async def test_a_draining_market_ends_streams_where_they_can_be_resumed(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer)

    async with stream(buyer, f"/v1/sessions/{session_id}/stream") as response:
        following = asyncio.create_task(frames(response))
        await until_open(served, 1)
        async with asyncio.timeout(2):
            await drain(served.app.state.desk)
        found = await following

    assert found[-1] == b'event: drain\ndata: {"next_offset":1}'


async def test_a_suspended_agents_stream_ends_at_once(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    overseer = await served.overseer()
    session_id = await open_session(buyer)

    async with stream(buyer, f"/v1/sessions/{session_id}/stream") as response:
        following = asyncio.create_task(frames(response))
        await until_open(served, 1)
        await overseer.made(f"/v1/agents/{buyer.id}/suspend", {"reason": "test"})
        async with asyncio.timeout(3):
            found = await following

    assert found[-1] == b'event: revoked\ndata: {"next_offset":1}'
    assert (await buyer.get("/v1/me")).status_code in (401, 403)


async def test_a_reader_that_left_is_no_longer_counted(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer)

    async with stream(buyer, f"/v1/sessions/{session_id}/stream") as response:
        await frames(response, count=1)
        assert served.app.state.desk.gate.open_streams == 1

    await until_open(served, 0)
    assert (await buyer.get("/v1/me")).status_code == 200


async def test_streams_of_one_agent_are_limited(served: Market, monkeypatch: Any):
    monkeypatch.setattr(limits, "STREAMS_PER_AGENT", 1)
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer)

    async with stream(buyer, f"/v1/sessions/{session_id}/stream"):
        await until_open(served, 1)
        answer = await buyer.get(f"/v1/sessions/{session_id}/stream")

    assert answer.status_code == 429
    assert answer.json()["type"] == "/problems/too_many_streams"
    assert answer.headers["retry-after"] == "1"


async def test_a_market_that_stops_lets_no_new_stream_in(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer)
    served.app.state.desk.gate.shut()

    answer = await buyer.get(f"/v1/sessions/{session_id}/stream")

    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems/overloaded"
    assert answer.headers["retry-after"] == "1"


async def until_open(market: Market, streams: int) -> None:
    """Wait until so many streams are open, with a limit."""
    async with asyncio.timeout(LIMIT_SECONDS):
        await market.app.state.desk.gate.until(streams)


@pytest.mark.parametrize("transport", ["stream", "socket"])
async def test_a_reader_that_takes_nothing_is_cut_and_costs_others_nothing(
    served: Market, transport: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "STALL_SECONDS", 0.2)
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer)
    for _ in range(20):
        event = {"kind": "note.written", "body": {"text": "x" * 60_000}}
        await buyer.made(f"/v1/sessions/{session_id}/events", {"events": [event] * 10})

    silent = await open_and_never_read(served, buyer, f"/v1/sessions/{session_id}/{transport}")
    await until_open(served, 1)
    answer = await buyer.get("/v1/me")
    await until_open(served, 0)

    assert answer.status_code == 200
    silent.close()


async def open_and_never_read(market: Market, agent: Agent, path: str) -> socket.socket:
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(raw, ("127.0.0.1", market.settings.port))
    upgrade = (
        "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
        "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    request = (
        f"GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {agent.token}\r\n"
        f"{upgrade if path.endswith('socket') else ''}\r\n"
    )
    await loop.sock_sendall(raw, request.encode())
    return raw


async def test_a_stream_ends_when_its_token_does(market: Market):
    buyer = await market.enter("thrifty", "buyer")
    session_id = await open_session(buyer)
    following = await generated(market, buyer, session_id)
    assert [await anext(following) for _ in range(2)][1].startswith(b"id: 0\n")

    market.clock.advance(timedelta(seconds=TOKEN_SECONDS + 30))
    async with asyncio.timeout(LIMIT_SECONDS):
        rest = [frame async for frame in following]

    assert rest == [b'event: expired\ndata: {"next_offset":1}\n\n']


async def test_a_quiet_stream_gives_signs_of_life(market: Market, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(limits, "HEARTBEAT_SECONDS", 0.0)
    buyer = await market.enter("thrifty", "buyer")
    session_id = await open_session(buyer)
    following = await generated(market, buyer, session_id)

    async with asyncio.timeout(LIMIT_SECONDS):
        found = [await anext(following) for _ in range(4)]

    assert [frame for frame in found if frame.startswith(b":")] == [
        b": open\n\n", b": alive\n\n", b": alive\n\n",
    ]  # fmt: skip


async def generated(market: Market, agent: Agent, session_id: str) -> AsyncIterator[bytes]:
    """The frames of a session as they are made, before any server sends them."""
    desk = market.app.state.desk
    visitor = await desk.doors.admit(agent.bearer["authorization"].encode())
    batches = follow_session(desk, visitor, session_id=session_id, after=-1)
    return event_frames(steps(batches, doors=desk.doors, visitor=visitor, after=-1))
