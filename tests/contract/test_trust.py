"""Trust as the wire sees it: anchors by two overseers, facts from which anybody reckons anew."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from market import chores
from market.base.settings import BadSettings, Settings
from market.faces.http import limits
from market.protocol.commitments import ReviewClaims
from market.protocol.signing import SigningKey
from market.trust.comparing import counted, differing
from market.trust.published import gathered_of
from tests.contract.agents import Agent
from tests.contract.conftest import Market, Street, open_market, sandbox_in
from tests.contract.test_refusals import refused

SECOND = SigningKey.generate()
WHY = {"reason": "known in person"}


@pytest.fixture
async def market(sandbox: Settings) -> AsyncIterator[Market]:
    """A market with two overseers to be."""
    listed = (*sandbox.overseer_ids, SECOND.kid)
    async with open_market(sandbox.with_(overseer_ids=listed)) as market:
        yield market


async def both(market: Market) -> tuple[Agent, Agent]:
    return await market.overseer(), await market.stranger(SECOND).enter("second", "overseer")


async def anchored(market: Market, agent_id: str) -> tuple[Agent, Agent]:
    first, second = await both(market)
    await first.made("/v1/trust/anchors", {"agent_id": agent_id, **WHY})
    await second.made(f"/v1/trust/anchors/{agent_id}/confirm", WHY)
    return first, second


async def everything(agent: Agent) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The batch and all facts, page by page; and the kept standings."""
    page = (await agent.get("/v1/trust/facts", params={"limit": 2})).json()
    items = page["items"]
    while page["next"]:
        params = {"limit": 2, "cursor": page["next"]}
        page = (await agent.get("/v1/trust/facts", params=params)).json()
        items += page["items"]
    return page["batch"], [
        {"subject_id": fact["order"], "buyer_id": fact["buyer"], **fact} for fact in items
    ]


async def test_an_anchor_needs_two_overseers_and_its_history_is_public(street: Street):
    """T8: the two-person rule; who, when and why stays."""
    first, second = await both(street.market)
    path = f"/v1/trust/anchors/{street.buyer.id}"

    proposed = await first.made("/v1/trust/anchors", {"agent_id": street.buyer.id, **WHY})
    alone = refused(await first.post(f"{path}/confirm", WHY), 403, "second_overseer_needed")
    confirmed = await second.made(f"{path}/confirm", WHY)
    again = await second.made(f"{path}/confirm", WHY)
    revoked = await first.made(f"{path}/revoke", {"reason": "its key was stolen"})

    assert "MARKET_ANCHORS_BY_ONE" in alone["detail"]
    assert (proposed["state"], confirmed["state"], again) == ("proposed", "confirmed", confirmed)
    assert [(act["act"], act["overseer_id"]) for act in revoked["acts"]] == [
        ("proposed", first.id), ("confirmed", second.id), ("revoked", first.id),
    ]  # fmt: skip
    listed = (await street.other.get("/v1/trust/anchors")).json()
    assert listed == {"items": [revoked], "next": None}
    refused(await second.post(f"{path}/confirm", WHY), 409, "anchor_not_proposed")


async def test_only_overseers_make_anchors_and_only_of_buyers(street: Street):
    """T8: nobody makes itself an anchor."""
    first, _ = await both(street.market)
    own = {"agent_id": street.buyer.id, **WHY}
    path = f"/v1/trust/anchors/{street.buyer.id}"

    refused(await street.buyer.post("/v1/trust/anchors", own), 403, "insufficient_scope")
    for act in ("confirm", "revoke"):
        refused(await street.buyer.post(f"{path}/{act}", WHY), 403, "insufficient_scope")
        refused(await first.post(f"{path}/{act}", WHY), 404, "anchor_not_found")
    seller = {"agent_id": street.seller.id, **WHY}
    refused(await first.post("/v1/trust/anchors", seller), 422, "not_a_buyer")
    nobody = {"agent_id": SigningKey.generate().kid, **WHY}
    refused(await first.post("/v1/trust/anchors", nobody), 404, "not_found")


async def test_in_a_sandbox_one_overseer_may_do_both(sandbox: Settings):
    async with open_market(sandbox.with_(anchors_by_one=True)) as market:
        overseer = await market.overseer()
        buyer = await market.enter("thrifty", "buyer")
        await overseer.made("/v1/trust/anchors", {"agent_id": buyer.id, **WHY})
        confirmed = await overseer.made(f"/v1/trust/anchors/{buyer.id}/confirm", WHY)

    assert confirmed["state"] == "confirmed"
    with pytest.raises(BadSettings, match="ANCHORS_BY_ONE"):
        sandbox_in(sandbox.home).with_(mode="production", signup_grant_minor=0, anchors_by_one=True)


async def test_an_anchors_word_counts_from_the_next_turn_on(street: Street):
    await street.settled()
    await anchored(street.market, street.buyer.id)

    await chores.weigh_trust(street.market.store)

    path = f"/v1/services/{street.service['id']}/trust"
    report = (await street.buyer.get(path)).json()
    assert report["anchors"]["voices"] == 1
    assert report["crowd"]["voices"] == 0
    assert report["batch"] == 1
    # One anchor's word is left out where it would vouch: it needs three.
    assert report["vouched"] == 0


@pytest.mark.parametrize("is_plain", [True, False])
async def test_anybody_reckons_the_same_standings_from_the_published_facts(
    street: Street, is_plain: bool
):
    """T9: overseers from plain facts, weights included; others from facts under names."""
    order = await street.settled()
    overseer, _ = await anchored(street.market, street.buyer.id)
    await overseer.made("/v1/trust/batches", None)
    review = street.buyer.sign(
        ReviewClaims, order_id=order["id"], receipt_id=order["receipt_id"], verdict="bad"
    )
    await street.buyer.made("/v1/reviews", {"commitment": review})
    await street.settled()
    reader = overseer if is_plain else street.other

    batch, facts = await everything(reader)
    kept = (await reader.get("/v1/trust/standings")).json()["items"]
    rows = [{"seller_id": one["seller_id"], **one["sums"]} for one in kept]
    found = gathered_of(facts, rows, batch, has_weights=not is_plain)

    assert len(facts) == 3
    assert (found.buyers is None) == is_plain
    assert differing(found.standings, counted(found).standings, ["seller_id"]) == []
    report = (await reader.get(f"/v1/services/{street.service['id']}/trust")).json()
    assert (kept[0]["score"], kept[0]["long"]) == (report["score"], report["long"])


async def test_published_facts_do_not_tell_who_bought_what(street: Street):
    """S15, Z10: neither buyers nor orders, and no more of when than the day."""
    order = await street.settled()
    overseer, _ = await both(street.market)
    await overseer.made("/v1/trust/batches", None)

    told = (await street.other.get("/v1/trust/facts")).text
    plain = (await overseer.get("/v1/trust/facts")).text

    for secret in (street.buyer.id, order["id"]):
        assert secret not in told
        assert secret in plain
    assert "2026-11-22T00:00:00.000000Z" in told
    before = (await street.other.get("/v1/trust/facts")).json()["items"][0]["buyer"]
    await overseer.made("/v1/trust/batches", None)
    after = (await street.other.get("/v1/trust/facts")).json()["items"][0]["buyer"]
    assert before != after


async def test_batches_on_demand_are_made_one_at_a_time(
    street: Street, monkeypatch: pytest.MonkeyPatch
):
    """D7: whoever asks; a few wait in line, and the others are told to come back."""
    overseer = await street.market.overseer()
    monkeypatch.setattr(limits, "HEAVY_WAITING", 2)
    answers = await asyncio.gather(*(overseer.post("/v1/trust/batches", None) for _ in range(6)))

    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201, 201, 429, 429, 429, 429]
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 429)


async def test_rings_and_batches_on_demand_are_for_overseers(street: Street):
    overseer, _ = await both(street.market)

    refused(await street.buyer.get("/v1/trust/rings"), 403, "insufficient_scope")
    refused(await street.buyer.post("/v1/trust/batches"), 403, "insufficient_scope")
    assert (await overseer.get("/v1/trust/rings")).json() == {"items": [], "next": None}
    made = await overseer.made("/v1/trust/batches", None)

    assert made["number"] == 1
    assert (await street.buyer.get("/v1/trust/batch")).json() == made


async def test_the_versions_of_a_review_can_be_read(street: Street):
    """T6: all versions kept."""
    order = await street.settled()
    said = {"order_id": order["id"], "receipt_id": order["receipt_id"]}
    for verdict in ("good", "bad"):
        token = street.buyer.sign(ReviewClaims, **said, verdict=verdict)
        review = await street.buyer.made("/v1/reviews", {"commitment": token})

    versions = (await street.other.get(f"/v1/reviews/{review['id']}/versions")).json()

    assert [(one["version"], one["verdict"]) for one in versions] == [(1, "good"), (2, "bad")]
    unknown = "/v1/reviews/rev_01h455vb4pex5vsknk084sn02q/versions"
    refused(await street.other.get(unknown), 404, "review_not_found")
