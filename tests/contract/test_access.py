"""Entering, tokens, and everything that does not let one in."""

from datetime import timedelta
from typing import Any

import pytest

from market import identity
from market.faces.http import limits
from market.identity import AUDIENCES
from market.protocol import commitments
from market.protocol.signing import SigningKey
from tests.contract.agents import Agent, nonce
from tests.contract.conftest import Market

TOKEN_SECONDS = identity.TOKEN_SECONDS


async def test_registering_lets_an_agent_in(market: Market):
    agent = market.stranger()
    answer = await market.http.post(
        "/v1/agents", json={"proof": agent.registration("thrifty", "buyer")}
    )
    agent.token = answer.json()["token"]["access_token"]

    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/agents/{agent.id}"
    me = (await agent.get("/v1/me")).json()
    assert me == answer.json()["agent"] == (await agent.get(f"/v1/agents/{agent.id}")).json()
    assert (me["id"], me["handle"], me["kind"]) == (agent.id, "thrifty", "buyer")


async def test_an_assertion_buys_a_token_for_the_api(market: Market):
    agent = await market.enter("thrifty", "buyer")

    answer = await agent.ask_token()

    token = answer.json()
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert (token["token_type"], token["expires_in"]) == ("Bearer", TOKEN_SECONDS)
    agent.token = token["access_token"]
    assert (await agent.get("/v1/me")).status_code == 200


async def test_a_narrowed_token_does_less(market: Market):
    agent = await market.enter("thrifty", "buyer")
    agent.token = (await agent.ask_token(scope="read")).json()["access_token"]

    refused = await agent.post("/v1/sessions", {"need": "tables"})

    assert (await agent.get("/v1/wallet")).status_code == 200
    assert refused.status_code == 403
    assert refused.json()["type"] == "/problems/insufficient_scope"
    assert refused.json()["scope"] == "order"
    assert 'error="insufficient_scope", scope="order"' in refused.headers["www-authenticate"]


@pytest.mark.parametrize("audience", AUDIENCES)
async def test_a_token_is_good_for_one_audience(market: Market, audience: str):
    agent = await market.enter("thrifty", "buyer")

    answer = await agent.ask_token(resource=market.settings.issuer + audience)

    agent.token = answer.json()["access_token"]
    expected = 200 if audience == "/v1" else 401
    assert (await agent.get("/v1/me")).status_code == expected


async def test_an_unknown_audience_gets_no_token(market: Market):
    agent = await market.enter("thrifty", "buyer")

    answer = await agent.ask_token(resource="https://elsewhere.test/v1")

    assert answer.status_code == 400
    assert answer.json()["error"] == "invalid_target"
    assert set(answer.json()) == {"error", "error_description", "error_uri"}
    assert (await market.http.get(answer.json()["error_uri"])).status_code == 200


async def test_an_assertion_is_good_for_one_use(market: Market):
    agent = await market.enter("thrifty", "buyer")
    assertion = agent.assertion()

    first = await agent.ask_token(assertion)
    second = await agent.ask_token(assertion)

    assert (first.status_code, second.status_code) == (200, 401)
    assert second.json()["error"] == "invalid_client"


async def test_all_bad_assertions_get_the_same_words(market: Market):
    agent = await market.enter("thrifty", "buyer")
    other = market.stranger()
    bad = [
        agent.assertion(sub=other.id),
        agent.assertion(aud="https://elsewhere.test"),
        agent.assertion(exp=agent.now + 3_600),
        agent.assertion(exp=agent.now - 60, iat=agent.now - 120),
        other.assertion(),
        other.assertion(iss=agent.id, sub=agent.id),
        "nonsense",
        agent.token,
    ]

    answers = [await agent.ask_token(assertion) for assertion in bad]

    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.content for answer in answers}) == 1


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_assertion_type": "bearer"}, "invalid_request"),
        ({"scope": "fund"}, "invalid_scope"),
        ({"client_id": "A" * 43}, "invalid_client"),
    ],
)
async def test_a_wrong_token_request_is_refused_as_oauth_has_it(
    market: Market, fields: dict[str, str], error: str
):
    agent = await market.enter("thrifty", "buyer")

    answer = await agent.ask_token(**fields)

    assert answer.status_code in (400, 401)
    assert answer.json()["error"] == error
    assert answer.headers["content-type"] == "application/json"


async def test_a_token_request_that_is_no_form_is_refused(market: Market):
    answer = await market.http.post("/oauth/token", json={"grant_type": "client_credentials"})

    assert answer.status_code == 415


async def test_all_bad_tokens_get_the_same_words(market: Market):
    agent = await market.enter("thrifty", "buyer")
    head, payload, signature = agent.token.split(".")
    headers: list[dict[str, str]] = [
        {},
        {"authorization": "Basic dGhyaWZ0eTo="},
        {"authorization": "Bearer"},
        {"authorization": "Bearer nonsense"},
        {"authorization": f"Bearer {head}.{payload}."},
        {"authorization": f"Bearer {head}.{payload}.{signature[:-4]}AAAA"},
        {"authorization": f"Bearer {agent.registration('other', 'buyer')}"},
        {"authorization": f"Bearer {agent.assertion()}"},
        {"authorization": "Bearer " + "x" * 10_000},
        {"authorization": "Bearer \xff"},
    ]

    answers = [
        await market.http.get("/v1/me", headers=[(k, v.encode("latin-1")) for k, v in h.items()])
        for h in headers
    ]

    assert {answer.status_code for answer in answers} == {401}
    bodies = [{**answer.json(), "instance": ""} for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    metadata = f'{market.settings.issuer}/.well-known/oauth-protected-resource"'
    assert all(metadata in answer.headers["www-authenticate"] for answer in answers)


async def test_a_token_of_a_strangers_making_is_refused(market: Market):
    agent = await market.enter("thrifty", "buyer")
    forged = identity.issue_access_token(
        signer=SigningKey.generate(),
        issuer=market.settings.issuer,
        audience=market.settings.issuer + "/v1",
        agent_id=agent.id,
        key_id=agent.id,
        scopes=["read"],
        jti=nonce(),
        now=market.clock.now(),
    )
    agent.token = forged.access_token

    assert (await agent.get("/v1/me")).status_code == 401


async def test_a_token_expires_a_moment_after_its_time(market: Market):
    agent = await market.enter("thrifty", "buyer")
    assert (await agent.get("/v1/me")).status_code == 200

    market.clock.advance(timedelta(seconds=TOKEN_SECONDS + 29))
    assert (await agent.get("/v1/me")).status_code == 200

    market.clock.advance(timedelta(seconds=1))
    assert (await agent.get("/v1/me")).status_code == 401


async def test_a_suspended_agent_is_out_at_once_and_in_again_when_reinstated(market: Market):
    agent = await market.enter("thrifty", "buyer")
    overseer = await market.overseer()
    assert (await agent.get("/v1/me")).status_code == 200

    await overseer.made(f"/v1/agents/{agent.id}/suspend", {"reason": "test"})
    out = await agent.get("/v1/me")
    no_token = await agent.ask_token()
    await overseer.made(f"/v1/agents/{agent.id}/reinstate", {"reason": "test"})

    assert (out.status_code, no_token.status_code) == (403, 401)
    assert out.json()["type"] == "/problems/agent_suspended"
    assert (await agent.get("/v1/me")).status_code == 200


async def test_what_another_process_changed_is_seen_within_a_second(market: Market):
    agent = await market.enter("thrifty", "buyer")
    overseer = await market.overseer()
    caller = (await market.app.state.desk.doors.admit(overseer.bearer["authorization"].encode()))[0]
    assert (await agent.get("/v1/me")).status_code == 200

    # As another worker would: this process's door is not told.
    await market.store.write(identity.suspend, caller=caller, agent_id=agent.id, reason="test")
    market.clock.advance(timedelta(seconds=1))

    assert (await agent.get("/v1/me")).status_code == 403


async def test_the_door_remembers_a_bounded_number_of_tokens(
    market: Market, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(limits, "CALLERS", 2)
    agents = [await market.enter(f"buyer-{number}", "buyer") for number in range(4)]

    for agent in agents * 2:
        assert (await agent.get("/v1/me")).status_code == 200

    doors = market.app.state.desk.doors
    assert doors.remembered == 2


async def test_a_token_ends_with_the_key_it_was_given_for(market: Market):
    agent = await market.enter("thrifty", "buyer")
    first_token, second = agent.token, SigningKey.generate()
    assert (await add_key(agent, second)).status_code == 200
    agent.key = second
    agent.token = (await agent.ask_token()).json()["access_token"]

    revoked = await change_keys(agent, action="revoke", kid=agent.id)

    assert revoked.status_code == 200
    assert (await agent.get("/v1/me")).status_code == 200
    agent.token = first_token
    assert (await agent.get("/v1/me")).status_code == 401


async def add_key(agent: Agent, key: SigningKey) -> Any:
    proof = key.sign(
        commitments.KeyProofClaims(iss=agent.id, aud=agent.issuer, iat=agent.now),
        typ=commitments.KEY_PROOF,
    )
    return await change_keys(agent, action="add", jwk=key.public.jwk, proof=proof)


async def change_keys(agent: Agent, **members: Any) -> Any:
    statement = agent.sign(
        commitments.KeyStatementClaims, exp=agent.now + 60, jti=nonce(), **members
    )
    return await agent.post(f"/v1/agents/{agent.id}/keys", {"statement": statement})
