"""The porch and the doors: how often, how much, for which host, by whom, and for how long."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from market import orders
from market.app import running
from market.base.settings import BadSettings, Settings
from market.faces.http import limits
from market.faces.http.problems import RequestTimedOut
from tests.contract.conftest import Market, Street, open_market
from tests.contract.test_refusals import refused
from tests.processes import free_port
from tests.workers import Hold

LIMIT_SECONDS = 10.0


@pytest.fixture
async def slow(sandbox: Settings) -> AsyncIterator[Market]:
    """A market where everybody may ask five times a second, ten times at once."""
    settings = sandbox.with_(requests_per_second=5, writes_per_second=2)
    async with open_market(settings) as market:
        yield market


@pytest.fixture(params=["granian", "uvicorn"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.param


async def until_refused(ask: Any, most: int) -> tuple[int, httpx.Response]:
    """Ask until it is too much; return how often that was fine, and the refusal."""
    for count in range(most):
        answer = await ask()
        if answer.status_code == 429:
            return count, answer
    raise AssertionError(f"{most} requests were answered")


def held_back(answer: httpx.Response) -> None:
    problem = refused(answer, 429, "too_many_requests")
    assert problem["limit"] > 0
    assert int(answer.headers["retry-after"]) == problem["retry_after_seconds"] >= 1


# Rates


async def test_an_agent_that_asks_too_often_waits_and_nobody_else_does(slow: Market):
    """D1: 429 with Retry-After; the key is the agent, over all its connections and tokens."""
    loud, calm = await slow.enter("loud", "buyer"), await slow.enter("calm", "buyer")

    count, answer = await until_refused(lambda: loud.get("/v1/me"), 50)

    held_back(answer)
    assert count >= 10
    loud.token = (await loud.ask_token()).json()["access_token"]
    await loud.get("/v1/me")
    held_back((await until_refused(lambda: loud.get("/v1/me"), 50))[1])
    assert (await calm.get("/v1/me")).status_code == 200


async def test_writes_are_fewer_than_reads(slow: Market):
    loud = await slow.enter("loud", "buyer")

    count, answer = await until_refused(lambda: loud.post("/v1/sessions", {"need": "tables"}), 50)

    held_back(answer)
    assert 4 <= count < 10
    assert (await loud.get("/v1/me")).status_code == 200


async def test_the_streams_face_counts_alike_and_browsers_may_read_the_refusal(slow: Market):
    loud = await slow.enter("loud", "buyer")
    path = "/v1/stream/nothing"

    _, answer = await until_refused(lambda: slow.http.get(path, headers=loud.bearer), 50)

    held_back(answer)
    assert answer.headers["access-control-allow-origin"] == "*"


async def test_a_forged_address_does_not_help(sandbox: Settings):
    """D1: without a known token the socket's address counts, whatever headers say."""
    async with open_market(sandbox.with_(visits_per_second=5)) as market:
        numbers = itertools.count()

        def ask() -> Any:
            forged = f"192.0.2.{next(numbers) % 250}"
            headers = {"x-forwarded-for": forged, "forwarded": f"for={forged}"}
            return market.http.get("/agents", headers={**headers, "x-real-ip": forged})

        count, answer = await until_refused(ask, 50)

        held_back(answer)
        assert count >= 10
        nobody = await market.http.get("/nowhere")
        assert nobody.status_code == 429


async def test_tokens_of_ones_own_making_count_as_visits(sandbox: Settings):
    """D1: each costs a check of a signature, so they are few."""
    async with open_market(sandbox.with_(visits_per_second=5)) as market:
        known = await market.enter("thrifty", "buyer")
        assert (await known.get("/v1/me")).status_code == 200
        numbers = itertools.count()

        async def guess() -> httpx.Response:
            headers = {"authorization": f"Bearer guess-{next(numbers)}"}
            return await market.http.get("/v1/me", headers=headers)

        _, answer = await until_refused(guess, 50)

        held_back(answer)
        assert (await known.get("/v1/me")).status_code == 200


async def test_a_socket_that_is_opened_too_often_is_refused(sandbox: Settings, server: Any):
    """L13: handshakes are counted like requests."""
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    settings = sandbox.with_(server=server, port=port, issuer=issuer, visits_per_second=2)
    codes = []
    async with running(settings):
        for _ in range(8):
            with pytest.raises(InvalidStatus) as caught:
                async with connect(f"ws://127.0.0.1:{port}/v1/feed/socket", proxy=None):
                    pass
            codes.append(caught.value.response.status_code)

    assert codes[0] in (401, 403)
    assert codes[-1] == (429 if server == "uvicorn" else codes[-1])
    assert len(set(codes)) == 2 or server == "granian"


async def test_requests_of_one_address_at_a_time_are_bounded(sandbox: Settings):
    async with open_market(sandbox.with_(requests_at_once=1)) as market:
        buyer = await market.enter("thrifty", "buyer")
        session = await buyer.made("/v1/sessions", {"need": "tables"})
        path = f"/v1/sessions/{session['id']}/events?after=0&wait_seconds=5"

        waiting = asyncio.create_task(buyer.get(path))
        async with asyncio.timeout(LIMIT_SECONDS):
            while market.store.hub.readers < 2:  # noqa: ASYNC110 - one is the courier
                await asyncio.sleep(0)
        second = await buyer.get("/v1/me")
        waiting.cancel()

    held_back(second)


async def test_every_operation_says_that_it_may_be_refused_for_being_too_much(market: Market):
    document = (await market.http.get("/openapi.json")).json()

    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            assert {"421", "429", "431", "503"} <= set(operation["responses"]), (method, path)


# Hosts, heads, headers


@pytest.mark.parametrize("host", ["evil.test", "market.test.evil.test", "evil.test:80"])
@pytest.mark.parametrize("path", ["/v1/me", "/agents", "/v1/stream/x", "/nowhere"])
async def test_a_name_that_was_bound_anew_leads_nowhere(market: Market, host: str, path: str):
    """D1: DNS rebinding; a page of another name reads nothing of a market on this machine."""
    buyer = await market.enter("thrifty", "buyer")

    answer = await market.http.get(path, headers={**buyer.bearer, "host": host})

    refused(answer, 421, "misdirected")


async def test_a_name_that_the_settings_give_is_the_markets(sandbox: Settings):
    async with open_market(sandbox.with_(allowed_hosts=("shop.test",))) as market:
        answer = await market.http.get("/agents", headers={"host": "shop.test"})

    assert answer.status_code == 200


async def test_a_socket_for_another_host_is_not_opened(served: Market):
    """L13: neither a foreign Origin nor a foreign Host."""
    address = served.settings.issuer.replace("http", "ws", 1)

    with pytest.raises(InvalidStatus) as caught:
        async with connect(
            f"{address}/v1/feed/socket", proxy=None, additional_headers={"host": "evil.test"}
        ):
            pass

    assert caught.value.response.status_code in (400, 403, 421)


async def test_the_root_leads_to_the_entry_document(market: Market):
    answer = await market.http.get("/")

    assert (answer.status_code, answer.headers["location"]) == (303, "/agents")


@pytest.mark.parametrize(
    "path", ["/", "/agents", "/llms.txt", "/openapi.json", "/problems", "/.well-known/jwks.json"]
)
async def test_a_published_page_answers_head_like_get(market: Market, path: str):
    read = await market.http.get(path)
    head = await market.http.head(path)

    assert (head.status_code, head.content) == (read.status_code, b"")
    assert head.headers["content-length"] == str(len(read.content))
    assert head.headers["content-type"] == read.headers["content-type"]


async def test_every_answer_of_every_face_carries_the_security_headers(served: Market):
    """C3, C8: nothing is framed, sniffed or kept; no server says what it is."""
    buyer = await served.enter("thrifty", "buyer")
    paths = ["/", "/agents", "/v1/me", "/nowhere", "/v1/stream/none", "/v1/stream/__ds/jwks.json"]

    for path in paths:
        for method in ("GET", "HEAD", "OPTIONS", "POST"):
            headers = {**buyer.bearer, "content-type": "application/json"}
            answer = await served.http.request(method, path, headers=headers)
            assert answer.headers["x-content-type-options"] == "nosniff", (method, path)
            policy = answer.headers["content-security-policy"]
            assert policy == "default-src 'none'; frame-ancestors 'none'"
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert answer.headers.get_list("server") == ["market"]
    for path in ("/v1/me", "/v1/wallet", "/v1/inbox"):
        assert (await buyer.get(path)).headers["cache-control"] == "no-store"


async def test_a_private_stream_is_kept_by_no_shared_cache(market: Market):
    """C8: private, and another answer for another token."""
    owner = await market.enter("thrifty", "buyer")
    headers = {**owner.bearer, "content-type": "text/plain"}
    await market.http.put("/v1/stream/mine", headers=headers, content=b"words")

    answer = await market.http.get("/v1/stream/mine", headers=owner.bearer)

    assert answer.headers["cache-control"].startswith("private")
    assert answer.headers["vary"] == "authorization"


# Time


async def test_a_request_that_takes_too_long_is_told_so_and_its_repeat_gets_the_answer(
    street: Street, monkeypatch: pytest.MonkeyPatch
):
    """M23: what was handed to the writer is whole or not at all, and asked for by its key."""
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 0.0)
    hold = Hold(orders.place)
    hold.__annotations__ = orders.place.__annotations__
    quote = await street.buyer.quote(street.service["id"])
    body = street.buyer.order(quote)

    with monkeypatch.context() as patch:
        patch.setattr(orders, "place", hold)
        asked = asyncio.create_task(street.buyer.post("/v1/orders", body, key="slow-one"))
        await hold.has_worked()
        async with asyncio.timeout(LIMIT_SECONDS):
            late = await asked
        hold.let_go()
    monkeypatch.setattr(limits, "REQUEST_SECONDS", 60.0)
    again = await street.buyer.post("/v1/orders", body, key="slow-one")

    refused(late, RequestTimedOut.status, "request_timed_out")
    assert again.status_code == 201
    placed = (await street.buyer.get("/v1/orders")).json()["items"]
    assert [order["id"] for order in placed] == [again.json()["id"]]


# Production


@pytest.mark.parametrize(
    ("open_door", "variable"),
    [({"signup_grant_minor": 1}, "SIGNUP_GRANT_MINOR"), ({"open_streams": True}, "OPEN_STREAMS")],
)
def test_a_production_market_with_a_door_of_the_sandbox_does_not_start(
    open_door: dict[str, Any], variable: str
):
    """X4: faucets and streams for all are for sandboxes."""
    with pytest.raises(BadSettings, match=variable):
        Settings(mode="production", **open_door)


async def test_who_asks_too_much_can_still_cancel_and_get_a_token(sandbox: Settings):
    """P6, D1: a loop of one's own, or a neighbour's visits, stop no cancel and no token."""
    settings = sandbox.with_(requests_per_second=5, writes_per_second=2, visits_per_second=5)
    async with open_market(settings) as market:
        loud = await market.enter("loud", "buyer")
        session = (await loud.post("/v1/sessions", {"need": "tables"})).json()
        await until_refused(lambda: loud.get("/v1/me"), 50)
        await until_refused(lambda: loud.post("/v1/sessions", {"need": "tables"}), 50)
        await until_refused(lambda: market.http.get("/agents"), 50)

        close = await loud.post(f"/v1/sessions/{session['id']}/close", {"reason": "enough"})

        assert close.status_code == 200, close.text
        assert (await loud.ask_token()).status_code == 200
        held_back((await until_refused(loud.ask_token, 50))[1])


async def test_an_old_token_draws_on_nobodys_rate(sandbox: Settings):
    """D1: who kept one that has expired uses up its own visits, not what the agent may ask."""
    async with open_market(sandbox) as market:
        buyer = await market.enter("thrifty", "buyer")
        await buyer.get("/v1/me")
        doors = market.app.state.desk.doors
        header = buyer.bearer["authorization"].encode()
        payer = doors.payers[header]

        market.clock.advance(timedelta(minutes=10))
        assert (await buyer.get("/v1/me")).status_code == 401

        assert header not in doors.payers
        assert payer.until - time.monotonic() < 400
