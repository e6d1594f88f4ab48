"""Attacks over the wire, row by row of the threat table: identity, authority, the log's doors."""

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from market.protocol import commitments
from tests.contract.agents import Agent
from tests.contract.conftest import Market, Street, open_market
from tests.contract.test_refusals import refused

NOBODYS = "ord_01h455vb4pex5vsknk084sn02q"
NO_SESSION = "ses_01h455vb4pex5vsknk084sn02q"


def encoded(tree: Any) -> str:
    text = tree if isinstance(tree, bytes) else json.dumps(tree).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def decoded(part: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(part + "=="))


def forged(market: Market, agent: Agent, *, header: Any = None, claims: Any = None) -> str:
    """The agent's own token with other words in it, signed anew by the market itself."""
    head, body, _ = agent.token.split(".")
    tree = {**decoded(head), **(header or {})}
    payload = claims if isinstance(claims, bytes) else {**decoded(body), **(claims or {})}
    signed = f"{encoded(tree)}.{encoded(payload)}"
    signature = market.store.signer._private.sign(signed.encode())  # type: ignore[union-attr, call-arg]
    return f"{signed}.{encoded(signature)}"


@contextmanager
def no_calls(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail when anything is looked up or called from here."""

    def called(*_: Any, **__: Any) -> Any:
        raise AssertionError("a token made the market call somebody")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", called)
        patch.setattr(socket.socket, "connect", called)
        yield


async def test_no_token_of_another_making_lets_anybody_in(
    market: Market, monkeypatch: pytest.MonkeyPatch
):
    """I1 to I10, I14: 401 in constant words, and nobody is called to find out."""
    agent = await market.enter("thrifty", "buyer")
    now = agent.now
    head, body, signature = agent.token.split(".")
    public = base64.urlsafe_b64decode(market.store.signer.public.jwk["x"] + "=")
    hs256 = f"{encoded({**decoded(head), 'alg': 'HS256'})}.{body}"
    mac = encoded(hmac.digest(public, hs256.encode(), hashlib.sha256))
    twice = json.dumps(decoded(body))[:-1].encode() + b',"sub":"%b"}' % (b"A" * 43)
    bad = {
        "I1 none": f"{encoded({**decoded(head), 'alg': 'none'})}.{body}.",
        "I1 empty": f"{head}.{body}.",
        "I2": f"{hs256}.{mac}",
        "I3": forged(market, agent, header={"alg": "ES256"}),
        "I4 path": forged(market, agent, header={"kid": "../../etc/passwd"}),
        "I4 sql": forged(market, agent, header={"kid": "' OR 1=1 --"}),
        "I4 url": forged(market, agent, header={"kid": "http://127.0.0.1/key"}),
        "I4 long": forged(market, agent, header={"kid": "k" * 4_096}),
        "I4 another's": forged(market, agent, header={"kid": agent.id}),
        "I5 jku": forged(market, agent, header={"jku": "http://169.254.169.254/keys"}),
        "I5 jwk": forged(market, agent, header={"jwk": agent.key.public.jwk}),
        "I5 x5u": forged(market, agent, header={"x5u": "http://127.0.0.1/cert"}),
        "I5 x5c": forged(market, agent, header={"x5c": ["MIIB"]}),
        "I6": forged(market, agent, header={"crit": ["exp"]}),
        "I7 expired": forged(market, agent, claims={"iat": now - 400, "exp": now - 100}),
        "I7 ahead": forged(market, agent, claims={"iat": now + 31, "exp": now + 300}),
        "I8 long": forged(market, agent, claims={"exp": now + 10**6}),
        "I8 text": forged(market, agent, claims={"exp": str(now + 300)}),
        "I8 huge": forged(market, agent, claims={"exp": 1e308}),
        "I9 other": forged(market, agent, claims={"aud": "https://elsewhere.test/v1"}),
        "I9 list": forged(market, agent, claims={"aud": [agent.issuer + "/v1", "https://x.test"]}),
        "I10 receipt": forged(market, agent, header={"typ": commitments.RECEIPT}),
        "I10 mandate": forged(market, agent, header={"typ": commitments.MANDATE}),
        "I10 assertion": agent.assertion(),
        "I14 twice": forged(market, agent, claims=twice),
        "I14 long": f"{head}.{'A' * 1_000_000}.{signature}",
        "I12 dpop": "DPoP",
    }
    good = forged(market, agent)

    with no_calls(monkeypatch):
        answers = {row: await with_token(market, token) for row, token in bad.items()}
        control = await with_token(market, good)

    assert control.status_code == 200, "what the forger forges is good but for the words"
    assert {answer.status_code for answer in answers.values()} == {401}, {
        row: answer.status_code for row, answer in answers.items() if answer.status_code != 401
    }
    bodies = [{**answer.json(), "instance": ""} for answer in answers.values()]
    assert all(body == bodies[0] for body in bodies)


async def with_token(market: Market, token: str) -> httpx.Response:
    scheme = "DPoP x" if token == "DPoP" else f"Bearer {token}"
    return await market.http.get("/v1/me", headers={"authorization": scheme})


async def test_a_token_is_good_within_thirty_seconds_of_a_clock_that_differs(market: Market):
    """I7: accepted up to the skew on both sides, by the server's clock alone."""
    agent = await market.enter("thrifty", "buyer")
    now = agent.now
    early = forged(market, agent, claims={"iat": now + 30, "exp": now + 300})
    late = forged(market, agent, claims={"iat": now - 300, "exp": now - 29})

    assert (await with_token(market, early)).status_code == 200
    assert (await with_token(market, late)).status_code == 200


async def test_of_fifty_clients_with_one_assertion_one_gets_a_token_also_after_a_restart(
    sandbox: Any,
):
    """I11, I16: used once by issuer and jti, however the same claims are spelt or signed again."""
    async with open_market(sandbox) as market:
        agent = await market.enter("thrifty", "buyer")
        claims = {"jti": "the-one-and-only"}
        same = [agent.assertion(**claims) for _ in range(2)]
        answers = await asyncio.gather(*(agent.ask_token(same[n % 2]) for n in range(50)))
        key = agent.key
    async with open_market(sandbox) as market:
        again = Agent(market.http, market.settings.issuer, market.clock, key)
        late = await again.ask_token(same[0])
        other_spelling = await again.ask_token(same[1] + "=")

    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == [200] + [401] * 49
    assert (late.status_code, other_spelling.status_code) == (401, 401)


async def test_one_key_is_one_agent_and_proves_itself(market: Market):
    """I15: 409 for a key under a second name, 401 without a proof of possession."""
    agent = await market.enter("thrifty", "buyer")
    again = agent.registration("second", "buyer")
    second = await market.http.post("/v1/agents", json={"proof": again})
    other = market.stranger()
    stolen = agent.registration("c-name", "buyer", jwk=other.key.public.jwk)
    unproven = await market.http.post("/v1/agents", json={"proof": stolen})

    assert second.status_code == 409
    assert unproven.status_code == 401


async def test_what_is_a_strangers_looks_like_what_is_not_there(street: Street):
    """Z1, Z2, Z4, L1: the same body to the byte, about the same time, nothing in the log."""
    order = await street.settled()
    session = order["session_id"]
    pairs = [
        (f"/v1/orders/{order['id']}", f"/v1/orders/{NOBODYS}"),
        (f"/v1/sessions/{session}", f"/v1/sessions/{NO_SESSION}"),
        (f"/v1/sessions/{session}/events?after=1", f"/v1/sessions/{NO_SESSION}/events?after=1"),
        (f"/v1/stream/{session}", f"/v1/stream/{NO_SESSION}"),
        (f"/v1/orders/{order['id']}/receipts", f"/v1/orders/{NOBODYS}/receipts"),
    ]
    before = (await street.buyer.get(f"/v1/sessions/{session}/events")).content

    for there, nowhere in pairs:
        seen, unseen = await street.other.get(there), await street.other.get(nowhere)
        assert seen.status_code == unseen.status_code == 404, there
        told, untold = ({**answer.json(), "instance": ""} for answer in (seen, unseen))
        assert told == untold
        assert len(seen.content) == len(unseen.content)
    acts = [
        (f"/v1/sessions/{session}/controls", {"action": "cancel", "order_id": order["id"]}),
        (f"/v1/orders/{order['id']}/accept", None),
        (f"/v1/orders/{order['id']}/chunks", {"index": 9, "units": 1, "output": {"rows": []}}),
    ]
    for path, body in acts:
        assert (await street.other.post(path, body)).status_code in (403, 404), path
    assert (await street.buyer.get(f"/v1/sessions/{session}/events")).content == before
    spans: dict[str, list[float]] = {"there": [], "nowhere": []}
    for _ in range(30):
        for name, path in zip(spans, pairs[0], strict=True):
            began = time.perf_counter()
            await street.other.get(path)
            spans[name].append(time.perf_counter() - began)
    there, nowhere = map(statistics.median, spans.values())
    assert there < 3 * nowhere + 0.002


@pytest.mark.parametrize(
    "member",
    [
        {"buyer_id": "A" * 43}, {"status": "settled"}, {"state": "settled"}, {"fee_minor": 0},
        {"trust": 1.0}, {"role": "overseer"}, {"kind": "overseer"}, {"amount_minor": 1},
    ],
    ids=lambda member: next(iter(member)),
)  # fmt: skip
async def test_members_that_nobody_asked_for_are_refused(street: Street, member: dict[str, Any]):
    """Z3, Z8: the subject is the token's, and no other column can be written."""
    quote = await street.buyer.quote(street.service["id"])
    requests = [
        ("/v1/orders", street.buyer.order(quote)),
        ("/v1/sessions", {"need": "x"}),
        ("/v1/quotes", {"service_id": street.service["id"], "input": {"pages": ["1"]}}),
        ("/v1/agents", {"proof": street.buyer.registration("again", "buyer")}),
    ]

    for path, body in requests:
        answer = await street.buyer.post(path, {**body, **member})
        assert refused(answer, 422, "invalid_body")["errors"][0]["field"] == next(iter(member))


async def test_a_token_in_an_address_opens_nothing(street: Street):
    """Z9: a token travels in a header; in an address it is a parameter that nobody knows."""
    session = (await street.buyer.made("/v1/sessions", {"need": "x"}))["id"]
    for name in ("access_token", "token", "ticket"):
        path = f"/v1/sessions/{session}/stream?{name}={street.buyer.token}"
        assert (await street.market.http.get(path)).status_code == 401
        refused(await street.buyer.get(path), 400, "invalid_parameter")


async def test_memory_and_purchases_are_ones_own(street: Street):
    """Z10: another's notes are neither found nor listed, nor what another bought."""
    await street.settled()
    note = {"value": {"text": "the secret of tables"}}
    assert (await street.buyer.put("/v1/memory/notes/secret", note)).status_code == 200

    assert (await street.other.get("/v1/memory?q=secret")).json()["items"] == []
    assert (await street.other.get("/v1/memory/notes/secret")).status_code == 404
    assert (await street.other.get("/v1/orders")).json()["items"] == []
    assert (await street.other.get("/v1/sessions")).json()["items"] == []
    assert (await street.other.get("/v1/recommendations")).json()["items"] == []


async def test_an_overseer_without_the_scope_watches_and_does_not_touch(street: Street):
    """Z5: a token to read controls nothing, suspends nobody and makes no money."""
    order = await street.placed()
    overseer = await street.market.overseer()
    overseer.token = (await overseer.ask_token(scope="read")).json()["access_token"]
    cancel = {"action": "cancel", "order_id": order["id"]}

    acts = [
        await overseer.post(f"/v1/sessions/{order['session_id']}/controls", cancel),
        await overseer.post(f"/v1/agents/{street.buyer.id}/suspend", {"reason": "x"}),
        await overseer.post(
            "/v1/faucet", {"agent_id": overseer.id, "amount_minor": 1, "currency": "XTS"}
        ),
    ]

    assert [answer.status_code for answer in acts] == [403, 403, 403]
    assert {answer.json()["type"] for answer in acts} == {"/problems/insufficient_scope"}


async def test_an_event_that_only_the_market_may_write_is_refused_from_anybody(street: Street):
    """L3: kinds and producers are stamped by the server."""
    order = await street.placed()
    path = f"/v1/sessions/{order['session_id']}/events"
    for agent in (street.buyer, street.seller):
        for kind in ("order.settled", "session.closed", "control.requested"):
            answer = await agent.post(path, {"events": [{"kind": kind, "body": {}}]})
            assert answer.status_code == 403, answer.text
    named = {"events": [{"kind": "note.written", "body": {}, "actor_id": street.seller.id}]}
    assert (await street.buyer.post(path, named)).status_code == 422
