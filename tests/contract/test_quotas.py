"""Quotas: how much an agent may have, and that reading, cancelling and removing go on."""

import asyncio
import sys

import httpx
import pytest

from market.base.settings import Settings
from market.faces.http import disk
from market.protocol.commitments import ManifestClaims
from tests.contract.agents import Agent
from tests.contract.conftest import Market, Street, open_market
from tests.contract.test_refusals import refused
from tests.factories import manifest


async def quota(agent: Agent, name: str) -> tuple[int, int]:
    items = (await agent.get("/v1/quota")).json()["items"]
    [item] = [item for item in items if item["name"] == name]
    return item["used"], item["limit"]


def exceeded(answer: httpx.Response, name: str, limit: int) -> None:
    problem = refused(answer, 429, "quota_exceeded")
    assert (problem["quota"], problem["limit"]) == (name, limit)
    assert "retry-after" not in answer.headers


async def test_a_buyer_has_so_many_sessions_open_and_a_repeat_is_answered(sandbox: Settings):
    """D8: full, it still reads, closes, and then opens again."""
    async with open_market(sandbox.with_(max_open_sessions=2)) as market:
        buyer = await market.enter("thrifty", "buyer")
        need = {"need": "tables"}
        first = await buyer.post("/v1/sessions", need, key="first")
        await buyer.made("/v1/sessions", need)

        exceeded(await buyer.post("/v1/sessions", need), "open_sessions", 2)

        again = await buyer.post("/v1/sessions", need, key="first")
        assert (again.status_code, again.content) == (201, first.content)
        assert await quota(buyer, "open_sessions") == (2, 2)
        await buyer.made(f"/v1/sessions/{first.json()['id']}/close", {"reason": "done"})
        assert (await buyer.post("/v1/sessions", need)).status_code == 201


async def test_quotes_services_and_notes_have_quotas(sandbox: Settings):
    settings = sandbox.with_(max_open_quotes=1, max_services=1, max_note_bytes=100)
    async with open_market(settings) as market:
        seller, buyer = await market.enter("acme", "seller"), await market.enter("thrifty", "buyer")
        service = await seller.publish(manifest())
        ask = {"service_id": service["id"], "input": {"pages": ["1"]}}
        await buyer.made("/v1/quotes", ask)
        other = seller.sign(ManifestClaims, manifest=manifest(id="acme-other"))
        note = {"value": {"text": "x" * 60}}

        exceeded(await buyer.post("/v1/quotes", ask), "open_quotes", 1)
        exceeded(await seller.post("/v1/services", {"manifest": other}), "services", 1)
        assert (await buyer.put("/v1/memory/notes/one", note)).status_code == 200
        exceeded(await buyer.put("/v1/memory/notes/two", note), "note_bytes", 100)
        assert await quota(seller, "services") == (1, 1)
        assert await quota(buyer, "open_quotes") == (1, 1)
        assert (await quota(buyer, "notes"))[0] == 1
        assert 60 < (await quota(buyer, "note_bytes"))[0] < 100


async def test_a_full_inbox_takes_no_new_order_and_every_cancel(sandbox: Settings):
    """D8: what has begun can be cancelled, and acknowledging makes room."""
    async with open_market(sandbox.with_(max_inbox=1)) as market:
        seller, buyer = await market.enter("acme", "seller"), await market.enter("thrifty", "buyer")
        service = await seller.publish(manifest())
        quotes = [await buyer.quote(service["id"]) for _ in range(2)]
        order = await buyer.made("/v1/orders", buyer.order(quotes[0]))

        second = await buyer.post("/v1/orders", buyer.order(quotes[1]))
        exceeded(second, "inbox", 1)

        cancel = {"action": "cancel", "order_id": order["id"]}
        done = await buyer.post(f"/v1/sessions/{order['session_id']}/controls", cancel)
        assert done.json()[0]["answer"] == "accepted"
        used, _ = await quota(seller, "inbox")
        await seller.made("/v1/inbox/acknowledge", {"offset": used - 1})
        assert (await buyer.post("/v1/orders", buyer.order(quotes[1]))).status_code == 201


async def test_raw_streams_have_quotas_and_deleting_makes_room(sandbox: Settings):
    async with open_market(sandbox.with_(max_streams=2, max_stream_bytes=100)) as market:
        owner = await market.enter("thrifty", "buyer")

        async def send(method: str, path: str, content: bytes = b"") -> httpx.Response:
            headers = {**owner.bearer, "content-type": "text/plain"}
            where = f"/v1/stream/{path}"
            return await market.http.request(method, where, headers=headers, content=content)

        assert (await send("PUT", "one", b"x" * 60)).status_code == 201
        exceeded(await send("PUT", "two", b"x" * 60), "stream_bytes", 100)
        exceeded(await send("POST", "one", b"x" * 60), "stream_bytes", 100)
        assert (await send("POST", "one", b"x" * 20)).status_code == 204
        assert await quota(owner, "stream_bytes") == (80, 100)
        assert (await send("PUT", "two")).status_code == 201
        exceeded(await send("PUT", "three"), "streams", 2)
        assert (await send("DELETE", "one")).status_code == 204
        assert (await send("PUT", "three", b"x" * 90)).status_code == 201


async def test_a_stream_has_so_many_producers(market: Market, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys.modules["market.base.streams.producers"], "MAX_PRODUCERS", 2)
    owner = await market.enter("thrifty", "buyer")
    headers = {**owner.bearer, "content-type": "text/plain"}
    await market.http.put("/v1/stream/shared", headers=headers)

    async def append(producer: str, seq: int) -> httpx.Response:
        names = {"producer-id": producer, "producer-epoch": "0", "producer-seq": str(seq)}
        return await market.http.post(
            "/v1/stream/shared", headers={**headers, **names}, content=b"x"
        )

    assert [(await append(name, 0)).status_code for name in "ab"] == [200, 200]
    exceeded(await append("c", 0), "producers", 2)
    assert (await append("a", 1)).status_code == 200


async def test_a_disk_with_little_room_reads_cancels_and_lets_in(street: Street):
    """D8: nothing is added, everything can be read and ended."""
    order = await street.placed()
    desk = street.market.app.state.desk
    object.__setattr__(desk, "disk", disk.Disk(street.market.settings, lambda _: 0))

    refused(await street.buyer.post("/v1/sessions", {"need": "x"}), 503, "storage_full")
    headers = {**street.buyer.bearer, "content-type": "text/plain"}
    put = await street.market.http.put("/v1/stream/new", headers=headers)
    refused(put, 503, "storage_full")
    assert (await street.buyer.get(f"/v1/orders/{order['id']}")).status_code == 200
    assert (await street.buyer.ask_token()).status_code == 200
    cancel = {"action": "cancel", "order_id": order["id"]}
    done = await street.buyer.post(f"/v1/sessions/{order['session_id']}/controls", cancel)
    assert done.json()[0]["answer"] == "accepted"


async def test_many_at_once_take_no_more_than_is_left(sandbox: Settings):
    """D8: fifty requests that come together are counted, together, once."""
    async with open_market(sandbox.with_(max_open_sessions=3)) as market:
        buyer = await market.enter("thrifty", "buyer")
        ask = (buyer.post("/v1/sessions", {"need": "tables"}) for _ in range(50))

        answers = await asyncio.gather(*ask)

        codes = [answer.status_code for answer in answers]
        assert (codes.count(201), codes.count(429)) == (3, 47)
        assert await quota(buyer, "open_sessions") == (3, 3)
