"""What one agent cannot do to another, or to the market: each refused with a clear problem."""

import asyncio
from datetime import timedelta
from typing import Any

import httpx
import pytest

from market.protocol.commitments import (
    Limits,
    MandateClaims,
    ManifestClaims,
    RecommendationClaims,
    ReviewClaims,
)
from tests.contract.agents import Agent, nonce
from tests.contract.conftest import Market, Street
from tests.factories import manifest


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check that an answer is a whole problem document of this kind, and return it."""
    problem: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, problem["type"]) == (status, f"/problems/{code}"), answer.text
    assert problem["status"] == status
    assert problem["instance"] == answer.headers["x-request-id"]
    assert problem["title"]
    assert problem["detail"].endswith(".")
    return problem


async def buy(buyer: Agent, quote: dict[str, Any], **changes: Any) -> httpx.Response:
    return await buyer.post("/v1/orders", buyer.order(quote, **changes))


async def test_acting_as_another_agent(street: Street):
    quote = await street.buyer.quote(street.service["id"])

    answer = await buy(street.buyer, quote, iss=street.other.id)

    refused(answer, 422, "bad_commitment")


async def test_naming_another_buyer_in_the_body(street: Street):
    quote = await street.buyer.quote(street.service["id"])

    body = {**street.buyer.order(quote), "buyer_id": street.other.id}
    answer = await street.buyer.post("/v1/orders", body)

    problem = refused(answer, 422, "invalid_body")
    assert problem["errors"] == [{"field": "buyer_id", "detail": "is not known here"}]


async def test_a_body_signed_by_another_key(street: Street):
    quote = await street.buyer.quote(street.service["id"])
    street.other.id = street.buyer.id

    answer = await street.buyer.post("/v1/orders", street.other.order(quote))

    refused(answer, 422, "bad_commitment")


async def test_a_commitment_made_for_another_purpose(street: Street):
    quote = await street.buyer.quote(street.service["id"])
    token = street.buyer.sign(ManifestClaims, manifest=manifest())

    answer = await street.buyer.post("/v1/orders", {"quote_id": quote["id"], "commitment": token})

    refused(answer, 422, "bad_commitment")


async def test_a_commitment_made_for_another_market(street: Street):
    quote = await street.buyer.quote(street.service["id"])

    answer = await buy(street.buyer, quote, aud="https://elsewhere.test")

    refused(answer, 422, "bad_commitment")


async def test_overwriting_another_sellers_service(street: Street):
    rival = await street.market.enter("rival", "seller")

    token = rival.sign(ManifestClaims, manifest=manifest(version="2"))
    answer = await rival.post("/v1/services", {"manifest": token})

    refused(answer, 409, "service_taken")
    now = (await rival.get(f"/v1/services/{street.service['id']}")).json()
    assert now["seller_id"] == street.seller.id


async def test_paying_another_buyers_quote(street: Street):
    quote = await street.buyer.quote(street.service["id"])

    answer = await buy(street.other, quote)

    refused(answer, 404, "quote_not_found")


async def test_paying_twice(street: Street):
    quote = await street.buyer.quote(street.service["id"])
    first = await buy(street.buyer, quote)

    second = await buy(street.buyer, quote)

    assert first.status_code == 201
    refused(second, 409, "quote_used")
    wallet = (await street.buyer.get("/v1/wallet")).json()
    assert wallet["balances"][0]["held_minor"] == quote["amount_minor"]


async def test_paying_an_expired_quote(street: Street):
    quote = await street.buyer.quote(street.service["id"])
    street.market.clock.advance(timedelta(seconds=301))
    street.buyer.token = (await street.buyer.ask_token()).json()["access_token"]

    answer = await buy(street.buyer, quote)

    refused(answer, 410, "quote_expired")


@pytest.mark.parametrize(
    "change",
    [{"amount_minor": 1}, {"quote_digest": "A" * 43}, {"seller_id": "B" * 43}, {"currency": "EUR"}],
)
async def test_paying_an_altered_quote(street: Street, change: dict[str, Any]):
    quote = await street.buyer.quote(street.service["id"])

    answer = await buy(street.buyer, quote, **change)

    problem = refused(answer, 422, "quote_mismatch")
    assert [problem["field"]] == list(change)


async def test_paying_with_an_empty_wallet(street: Street):
    poor = await street.market.enter("poor", "buyer", principal_id=None)
    wallet = (await poor.get("/v1/wallet")).json()["balances"][0]["available_minor"]
    rich = await street.market.enter("rich", "seller")
    service = await rich.publish(
        manifest(id="yacht", price={"per": "call", "amount": "11", "currency": "XTS"})
    )

    answer = await buy(poor, await poor.quote(service["id"]))

    refused(answer, 402, "insufficient_funds")
    assert (await poor.get("/v1/wallet")).json()["balances"][0]["available_minor"] == wallet


async def test_spending_over_the_mandate_in_parallel_sessions(street: Street):
    principal = await street.market.enter("owner", "principal")
    buyer = await street.market.enter("agent-of-owner", "buyer", principal_id=principal.id)
    mandate = await give_mandate(principal, buyer, budget_minor=1_000_000)
    quotes = [await buyer.quote(street.service["id"]) for _ in range(6)]

    answers = await asyncio.gather(
        *(buy(buyer, quote, mandate_id=mandate["id"]) for quote in quotes)
    )

    # Each order is 0.40 of a budget of 1.00, in a session of its own.
    placed = [answer.json() for answer in answers if answer.status_code == 201]
    assert len(placed) == len({order["session_id"] for order in placed}) == 2
    for answer in answers:
        if answer.status_code != 201:
            assert refused(answer, 402, "mandate_exceeded")["limit"] == "budget_minor"
    spent = (await principal.get(f"/v1/mandates/{mandate['id']}")).json()["spent_minor"]
    assert spent == 800_000


async def test_a_buyer_with_a_principal_spends_nothing_without_a_mandate(street: Street):
    principal = await street.market.enter("owner", "principal")
    buyer = await street.market.enter("agent-of-owner", "buyer", principal_id=principal.id)

    answer = await buy(buyer, await buyer.quote(street.service["id"]))

    assert answer.status_code in (402, 403)
    refused(answer, answer.status_code, "mandate_required")


async def give_mandate(principal: Agent, buyer: Agent, **limits: Any) -> Any:
    token = principal.sign(
        MandateClaims,
        exp=principal.now + 3_600,
        jti=nonce(),
        buyer_id=buyer.id,
        currency="XTS",
        limits=Limits(**limits),
    )
    return await principal.made("/v1/mandates", {"mandate": token})


async def test_a_review_without_a_receipt(street: Street):
    order = await street.placed()
    settled = await street.settled()

    early = street.buyer.sign(
        ReviewClaims, order_id=order["id"], receipt_id=settled["receipt_id"], verdict="good"
    )
    foreign = street.other.sign(
        ReviewClaims, order_id=settled["id"], receipt_id=settled["receipt_id"], verdict="bad"
    )

    answer = await street.buyer.post("/v1/reviews", {"commitment": early})
    refused(answer, 409, "order_not_ended")
    answer = await street.other.post("/v1/reviews", {"commitment": foreign})
    refused(answer, 404, "order_not_found")


async def test_a_recommendation_without_a_receipt_of_ones_own(street: Street):
    settled = await street.settled()
    token = street.other.sign(
        RecommendationClaims,
        receipt_id=settled["receipt_id"],
        service_id=street.service["id"],
        recipient_ids=[street.buyer.id],
    )

    answer = await street.other.post("/v1/recommendations", {"commitment": token})

    refused(answer, 404, "receipt_not_found")


async def test_reading_or_moving_what_is_a_strangers_says_that_it_is_not_there(street: Street):
    order = await street.settled()
    quote = await street.buyer.quote(street.service["id"])
    session_id = order["session_id"]
    await street.buyer.put("/v1/memory/sellers/acme", {"value": {"liked": True}})
    paths = {
        f"/v1/sessions/{session_id}": "/v1/sessions/ses_01h455vb4pex5vsknk084sn02q",
        f"/v1/sessions/{session_id}/events": "/v1/sessions/ses_01h455vb4pex5vsknk084sn02q/events",
        f"/v1/sessions/{session_id}/stream": "/v1/sessions/ses_01h455vb4pex5vsknk084sn02q/stream",
        f"/v1/orders/{order['id']}": "/v1/orders/ord_01h455vb4pex5vsknk084sn02q",
        f"/v1/orders/{order['id']}/receipts": "/v1/orders/ord_01h455vb4pex5vsknk084sn02q/receipts",
        f"/v1/receipts/{order['receipt_id']}": "/v1/receipts/rcp_01h455vb4pex5vsknk084sn02q",
        f"/v1/quotes/{quote['id']}": "/v1/quotes/qte_01h455vb4pex5vsknk084sn02q",
        "/v1/memory/sellers/acme": "/v1/memory/sellers/unknown",
    }

    for theirs, unknown in paths.items():
        if not theirs.endswith("/stream"):
            assert (await street.buyer.get(theirs)).status_code == 200, theirs
        seen = await street.other.get(theirs)
        absent = await street.other.get(unknown)
        assert seen.status_code == absent.status_code == 404, theirs
        assert {**seen.json(), "instance": ""} == {**absent.json(), "instance": ""}, theirs


async def test_a_strangers_wallet_and_inbox_have_no_address(street: Street):
    await street.settled()

    assert (await street.other.get(f"/v1/wallet?agent_id={street.buyer.id}")).status_code == 400
    assert (await street.other.get(f"/v1/inbox?agent_id={street.buyer.id}")).status_code == 400
    assert (await street.other.get("/v1/inbox")).json()["items"] == []


async def test_intervening_in_a_strangers_session(street: Street):
    order = await street.placed()
    before = await street.buyer.get(f"/v1/sessions/{order['session_id']}/events")

    for action in ("cancel", "pause", "resume"):
        answer = await street.other.post(
            f"/v1/sessions/{order['session_id']}/controls", {"action": action}
        )
        refused(answer, 404, "session_not_found")
    event = {"kind": "note.written", "body": {"text": "hello"}}
    answer = await street.other.post(
        f"/v1/sessions/{order['session_id']}/events", {"events": [event]}
    )
    refused(answer, 404, "session_not_found")

    after = await street.buyer.get(f"/v1/sessions/{order['session_id']}/events")
    assert after.content == before.content


async def test_delivering_another_sellers_order(street: Street):
    order = await street.placed()
    rival = await street.market.enter("rival", "seller")

    refused(await rival.deliver(order["id"], 0), 404, "order_not_found")
    refused(await rival.post(f"/v1/orders/{order['id']}/start"), 404, "order_not_found")
    refused(await street.other.post(f"/v1/orders/{order['id']}/accept"), 404, "order_not_found")


async def test_a_seller_reads_its_order_but_not_the_buyers_decisions(street: Street):
    session = await street.buyer.made(
        "/v1/sessions", {"need": "tables, for a takeover", "labels": {"budget": "9"}}
    )
    decision = {"stage": "evaluating", "outcome": "advance", "detail": "they are cheap"}
    await street.buyer.made(
        f"/v1/sessions/{session['id']}/events",
        {"events": [{"kind": "decision.made", "body": decision}]},
    )
    order = await street.placed(session_id=session["id"])

    seen = await street.seller.get(f"/v1/sessions/{session['id']}/events")
    whole = await street.buyer.get(f"/v1/sessions/{session['id']}/events")

    assert "takeover" not in seen.text
    assert "cheap" not in seen.text
    shown = [item for item in seen.json()["items"] if "kind" in item]
    assert [item["order_id"] for item in shown] == [order["id"]] * len(shown)
    hashes = [item["hash"] for item in seen.json()["items"]]
    assert hashes == [item["hash"] for item in whole.json()["items"]]
    view = (await street.seller.get(f"/v1/sessions/{session['id']}")).json()
    assert (view["need"], view["labels"]) == ("", {})


async def test_writing_what_only_the_market_vouches_for(street: Street):
    order = await street.placed()
    forged = {"kind": "order.settled", "body": {"captured_minor": 0}, "order_id": order["id"]}

    for agent in (street.buyer, street.seller):
        answer = await agent.post(
            f"/v1/sessions/{order['session_id']}/events", {"events": [forged]}
        )
        refused(answer, 403, "kind_reserved")


async def test_changing_another_agents_keys_or_standing(street: Street):
    statement = {"statement": street.other.token}

    answer = await street.other.post(f"/v1/agents/{street.buyer.id}/keys", statement)
    refused(answer, 404, "not_found")
    answer = await street.other.post(f"/v1/agents/{street.buyer.id}/suspend", {"reason": "envy"})
    refused(answer, 403, answer.json()["type"].rpartition("/")[2])


async def test_making_money_as_anybody_else_than_an_overseer(street: Street):
    fund = {"agent_id": street.other.id, "amount_minor": 1_000, "currency": "XTS"}
    overseer = await street.market.overseer()

    refused(await street.other.post("/v1/faucet", fund), 403, "insufficient_scope")
    wallet = await overseer.made("/v1/faucet", fund)
    assert wallet["balances"][0]["available_minor"] == 10_001_000
    nobody = await overseer.post("/v1/faucet", {**fund, "agent_id": "A" * 43})
    refused(nobody, 404, "not_found")


async def test_entering_twice_with_one_key_or_one_handle(market: Market):
    agent = await market.enter("thrifty", "buyer")

    again = await market.http.post(
        "/v1/agents", json={"proof": agent.registration("thrifty", "buyer")}
    )
    other_name = await market.http.post(
        "/v1/agents", json={"proof": agent.registration("spendy", "buyer")}
    )
    other_key = await market.http.post(
        "/v1/agents", json={"proof": market.stranger().registration("thrifty", "buyer")}
    )

    assert again.json()["agent"]["id"] == agent.id
    refused(other_name, 409, "key_taken")
    refused(other_key, 409, "handle_taken")


async def test_entering_as_an_overseer_that_nobody_named(market: Market):
    proof = market.stranger().registration("watch", "overseer")

    answer = await market.http.post("/v1/agents", json={"proof": proof})

    refused(answer, 403, "overseer_not_listed")
