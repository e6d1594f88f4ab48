"""The answer is lost after the commit: the client asks again by itself, and nothing is doubled."""

import re
import tomllib

from buyer_agents import MarketClient, Producer, Shopper, policy_named
from market.base.settings import Settings
from market.protocol.delivery import chain
from market.protocol.wire import WriteEvent, WriteNote
from tests.e2e.proofs import log_of
from tests.faults import BadNetwork, Double, Exchange, LoseEveryAnswerOnce, faults
from tests.town import GRANT_MINOR, MANIFEST, PAGES, Tickets, Town, need, open_town, reader

PRICE_MINOR = 600_000
OUTPUTS = [{"page": page} for page in PAGES["pages"]]
WRITES = "^(POST|PUT|DELETE) "

KINDS = [
    "session.opened",
    "evaluating.quoted",
    "order.placed",
    "control.requested",
    "control.answered",
    "control.requested",
    "control.answered",
    "order.started",
    "control.requested",
    "control.answered",
    *["delivery.chunk"] * len(OUTPUTS),
    "note.written",
    "note.written",
    "delivery.completed",
    "order.accepted",
    "order.settled",
    "review.posted",
    "recommendation.sent",
    "support.asked",
    "order.refunded",
    "support.answered",
    "session.closed",
]
VERBS = [
    "POST /v1/agents",
    "POST /v1/services",
    "POST /v1/sessions",
    "POST /v1/quotes",
    "POST /v1/orders",
    "POST /v1/sessions/ses/controls",
    "POST /v1/orders/ord/start",
    "POST /v1/sessions/ses/controls/8/answer",
    "POST /v1/orders/ord/chunks",
    "POST /v1/sessions/ses/events",
    "POST /v1/orders/ord/complete",
    "POST /v1/orders/ord/accept",
    "POST /v1/reviews",
    "POST /v1/recommendations",
    "PUT /v1/memory/sellers/reader",
    "PUT /v1/memory/sellers/gone",
    "DELETE /v1/memory/sellers/gone",
    "POST /v1/inbox/acknowledge",
    "POST /v1/orders/ord/support",
    "POST /v1/sessions/ses/close",
]
"""Every writing verb of a journey, by the request that it is; ids are cut down to their prefix."""


async def walk(town: Town, url: str) -> tuple[MarketClient, str]:
    """Use every verb of ``VERBS`` through ``url``; return the buyer, and its session."""
    friend = await town.client("friend")
    seller = await town.client("reader", "seller", url=url)
    buyer = await town.client("thrifty", url=url)
    text = MANIFEST.format(slug="reader", price="0.10", refund="within-window")
    service = await seller.publish(tomllib.loads(text))

    session = await buyer.open_session("pages")
    quote = await buyer.ask_quote(service.id, PAGES, session_id=session.id)
    order = await buyer.place_order(quote, session_id=session.id)
    await buyer.control(session.id, "pause")
    await buyer.control(session.id, "resume")
    await seller.start(order.id)
    [steer] = await buyer.control(session.id, "steer", text="louder")
    await seller.answer_control(session.id, steer.offset, "consumed")
    digest = ""
    for index, output in enumerate(OUTPUTS):
        await seller.chunk(order.id, index, output, units=1)
        digest = chain(digest, output)
    for sequence in range(2):
        note = WriteEvent(kind="note.written", body={"text": f"note {sequence}"})
        await buyer.write_events(session.id, [note], producer=Producer("notes", 0, sequence))
    await seller.complete(order.id, chunks=len(OUTPUTS), units=len(OUTPUTS), delivery_digest=digest)
    settled = await buyer.accept(order.id)
    assert settled.receipt_id is not None
    await buyer.review(order.id, settled.receipt_id, "good")
    await buyer.recommend(service.id, settled.receipt_id, [friend.agent_id])
    await buyer.write_note("sellers", "reader", WriteNote(value={"good": 1}, if_version=0))
    await buyer.write_note("sellers", "gone", WriteNote(value={}))
    await buyer.forget("sellers", "gone")
    await seller.acknowledge((await seller.inbox()).items[-1].offset)
    await buyer.support(order.id, "refund", "I changed my mind.")
    await buyer.close_session(session.id)

    assert len((await friend.inbox()).items) == 1
    assert len((await buyer.reviews(service.id)).items) == 1
    [kept] = (await buyer.notes("sellers")).items
    assert (kept.key, kept.version) == ("reader", 1)
    return buyer, session.id


async def assert_once(buyer: MarketClient, session_id: str) -> None:
    """What the whole walk did stands in the log once, and the money is where it was."""
    assert [event.kind for event in await log_of(buyer, session_id)] == KINDS
    [balance] = (await buyer.wallet()).balances
    assert (balance.available_minor, balance.held_minor) == (GRANT_MINOR, 0)
    statement = (await buyer.statement()).items
    assert [posting.reason for posting in statement] == [
        "order.refund",
        "escrow.hold",
        "issuance.mint",
    ]


def assert_same_answers(network: BadNetwork, requests: list[Exchange]) -> None:
    """Whoever asked again was told what was told the first time, to the byte."""
    for asked in requests:
        answers = [settled_part(*answer) for answer in network.answers_to(asked.request)]
        if verb_of(asked) in VERBS:
            assert len(answers) >= 2, f"nobody asked again: {asked.request.line}"
            assert len(set(answers)) == 1, (asked.request.line, answers)


def settled_part(status: int, body: bytes) -> tuple[int, bytes]:
    """An answer without what is new each time: a token, and whether it is a repeat."""
    body = re.sub(rb'"access_token":"[^"]*"', b"", body)
    return status, re.sub(rb'"repeated":(true|false)', b"", body)


def verb_of(exchange: Exchange) -> str:
    return re.sub(r"\b(ses|ord)_\w+", r"\1", exchange.request.line)


async def test_every_answer_is_lost_once_and_every_effect_is_there_once(
    sqlite_settings: Settings,
):
    rule = LoseEveryAnswerOnce(WRITES)
    async with open_town(sqlite_settings) as town, faults(town.url, rule) as network:
        buyer, session_id = await walk(town, network.url)

        assert {verb_of(exchange) for exchange in network.lost} >= set(VERBS)
        assert_same_answers(network, network.lost)
        await assert_once(buyer, session_id)


async def test_every_request_comes_twice_at_the_same_time_and_every_effect_is_there_once(
    sqlite_settings: Settings,
):
    rule = Double(WRITES + "/v1", times=None)
    async with open_town(sqlite_settings) as town, faults(town.url, rule) as network:
        buyer, session_id = await walk(town, network.url)

        assert {verb_of(exchange) for exchange in network.exchanges} >= set(VERBS)
        assert_same_answers(network, network.exchanges)
        await assert_once(buyer, session_id)


async def test_a_whole_journey_of_the_libraries_outlives_the_loss_of_every_answer(
    sqlite_settings: Settings,
):
    far, near = LoseEveryAnswerOnce(WRITES), LoseEveryAnswerOnce(WRITES)
    async with (
        open_town(sqlite_settings) as town,
        faults(town.url, far) as buyers_line,
        faults(town.url, near) as sellers_line,
    ):
        service = await town.open(town.seller(reader(Tickets(6))), url=sellers_line.url)
        friend = await town.client("friend")
        buyer = await town.client("thrifty", url=buyers_line.url)

        shopper = Shopper(buyer, policy_named("best-value"))
        journey = await shopper.run(need(recommend_to=(friend.agent_id,)))

        assert journey.outcome == "advance", journey.detail
        assert journey.outputs == OUTPUTS
        kinds = [event.kind for event in await log_of(buyer, journey.session_id)]
        once = ["evaluating.quoted", "order.placed", "order.settled", "review.posted"]
        assert [kinds.count(kind) for kind in once] == [1] * len(once)
        assert kinds.count("delivery.chunk") == len(OUTPUTS)
        assert kinds.count("decision.made") == 6
        [balance] = (await buyer.wallet()).balances
        assert balance.available_minor == GRANT_MINOR - PRICE_MINOR
        [note] = (await buyer.notes("sellers")).items
        assert note.value == {"seller_id": service.seller_id, "good": 1, "bad": 0}
        assert len(friend_inbox := (await friend.inbox()).items) == 1, friend_inbox
