"""``GET /v1/approvals``: what waits for a principal's word, as the API lists it."""

from market.protocol.commitments import Limits, MandateClaims
from tests.contract.agents import Agent, nonce
from tests.contract.conftest import Market
from tests.contract.test_refusals import refused
from tests.factories import manifest


async def waiting(agent: Agent, **query: str) -> list[str]:
    answer = await agent.get("/v1/approvals", params=query)
    assert answer.status_code == 200, answer.text
    return [one["order_id"] for one in answer.json()["items"]]


async def test_a_principal_pages_through_what_waits_and_nobody_else_sees_it(market: Market):
    """Z2: a stranger has an empty list, and nothing in it tells that there is another."""
    firm, rival = [await market.enter(name, "principal") for name in ("firm", "rival")]
    buyer = await market.enter("walker", "buyer", principal_id=firm.id)
    seller = await market.enter("acme", "seller")
    service = await seller.publish(manifest())
    limits = Limits(approval_over_minor=100_000)
    signed = firm.sign(
        MandateClaims, exp=firm.now + 3_600, jti=nonce(), buyer_id=buyer.id, currency="XTS",
        limits=limits,
    )  # fmt: skip
    given = await firm.made("/v1/mandates", {"mandate": signed})
    placed = []
    for _ in range(3):
        quote = await buyer.quote(service["id"])
        order = await buyer.made("/v1/orders", buyer.order(quote, mandate_id=given["id"]))
        placed.append(order["id"])

    first = (await firm.get("/v1/approvals", params={"limit": "2"})).json()

    assert [one["order_id"] for one in first["items"]] == placed[:2]
    assert {one["principal_id"] for one in first["items"]} == {firm.id}
    assert await waiting(firm, limit="2", cursor=first["next"]) == placed[2:]
    assert await waiting(await market.overseer()) == placed
    for other in (rival, buyer, seller):
        answer = await other.get("/v1/approvals")
        assert (answer.status_code, answer.json()) == (200, {"items": [], "next": None})
    refused(await rival.get("/v1/approvals", params={"cursor": "AAAA"}), 422, "bad_cursor")
    refused(await firm.get("/v1/approvals", params={"limit": "101"}), 400, "invalid_parameter")
    assert (await market.http.get("/v1/approvals")).status_code == 401
