"""A buyer is killed at any moment; with the same key it goes on, and nothing is done twice."""

import asyncio

import pytest

from buyer_agents import Journey, MarketClient, Need, Shopper, policy_named
from market.base.settings import Settings
from market.protocol.commitments import Limits
from market.protocol.events import STAGES
from market.protocol.signing import SigningKey
from tests.e2e.proofs import log_of
from tests.faults import LoseAnswer, faults
from tests.town import GRANT_MINOR, Tickets, Town, need, open_town, reader

PRICE_MINOR = 600_000
OUTPUTS = [{"page": page} for page in "abcdef"]
ONCE = ["order.placed", "order.settled", "review.posted", "recommendation.sent", "session.closed"]
DECISION = "POST /v1/sessions/[^/]+/events$"


async def killed_at(town: Town, key: SigningKey, wanted: Need, rule: LoseAnswer) -> None:
    """Let a buyer shop until the market has done what the rule names, and no longer."""
    async with faults(town.url, rule) as network:
        buyer = await town.client("thrifty", key=key, url=network.url)
        shopping = asyncio.create_task(Shopper(buyer, policy_named("cheapest")).run(wanted))
        await network.until_lost()
        shopping.cancel()
        await asyncio.gather(shopping, return_exceptions=True)


def assert_complete(journey: Journey) -> None:
    assert (journey.outcome, journey.stage) == ("advance", "recommending"), journey.detail
    assert journey.outputs == OUTPUTS
    assert journey.receipt is not None


async def assert_once(buyer: MarketClient, journey: Journey) -> None:
    """One session, one order, and each step of it once."""
    [session] = (await buyer.sessions()).items
    assert (session.id, session.state) == (journey.session_id, "closed")
    log = await log_of(buyer, session.id)
    kinds = [event.kind for event in log]
    assert [kinds.count(kind) for kind in ONCE] == [1] * len(ONCE)
    decided = [event.body["stage"] for event in log if event.kind == "decision.made"]
    assert decided == list(STAGES)
    [balance] = (await buyer.wallet()).balances
    assert (balance.available_minor, balance.held_minor) == (GRANT_MINOR - PRICE_MINOR, 0)
    [note] = (await buyer.notes("sellers")).items
    assert (note.value["good"], note.value["bad"]) == (1, 0)


@pytest.mark.parametrize(
    "rule",
    [
        LoseAnswer("POST /v1/sessions$"),
        LoseAnswer("GET /v1/services[?]"),
        LoseAnswer(DECISION),
        LoseAnswer("POST /v1/quotes$"),
        LoseAnswer(DECISION, spare=1),
        LoseAnswer(DECISION, spare=2),
        LoseAnswer("POST /v1/orders$"),
        LoseAnswer(DECISION, spare=3),
        LoseAnswer("POST /v1/orders/[^/]+/accept$"),
        LoseAnswer(DECISION, spare=4),
        LoseAnswer("POST /v1/reviews$"),
        LoseAnswer("POST /v1/recommendations$"),
        LoseAnswer("PUT /v1/memory/"),
        LoseAnswer(DECISION, spare=5),
    ],
    ids=lambda rule: f"{rule.on}{rule.spare}",
)
async def test_a_buyer_that_died_after_a_commit_goes_on_behind_it(
    sqlite_settings: Settings, rule: LoseAnswer
):
    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(reader(Tickets(6))))
        friend = await town.client("friend")
        wanted = need(recommend_to=(friend.agent_id,))
        key = SigningKey.generate()
        await killed_at(town, key, wanted, rule)

        buyer = await town.client("thrifty", key=key)
        journey = await Shopper(buyer, policy_named("cheapest")).resume(wanted)

        assert_complete(journey)
        await assert_once(buyer, journey)
        assert len((await friend.inbox()).items) == 1


async def test_a_buyer_that_died_while_a_human_decides_hears_the_answer(
    sqlite_settings: Settings,
):
    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(reader(Tickets(6))))
        firm = await town.client("firm", "principal")
        key = SigningKey.generate()
        buyer = await town.client("thrifty", key=key, principal_id=firm.agent_id)
        limits = Limits(approval_over_minor=PRICE_MINOR - 1)
        mandate = await firm.give_mandate(buyer.agent_id, limits, currency="XTS", seconds=600)
        shopper = Shopper(buyer, policy_named("cheapest"), mandate_id=mandate.id)
        shopping = asyncio.create_task(shopper.run(need()))
        [message] = (await firm.inbox(wait_seconds=10)).items
        shopping.cancel()
        await asyncio.gather(shopping, return_exceptions=True)
        await firm.control(message.body["session_id"], "approve")

        journey = await Shopper(buyer, policy_named("cheapest"), mandate_id=mandate.id).resume(
            need()
        )

        assert_complete(journey)
        assert journey.interventions == ["approve"]


async def test_a_buyer_that_died_after_its_complaint_gets_its_money_back_once(
    sqlite_settings: Settings,
):
    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(reader(Tickets(6))))
        picky = need(check=lambda outputs: False)
        key = SigningKey.generate()
        await killed_at(town, key, picky, LoseAnswer("POST /v1/orders/[^/]+/support$"))

        buyer = await town.client("thrifty", key=key)
        journey = await Shopper(buyer, policy_named("cheapest")).resume(picky)

        assert (journey.outcome, journey.stage, journey.reason) == ("leave", "using", "quality")
        kinds = [event.kind for event in await log_of(buyer, journey.session_id)]
        assert [kinds.count(kind) for kind in ("review.posted", "order.refunded")] == [1, 1]
        [balance] = (await buyer.wallet()).balances
        assert balance.available_minor == GRANT_MINOR


async def test_a_buyer_that_died_before_it_closed_its_log_closes_it_and_stays_away(
    sqlite_settings: Settings,
):
    async with open_town(sqlite_settings) as town:
        key = SigningKey.generate()
        await killed_at(town, key, need(), LoseAnswer(DECISION))

        buyer = await town.client("thrifty", key=key)
        journey = await Shopper(buyer, policy_named("cheapest")).resume(need())

        assert (journey.outcome, journey.reason) == ("leave", "no_result")
        [session] = (await buyer.sessions()).items
        assert session.state == "closed"


async def test_what_is_not_this_journey_is_not_taken_up(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        service = await town.open(town.seller(reader(Tickets(7))))
        buyer = await town.client("thrifty")
        session = await buyer.open_session(need().query, {"policy": "Cheapest"})
        other_input = await buyer.ask_quote(service.id, {"pages": ["z"]}, session_id=session.id)
        await buyer.place_order(other_input, session_id=session.id)
        await buyer.open_session("another need", {"policy": "Cheapest"})

        journey = await Shopper(buyer, policy_named("cheapest")).resume(need())

        assert_complete(journey)
        assert len((await buyer.sessions()).items) == 3
