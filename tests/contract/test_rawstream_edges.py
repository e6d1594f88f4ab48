"""The edges of the streams face: what no stream can be called, who waits and for how long, and
what happens when something fails in the middle of an answer.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import anyio.lowlevel
import pytest

from market import identity, rawstreams
from market.base.settings import Settings
from market.base.store import Store
from market.faces.http import limits
from market.faces.streams import live as live_reading
from market.rawstreams import Append
from tests.contract.agents import Agent
from tests.contract.conftest import Market, open_market, sandbox_in

LIMIT_SECONDS = 10.0
JSON = {"content-type": "application/json"}
FAR = "0000000000000000_0000000000009999"
START = "0000000000000000_0000000000000000"


@pytest.fixture
async def anywhere(settings: Settings) -> AsyncIterator[Market]:
    """A market in process, once on each database."""
    async with open_market(sandbox_in(settings.home).with_(store=settings.store)) as market:
        yield market


async def ask(agent: Agent, market: Market, method: str, path: str, **more: Any) -> Any:
    headers = {**agent.bearer, **more.pop("headers", {})}
    return await market.http.request(method, f"/v1/stream/{path}", headers=headers, **more)


async def made(market: Market, path: str, **headers: str) -> Agent:
    """The owner of a new JSON stream."""
    owner = await market.enter("thrifty", "buyer")
    answer = await ask(owner, market, "PUT", path, headers={**JSON, **headers})
    assert answer.status_code == 201, answer.text
    return owner


async def append(owner: Agent, market: Market, path: str) -> None:
    answer = await ask(owner, market, "POST", path, headers=JSON, json=1)
    assert answer.status_code == 204, answer.text


async def somebody_listens(market: Market, *, readers: int) -> None:
    async with asyncio.timeout(LIMIT_SECONDS):
        while market.store.hub.readers < readers:
            await anyio.lowlevel.checkpoint()


class Live:
    """An answer as a server gets it, part by part."""

    def __init__(self, on_data: Callable[[], None] = lambda: None) -> None:
        self.said: list[Any] = []
        self._on_data = on_data
        self._news = asyncio.Event()
        self._leaves = asyncio.Event()

    async def send(self, message: Any) -> None:
        self.said.append(message)
        if b"event: data" in message.get("body", b""):
            self._on_data()
        self._news.set()

    async def receive(self) -> Any:
        await self._leaves.wait()
        return {"type": "http.disconnect"}

    @property
    def body(self) -> bytes:
        return b"".join(part.get("body", b"") for part in self.said)

    async def until(self, text: bytes) -> None:
        async with asyncio.timeout(LIMIT_SECONDS):
            while text not in self.body:
                self._news.clear()
                await self._news.wait()


@asynccontextmanager
async def live(
    agent: Agent, market: Market, path: str, reader: Live | None = None
) -> AsyncIterator[tuple[Live, Any]]:
    """A live read of a stream from its start, and the task that answers it."""
    reader = reader or Live()
    address = f"/v1/stream/{path}"
    headers = {"host": urlsplit(agent.issuer).netloc, **agent.bearer}
    scope: Any = {
        "type": "http",
        "method": "GET",
        "path": address,
        "raw_path": address.encode(),
        "query_string": b"offset=-1&live=sse",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
    }
    task = asyncio.create_task(market.app(scope, reader.receive, reader.send))  # type: ignore[arg-type]
    try:
        yield reader, task
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("path", ["nul%00", "line%0D%0Ax", "half%C3", "no%FFtext", "gone%7F"])
async def test_a_path_is_text_without_control_characters(anywhere: Market, path: str):
    owner = await made(anywhere, "fine")

    answers = [
        await ask(owner, anywhere, method, path, headers=JSON)
        for method in ("PUT", "POST", "GET", "HEAD", "DELETE")
    ]
    source = {"stream-forked-from": f"/v1/stream/{path}"}
    answers.append(await ask(owner, anywhere, "PUT", "fork", headers=source))
    answers.append(await ask(owner, anywhere, "GET", f"ses_{path}"))

    assert [answer.status_code for answer in answers] == [400] * 7


async def test_a_path_may_be_written_in_any_script(anywhere: Market):
    owner = await made(anywhere, "%C3%A9t%C3%A9/%E2%82%AC")

    fork = {"stream-forked-from": "/v1/stream/%C3%A9t%C3%A9/%E2%82%AC"}
    answer = await ask(owner, anywhere, "PUT", "fork", headers=fork)

    assert answer.status_code == 201
    assert (await ask(owner, anywhere, "GET", "été/€")).status_code == 200


@pytest.mark.parametrize("name", ["stream-seq", "producer-id", "content-type"])
async def test_a_header_holds_no_control_characters(anywhere: Market, name: str):
    owner = await made(anywhere, "log")
    producer = {"producer-id": "p", "producer-epoch": "0", "producer-seq": "0"}

    answer = await ask(
        owner, anywhere, "POST", "log", headers={**JSON, **producer, name: "a\0b"}, json=1
    )

    assert answer.status_code == 400


@pytest.mark.parametrize(
    "moment",
    [
        "9999-12-31T23:59:59-14:00",
        "0001-01-01T00:00:00+14:00",
        "2030-W47-7T00:00:00Z",
        "2030-11-22 12:00:00+00:00:30",
        "2030-11-22T12:00Z",
        "2030-02-30T12:00:00Z",
    ],
)
async def test_an_end_is_an_instant_that_can_be_kept(market: Market, moment: str):
    owner = await made(market, "log")

    answer = await ask(owner, market, "PUT", "other", headers={**JSON, "stream-expires-at": moment})

    assert answer.status_code == 400
    assert answer.json()["type"] == "/problems/bad_stream_request"


async def test_who_waits_for_a_far_offset_keeps_nobody_waiting(market: Market):
    owner = await made(market, "log")
    poll = asyncio.create_task(ask(owner, market, "GET", f"log?offset={FAR}&live=long-poll"))
    await somebody_listens(market, readers=2)

    await append(owner, market, "log")

    assert (await ask(owner, market, "HEAD", "log")).status_code == 200
    assert not poll.done()
    poll.cancel()


async def test_a_long_poll_ends_with_the_right_to_ask(market: Market):
    owner = await made(market, "log")
    overseer = await market.overseer()
    poll = asyncio.create_task(ask(owner, market, "GET", "log?offset=now&live=long-poll"))
    await somebody_listens(market, readers=2)

    path = f"/v1/agents/{owner.id}/suspend"
    await overseer.http.post(path, headers=overseer.bearer, json={"reason": "test"})

    async with asyncio.timeout(LIMIT_SECONDS):
        assert (await poll).status_code == 403


@pytest.mark.parametrize("way", ["long-poll", "sse"])
async def test_a_live_reader_hears_of_what_another_worker_wrote(
    postgres_settings: Settings, way: str
):
    settings = sandbox_in(postgres_settings.home).with_(store=postgres_settings.store)
    async with open_market(settings) as market:
        owner = await made(market, "log")
        poll = asyncio.create_task(ask(owner, market, "GET", "log?offset=now&live=long-poll"))
        async with live(owner, market, "log") as (reader, _), asyncio.timeout(LIMIT_SECONDS):
            await reader.until(b"upToDate")
            await somebody_listens(market, readers=3)
            await _write_elsewhere(settings, owner)
            if way == "sse":
                await reader.until(b"elsewhere")
                poll.cancel()
            else:
                assert (await poll).json() == ["elsewhere"]


async def _write_elsewhere(settings: Settings, owner: Agent) -> None:
    other = Store.open(settings)
    try:
        caller = await other.read(identity.caller_of, agent_id=owner.id, scopes=("order",))
        request = Append(caller, "application/json", b'"elsewhere"', None, None, closes=False)
        await other.write(rawstreams.append, path="log", requests=[request])
    finally:
        other.close()


async def test_what_fails_behind_the_first_byte_ends_the_answer_once(market: Market):
    owner = await made(market, "log")
    caller = await market.store.read(identity.caller_of, agent_id=owner.id, scopes=("read",))
    found = await market.store.read(rawstreams.look_up, caller=caller, path="log")

    async with live(owner, market, "log") as (reader, task), asyncio.timeout(LIMIT_SECONDS):
        await reader.until(b"upToDate")
        market.store.close()
        market.store.hub.ring(asyncio.get_running_loop(), [(found.id, [])])
        await task

    assert [part["type"] for part in reader.said].count("http.response.start") == 1
    assert reader.said[-1] == {"type": "http.response.body", "body": b"", "more_body": False}


async def test_an_answer_without_a_body_claims_none(market: Market):
    owner = await made(market, "log")

    answers = [await ask(owner, market, "HEAD", path) for path in ("log", "nowhere")]

    assert [answer.status_code for answer in answers] == [200, 404]
    assert all("content-length" not in answer.headers for answer in answers)


async def test_looking_at_a_streams_head_is_no_use_of_it(market: Market):
    owner = await made(market, "short", **{"stream-ttl": "60"})

    before = market.store.commits
    await ask(owner, market, "HEAD", "short")
    assert market.store.commits == before
    await ask(owner, market, "GET", "short?offset=now")
    assert market.store.commits == before + 1


async def test_what_was_read_of_a_stream_is_not_taken_for_that_of_its_successor(market: Market):
    owner = await made(market, "log")
    await append(owner, market, "log")
    first = await ask(owner, market, "GET", "log")
    await ask(owner, market, "DELETE", "log")
    await ask(owner, market, "PUT", "log", headers=JSON, json=["other"])

    seen = {"if-none-match": first.headers["etag"]}
    answer = await ask(owner, market, "GET", "log", headers=seen)

    assert (answer.status_code, answer.json()) == (200, ["other"])


async def test_messages_are_kept_as_they_were_sent_on_one_line(market: Market):
    owner = await made(market, "log")

    for body in (b' [1 , "a\\nb",\n2 ]\r\n', b'{"a":\r\n 1}\n', b"[[ ],[[3]]]"):
        answer = await ask(owner, market, "POST", "log", headers=JSON, content=body)
        assert answer.status_code == 204
    for body in (b"[ \n ]", b" ", b"[1,]", b'"a\nb"', b'"\xff"', b"1e999", b"1 2"):
        answer = await ask(owner, market, "POST", "log", headers=JSON, content=body)
        assert answer.status_code == 400

    answer = await ask(owner, market, "GET", "log")
    assert answer.content == b'[1 , "a\\nb", 2,{"a":   1},[ ],[[3]]]'


@pytest.mark.parametrize("query", ["offset=-1", "offset=-1&live=long-poll"])
async def test_readers_that_come_at_once_let_everything_else_in_between(market: Market, query: str):
    owner = await made(market, "log")
    await append(owner, market, "log")
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await anyio.lowlevel.checkpoint()

    counting = asyncio.create_task(count_turns())
    answers = await asyncio.gather(*(ask(owner, market, "GET", f"log?{query}") for _ in range(50)))
    counting.cancel()

    assert [answer.json() for answer in answers] == [[1]] * 50
    assert turns >= 50


async def test_a_stream_does_not_lapse_under_a_slow_reader(
    market: Market, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(live_reading, "PAGE_ENTRIES", 1)
    monkeypatch.setattr(limits, "HEARTBEAT_SECONDS", 0.0)
    owner = await made(market, "short", **{"stream-ttl": "60"})
    for _ in range(4):
        await append(owner, market, "short")

    reader = Live(lambda: market.clock.advance(timedelta(seconds=40)))
    async with live(owner, market, "short", reader):
        await reader.until(b"upToDate")

    assert reader.body.count(b"data:[1]") == 4
