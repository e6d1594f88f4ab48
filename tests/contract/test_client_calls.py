"""The client library against the server: tokens, safe retries, refusals, and every verb."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest

from buyer_agents import (
    BadAnswer,
    MarketClient,
    MarketUnreachable,
    NotAMarket,
    Producer,
    Refused,
    every,
)
from market.protocol.commitments import Limits
from market.protocol.delivery import chain
from market.protocol.events import Event
from market.protocol.signing import BadSignature, SigningKey
from market.protocol.wire import QuoteView, TokenView, WriteEvent, WriteNote
from tests.contract.conftest import OVERSEER, Market
from tests.factories import PAGES, manifest


class BadNetwork(httpx.AsyncBaseTransport):
    """Carries requests to the market, counts them, and does to the next ones what a test says.

    A fault before the market answers in its place, or raises; one behind it loses the answer.
    """

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.seen: list[str] = []
        self.before: dict[str, list[httpx.Response | type[httpx.TransportError]]] = {}
        self.lose: list[str] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        self.seen.append(f"{request.method} {path}")
        if self.before.get(path):
            fault = self.before[path].pop(0)
            if isinstance(fault, httpx.Response):
                return fault
            raise fault("the network failed", request=request)
        response = await self._inner.handle_async_request(request)
        if path in self.lose:
            self.lose.remove(path)
            await response.aread()
            raise httpx.ReadError("the answer was lost", request=request)
        return response

    def count(self, what: str) -> int:
        return self.seen.count(what)


@pytest.fixture
def network(market: Market) -> BadNetwork:
    return BadNetwork(httpx.ASGITransport(market.app))


@pytest.fixture
async def enter(market: Market, network: BadNetwork) -> AsyncIterator[Any]:
    """Make clients of the market in process, on its own clock."""
    clients: list[MarketClient] = []

    async def enter(
        handle: str, kind: Any = "buyer", *, key: SigningKey | None = None, **members: Any
    ) -> MarketClient:
        client = MarketClient(
            market.settings.issuer,
            key or SigningKey.generate(),
            http=lambda url: httpx.AsyncClient(transport=network, base_url=url),
            now=lambda: market.clock.now().timestamp(),
            patience_seconds=0.5,
        )
        clients.append(client)
        await client.register(handle, kind, **members)
        return client

    yield enter
    for client in clients:
        await client.aclose()


def overloaded(**headers: str) -> httpx.Response:
    problem = {"type": "/problems/overloaded", "title": "t", "status": 503, "detail": "d"}
    return httpx.Response(503, json=problem, headers=headers)


async def quoted(enter: Any) -> tuple[MarketClient, MarketClient, QuoteView]:
    seller = await enter("acme", "seller")
    service = await seller.publish(manifest())
    buyer = await enter("thrifty")
    return seller, buyer, await buyer.ask_quote(service.id, PAGES)


# Tokens


async def test_the_token_of_the_registration_is_used(enter: Any, network: BadNetwork) -> None:
    buyer = await enter("thrifty")

    assert (await buyer.me()).handle == "thrifty"
    assert network.count("POST /oauth/token") == 0


async def test_a_token_is_renewed_once_before_it_expires(
    enter: Any, network: BadNetwork, market: Market
) -> None:
    buyer = await enter("thrifty")
    market.clock.advance(timedelta(seconds=290))

    await asyncio.gather(*(buyer.me() for _ in range(5)))

    assert network.count("POST /oauth/token") == 1


async def test_a_token_that_is_not_taken_is_renewed_and_the_call_made_again(
    enter: Any, network: BadNetwork
) -> None:
    buyer = await enter("thrifty")
    buyer.enter(
        TokenView(
            access_token="no.such.token",
            issued_token_type="urn:ietf:params:oauth:token-type:access_token",
            token_type="Bearer",
            expires_in=300,
            scope="read",
        )
    )

    assert (await buyer.me()).id == buyer.agent_id
    assert network.count("POST /oauth/token") == 1


async def test_a_token_that_is_never_taken_ends_in_a_refusal(
    enter: Any, network: BadNetwork
) -> None:
    buyer, watch = await enter("thrifty"), await enter("watch", "overseer", key=OVERSEER)
    await watch.suspend(buyer.agent_id, "wash trades")

    with pytest.raises(Refused) as refused:
        await buyer.me()

    assert refused.value.status in (401, 403)
    assert network.count("GET /v1/me") <= 2


async def test_each_attempt_for_a_token_makes_its_own_assertion(
    enter: Any, network: BadNetwork, market: Market
) -> None:
    buyer = await enter("thrifty")
    market.clock.advance(timedelta(seconds=400))
    network.lose = ["/oauth/token"]

    assert (await buyer.me()).handle == "thrifty"
    assert network.count("POST /oauth/token") == 2


# Retries


async def test_an_order_whose_answer_was_lost_is_placed_once(
    enter: Any, network: BadNetwork
) -> None:
    _, buyer, quote = await quoted(enter)
    network.lose = ["/v1/orders"]

    order = await buyer.place_order(quote)

    assert network.count("POST /v1/orders") == 2
    assert [one.id for one in (await buyer.orders()).items] == [order.id]
    (balance,) = (await buyer.wallet()).balances
    assert balance.held_minor == quote.amount_minor


async def test_a_chunk_whose_answer_was_lost_is_delivered_once(
    enter: Any, network: BadNetwork
) -> None:
    seller, buyer, quote = await quoted(enter)
    order = await buyer.place_order(quote)
    network.lose = [f"/v1/orders/{order.id}/chunks"]

    chunk = await seller.chunk(order.id, 0, {"rows": []}, units=1)

    assert chunk.repeated
    assert (await buyer.order(order.id)).chunks_delivered == 1


async def test_an_append_with_a_producer_lands_once(enter: Any, network: BadNetwork) -> None:
    buyer = await enter("thrifty")
    session = await buyer.open_session("tables")
    network.lose = [f"/v1/sessions/{session.id}/events"]
    note = WriteEvent(kind="note.written", body={"text": "once"})

    appended = await buyer.write_events(session.id, [note], producer=Producer("me", 0, 0))

    assert appended.repeated
    assert (await buyer.session(session.id)).next_offset == 2


async def test_what_may_have_been_done_is_not_sent_again(enter: Any, network: BadNetwork) -> None:
    buyer = await enter("thrifty")
    path = f"/v1/agents/{buyer.agent_id}/keys"
    network.lose = [path]

    with pytest.raises(MarketUnreachable):
        await buyer.add_key(SigningKey.generate())

    assert network.count(f"POST {path}") == 1


async def test_what_cannot_have_arrived_is_sent_again(enter: Any, network: BadNetwork) -> None:
    buyer = await enter("thrifty")
    path = f"/v1/agents/{buyer.agent_id}/keys"
    network.before[path] = [httpx.ConnectError, httpx.ConnectError]

    agent = await buyer.add_key(SigningKey.generate())

    assert len(agent.keys) == 2
    assert network.count(f"POST {path}") == 3


async def test_an_overloaded_market_is_asked_again_when_it_says(
    enter: Any, network: BadNetwork
) -> None:
    buyer = await enter("thrifty")
    network.before["/v1/wallet"] = [overloaded(**{"retry-after": "0"}), overloaded()]

    await buyer.wallet()

    assert network.count("GET /v1/wallet") == 3


async def test_patience_with_an_overloaded_market_ends_in_its_refusal(
    enter: Any, network: BadNetwork
) -> None:
    buyer = await enter("thrifty")
    network.before["/v1/wallet"] = [overloaded() for _ in range(100)]

    with pytest.raises(Refused) as refused:
        await buyer.wallet()

    assert (refused.value.code, refused.value.status) == ("overloaded", 503)
    assert 1 < network.count("GET /v1/wallet") < 100


async def test_a_limit_against_which_waiting_does_not_help_is_told_at_once(
    enter: Any, network: BadNetwork
) -> None:
    buyer = await enter("thrifty")
    problem = {"type": "/problems/session_full", "title": "t", "status": 429, "detail": "d"}
    network.before["/v1/wallet"] = [
        httpx.Response(429, json=problem, headers={"retry-after": "0"}),
        httpx.Response(429, json=problem),
    ]

    with pytest.raises(Refused) as refused:
        await buyer.wallet()

    assert (refused.value.code, refused.value.status) == ("session_full", 429)
    assert network.count("GET /v1/wallet") == 2


async def test_a_market_that_stays_away_is_unreachable(enter: Any, network: BadNetwork) -> None:
    buyer = await enter("thrifty")
    network.before["/v1/wallet"] = [httpx.ConnectError] * 100

    with pytest.raises(MarketUnreachable):
        await buyer.wallet()


# Answers


async def test_a_refusal_tells_its_code_and_facts(enter: Any) -> None:
    seller = await enter("acme", "seller")
    dear = manifest(price={"per": "call", "amount": "500", "currency": "XTS"})
    service = await seller.publish(dear)
    buyer = await enter("thrifty")
    quote = await buyer.ask_quote(service.id, PAGES)

    with pytest.raises(Refused) as refused:
        await buyer.place_order(quote)

    assert refused.value.code == "insufficient_funds"
    assert refused.value.status == 402
    assert refused.value.facts
    assert refused.value.detail


async def test_an_error_that_is_no_problem_document_has_a_code_too(
    enter: Any, network: BadNetwork
) -> None:
    buyer = await enter("thrifty")
    network.before["/v1/wallet"] = [httpx.Response(502, text="<html>Bad gateway</html>")]

    with pytest.raises(Refused) as refused:
        await buyer.wallet()

    assert refused.value.code == "http_502"
    assert "Bad gateway" in refused.value.detail


@pytest.mark.parametrize("body", [b"", b"{}", b'{"agent_id":1,"balances":[]}', b"\xff"])
async def test_an_answer_of_another_form_is_told_as_such(
    enter: Any, network: BadNetwork, body: bytes
) -> None:
    buyer = await enter("thrifty")
    network.before["/v1/wallet"] = [httpx.Response(200, content=body)]

    with pytest.raises(BadAnswer):
        await buyer.wallet()


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(200, content=b"<html>"), httpx.Response(404, content=b"<html>")],
    ids=["another form", "nothing there"],
)
async def test_what_has_no_markets_metadata_is_no_market(
    enter: Any, network: BadNetwork, answer: httpx.Response
) -> None:
    network.before["/.well-known/oauth-authorization-server"] = [answer]

    with pytest.raises(NotAMarket):
        await enter("thrifty")


async def test_a_quote_that_shows_other_terms_than_it_signs_is_found(enter: Any) -> None:
    _, buyer, quote = await quoted(enter)

    assert (await buyer.read_quote(quote)).amount_minor == quote.amount_minor
    for change in ({"amount_minor": 1}, {"digest": "A" * 43}, {"seller_id": buyer.agent_id}):
        with pytest.raises(BadSignature):
            await buyer.read_quote(msgspec.structs.replace(quote, **change))


async def test_a_manifest_that_the_seller_did_not_sign_is_found(enter: Any) -> None:
    seller, other = await enter("acme", "seller"), await enter("rival", "seller")
    service = await seller.publish(manifest())
    foreign = await other.publish(manifest(id="rival-pdf"))

    assert await other.read_manifest(service) == manifest()
    for change in ({"manifest_jws": foreign.manifest_jws}, {"manifest_digest": "A" * 43}):
        with pytest.raises(BadSignature):
            await other.read_manifest(msgspec.structs.replace(service, **change))


# Verbs


async def test_an_agent_looks_after_its_identity(enter: Any) -> None:
    buyer, watch = await enter("thrifty"), await enter("watch", "overseer", key=OVERSEER)
    new = SigningKey.generate("P-256")

    await buyer.add_key(new)
    assert {key.kid for key in (await buyer.agent(buyer.agent_id)).keys} == {buyer.key.kid, new.kid}
    revoked = await buyer.revoke_key(new.kid)
    assert [key.kid for key in revoked.keys if key.revoked_at is None] == [buyer.key.kid]
    assert len((await buyer.keys(buyer.agent_id)).keys) == 1
    found = await watch.agent_by_handle("thrifty")
    assert found is not None
    assert found.id == buyer.agent_id
    assert await watch.agent_by_handle("nobody-here") is None
    assert (await watch.suspend(buyer.agent_id, "a test")).suspended_at is not None
    assert (await watch.reinstate(buyer.agent_id, "over")).suspended_at is None


async def test_a_principal_lends_a_buyer_its_authority(enter: Any) -> None:
    principal = await enter("firm", "principal")
    buyer = await enter("thrifty", principal_id=principal.agent_id)

    limits = Limits(max_price_minor=1_000_000)
    given = await principal.give_mandate(buyer.agent_id, limits, currency="XTS", seconds=3600)

    assert (await buyer.mandate(given.id)).limits["max_price_minor"] == 1_000_000
    assert [one.id for one in (await buyer.mandates()).items] == [given.id]
    assert (await principal.revoke_mandate(given.id, "enough")).revoked_at is not None


async def test_money_comes_from_the_faucet_and_shows_in_the_statement(enter: Any) -> None:
    buyer, watch = await enter("thrifty"), await enter("watch", "overseer", key=OVERSEER)

    await watch.fund(buyer.agent_id, 5_000, "XTS", idempotency_key="once")
    await watch.fund(buyer.agent_id, 5_000, "XTS", idempotency_key="once")

    fetch = lambda cursor: buyer.statement(cursor=cursor, limit=1)  # noqa: E731
    amounts = [posting.amount_minor async for posting in every(fetch)]
    assert amounts == [5_000, 10_000_000]


async def test_a_purchase_goes_from_search_to_recommendation(enter: Any) -> None:
    seller, buyer, _ = await quoted(enter)
    friend = await enter("friend")
    session = await buyer.open_session("tables", {"run": "one"})

    (found,) = (await buyer.services(q="tables", session_id=session.id, limit=5)).items
    service = await buyer.service(found.service_id, session_id=session.id)
    report = await buyer.trust(service.id, session_id=session.id)
    quote = await buyer.ask_quote(service.id, PAGES, session_id=session.id)
    assert (await buyer.quote(quote.id)).digest == quote.digest
    order = await buyer.place_order(quote, session_id=session.id)
    assert (await seller.inbox()).items[0].body["order_id"] == order.id
    await seller.start(order.id)
    await seller.chunk(order.id, 0, {"rows": [1]}, units=4)
    digest = chain("", {"rows": [1]})
    await seller.complete(order.id, chunks=1, units=4, delivery_digest=digest)
    settled = await buyer.accept(order.id)
    (receipt,) = await buyer.receipts(order.id)
    review = await buyer.review(order.id, receipt.id, "good", comment="Fine.", tags=["quick"])
    sent = await buyer.recommend(service.id, receipt.id, [friend.agent_id], comment="Try it.")
    status = await buyer.support(order.id, "status")
    closed = await buyer.close_session(session.id)

    assert report.seller_id == seller.agent_id
    assert settled.state == "settled"
    assert (await buyer.read_receipt(receipt)).captured_minor == 400_000
    assert (await buyer.receipt(receipt.id)).receipt == receipt.receipt
    assert [one.id for one in (await friend.reviews(service.id)).items] == [review.id]
    assert [one.id for one in (await buyer.recommendations()).items] == [sent.id]
    assert (await friend.inbox()).items[0].kind == "recommendation.received"
    assert status.answer == "done"
    assert closed.state == "closed"
    assert [one.id for one in (await buyer.sessions(state="closed")).items] == [session.id]
    assert (await seller.acknowledge(0)).acknowledged == 0


async def test_an_order_is_steered_given_up_and_the_log_tells(enter: Any) -> None:
    seller, buyer, quote = await quoted(enter)
    order = await buyer.place_order(quote)
    await seller.start(order.id)

    (steer,) = await buyer.control(order.session_id, "steer", text="only page 2")
    answered = await seller.answer_control(order.session_id, steer.offset, "consumed", "yes")
    failed = await seller.fail(order.id, "the scanner broke")

    page = await buyer.events(order.session_id, limit=100)
    kinds = [item.kind for item in page.items if isinstance(item, Event)]
    assert answered.answer == "consumed"
    assert failed.state == "failed"
    assert kinds[-3:] == ["control.requested", "control.answered", "order.failed"]
    assert (page.next_offset, page.is_closed) == (len(kinds), False)


async def test_a_worker_gives_signs_of_life_and_learns_of_a_pause_by_them(enter: Any) -> None:
    seller, buyer, quote = await quoted(enter)
    order = await buyer.place_order(quote)
    await seller.start(order.id)
    first = await seller.heartbeat(order.id)
    await buyer.control(order.session_id, "pause", scope="own")

    paused = await seller.heartbeat(order.id)

    assert (first.state, first.is_paused, first.lease_seconds) == ("started", False, 30)
    assert paused.is_paused
    with pytest.raises(Refused) as refusal:
        await buyer.heartbeat(order.id)
    assert refusal.value.code == "order_not_found"


async def test_the_kill_switch_pauses_what_an_agent_has_running(enter: Any) -> None:
    watch = await enter("watch", "overseer", key=OVERSEER)
    seller, buyer, quote = await quoted(enter)
    order = await buyer.place_order(quote)
    await seller.start(order.id)

    await watch.suspend(seller.agent_id, "wash trades")

    assert (await buyer.order(order.id)).is_paused
    with pytest.raises(Refused) as refusal:
        await buyer.control(order.session_id, "resume")
    assert refusal.value.code == "control_not_allowed"
    await watch.reinstate(seller.agent_id, "a mistake")
    (resumed,) = await watch.control(order.session_id, "resume", order_id=order.id)
    assert resumed.answer == "accepted"
    await seller.chunk(order.id, 0, {"rows": [1]}, units=4)


async def test_who_is_there_is_said_and_read(enter: Any) -> None:
    seller, buyer, quote = await quoted(enter)
    order = await buyer.place_order(quote)

    idle = await buyer.be_present(order.session_id, "idle", device="phone")
    await seller.be_present(order.session_id, "streaming", device="worker-1")
    own = await seller.presence(order.session_id)
    both = await buyer.presence(order.session_id)
    gone = await buyer.be_present(order.session_id, "left", device="phone")

    assert (idle.agent_id, idle.status, idle.order_id) == (buyer.agent_id, "idle", None)
    assert [(one.device, one.order_id) for one in own] == [("worker-1", order.id)]
    assert {one.device for one in both} == {"phone", "worker-1"}
    assert gone.status == "left"
    assert [one.device for one in await buyer.presence(order.session_id)] == ["worker-1"]


async def test_a_device_has_a_short_plain_name(enter: Any) -> None:
    _, buyer, quote = await quoted(enter)
    order = await buyer.place_order(quote)

    for device in ("", "My Phone", "x" * 41, "a\u202eb"):
        with pytest.raises(Refused) as refusal:
            await buyer.be_present(order.session_id, "idle", device=device)
        assert refusal.value.code == "invalid_body"


async def test_a_paused_session_takes_no_order_and_the_refusal_says_since_when(enter: Any) -> None:
    _, buyer, quote = await quoted(enter)
    session = await buyer.open_session("pages")
    (whole,) = await buyer.control(session.id, "pause", scope="all")

    with pytest.raises(Refused) as refusal:
        await buyer.place_order(quote, session_id=session.id)

    assert (whole.order_id, whole.answer) == (None, "accepted")
    assert refusal.value.code == "session_paused"
    assert refusal.value.facts["pause_offset"] == whole.offset
    assert (await buyer.session(session.id)).paused_by == "buyer"
    await buyer.control(session.id, "resume", scope="all")
    assert (await buyer.place_order(quote, session_id=session.id)).state == "placed"


async def test_notes_are_kept_found_and_forgotten(enter: Any) -> None:
    buyer = await enter("thrifty")

    first = await buyer.write_note("sellers", "acme", WriteNote(value={"good": 1}, if_version=0))
    with pytest.raises(Refused):
        await buyer.write_note("sellers", "acme", WriteNote(value={"good": 9}, if_version=0))
    second = WriteNote(value={"good": 2}, if_version=first.version)
    await buyer.write_note("sellers", "acme", second)

    assert (await buyer.note("sellers", "acme")).value == {"good": 2}
    assert [note.key for note in (await buyer.notes("sellers", q="acme")).items] == ["acme"]
    await buyer.forget("sellers", "acme")
    assert (await buyer.notes()).items == []
