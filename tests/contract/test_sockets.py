"""WebSockets on real servers: the log down, controls up, and what is refused."""

import asyncio
from contextlib import suppress
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from market.faces.http import limits
from market.faces.http.serve import drain
from tests.contract.agents import Agent
from tests.contract.conftest import Market, open_street
from tests.contract.test_streams import close, open_session, until_open, whole_log, write

LIMIT_SECONDS = 10.0


def dial(
    market: Market,
    agent: Agent,
    session_id: str,
    after: int = -1,
    query: str = "",
    **changes: Any,
) -> connect:
    address = market.settings.issuer.replace("http", "ws", 1)
    return connect(
        f"{address}/v1/sessions/{session_id}/socket?{query or f'after={after}'}",
        additional_headers=agent.bearer,
        proxy=None,
        open_timeout=LIMIT_SECONDS,
        **changes,
    )


async def rest(socket: ClientConnection) -> list[Any]:
    """Return every frame until the socket closes."""
    async with asyncio.timeout(LIMIT_SECONDS):
        return [msgspec.json.decode(frame) async for frame in socket]


async def ending(socket: ClientConnection) -> tuple[int, str]:
    """Return the code and reason with which the socket is closed."""
    async with asyncio.timeout(LIMIT_SECONDS):
        with suppress(ConnectionClosed):
            async for _ in socket:
                pass
        await socket.wait_closed()
    return socket.close_code or 0, socket.close_reason or ""


async def test_a_socket_gives_the_past_then_what_comes_then_its_end(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer, events=1)

    async with dial(served, buyer, session_id) as socket:
        following = asyncio.create_task(rest(socket))
        await write(buyer, session_id, "live")
        await close(buyer, session_id)
        found = await following

    assert found[-1] == {"closed": True, "next_offset": 4}
    assert found[:-1] == await whole_log(buyer, session_id)
    assert socket.close_code == 1000


async def test_a_socket_resumes_after_an_offset(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer, events=3)
    await close(buyer, session_id)

    async with dial(served, buyer, session_id, after=3) as socket:
        found = await rest(socket)

    assert [frame.get("offset") for frame in found] == [4, None]


async def test_an_order_is_cancelled_over_the_socket_that_shows_it(served: Market):
    street = await open_street(served)
    order = await street.placed()

    async with dial(served, street.buyer, order["session_id"], after=1) as socket:
        await socket.send(msgspec.json.encode({"control": {"action": "cancel"}}).decode())
        async with asyncio.timeout(LIMIT_SECONDS):
            found = [msgspec.json.decode(await socket.recv()) for _ in range(4)]

    [answer] = [frame["control"] for frame in found if "control" in frame]
    assert [(view["action"], view["answer"]) for view in answer] == [("cancel", "accepted")]
    kinds = {frame.get("kind") for frame in found}
    assert {"control.requested", "order.cancelled"} <= kinds


async def test_a_frame_that_makes_no_sense_is_answered_with_a_problem(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer)

    async with dial(served, buyer, session_id, after=0) as socket:
        await socket.send('{"control": {"action": "explode"}}')
        async with asyncio.timeout(LIMIT_SECONDS):
            answer = msgspec.json.decode(await socket.recv())

    assert answer["problem"]["type"] == "/problems/invalid_body"
    assert answer["problem"]["errors"][0]["field"] == "control.action"


@pytest.mark.parametrize(("frame", "code"), [(b"binary", 1003), ("x" * (limits.FRAME + 1), 1009)])
async def test_a_frame_that_is_binary_or_too_big_closes_the_socket(
    served: Market, frame: Any, code: int
):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer)

    async with dial(served, buyer, session_id, after=0) as socket:
        await socket.send(frame)
        closed, _ = await ending(socket)

    assert closed == code


async def test_a_flood_of_frames_closes_the_socket(served: Market, monkeypatch: Any):
    monkeypatch.setattr(limits, "FRAMES_PER_MINUTE", 3)
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer)

    async with dial(served, buyer, session_id, after=0) as socket:
        for _ in range(4):
            await socket.send("{}")
        closed, _ = await ending(socket)

    assert closed == 1008


async def test_a_page_of_another_site_opens_no_socket(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer)

    port = served.settings.port
    for origin in ("https://evil.test", f"http://evil.test:{port}", f"https://127.0.0.1:{port}"):
        with pytest.raises(InvalidStatus) as caught:
            async with dial(served, buyer, session_id, origin=origin):
                pass
        assert caught.value.response.status_code == 403


async def test_a_page_of_the_market_opens_a_socket(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer)

    async with dial(served, buyer, session_id, origin=served.settings.issuer) as socket:
        async with asyncio.timeout(LIMIT_SECONDS):
            assert msgspec.json.decode(await socket.recv())["kind"] == "session.opened"


async def test_a_stranger_opens_no_socket(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    other = await served.enter("nosy", "buyer")
    session_id = await open_session(buyer)

    for agent in (other, served.stranger()):
        with pytest.raises(InvalidStatus) as caught:
            async with dial(served, agent, session_id):
                pass
        assert caught.value.response.status_code in (401, 403, 404)


async def test_a_draining_market_closes_sockets_with_a_code_to_come_back(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer)

    async with dial(served, buyer, session_id) as socket:
        await until_open(served, 1)
        draining = asyncio.create_task(drain(served.app.state.desk))
        assert await ending(socket) == (1012, "drain")
        await draining


async def test_a_suspended_agents_socket_is_closed(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    overseer = await served.overseer()
    session_id = await open_session(buyer)

    async with dial(served, buyer, session_id) as socket:
        await until_open(served, 1)
        await overseer.made(f"/v1/agents/{buyer.id}/suspend", {"reason": "test"})
        assert await ending(socket) == (1008, "revoked")


async def test_a_socket_that_left_is_no_longer_counted(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session_id = await open_session(buyer)

    async with dial(served, buyer, session_id):
        await until_open(served, 1)

    await until_open(served, 0)
