"""Subscriptions on the wire: routes, refusals, and webhooks that a real receiver is told of.

What the protocol itself asks for is proved by its own suite (``make conformance``).
"""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from market import rawstreams
from market.faces.streams import courier
from market.faces.streams.courier import Courier
from market.rawstreams import PER_OWNER
from tests.contract.agents import Agent
from tests.contract.conftest import Market
from tests.contract.test_rawstreams import JSON, ask

LIMIT_SECONDS = 15.0
RETRY = timedelta(seconds=2)
"""Longer than the first retry waits, and shorter than an attempt lasts."""
PULL = {"type": "pull-wake", "streams": ["events/a"], "wake_stream": "wakes"}
HOOK = {"type": "webhook", "streams": ["events/a"], "webhook": {"url": "http://127.0.0.1:9/hook"}}
START, FIRST = (f"0000000000000000_{number:016}" for number in (0, 1))


async def control(
    agent: Agent | None, market: Market, method: str, path: str, body: Any = None, **more: Any
) -> Any:
    return await ask(agent, market, method, f"__ds/subscriptions/{path}", json=body, **more)


async def append(agent: Agent, market: Market, path: str, message: Any) -> None:
    answer = await ask(agent, market, "POST", path, headers=JSON, json=message)
    assert answer.status_code == 204, answer.text


async def followed(market: Market, subscription: dict[str, Any]) -> Agent:
    """An agent with an empty stream ``events/a`` and a subscription ``jobs``."""
    agent = await market.enter("watcher", "buyer")
    for path in ("events/a", "wakes"):
        assert (await ask(agent, market, "PUT", path, headers=JSON)).status_code == 201
    answer = await control(agent, market, "PUT", "jobs", subscription)
    assert answer.status_code == 201, answer.text
    return agent


async def claimed(agent: Agent, market: Market) -> Any:
    answer = await control(agent, market, "POST", "jobs/claim", {"worker": "one"})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def answered(market: Market, act: str, wake: Any, **members: Any) -> Any:
    """What a worker says, by the wake's token alone."""
    body = {"wake_id": wake["wake_id"], "generation": wake["generation"], **members}
    headers = {"authorization": f"Bearer {wake['token']}"}
    return await control(None, market, "POST", f"jobs/{act}", body, headers=headers)


class Receiver:
    """A webhook on a loopback port: keeps what it is told; its last answer is repeated.

    None is no answer at all.
    """

    def __init__(self, *answers: tuple[int, Any] | None) -> None:
        self._answers = list(answers)
        self.told: asyncio.Queue[tuple[dict[str, str], bytes]] = asyncio.Queue()
        self.silence = asyncio.Event()
        self.url = ""

    async def next(self) -> tuple[dict[str, str], bytes]:
        async with asyncio.timeout(LIMIT_SECONDS):
            return await self.told.get()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Receiver"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook?by=market"
        try:
            yield self
        finally:
            self.silence.set()
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        # A signature is not to be lowered.
        headers |= {"webhook-signature": _header(head, "webhook-signature")}
        body = await reader.readexactly(int(headers["content-length"]))
        self.told.put_nowait((headers, body))
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if answer is None:
            await self.silence.wait()
        else:
            content = json.dumps(answer[1]).encode()
            head = f"HTTP/1.1 {answer[0]} X\r\ncontent-length: {len(content)}\r\n\r\n"
            writer.write(head.encode() + content)
        writer.close()


def _header(head: list[str], name: str) -> str:
    return next(line.partition(": ")[2] for line in head if line.lower().startswith(f"{name}:"))


def is_signed(signature: str, body: bytes, jwks: dict[str, Any]) -> bool:
    """Whether a key of ``jwks`` signed a body, found out without any of the market's own code."""
    found = re.fullmatch(r"t=(\d+),kid=([^,]+),ed25519=([\w-]+)", signature)
    assert found is not None
    moment, kid, value = found.groups()
    [jwk] = [key for key in jwks["keys"] if key["kid"] == kid]
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(jwk["x"] + "=="))
    try:
        public.verify(base64.urlsafe_b64decode(value + "=="), moment.encode() + b"." + body)
    except InvalidSignature:
        return False
    return True


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Return when something that is asked of the market holds."""
    async with asyncio.timeout(LIMIT_SECONDS):
        while True:
            if await condition():
                return
            await asyncio.sleep(0)  # The question is the wait; others take their turn.


async def test_a_subscription_is_made_confirmed_read_and_ended(market: Market):
    agent = await market.enter("watcher", "buyer")

    made = await control(agent, market, "PUT", "jobs", HOOK)
    again = await control(agent, market, "PUT", "jobs", HOOK)
    read = await control(agent, market, "GET", "jobs")
    ended = [await control(agent, market, "DELETE", "jobs") for _ in range(2)]
    gone = await control(agent, market, "GET", "jobs")

    assert [answer.status_code for answer in (made, again, read)] == [201, 200, 200]
    assert made.json() == again.json() == read.json()
    keys = (await ask(None, market, "GET", "__ds/jwks.json")).json()["keys"]
    assert made.json() == {
        "id": "jobs",
        "subscription_id": "jobs",
        "type": "webhook",
        "streams": [{"path": "events/a", "link_type": "explicit", "acked_offset": START}],
        "webhook": {
            "url": "http://127.0.0.1:9/hook",
            "signing": {
                "alg": "ed25519",
                "kid": keys[0]["kid"],
                "jwks_url": "http://market.test/v1/stream/__ds/jwks.json",
            },
        },
        "lease_ttl_ms": 30_000,
        "created_at": "2026-11-22T12:00:00.000000Z",
        "status": "active",
    }
    assert [answer.status_code for answer in ended] == [204, 204]
    assert gone.status_code == 404
    assert gone.json()["error"]["code"] == "SUBSCRIPTION_NOT_FOUND"


async def test_the_keys_are_public_and_the_same_after_a_restart(market: Market):
    first = await ask(None, market, "GET", "__ds/jwks.json")
    assert first.headers["content-type"] == "application/jwk-set+json"
    assert "d" not in first.json()["keys"][0]
    assert (await ask(None, market, "PUT", "__ds/jwks.json")).status_code == 405


async def test_a_worker_pulls_acknowledges_and_lets_go(market: Market):
    agent = await followed(market, PULL)
    none = await control(agent, market, "POST", "jobs/claim", {"worker": "one"})
    await append(agent, market, "events/a", {"n": 1})

    wake = await claimed(agent, market)
    busy = await control(agent, market, "POST", "jobs/claim", {"worker": "two"})
    heard = await answered(market, "ack", wake)
    done = await answered(
        market, "ack", wake, acks=[{"stream": "events/a", "offset": FIRST}], done=True
    )
    stale = await answered(market, "ack", wake)
    await append(agent, market, "events/a", {"n": 2})
    released = await answered(market, "release", await claimed(agent, market))

    assert (none.status_code, none.json()["error"]["code"]) == (409, "NO_PENDING_WORK")
    assert wake["streams"] == [
        {
            "path": "events/a",
            "link_type": "explicit",
            "acked_offset": START,
            "tail_offset": FIRST,
            "has_pending": True,
        }
    ]
    assert busy.json()["error"] == {
        "code": "ALREADY_CLAIMED",
        "message": "Wait for its lease to end.",
        "current_holder": "one",
        "generation": 1,
    }
    assert (heard.json(), done.json()) == ({"ok": True, "next_wake": False},) * 2
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "FENCED")
    assert (released.status_code, released.content) == (204, b"")


async def test_a_strangers_subscription_is_not_there(market: Market):
    await followed(market, PULL)
    stranger = await market.enter("nosy", "seller")

    answers = [
        await control(stranger, market, "GET", "jobs"),
        await control(stranger, market, "POST", "jobs/claim", {"worker": "one"}),
        await control(stranger, market, "POST", "jobs/streams", {"streams": ["b"]}),
        await control(stranger, market, "DELETE", "jobs/streams/events%2Fa"),
        await control(stranger, market, "GET", "never-made"),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert {answer.json()["detail"] for answer in answers} == {
        "You have no subscription of this id."
    }


async def test_nobody_subscribes_without_a_token(market: Market):
    for method, path in (
        ("PUT", "jobs"),
        ("GET", "jobs"),
        ("DELETE", "jobs"),
        ("POST", "jobs/claim"),
        ("POST", "jobs/ack"),
        ("POST", "jobs/release"),
        ("POST", "jobs/callback"),
        ("POST", "jobs/streams"),
        ("DELETE", "jobs/streams/a"),
    ):
        answer = await control(None, market, method, path, {})
        assert answer.status_code == 401, (method, path)


async def test_an_access_token_does_not_answer_for_a_wake(market: Market):
    agent = await followed(market, PULL)
    await append(agent, market, "events/a", 1)
    wake = await claimed(agent, market)

    answer = await answered(market, "ack", {**wake, "token": agent.token}, done=True)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "TOKEN_INVALID")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "type"),
        ({**PULL, "type": "push"}, "type"),
        ({**PULL, "streams": []}, ""),
        ({**PULL, "streams": [1]}, "streams"),
        ({**PULL, "streams": [""]}, "streams"),
        ({**PULL, "streams": ["///"]}, ""),
        ({**PULL, "streams": ["a\u0000b"]}, ""),
        ({**PULL, "streams": ["ses_01"]}, ""),
        ({**PULL, "streams": ["__ds/x"]}, ""),
        ({**PULL, "streams": ["wakes"]}, ""),
        ({**PULL, "streams": ["a"] * 1_001}, "streams"),
        ({**PULL, "pattern": ""}, "pattern"),
        ({**PULL, "wake_stream": None}, ""),
        ({**PULL, "lease_ttl_ms": 999}, "lease_ttl_ms"),
        ({**PULL, "lease_ttl_ms": 600_001}, "lease_ttl_ms"),
        ({**PULL, "lease_ttl_ms": 1_000.5}, "lease_ttl_ms"),
        ({**PULL, "lease_ttl_ms": "1000"}, "lease_ttl_ms"),
        ({**PULL, "description": "x" * 1_001}, "description"),
        ({"type": "webhook", "streams": ["a"]}, ""),
        ({"type": "webhook", "streams": ["a"], "webhook": {}}, "webhook"),
        ([], ""),
    ],
)
async def test_what_is_no_subscription_is_refused(market: Market, body: Any, field: str):
    agent = await market.enter("watcher", "buyer")

    answer = await control(agent, market, "PUT", "jobs", body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "INVALID_REQUEST")
    assert field in answer.text
    assert (await control(agent, market, "GET", "jobs")).status_code == 404


@pytest.mark.parametrize("lease_ms", [1_000, 600_000])
async def test_a_lease_lasts_from_one_second_to_ten_minutes(market: Market, lease_ms: int):
    agent = await market.enter("watcher", "buyer")

    answer = await control(agent, market, "PUT", "jobs", {**PULL, "lease_ttl_ms": lease_ms})

    assert answer.status_code == 201


async def test_a_body_that_is_no_json_or_too_long_is_refused(market: Market):
    agent = await market.enter("watcher", "buyer")

    broken = await ask(agent, market, "PUT", "__ds/subscriptions/jobs", content=b"{")
    deep = await ask(agent, market, "PUT", "__ds/subscriptions/jobs", content=b"[" * 9_999)
    long = await ask(agent, market, "PUT", "__ds/subscriptions/jobs", content=b" " * (2**20 + 1))

    assert [answer.status_code for answer in (broken, deep, long)] == [400, 400, 413]


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1/hook", "https://127.0.0.1/hook", "https://[::1]/", "ftp://a.com/", "hook"],
)
async def test_an_unsafe_webhook_is_refused(market: Market, url: str):
    agent = await market.enter("watcher", "buyer")

    answer = await control(agent, market, "PUT", "jobs", {**HOOK, "webhook": {"url": url}})

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "WEBHOOK_URL_REJECTED")
    assert (await control(agent, market, "GET", "jobs")).status_code == 404


async def test_the_same_id_with_another_form_is_refused(market: Market):
    agent = await followed(market, PULL)

    answer = await control(agent, market, "PUT", "jobs", {**PULL, "description": "other"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (
        409,
        "SUBSCRIPTION_ALREADY_EXISTS",
    )


@pytest.mark.parametrize("offset", ["-1", "now", "", "1", FIRST.replace("1", "9")])
async def test_an_offset_that_was_not_given_out_is_not_acknowledged(market: Market, offset: str):
    agent = await followed(market, PULL)
    await append(agent, market, "events/a", 1)

    answer = await answered(
        market, "ack", await claimed(agent, market), acks=[{"path": "events/a", "offset": offset}]
    )

    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "INVALID_OFFSET")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "__ds/", 404),
        ("GET", "__ds/other", 404),
        ("GET", "__ds/subscriptions/", 404),
        ("POST", "__ds/subscriptions/jobs/dance", 404),
        ("POST", "__ds/subscriptions/jobs/claim/more", 404),
        ("GET", "__ds/subscriptions/jobs/claim", 405),
        ("POST", "__ds/subscriptions/jobs", 405),
        ("PUT", "__ds/subscriptions/jobs/streams", 405),
        ("GET", "__ds/subscriptions/jobs/streams/a", 405),
        ("PUT", "__ds/subscriptions/" + "x" * 257, 404),
    ],
)
async def test_other_addresses_and_methods_are_refused(
    market: Market, method: str, path: str, status: int
):
    agent = await market.enter("watcher", "buyer")

    answer = await ask(agent, market, method, path)

    assert answer.status_code == status
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_streams_are_added_and_removed_by_their_paths(market: Market):
    agent = await followed(market, PULL)

    added = await control(agent, market, "POST", "jobs/streams", {"streams": ["b/c", "/d/"]})
    removed = await control(agent, market, "DELETE", "jobs/streams/b%2Fc")
    read = (await control(agent, market, "GET", "jobs")).json()

    assert (added.status_code, removed.status_code) == (204, 204)
    assert [stream["path"] for stream in read["streams"]] == ["d", "events/a"]


async def test_a_webhook_is_told_again_after_a_failure_and_signed_each_time(served: Market):
    receiver = Receiver((500, {}), (200, {"done": True}))
    async with receiver.listening():
        agent = await followed(served, {**HOOK, "webhook": {"url": receiver.url}})
        jwks = (await ask(None, served, "GET", "__ds/jwks.json")).json()
        await append(agent, served, "events/a", {"n": 1})
        first_headers, first = await receiver.next()
        headers, second = await receiver.next()

        await append(agent, served, "events/a", {"n": 2})
        following = json.loads((await receiver.next())[1])

    told = json.loads(second)
    assert json.loads(first) == told
    assert told["subscription_id"] == "jobs"
    assert told["generation"] == 1
    assert told["callback_url"] == (
        f"{served.settings.issuer}/v1/stream/__ds/subscriptions/jobs/callback"
    )
    assert told["streams"][0]["tail_offset"] == FIRST
    assert (following["generation"], following["streams"][0]["acked_offset"]) == (2, FIRST)
    assert is_signed(first_headers["webhook-signature"], first, jwks)
    assert is_signed(headers["webhook-signature"], second, jwks)
    assert not is_signed(headers["webhook-signature"], second + b" ", jwks)
    assert headers["content-type"] == "application/json"


async def test_a_webhook_answers_by_its_callback_and_is_fenced_afterwards(served: Market):
    receiver = Receiver((204, {}))
    async with receiver.listening():
        agent = await followed(served, {**HOOK, "webhook": {"url": receiver.url}})
        await append(agent, served, "events/a", {"n": 1})
        told = json.loads((await receiver.next())[1])
        wake = {**told, "token": told["callback_token"]}
        acks = [{"stream": "events/a", "offset": told["streams"][0]["tail_offset"]}]

        by_another_way = await answered(served, "ack", wake, acks=acks)
        done = await answered(served, "callback", wake, acks=acks, done=True)
        stale = await answered(served, "callback", wake, acks=acks, done=True)

    assert by_another_way.status_code == 400
    assert (done.status_code, done.json()) == (200, {"ok": True, "next_wake": False})
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "FENCED")


async def test_hooks_that_never_answer_do_not_stall_others(served: Market):
    silent, quick = Receiver(None), Receiver((200, {"done": True}))
    async with silent.listening(), quick.listening():
        hostile = await followed(served, {**HOOK, "webhook": {"url": silent.url}})
        for number in range(2 * PER_OWNER):
            hook = {**HOOK, "webhook": {"url": silent.url}}
            await control(hostile, served, "PUT", f"jobs-{number}", hook)
        await append(hostile, served, "events/a", 1)
        for _ in range(PER_OWNER):
            await silent.next()
        honest = await served.enter("honest", "buyer")
        await ask(honest, served, "PUT", "mine", headers=JSON)
        hook = {**HOOK, "streams": ["mine"], "webhook": {"url": quick.url}}
        await control(honest, served, "PUT", "jobs", hook)

        began = asyncio.get_running_loop().time()
        await append(honest, served, "mine", 1)
        await quick.next()

        assert asyncio.get_running_loop().time() - began < 2.0
        assert silent.told.empty()


async def test_hooks_that_failed_leave_room_for_those_that_did_not(
    market: Market, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(courier, "SUSPECTS_AT_ONCE", 1)
    failing, quick = Receiver((500, {}), (500, {}), None), Receiver((200, {"done": True}))
    async with failing.listening(), quick.listening():
        hook = {**HOOK, "webhook": {"url": failing.url}}
        agent = await followed(market, hook)
        await control(agent, market, "PUT", "jobs-2", hook)
        await append(agent, market, "events/a", 1)

        async def have_failed() -> bool:
            read = [await control(agent, market, "GET", name) for name in ("jobs", "jobs-2")]
            return {answer.json()["status"] for answer in read} == {"failed"}

        await until(have_failed)
        told = [await failing.next() for _ in range(2)]
        market.clock.advance(RETRY)
        told.append(await failing.next())
        await control(agent, market, "PUT", "new", {**HOOK, "webhook": {"url": quick.url}})
        await append(agent, market, "events/a", 2)
        await quick.next()

    assert len(told) == 3
    assert failing.told.empty()


async def test_a_courier_finds_what_became_due_while_nobody_rang(market: Market):
    receiver = Receiver((500, {}), (200, {"done": True}))
    async with receiver.listening():
        agent = await followed(market, {**HOOK, "webhook": {"url": receiver.url}})
        await append(agent, market, "events/a", 1)
        await receiver.next()

        async def has_failed() -> bool:
            read = await control(agent, market, "GET", "jobs")
            return bool(read.json()["status"] == "failed")

        await until(has_failed)
        market.clock.advance(RETRY)
        told = json.loads((await receiver.next())[1])

    assert told["generation"] == 1


async def test_two_couriers_tell_a_webhook_once(market: Market):
    receiver = Receiver((200, {"done": True}))
    other = asyncio.create_task(Courier(market.store).run())
    async with receiver.listening():
        agent = await followed(market, {**HOOK, "webhook": {"url": receiver.url}})
        for number in range(5):
            await append(agent, market, "events/a", number)
            told = json.loads((await receiver.next())[1])
            assert told["generation"] == number + 1

        async def is_acknowledged() -> bool:
            read = (await control(agent, market, "GET", "jobs")).json()
            return bool(read["streams"][0]["acked_offset"].endswith("5"))

        await until(is_acknowledged)
    other.cancel()

    assert receiver.told.empty()


async def test_a_suspended_agents_webhook_is_told_nothing_until_it_is_back(market: Market):
    receiver = Receiver((200, {"done": True}))
    async with receiver.listening():
        agent = await market.enter("watcher", "buyer")
        other = await market.enter("friend", "buyer")
        overseer = await market.overseer()
        await ask(agent, market, "PUT", "shared", headers={**JSON, "stream-access": "open"})
        hook = {"type": "webhook", "streams": ["shared"], "webhook": {"url": receiver.url}}
        await control(agent, market, "PUT", "jobs", hook)
        await overseer.made(f"/v1/agents/{agent.id}/suspend", {"reason": "test"})
        await append(other, market, "shared", 1)

        async def has_failed() -> bool:
            agenda = await market.store.read(rawstreams.agenda)
            return agenda.next_at is not None and agenda.next_at < market.clock.now() + RETRY

        await until(has_failed)
        was_told = not receiver.told.empty()
        await overseer.made(f"/v1/agents/{agent.id}/reinstate", {"reason": "test"})
        market.clock.advance(RETRY)
        told = json.loads((await receiver.next())[1])

    assert not was_told
    assert told["generation"] == 1
