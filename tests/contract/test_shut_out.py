"""Shut out: suspended, or with a key or a delegation revoked; at once, everywhere, mid-stream."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from market import chores, identity, orders
from market.app import running
from market.base.settings import Settings
from market.faces.http.watching import look
from market.orders import suspending
from market.protocol.signing import SigningKey
from tests.contract.agents import Agent
from tests.contract.conftest import OVERSEER, Market, Street, open_market, open_street
from tests.contract.test_access import add_key, change_keys
from tests.contract.test_refusals import refused
from tests.contract.test_streams import frames, open_session, stream, until_open
from tests.processes import free_port

LIMIT_SECONDS = 10.0
SOON_SECONDS = 1.5
"""A second, and what a busy machine takes to tell of it."""


class Pair(NamedTuple):
    """Two workers on one database, and an agent with streams open at the first."""

    here: Market
    there: Market


@pytest.fixture
async def pair(postgres_settings: Settings) -> AsyncIterator[Pair]:
    async with AsyncExitStack() as stack:
        markets = []
        for _ in range(2):
            port = free_port()
            settings = postgres_settings.with_(
                port=port, overseer_ids=(OVERSEER.kid,), issuer="http://127.0.0.1:1"
            )
            app = await stack.enter_async_context(running(settings))
            http = await stack.enter_async_context(
                httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}")
            )
            markets.append(Market(http, app, settings, app.state.desk.clock))
        yield Pair(*markets)


async def last_frame(agent: Agent, path: str) -> tuple[bytes, float]:
    """Follow a stream to its end; return its last frame and when that came."""
    async with stream(agent, path) as response:
        found = await frames(response)
    return found[-1], time.monotonic()


async def close_reason(market: Market, agent: Agent, path: str) -> tuple[int, str, float]:
    address = f"ws://127.0.0.1:{market.settings.port}{path}"
    async with connect(address, additional_headers=agent.bearer, proxy=None) as socket:
        with suppress(ConnectionClosed):
            async for _ in socket:
                pass
        await socket.wait_closed()
    return socket.close_code or 0, socket.close_reason or "", time.monotonic()


async def test_a_suspension_at_one_worker_ends_every_stream_at_another(pair: Pair):
    """I13: SSE, WebSocket, long poll and raw stream of a suspended agent, within a second."""
    buyer = await pair.here.enter("thrifty", "buyer")
    overseer = await pair.there.overseer()
    session_id = await open_session(buyer)
    headers = {**buyer.bearer, "content-type": "text/plain"}
    await pair.here.http.put("/v1/stream/mine", headers=headers)
    async with asyncio.TaskGroup() as tasks:
        sse = tasks.create_task(last_frame(buyer, f"/v1/sessions/{session_id}/stream"))
        inbox = tasks.create_task(last_frame(buyer, "/v1/inbox/stream"))
        socket = tasks.create_task(
            close_reason(pair.here, buyer, f"/v1/sessions/{session_id}/socket")
        )
        raw = tasks.create_task(last_frame(buyer, "/v1/stream/mine?offset=now&live=sse"))
        await until_open(pair.here, 4)
        poll = tasks.create_task(
            timed(buyer.get(f"/v1/sessions/{session_id}/events?after=0&wait_seconds=20"))
        )
        await buyer.get("/v1/me")

        began = time.monotonic()
        await overseer.made(f"/v1/agents/{buyer.id}/suspend", {"reason": "test"})

    assert sse.result()[0].startswith(b"event: revoked")
    assert inbox.result()[0].startswith(b"event: revoked")
    assert socket.result()[:2] == (1008, "revoked")
    assert poll.result()[0].status_code == 403
    ended = [task.result()[-1] for task in (sse, inbox, socket, raw, poll)]
    assert max(ended) - began < SOON_SECONDS
    refused(await buyer.get("/v1/me"), 403, "agent_suspended")


async def timed(work: Any) -> tuple[httpx.Response, float]:
    return await work, time.monotonic()


async def test_a_key_revoked_at_one_worker_ends_its_streams_at_another(pair: Pair):
    """I13: those of the key that was revoked, and no others."""
    buyer = await pair.here.enter("thrifty", "buyer")
    second = SigningKey.generate()
    await add_key(buyer, second)
    session_id = await open_session(buyer)
    rotated = Agent(pair.there.http, buyer.issuer, buyer.clock, second)
    rotated.id = buyer.id
    rotated.token = (await rotated.ask_token()).json()["access_token"]
    async with asyncio.TaskGroup() as tasks:
        old = tasks.create_task(last_frame(buyer, f"/v1/sessions/{session_id}/stream"))
        await until_open(pair.here, 1)

        began = time.monotonic()
        await change_keys(rotated, action="revoke", kid=buyer.key.kid)

    assert old.result()[0].startswith(b"event: revoked")
    assert old.result()[1] - began < SOON_SECONDS
    assert (await buyer.get("/v1/me")).status_code == 401
    assert (await rotated.get("/v1/me")).status_code == 200


async def test_a_database_that_is_away_is_looked_at_again(pair: Pair):
    buyer = await pair.here.enter("thrifty", "buyer")
    store, doors = pair.here.store, pair.here.app.state.desk.doors

    known = await look(store, doors, frozenset())
    await asyncio.to_thread(store.close)

    assert await look(store, doors, known) == known
    assert buyer.id


async def test_what_a_suspended_agent_has_is_hidden_denied_and_paused(street: Street):
    """L6: services, waiting approvals, running orders; the other side is told in its log."""
    overseer = await street.market.overseer()
    running_order = await street.placed()

    await overseer.made(f"/v1/agents/{street.buyer.id}/suspend", {"reason": "fraud"})

    seen = (await overseer.get(f"/v1/orders/{running_order['id']}")).json()
    assert seen["is_paused"] is True
    await overseer.made(f"/v1/agents/{street.seller.id}/suspend", {"reason": "fraud"})
    found = (await overseer.get("/v1/services?q=tables")).json()
    assert found["items"] == []


async def test_more_orders_than_one_unit_takes_are_paused_by_the_chores(
    sandbox: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(suspending, "SLICE", 2)
    async with open_market(sandbox) as market:
        street = await open_street(market)
        overseer = await market.overseer()
        placed = [await street.placed() for _ in range(5)]

        await market.store.write(suspend_in_slices, street.buyer.id, overseer.id)
        done = await chores.finish_suspensions(market.store)
        late = await chores.finish_suspensions(market.store)

        paused = [
            (await overseer.get(f"/v1/orders/{order['id']}")).json()["is_paused"]
            for order in placed
        ]
        market.clock.advance(suspending.LATE)
        assert (done, late) == (3, 0)
        assert paused == [True] * 5
        assert await unfinished(market) == 1
        await chores.finish_suspensions(market.store)
        assert await unfinished(market) == 0


def suspend_in_slices(uow: Any, agent_id: str, overseer_id: str) -> None:
    """As the face does, with a slice of two."""
    uow.connection.execute(
        "UPDATE agents SET suspended_at = ?, suspended_by = ?, suspension_reason = 'test' "
        "WHERE id = ?",
        (int(uow.now.timestamp() * 1_000_000), overseer_id, agent_id),
    )
    orders.shut_out(uow, agent_id=agent_id, overseer_id=overseer_id, reason="test", limit=2)


async def unfinished(market: Market) -> int:
    return len(await market.store.read(identity.unfinished_suspensions))


async def test_a_suspended_agents_worker_keeps_no_wake(market: Market):
    """I13: what it could answer with a wake's own token, it no longer can."""
    owner = await market.enter("thrifty", "buyer")
    overseer = await market.overseer()
    headers = {**owner.bearer, "content-type": "application/json"}
    for path in ("work", "wakes"):
        await market.http.put(f"/v1/stream/{path}", headers=headers)
    base = "/v1/stream/__ds/subscriptions/mine"
    new = {"type": "pull-wake", "streams": ["work"], "wake_stream": "wakes"}
    assert (await market.http.put(base, headers=headers, json=new)).status_code == 201
    await market.http.post("/v1/stream/work", headers=headers, json=[{"n": 1}])
    await chores.see_to_wakes(market.store)
    claim = await market.http.post(f"{base}/claim", headers=headers, json={"worker": "w"})
    assert claim.status_code == 200, claim.text
    wake = {"authorization": f"Bearer {claim.json()['token']}"}

    await overseer.made(f"/v1/agents/{owner.id}/suspend", {"reason": "test"})
    answer = await market.http.post(f"{base}/ack", headers=wake, json={"done": True})

    assert answer.status_code == 403
    assert msgspec.json.decode(answer.content)["type"] == "/problems/agent_suspended"
