"""One purchase over HTTP, from finding to recommending, and what the log then holds."""

from market.protocol.chain import read_entry, verify_chain
from market.protocol.commitments import RecommendationClaims, ReviewClaims
from tests.contract.conftest import Market, Street


async def test_a_journey_of_ten_requests_ends_with_a_receipt_and_a_whole_log(street: Street):
    buyer, seller = street.buyer, street.seller
    session = await buyer.made("/v1/sessions", {"need": "tables out of a PDF"})
    noted = {"session_id": session["id"]}

    found = (await buyer.get("/v1/services", params={"q": "pdf tables", **noted})).json()
    service = (await buyer.get(f"/v1/services/{street.service['id']}", params=noted)).json()
    trust = (await buyer.get(f"/v1/services/{service['id']}/trust", params=noted)).json()
    quote = await buyer.quote(service["id"], **noted)
    order = await buyer.made("/v1/orders", {**buyer.order(quote), **noted})
    chunk = await seller.deliver(order["id"], 0, units=4)
    done = await seller.complete(order["id"], chunks=1, units=4)
    settled = await buyer.made(f"/v1/orders/{order['id']}/accept", None)
    review = await buyer.made(
        "/v1/reviews",
        {
            "commitment": buyer.sign(
                ReviewClaims,
                order_id=order["id"],
                receipt_id=settled["receipt_id"],
                verdict="good",
            )
        },
    )
    told = await buyer.made(
        "/v1/recommendations",
        {
            "commitment": buyer.sign(
                RecommendationClaims,
                receipt_id=settled["receipt_id"],
                service_id=service["id"],
                recipient_ids=[street.other.id],
            )
        },
    )

    assert [item["service_id"] for item in found["items"]] == [service["id"]]
    assert trust["orders_settled"] == 0
    assert (chunk.status_code, done.json()["state"], settled["state"]) == (
        201, "delivered", "settled",
    )  # fmt: skip
    assert review["verdict"] == "good"
    inbox = (await street.other.get("/v1/inbox")).json()
    assert [item["kind"] for item in inbox["items"]] == ["recommendation.received"]
    assert inbox["items"][0]["body"]["recommendation_id"] == told["id"]
    log = (await buyer.get(f"/v1/sessions/{session['id']}/events")).json()
    assert [event["kind"] for event in log["items"]] == [
        "session.opened", "finding.listed", "evaluating.read", "trust.reported",
        "evaluating.quoted", "order.placed", "order.started", "delivery.chunk",
        "delivery.completed", "order.accepted", "order.settled", "review.posted",
        "recommendation.sent",
    ]  # fmt: skip
    verify_chain([read_entry(event) for event in log["items"]])


async def test_what_is_made_has_an_address(street: Street):
    quote = await street.buyer.quote(street.service["id"])

    answer = await street.buyer.post("/v1/orders", street.buyer.order(quote))

    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v1/orders/{answer.json()['id']}"
    assert (await street.buyer.get(answer.headers["location"])).json() == answer.json()


async def test_a_search_is_noted_only_in_a_session_of_the_callers_own(street: Street):
    session = await street.buyer.made("/v1/sessions", {"need": "tables"})

    answer = await street.other.get("/v1/services", params={"session_id": session["id"]})

    assert answer.status_code == 404
    assert answer.json()["type"] == "/problems/session_not_found"
    log = (await street.buyer.get(f"/v1/sessions/{session['id']}/events")).json()
    assert len(log["items"]) == 1


async def test_a_wallet_opens_with_the_grant_and_its_statement_adds_up(street: Street):
    await street.settled()

    wallet = (await street.buyer.get("/v1/wallet")).json()
    statement = (await street.buyer.get("/v1/wallet/statement")).json()

    amounts = [posting["amount_minor"] for posting in statement["items"]]
    assert sum(amounts) == wallet["balances"][0]["available_minor"] == 10_000_000 - 400_000


async def test_a_note_is_kept_read_found_and_forgotten(market: Market):
    buyer = await market.enter("thrifty", "buyer")
    place = "/v1/memory/sellers/acme-pdf"

    written = await buyer.put(place, {"value": {"liked": True}})
    read = await buyer.get(place)
    found = await buyer.get("/v1/memory", params={"q": "acme"})
    gone = await market.http.delete(place, headers=buyer.bearer)

    assert written.json() == read.json() == found.json()["items"][0]
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await buyer.get(place)).status_code == 404
