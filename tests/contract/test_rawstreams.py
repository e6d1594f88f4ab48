"""The streams face with tokens: whose stream it is, what others get, and what the market adds.

What the protocol itself asks for is proved by its own suite (``make conformance``).
"""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from market import chores
from market.faces.http import limits
from market.faces.streams import spinning
from tests.contract.agents import Agent
from tests.contract.conftest import Market, Street

LIMIT_SECONDS = 10.0
START = "0000000000000000_0000000000000000"
JSON = {"content-type": "application/json"}


async def ask(agent: Agent | None, market: Market, method: str, path: str, **more: Any) -> Any:
    headers = {**(agent.bearer if agent else {}), **more.pop("headers", {})}
    return await market.http.request(method, f"/v1/stream/{path}", headers=headers, **more)


async def create(agent: Agent, market: Market, path: str, **headers: str) -> httpx.Response:
    answer = await ask(agent, market, "PUT", path, headers={**JSON, **headers})
    assert answer.status_code == 201, answer.text
    return answer


async def append(agent: Agent, market: Market, path: str, message: Any, **headers: str) -> Any:
    return await ask(agent, market, "POST", path, headers={**JSON, **headers}, json=message)


async def test_a_stream_is_its_creators_alone(market: Market):
    owner = await market.enter("thrifty", "buyer")
    stranger = await market.enter("nosy", "seller")
    await create(owner, market, "notes/today")

    answers = [
        await ask(stranger, market, "GET", "notes/today"),
        await ask(stranger, market, "HEAD", "notes/today"),
        await append(stranger, market, "notes/today", {"a": 1}),
        await ask(stranger, market, "DELETE", "notes/today"),
        await ask(stranger, market, "GET", "notes/never-made"),
    ]

    assert [answer.status_code for answer in answers] == [404] * 5
    assert answers[0].json()["detail"] == answers[4].json()["detail"]
    assert (await append(owner, market, "notes/today", {"a": 1})).status_code == 204


async def test_nobody_gets_in_without_a_token(market: Market):
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE"):
        answer = await ask(None, market, method, "anything", headers=JSON)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Bearer ")
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_an_owner_may_let_others_read_or_append(market: Market):
    owner = await market.enter("thrifty", "buyer")
    other = await market.enter("acme", "seller")
    await create(owner, market, "news", **{"stream-access": "readable"})
    await create(owner, market, "wall", **{"stream-access": "open"})

    assert (await ask(other, market, "GET", "news")).status_code == 200
    assert (await append(other, market, "news", 1)).status_code == 404
    assert (await append(other, market, "wall", 1)).status_code == 204
    assert (await ask(other, market, "DELETE", "wall")).status_code == 404
    assert (await ask(owner, market, "GET", "wall")).json() == [1]


async def test_an_overseer_reads_and_does_not_write(market: Market):
    owner = await market.enter("thrifty", "buyer")
    overseer = await market.overseer()
    await create(owner, market, "diary")

    assert (await ask(overseer, market, "GET", "diary")).status_code == 200
    assert (await append(overseer, market, "diary", 1)).status_code == 404


async def test_anothers_path_is_taken_without_a_word_about_it(market: Market):
    owner = await market.enter("thrifty", "buyer")
    other = await market.enter("acme", "seller")
    await create(owner, market, "secret-plan")

    answer = await ask(other, market, "PUT", "secret-plan", headers=JSON)

    assert answer.status_code == 409
    assert answer.json()["type"].endswith("stream_exists")


async def test_private_content_is_no_matter_for_shared_caches(market: Market):
    owner = await market.enter("thrifty", "buyer")
    await create(owner, market, "diary")

    answer = await ask(owner, market, "GET", "diary")

    assert answer.headers["cache-control"].startswith("private")


async def test_a_session_is_read_as_a_stream_by_who_takes_part(street: Street):
    order = await street.placed()
    session_id = order["session_id"]

    owners = await ask(street.buyer, street.market, "GET", f"{session_id}?offset=-1")
    sellers = await ask(street.seller, street.market, "GET", f"{session_id}?offset=-1")
    strangers = await ask(street.other, street.market, "GET", f"{session_id}?offset=-1")

    path = f"/v1/sessions/{session_id}/events"
    page = (await street.seller.http.get(path, headers=street.seller.bearer)).json()
    assert sellers.json() == page["items"]
    assert any(item.get("withheld") for item in sellers.json())
    assert [event["offset"] for event in owners.json()] == list(range(len(owners.json())))
    assert owners.headers["stream-next-offset"].endswith(f"{len(owners.json()):016d}")
    assert strangers.status_code == 404


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
async def test_a_session_is_not_written_as_a_stream(street: Street, method: str):
    order = await street.placed()

    answer = await ask(
        street.buyer, street.market, method, order["session_id"], headers=JSON, json={"a": 1}
    )

    assert answer.status_code == 400
    assert "/v1/sessions/" in answer.json()["detail"]


async def test_requests_that_come_together_are_each_answered_by_themselves(market: Market):
    owner = await market.enter("thrifty", "buyer")
    await create(owner, market, "busy")
    before = market.store.commits

    answers = await asyncio.gather(
        *(append(owner, market, "busy", {"n": number}) for number in range(40)),
        append(owner, market, "busy", {"n": -1}, **{"content-type": "text/plain"}),
        ask(owner, market, "POST", "busy", headers=JSON, content=b"{no json"),
    )

    assert [answer.status_code for answer in answers] == [204] * 40 + [409, 400]
    offsets = sorted(answer.headers["stream-next-offset"] for answer in answers[:40])
    assert [int(offset[-16:]) for offset in offsets] == list(range(1, 41))
    messages = (await ask(owner, market, "GET", "busy")).json()
    assert sorted(message["n"] for message in messages) == list(range(40))
    assert market.store.commits - before < 10


async def test_what_waits_to_be_written_is_bounded(market: Market, monkeypatch: Any):
    owner = await market.enter("thrifty", "buyer")
    await create(owner, market, "busy")
    monkeypatch.setattr(limits, "HELD", 100)

    answers = await asyncio.gather(
        *(append(owner, market, "busy", "x" * 60) for _ in range(4)),
    )

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[0] == 204
    assert statuses[-1] == 503
    refused = next(answer for answer in answers if answer.status_code == 503)
    assert refused.headers["retry-after"] == "1"
    assert (await append(owner, market, "busy", "again")).status_code == 204


async def test_a_body_that_is_too_large_changes_nothing(market: Market):
    owner = await market.enter("thrifty", "buyer")
    await create(owner, market, "busy")

    answer = await append(owner, market, "busy", "x" * limits.STREAM_BODY)

    assert answer.status_code == 413
    assert (await ask(owner, market, "GET", "busy")).json() == []


async def test_json_nested_beyond_reason_is_refused(market: Market):
    owner = await market.enter("thrifty", "buyer")
    await create(owner, market, "deep")

    body = b"[" * 100_000 + b"]" * 100_000
    answer = await ask(owner, market, "POST", "deep", headers=JSON, content=body)

    assert answer.status_code == 400


async def test_a_lapsed_stream_is_removed_and_its_path_is_free(market: Market):
    owner = await market.enter("thrifty", "buyer")
    await create(owner, market, "short", **{"stream-ttl": "60"})
    await append(owner, market, "short", {"n": 1})

    market.clock.advance(timedelta(seconds=61))
    assert (await ask(owner, market, "GET", "short")).status_code == 404
    await chores.run_chores(market.store)
    await create(owner, market, "short")

    assert (await ask(owner, market, "GET", "short")).json() == []
    rows = await market.store.scan(
        lambda snapshot: snapshot.connection.execute("SELECT count(*) FROM raw_streams").fetchone()
    )
    assert rows[0] == 1


async def test_a_deleted_streams_entries_leave_the_disk(market: Market):
    owner = await market.enter("thrifty", "buyer")
    await create(owner, market, "gone")
    for number in range(5):
        await append(owner, market, "gone", {"n": number})

    assert (await ask(owner, market, "DELETE", "gone")).status_code == 204
    await chores.run_chores(market.store)

    rows = await market.store.scan(
        lambda snapshot: snapshot.connection.execute(
            "SELECT count(*) FROM stream_entries e JOIN streams s ON s.id = e.stream_id "
            "WHERE s.id LIKE 'str_%'"
        ).fetchone()
    )
    assert rows[0] == 0


async def test_a_reader_is_told_when_its_token_ends(served: Market):
    owner = await served.enter("thrifty", "buyer")
    other = await served.overseer()
    await create(owner, served, "long")

    async with (
        asyncio.timeout(LIMIT_SECONDS),
        served.http.stream(
            "GET", "/v1/stream/long?offset=-1&live=sse", headers=owner.bearer
        ) as live,
    ):
        parts = live.aiter_raw()
        assert b"upToDate" in await anext(parts)
        suspended = await other.http.post(
            f"/v1/agents/{owner.id}/suspend", headers=other.bearer, json={"reason": "test"}
        )
        assert suspended.status_code == 200, suspended.text
        rest = b"".join([part async for part in parts])

    assert b"streamClosed" not in rest
    assert (await ask(owner, served, "GET", "long")).status_code == 403


async def test_live_events_of_a_session_reach_a_client_of_the_open_protocol(served: Market):
    buyer = await served.enter("thrifty", "buyer")
    session = await buyer.made("/v1/sessions", {"need": "tables"})
    path = f"/v1/stream/{session['id']}?offset={START}&live=sse"

    async with (
        asyncio.timeout(LIMIT_SECONDS),
        served.http.stream("GET", path, headers=buyer.bearer) as live,
    ):
        found = b""
        parts = live.aiter_raw()
        while b"upToDate" not in found:
            found += await anext(parts)
        event = {"kind": "note.written", "body": {"text": "hello"}}
        await buyer.made(f"/v1/sessions/{session['id']}/events", {"events": [event]})
        while b"hello" not in found:
            found += await anext(parts)

    lines = [line[5:] for line in found.split(b"\n") if line.startswith(b"data:[")]
    kinds = [event["kind"] for line in lines for event in msgspec.json.decode(line)]
    assert kinds == ["session.opened", "note.written"]


async def test_a_client_that_asks_for_the_end_for_ever_is_slowed_down(market: Market):
    owner = await market.enter("thrifty", "buyer")
    closed = await create(owner, market, "done", **{"stream-closed": "true"})
    path = f"done?offset={closed.headers['stream-next-offset']}&live=long-poll"

    answers = [await ask(owner, market, "GET", path) for _ in range(3 * spinning.TOLERATED)]

    refused = [answer for answer in answers if answer.status_code == 429]
    assert [answer.status_code for answer in answers[: spinning.TOLERATED]] == (
        [204] * spinning.TOLERATED
    )
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].json()["type"] == "/problems/end_reached"


async def test_forks_of_forks_end_somewhere(market: Market):
    owner = await market.enter("thrifty", "buyer")
    await create(owner, market, "fork-0")
    await append(owner, market, "fork-0", 0)

    statuses = []
    for number in range(1, 40):
        source = {**JSON, "stream-forked-from": f"/v1/stream/fork-{number - 1}"}
        answer = await ask(owner, market, "PUT", f"fork-{number}", headers=source)
        statuses.append(answer.status_code)
        await append(owner, market, f"fork-{number}", number)

    deepest = statuses.count(201)
    assert deepest == 32
    assert statuses[deepest] == 409
    everything = (await ask(owner, market, "GET", f"fork-{deepest}")).json()
    assert everything == list(range(deepest + 1))
