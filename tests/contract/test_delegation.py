"""Delegated tokens: what lets a sub-agent in, what it may do there, and what puts it out."""

import asyncio
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from websockets.exceptions import InvalidStatus

from market import identity
from market.faces import http
from market.protocol.commitments import Confirmation
from market.protocol.signing import SigningKey, read_payload
from tests.contract.agents import Agent, nonce
from tests.contract.conftest import Market, Street
from tests.contract.delegating import delegation, exchange, let_in
from tests.contract.test_access import add_key, change_keys
from tests.contract.test_refusals import refused
from tests.contract.test_sockets import dial, ending
from tests.contract.test_streams import frames, stream, until_open

LIMIT_SECONDS = 10.0
SESSION = "/v1/sessions/{session_id}"
OPEN_TO_SUB_AGENTS = {
    ("GET", SESSION),
    ("GET", f"{SESSION}/events"),
    ("POST", f"{SESSION}/events"),
    ("GET", f"{SESSION}/snapshot"),
    ("GET", f"{SESSION}/stream"),
    ("POST", f"{SESSION}/controls"),
    ("POST", f"{SESSION}/controls/{{offset}}/answer"),
    ("GET", f"{SESSION}/presence"),
    ("POST", f"{SESSION}/presence"),
    ("GET", f"{SESSION}/checkpoint"),
    ("GET", f"{SESSION}/checkpoints"),
    ("GET", "/v1/feed"),
}
STEP = {"kind": "run.step", "body": {"run": "search", "step": "page-1"}}
START = {"kind": "run.started", "body": {"run": "search", "title": "Search three catalogs"}}


@pytest.fixture
async def buyer(market: Market) -> Agent:
    return await market.enter("thrifty", "buyer")


@pytest.fixture
async def session_id(buyer: Agent) -> str:
    return str((await buyer.made("/v1/sessions", {"need": "tables"}))["id"])


@pytest.fixture
def sub_agent(market: Market) -> Agent:
    """A key that nobody has registered."""
    return market.stranger()


async def events_of(reader: Agent, session_id: str) -> list[Any]:
    answer = await reader.get(f"/v1/sessions/{session_id}/events")
    assert answer.status_code == 200, answer.text
    items: list[Any] = answer.json()["items"]
    return items


def code_of(answer: Any) -> tuple[str, str]:
    """Return the OAuth error of a refused exchange, and the code of its cause."""
    body = answer.json()
    assert set(body) == {"error", "error_description", "error_uri"}, body
    assert answer.status_code == 400
    assert answer.headers["cache-control"] == "no-store"
    return body["error"], body["error_uri"].rpartition("/")[2]


async def test_a_sub_agent_works_in_the_session_under_its_own_name(
    buyer: Agent, sub_agent: Agent, session_id: str
):
    token = delegation(buyer, sub_agent, session_id, run="search")
    answer = await exchange(sub_agent, token)
    sub_agent.token = answer.json()["access_token"]

    appended = await sub_agent.post(f"/v1/sessions/{session_id}/events", {"events": [START, STEP]})

    assert appended.status_code == 201
    view = answer.json()
    assert (view["token_type"], view["expires_in"]) == ("Bearer", identity.TOKEN_SECONDS)
    assert view["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    assert view["scope"] == "session.control session.read session.write"
    claims = read_payload(view["access_token"])
    assert (claims["sub"], claims["client_id"]) == (buyer.id, sub_agent.id)
    assert claims["act"] == {"sub": sub_agent.id}
    given, started, step = (await events_of(buyer, session_id))[1:]
    assert (given["kind"], given["actor_id"], given["audience"]) == (
        "delegation.given", buyer.id, "owner",
    )  # fmt: skip
    assert given["body"]["delegation"] == token
    assert (given["body"]["delegate_id"], given["body"]["run"]) == (sub_agent.id, "search")
    assert started["actor_id"] == step["actor_id"] == sub_agent.id


async def test_the_log_tells_of_a_delegation_once(buyer: Agent, sub_agent: Agent, session_id: str):
    token = delegation(buyer, sub_agent, session_id)

    answers = [await exchange(sub_agent, token) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]
    kinds = [event["kind"] for event in await events_of(buyer, session_id)]
    assert kinds.count("delegation.given") == 1


async def test_a_delegated_token_opens_nothing_but_its_session(
    market: Market, buyer: Agent, sub_agent: Agent, session_id: str
):
    other = (await buyer.made("/v1/sessions", {"need": "more tables"}))["id"]
    await let_in(buyer, sub_agent, session_id)
    own, inside = set(), 0

    for place in http.published(market.app.routes):
        if not place.operation.takes.needs_caller:
            continue
        unknown = dict.fromkeys(place.operation.takes.paths, "A" * 43)
        if (place.method, place.path) in OPEN_TO_SUB_AGENTS:
            unknown |= {"session_id": other, "offset": "0"}
            own.add((place.method, place.path))
        path = place.path.format_map(unknown)
        answer = await sub_agent.http.request(
            place.method, path, headers={**sub_agent.bearer, "idempotency-key": nonce()},
            content=bodies().get((place.method, place.path)),
            params={"session": other} if place.path == "/v1/feed" else {},
        )  # fmt: skip
        if (place.method, place.path) in own:
            refused(answer, 404, answer.json()["type"].rpartition("/")[2])
        else:
            problem = refused(answer, 403, "insufficient_scope")
            assert problem["scope"] == "read", place.path
        inside += answer.is_success

    assert own == OPEN_TO_SUB_AGENTS
    assert inside == 0


def bodies() -> dict[tuple[str, str], bytes]:
    """What is sent where the session is looked up only after a body of the right form."""
    return {
        ("POST", f"{SESSION}/events"): msgspec.json.encode({"events": [START]}),
        ("POST", f"{SESSION}/controls"): b'{"action":"cancel"}',
        ("POST", f"{SESSION}/presence"): b'{"status":"thinking","device":"rack"}',
        ("POST", f"{SESSION}/controls/{{offset}}/answer"): b'{"answer":"consumed"}',
    }


async def test_every_route_of_its_session_is_open_to_a_sub_agent(
    buyer: Agent, sub_agent: Agent, session_id: str
):
    await let_in(buyer, sub_agent, session_id)
    path = f"/v1/sessions/{session_id}"
    await sub_agent.made(f"{path}/events", {"events": [START]})
    control = {"action": "steer", "scope": "run", "run": "search", "text": "left first"}
    [steer] = await sub_agent.made(f"{path}/controls", control)

    answered = await sub_agent.post(
        f"{path}/controls/{steer['offset']}/answer", {"answer": "consumed"}
    )

    assert (answered.json()["answer"], answered.json()["run"]) == ("consumed", "search")
    await sub_agent.made(f"{path}/presence", {"status": "thinking", "device": "rack"})
    for part in ("", "/events", "/snapshot", "/presence"):
        assert (await sub_agent.get(path + part)).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v1/stream/notes"),
        ("GET", "/v1/stream/notes"),
        ("GET", "/v1/stream/{session_id}"),
        ("HEAD", "/v1/stream/{session_id}"),
    ],
)
async def test_no_other_face_takes_a_delegated_token(
    buyer: Agent, sub_agent: Agent, session_id: str, method: str, path: str
):
    await let_in(buyer, sub_agent, session_id)

    answer = await sub_agent.http.request(
        method, path.format(session_id=session_id), headers=sub_agent.bearer
    )

    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("actions", "refused_there"),
    [
        (["read"], {"events", "controls"}),
        (["write"], {"", "controls"}),
        (["control"], {"", "events"}),
    ],
)
async def test_a_token_does_what_the_delegation_says(
    buyer: Agent, sub_agent: Agent, session_id: str, actions: list[str], refused_there: set[str]
):
    await let_in(buyer, sub_agent, session_id, actions=actions)
    path = f"/v1/sessions/{session_id}"

    answers = {
        "": await sub_agent.get(path),
        "events": await sub_agent.post(f"{path}/events", {"events": [START]}),
        "controls": await sub_agent.post(
            f"{path}/controls", {"action": "cancel", "scope": "run", "run": "later"}
        ),
    }

    for part, answer in answers.items():
        if part in refused_there:
            refused(answer, 403, "insufficient_scope")
        else:
            assert answer.is_success, answer.text


async def test_the_scope_asked_for_narrows_the_token(
    buyer: Agent, sub_agent: Agent, session_id: str
):
    token = delegation(buyer, sub_agent, session_id, actions=["read", "write"])

    answer = await exchange(sub_agent, token, scope="session.read")
    wider = await exchange(sub_agent, token, scope="session.read session.control")
    other = await exchange(sub_agent, token, scope="read")

    assert answer.json()["scope"] == "session.read"
    assert code_of(wider) == code_of(other) == ("invalid_scope", "invalid_scope")


async def test_a_token_ends_with_its_delegation(
    market: Market, buyer: Agent, sub_agent: Agent, session_id: str
):
    token = delegation(buyer, sub_agent, session_id, exp=buyer.now + 60)
    answer = await exchange(sub_agent, token)
    sub_agent.token = answer.json()["access_token"]
    path = f"/v1/sessions/{session_id}"
    assert (answer.json()["expires_in"], (await sub_agent.get(path)).status_code) == (60, 200)

    market.clock.advance(timedelta(seconds=59))
    assert (await exchange(sub_agent, token)).json()["expires_in"] == 1
    market.clock.advance(timedelta(seconds=1))
    assert code_of(await exchange(sub_agent, token)) == ("invalid_request", "delegation_expired")
    market.clock.advance(timedelta(seconds=30))
    assert (await sub_agent.get(path)).status_code == 401


async def test_a_delegation_lives_for_an_hour_at_most(
    buyer: Agent, sub_agent: Agent, session_id: str
):
    hour = identity.MAX_DELEGATION_SECONDS
    longest = delegation(buyer, sub_agent, session_id, exp=buyer.now + hour)
    longer = delegation(buyer, sub_agent, session_id, exp=buyer.now + hour + 1)

    assert (await exchange(sub_agent, longest)).status_code == 200
    answer = await exchange(sub_agent, longer)
    assert code_of(answer) == ("invalid_request", "delegation_too_wide")


async def test_what_is_wrong_with_a_delegation_is_said_with_a_code(
    market: Market, buyer: Agent, sub_agent: Agent, session_id: str
):
    other, elsewhere = await market.enter("nosy", "buyer"), "https://elsewhere.test"
    stranger = market.stranger()
    thief_of_names = market.stranger(SigningKey.generate())
    thief_of_names.id = buyer.id
    jwk = Confirmation(jwk=stranger.key.public.jwk)
    cases = {
        "session_not_found": delegation(other, sub_agent, session_id),
        "wrong_delegate": delegation(buyer, stranger, session_id),
        "delegation_refused": delegation(thief_of_names, sub_agent, session_id),
    }
    bad = [
        delegation(stranger, sub_agent, session_id),
        delegation(buyer, sub_agent, session_id, aud=elsewhere),
        delegation(buyer, sub_agent, session_id, iat=buyer.now + 31),
        delegation(buyer, sub_agent, session_id, cnf=jwk),
        delegation(buyer, sub_agent, session_id, cnf=Confirmation(jwk={"kty": "oct"})),
        delegation(buyer, sub_agent, "ses_x"),
        delegation(buyer, sub_agent, session_id, actions=[]),
        delegation(buyer, sub_agent, session_id, actions=["pay"]),
        buyer.registration("thrifty", "buyer"),
        buyer.assertion(),
        buyer.token,
        "nonsense",
        "",
    ]

    for code, token in cases.items():
        assert code_of(await exchange(sub_agent, token)) == ("invalid_request", code)
    for token in bad:
        assert code_of(await exchange(sub_agent, token)) == (
            "invalid_request",
            "delegation_refused",
        )
    assert [event["kind"] for event in await events_of(buyer, session_id)] == ["session.opened"]


async def test_all_bad_assertions_of_a_sub_agent_get_the_same_words(
    market: Market, buyer: Agent, sub_agent: Agent, session_id: str
):
    token = delegation(buyer, sub_agent, session_id)
    used = sub_agent.assertion()
    assert (await exchange(sub_agent, token, actor_token=used)).status_code == 200
    forger = market.stranger()
    forger.id = sub_agent.id
    bad = [
        used,
        forger.assertion(),
        sub_agent.assertion(aud="https://elsewhere.test"),
        sub_agent.assertion(exp=sub_agent.now - 60, iat=sub_agent.now - 120),
        token,
        "nonsense",
    ]

    answers = [await exchange(sub_agent, token, actor_token=assertion) for assertion in bad]

    assert {code_of(answer) for answer in answers} == {("invalid_request", "invalid_client")}


async def test_of_racing_exchanges_with_one_assertion_one_gets_a_token(
    buyer: Agent, sub_agent: Agent, session_id: str
):
    token, assertion = delegation(buyer, sub_agent, session_id), sub_agent.assertion()

    answers = await asyncio.gather(
        *(exchange(sub_agent, token, actor_token=assertion) for _ in range(8))
    )

    assert sorted(answer.status_code for answer in answers) == [200] + [400] * 7


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"subject_token_type": "urn:ietf:params:oauth:token-type:jwt"}, "invalid_request"),
        ({"actor_token_type": ""}, "invalid_request"),
        ({"resource": "http://market.test/mcp"}, "invalid_target"),
        ({"resource": "https://elsewhere.test"}, "invalid_target"),
        ({"client_id": "A" * 43}, "invalid_request"),
    ],
)
async def test_a_wrong_exchange_is_refused_as_oauth_has_it(
    buyer: Agent, sub_agent: Agent, session_id: str, fields: dict[str, str], error: str
):
    answer = await exchange(sub_agent, delegation(buyer, sub_agent, session_id), **fields)

    assert code_of(answer)[0] == error


async def test_a_delegation_is_not_passed_on(
    market: Market, buyer: Agent, sub_agent: Agent, session_id: str
):
    await let_in(buyer, sub_agent, session_id)
    third = market.stranger()

    answer = await exchange(third, delegation(sub_agent, third, session_id))

    assert code_of(answer) == ("invalid_request", "delegation_refused")


async def test_a_registered_sub_agent_passes_nothing_on_either(
    market: Market, buyer: Agent, session_id: str
):
    helper = await market.enter("helper", "buyer")
    await let_in(buyer, helper, session_id)
    third = market.stranger()

    answer = await exchange(third, delegation(helper, third, session_id))

    assert code_of(answer) == ("invalid_request", "session_not_found")


async def test_an_overseer_has_no_session_to_give(
    market: Market, sub_agent: Agent, session_id: str
):
    overseer = await market.overseer()

    answer = await exchange(sub_agent, delegation(overseer, sub_agent, session_id))

    assert code_of(answer) == ("invalid_request", "session_not_found")


async def test_a_principals_sub_agent_approves_nothing(market: Market, sub_agent: Agent):
    principal = await market.enter("owner", "principal")
    buyer = await market.enter("agent-of-owner", "buyer", principal_id=principal.id)
    session_id = (await buyer.made("/v1/sessions", {"need": "tables"}))["id"]
    await let_in(principal, sub_agent, session_id)

    answer = await sub_agent.post(f"/v1/sessions/{session_id}/controls", {"action": "approve"})

    assert answer.status_code == 403
    assert (await sub_agent.get(f"/v1/sessions/{session_id}")).json()["need"] == "tables"


async def test_a_seller_delegates_for_one_of_its_orders(street: Street):
    order, sub_agent = await street.placed(), street.market.stranger()
    session_id = order["session_id"]
    another = await street.placed()

    for order_id in (None, another["id"]):
        token = delegation(street.seller, sub_agent, session_id, order_id=order_id)
        assert code_of(await exchange(sub_agent, token))[1] == "delegation_too_wide"
    await let_in(street.seller, sub_agent, session_id, order_id=order["id"])

    for reader in (street.buyer, street.seller):
        given = (await events_of(reader, session_id))[-1]
        assert (given["kind"], given["order_id"]) == ("delegation.given", order["id"])
    seen = {event.get("order_id") for event in await events_of(sub_agent, session_id)}
    assert seen == {None, order["id"]}
    steer = {"action": "steer", "order_id": order["id"], "text": "faster"}
    refusal = await sub_agent.post(f"/v1/sessions/{session_id}/controls", steer)
    refused(refusal, 403, "control_not_allowed")


async def test_a_sellers_sub_agent_cancels_as_the_seller(street: Street):
    order, sub_agent = await street.placed(), street.market.stranger()
    session_id = order["session_id"]
    await street.seller.deliver(order["id"], 0, units=2)
    await let_in(street.seller, sub_agent, session_id, order_id=order["id"])

    await sub_agent.made(f"/v1/sessions/{session_id}/controls", {"action": "cancel"})

    ended = (await street.buyer.get(f"/v1/orders/{order['id']}")).json()
    assert (ended["state"], ended["captured_minor"]) == ("cancelled", 0)


async def test_a_sub_agent_for_one_run_leaves_the_orders_alone(street: Street):
    order, sub_agent = await street.placed(), street.market.stranger()
    session_id = order["session_id"]
    await let_in(street.buyer, sub_agent, session_id, run="search")

    answer = await sub_agent.post(f"/v1/sessions/{session_id}/controls", {"action": "cancel"})

    refused(answer, 403, "control_not_allowed")


async def test_a_sub_agent_for_one_order_sees_no_more_than_that_in_a_snapshot(street: Street):
    session = await street.buyer.made("/v1/sessions", {"need": "secret plans"})
    order = await street.placed(session_id=session["id"])
    sub_agent = street.market.stranger()
    path = f"/v1/sessions/{session['id']}"
    note = {"kind": "note.written", "body": {"text": "of it"}, "order_id": order["id"]}
    await street.buyer.made(f"{path}/events", {"events": [note]})
    await let_in(street.buyer, sub_agent, session["id"], order_id=order["id"])

    theirs = await sub_agent.get(f"{path}/snapshot")
    sellers = await street.seller.get(f"{path}/snapshot")

    assert "secret plans" not in theirs.text
    assert theirs.json()["orders"].keys() == sellers.json()["orders"].keys() == {order["id"]}
    [seen] = [
        event
        for event in await events_of(sub_agent, session["id"])
        if event.get("kind") == "note.written"
    ]
    assert seen["audience"] == "owner"
    assert "of it" not in (await street.seller.get(f"{path}/events")).text


async def test_a_revoked_delegation_ends_at_once(buyer: Agent, sub_agent: Agent, session_id: str):
    name = await let_in(buyer, sub_agent, session_id)
    token = delegation(buyer, sub_agent, session_id, jti=name)
    path = f"/v1/sessions/{session_id}"
    assert (await sub_agent.get(path)).status_code == 200

    revoked = await buyer.made(f"/v1/delegations/{name}/revoke", {"reason": "done with it"})
    again = await buyer.made(f"/v1/delegations/{name}/revoke", {"reason": "once more"})

    assert (await sub_agent.get(path)).status_code == 401
    assert code_of(await exchange(sub_agent, token))[1] == "delegation_revoked"
    assert revoked == again
    assert (revoked["delegate_id"], revoked["session_id"]) == (sub_agent.id, session_id)
    last = (await events_of(buyer, session_id))[-1]
    assert (last["kind"], last["actor_id"]) == ("delegation.revoked", buyer.id)
    assert last["body"] == {"jti": name, "delegate_id": sub_agent.id, "reason": "done with it"}


async def test_a_sub_agent_gets_the_signatures_under_the_log_that_it_reads(
    buyer: Agent, sub_agent: Agent, session_id: str
):
    await let_in(buyer, sub_agent, session_id, actions=["read"])
    path = f"/v1/sessions/{session_id}"

    signed = (await sub_agent.get(f"{path}/checkpoint")).json()

    assert (signed["offset"], signed["hash"]) == (
        1,
        (await events_of(buyer, session_id))[1]["hash"],
    )
    assert (await sub_agent.get(f"{path}/checkpoints")).json() == {"items": [], "next": None}
    await let_in(buyer, sub_agent, session_id, actions=["write"])
    for last in ("checkpoint", "checkpoints"):
        refused(await sub_agent.get(f"{path}/{last}"), 403, "insufficient_scope")


async def test_a_delegation_is_revoked_before_its_first_use(
    buyer: Agent, sub_agent: Agent, session_id: str
):
    name = nonce()

    revoked = await buyer.made(f"/v1/delegations/{name}/revoke", {"reason": "lost the file"})
    token = delegation(buyer, sub_agent, session_id, jti=name)

    assert (revoked["delegate_id"], revoked["expires_at"]) == (None, None)
    assert code_of(await exchange(sub_agent, token))[1] == "delegation_revoked"
    assert [event["kind"] for event in await events_of(buyer, session_id)] == ["session.opened"]


async def test_nobody_revokes_what_another_gave(
    market: Market, buyer: Agent, sub_agent: Agent, session_id: str
):
    name = await let_in(buyer, sub_agent, session_id)
    other = await market.enter("nosy", "buyer")

    of_another = await other.made(f"/v1/delegations/{name}/revoke", {"reason": "envy"})
    of_nobody = await other.made(f"/v1/delegations/{nonce()}/revoke", {"reason": "envy"})
    itself = await sub_agent.post(f"/v1/delegations/{name}/revoke", {"reason": "tired"})

    assert {**of_another, "jti": ""} == {**of_nobody, "jti": ""}
    refused(itself, 403, "insufficient_scope")
    assert (await sub_agent.get(f"/v1/sessions/{session_id}")).status_code == 200


async def test_a_name_stands_for_one_delegation(
    market: Market, buyer: Agent, sub_agent: Agent, session_id: str
):
    name = await let_in(buyer, sub_agent, session_id)
    third = market.stranger()

    answer = await exchange(third, delegation(buyer, third, session_id, jti=name))

    assert code_of(answer)[1] == "delegation_refused"


async def test_delegations_in_force_are_limited(
    market: Market, buyer: Agent, session_id: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("market.identity.delegates.MAX_DELEGATIONS", 1)
    await let_in(buyer, market.stranger(), session_id)
    second = market.stranger()

    answer = await exchange(second, delegation(buyer, second, session_id))
    revocation = await buyer.post(f"/v1/delegations/{nonce()}/revoke", {"reason": "test"})

    assert code_of(answer)[1] == "too_many_delegations"
    refused(revocation, 429, "too_many_delegations")
    assert "retry-after" not in revocation.headers, "to wait helps nobody who does not let one go"
    market.clock.advance(timedelta(seconds=601))
    buyer.token = (await buyer.ask_token()).json()["access_token"]
    await let_in(buyer, second, session_id)


async def test_a_suspended_delegators_sub_agents_are_out_with_it(
    market: Market, buyer: Agent, sub_agent: Agent, session_id: str
):
    token = delegation(buyer, sub_agent, session_id)
    sub_agent.token = (await exchange(sub_agent, token)).json()["access_token"]
    overseer, path = await market.overseer(), f"/v1/sessions/{session_id}"
    assert (await sub_agent.get(path)).status_code == 200

    await overseer.made(f"/v1/agents/{buyer.id}/suspend", {"reason": "test"})
    out = await sub_agent.get(path)
    no_token = await exchange(sub_agent, token)
    await overseer.made(f"/v1/agents/{buyer.id}/reinstate", {"reason": "test"})

    refused(out, 403, "agent_suspended")
    assert code_of(no_token) == ("invalid_request", "agent_suspended")
    assert (await sub_agent.get(path)).status_code == 200


async def test_a_suspended_agent_does_not_come_back_as_a_sub_agent(
    market: Market, buyer: Agent, session_id: str
):
    helper, overseer = await market.enter("helper", "buyer"), await market.overseer()
    token = delegation(buyer, helper, session_id)
    await overseer.made(f"/v1/agents/{helper.id}/suspend", {"reason": "test"})

    answer = await exchange(helper, token)

    assert code_of(answer) == ("invalid_request", "delegation_refused")


async def test_a_delegation_ends_with_the_key_that_signed_it(
    buyer: Agent, sub_agent: Agent, session_id: str
):
    second = SigningKey.generate()
    assert (await add_key(buyer, second)).status_code == 200
    token = delegation(buyer, sub_agent, session_id)
    sub_agent.token = (await exchange(sub_agent, token)).json()["access_token"]
    path = f"/v1/sessions/{session_id}"
    assert (await sub_agent.get(path)).status_code == 200

    buyer.key = second
    buyer.token = (await buyer.ask_token()).json()["access_token"]
    assert (await change_keys(buyer, action="revoke", kid=buyer.id)).status_code == 200

    assert (await sub_agent.get(path)).status_code == 401
    assert code_of(await exchange(sub_agent, token))[1] == "delegation_refused"


async def test_another_process_sees_a_revocation_within_a_second(
    market: Market, buyer: Agent, sub_agent: Agent, session_id: str
):
    name = await let_in(buyer, sub_agent, session_id)
    visitor = await market.app.state.desk.doors.admit(buyer.bearer["authorization"].encode())
    path = f"/v1/sessions/{session_id}"
    assert (await sub_agent.get(path)).status_code == 200

    # As another worker would: this process's door is not told.
    await market.store.write(identity.revoke_delegation, caller=visitor.caller, jti=name)
    market.clock.advance(timedelta(seconds=1))

    assert (await sub_agent.get(path)).status_code == 401


async def test_forgotten_delegations_could_not_be_used_any_more(
    market: Market, buyer: Agent, sub_agent: Agent, session_id: str
):
    token = delegation(buyer, sub_agent, session_id)
    assert (await exchange(sub_agent, token)).status_code == 200

    market.clock.advance(timedelta(seconds=600) + identity.KEEP_USED)
    early = await market.store.write(identity.forget_delegations)
    market.clock.advance(timedelta(microseconds=1))
    gone = await market.store.write(identity.forget_delegations)

    assert (early, gone) == (0, 1)
    assert code_of(await exchange(sub_agent, token))[1] == "delegation_expired"


async def test_a_closed_session_takes_in_nobody_new_and_shows_itself_to_who_is_in(
    market: Market, buyer: Agent, sub_agent: Agent, session_id: str
):
    token = delegation(buyer, sub_agent, session_id)
    await exchange(sub_agent, token)
    await buyer.made(f"/v1/sessions/{session_id}/close", {})
    late = market.stranger()

    sub_agent.token = (await exchange(sub_agent, token)).json()["access_token"]
    refusal = await exchange(late, delegation(buyer, late, session_id))
    name = read_payload(token)["jti"]
    revoked = await buyer.made(f"/v1/delegations/{name}/revoke", {"reason": "closed"})

    assert code_of(refusal)[1] == "session_closed"
    assert revoked["delegate_id"] == sub_agent.id
    assert [event["kind"] for event in await events_of(buyer, session_id)][-1] == "session.closed"


async def test_no_socket_of_another_session_opens_for_a_sub_agent(served: Market):
    buyer, sub_agent = await served.enter("thrifty", "buyer"), served.stranger()
    own, other = [(await buyer.made("/v1/sessions", {"need": "it"}))["id"] for _ in range(2)]
    await let_in(buyer, sub_agent, own)

    with pytest.raises(InvalidStatus) as caught:
        async with dial(served, sub_agent, other):
            pass

    assert caught.value.response.status_code == 404


async def test_the_live_stream_of_a_sub_agent_ends_with_its_delegation(served: Market):
    buyer, sub_agent = await served.enter("thrifty", "buyer"), served.stranger()
    session_id = (await buyer.made("/v1/sessions", {"need": "tables"}))["id"]
    name = await let_in(buyer, sub_agent, session_id)

    async with stream(sub_agent, f"/v1/sessions/{session_id}/stream?after=1") as response:
        following = asyncio.create_task(frames(response))
        await until_open(served, 1)
        await buyer.made(f"/v1/delegations/{name}/revoke", {"reason": "done with it"})
        async with asyncio.timeout(LIMIT_SECONDS):
            found = await following

    assert found[-1].startswith(b"event: revoked")


async def test_the_socket_of_a_sub_agent_ends_with_its_delegation(served: Market):
    buyer, sub_agent = await served.enter("thrifty", "buyer"), served.stranger()
    session_id = (await buyer.made("/v1/sessions", {"need": "tables"}))["id"]
    name = await let_in(buyer, sub_agent, session_id)

    async with dial(served, sub_agent, session_id, after=1) as socket:
        control = {"action": "cancel", "scope": "run", "run": "later"}
        await socket.send(msgspec.json.encode({"control": control}).decode())
        async with asyncio.timeout(LIMIT_SECONDS):
            answers = [msgspec.json.decode(await socket.recv()) for _ in range(3)]
        await buyer.made(f"/v1/delegations/{name}/revoke", {"reason": "done with it"})
        closed = await ending(socket)

    [[view]] = [frame["control"] for frame in answers if "control" in frame]
    assert (view["run"], view["answer"]) == ("later", "accepted")
    assert closed == (1008, "revoked")
