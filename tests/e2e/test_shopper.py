"""Buying journeys through a live market: how they end, what they cost, what they leave behind."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from buyer_agents import (
    Journey,
    MarketClient,
    Shopper,
    follow_session,
    follow_socket,
    policy_named,
)
from market.base.settings import Settings
from market.protocol.commitments import Limits
from market.protocol.events import STAGES, Event
from market.protocol.signing import SigningKey
from seller_services import CannotDeliver, Chunk, Order, Seller
from tests.town import GRANT_MINOR, MANIFEST, Tickets, need, of_kind, open_town, reader, until

PRICE_MINOR = 600_000


async def events_of(market: MarketClient, session_id: str) -> list[Event]:
    page = await market.events(session_id)
    assert page.is_closed, "the journey closed its session"
    return [item for item in page.items if isinstance(item, Event)]


async def decisions_of(market: MarketClient, session_id: str) -> list[dict[str, Any]]:
    events = await events_of(market, session_id)
    return [event.body for event in events if event.kind == "decision.made"]


async def available(market: MarketClient) -> int:
    (balance,) = (await market.wallet()).balances
    assert balance.held_minor == 0
    return balance.available_minor


async def left(market: MarketClient, journey: Journey, stage: str, reason: str) -> dict[str, Any]:
    """Check that a journey ended so, here and in its log; return the last decision."""
    *passed, last = await decisions_of(market, journey.session_id)
    assert (journey.outcome, journey.stage, journey.reason) == ("leave", stage, reason)
    assert (last["outcome"], last["stage"], last["reason"]) == ("leave", stage, reason)
    assert [one["stage"] for one in passed] == list(STAGES)[: len(passed)]
    assert all(one["outcome"] == "advance" for one in passed)
    return last


@pytest.mark.parametrize("follow", [follow_session, follow_socket])
async def test_a_journey_goes_through_all_six_stages(sqlite_settings: Settings, follow: Any):
    async with open_town(sqlite_settings) as town:
        service = await town.open(town.seller(reader(Tickets(6))))
        friend = await town.client("friend")
        buyer = await town.client("thrifty")
        shopper = Shopper(buyer, policy_named("best-value"), follow=follow)

        journey = await shopper.run(need(recommend_to=(friend.agent_id, buyer.agent_id)))

        assert (journey.outcome, journey.stage, journey.reason) == ("advance", STAGES[-1], None)
        assert [output["page"] for output in journey.outputs] == list("abcdef")
        assert journey.receipt is not None
        assert (await buyer.read_receipt(journey.receipt)).captured_minor == PRICE_MINOR
        assert await available(buyer) == GRANT_MINOR - PRICE_MINOR
        decisions = await decisions_of(buyer, journey.session_id)
        assert [one["stage"] for one in decisions] == list(STAGES)
        assert {one["outcome"] for one in decisions} == {"advance"}
        assert all(one["alternatives"][0]["slug"] == "reader" for one in decisions)
        assert set(journey.seconds) == set(STAGES)
        assert len((await friend.inbox()).items) == 1
        assert (await friend.reviews(service.id)).items[0].verdict == "good"
        (note,) = (await buyer.notes("sellers")).items
        assert note.value == {"seller_id": service.seller_id, "good": 1, "bad": 0}
        assert note.session_id == journey.session_id


async def test_nothing_listed_ends_the_journey_at_finding(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        buyer = await town.client("thrifty")

        journey = await Shopper(buyer, policy_named("cheapest")).run(need())

        await left(buyer, journey, "finding", "no_result")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"max_price_minor": PRICE_MINOR - 1}, "price"),
        ({"wants": ("colour",)}, "schema_mismatch"),
        ({"input": {"chapters": 3}}, "schema_mismatch"),
        ({"max_p95_ms": 10}, "latency"),
    ],
)
async def test_what_does_not_fit_ends_the_journey_at_evaluating(
    sqlite_settings: Settings, changes: Any, reason: str
):
    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(reader(Tickets())))
        buyer = await town.client("thrifty")

        journey = await Shopper(buyer, policy_named("cheapest")).run(need(**changes))

        decision = await left(buyer, journey, "evaluating", reason)
        assert decision["alternatives"][0]["slug"] == "reader"
        assert await available(buyer) == GRANT_MINOR


async def test_hidden_characters_of_a_seller_do_not_stop_the_buyer(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        text = MANIFEST.format(slug="reader", price="0.10", refund="never")
        path = town.settings.home / "hidden.toml"
        path.write_text(text.replace('["pages"]', r'["pages", "\u202eevil\u200b"]', 1), "utf-8")
        seller = Seller(path, key=SigningKey.generate(), handle="reader")
        seller.handle(reader(Tickets()))
        await town.open(seller)
        buyer = await town.client("thrifty")

        journey = await Shopper(buyer, policy_named("cheapest")).run(need())

        decision = await left(buyer, journey, "evaluating", "schema_mismatch")
        assert '"evil" is a required property' in decision["detail"]


async def test_the_highest_price_of_the_need_can_be_paid(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(reader(Tickets(6))))
        buyer = await town.client("thrifty")

        shopper = Shopper(buyer, policy_named("cheapest"))
        journey = await shopper.run(need(max_price_minor=PRICE_MINOR))

        assert journey.outcome == "advance"


async def test_an_untrusted_seller_ends_the_journey_at_trust_checking(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(reader(Tickets())))
        buyer = await town.client("thrifty")

        journey = await Shopper(buyer, policy_named("best-trusted")).run(need(min_trust=0.99))

        await left(buyer, journey, "trust_checking", "reputation")


async def test_a_policy_that_asks_is_answered_by_a_human(sqlite_settings: Settings):
    class Careful(type(policy_named("cheapest"))):  # type: ignore[misc]
        def trusts(self, report: Any, need: Any) -> str:
            return "ask"

    asked = []

    async def yes(report: Any) -> bool:
        asked.append(report.slug)
        return True

    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(reader(Tickets(6))))
        buyer = await town.client("thrifty")

        alone = await Shopper(buyer, Careful()).run(need())
        helped = await Shopper(buyer, Careful(), ask_human=yes).run(need())

        await left(buyer, alone, "trust_checking", "reputation")
        assert helped.outcome == "advance"
        assert asked == ["reader"]


async def test_a_wallet_that_is_too_thin_ends_the_journey_at_transacting(
    sqlite_settings: Settings,
):
    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(reader(Tickets()), price="9"))
        buyer = await town.client("thrifty")

        journey = await Shopper(buyer, policy_named("cheapest")).run(need())

        await left(buyer, journey, "transacting", "budget")
        assert await available(buyer) == GRANT_MINOR


async def test_a_mandate_that_does_not_reach_ends_the_journey_at_transacting(
    sqlite_settings: Settings,
):
    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(reader(Tickets())))
        firm = await town.client("firm", "principal")
        buyer = await town.client("thrifty", principal_id=firm.agent_id)
        limits = Limits(max_price_minor=PRICE_MINOR - 1)
        mandate = await firm.give_mandate(buyer.agent_id, limits, currency="XTS", seconds=600)

        bound = Shopper(buyer, policy_named("cheapest"), mandate_id=mandate.id)
        without = Shopper(buyer, policy_named("cheapest"))

        await left(buyer, await bound.run(need()), "transacting", "mandate")
        await left(buyer, await without.run(need()), "transacting", "mandate")


@pytest.mark.parametrize("answer", ["approve", "deny"])
async def test_an_order_over_the_limit_waits_for_a_human(sqlite_settings: Settings, answer: Any):
    async with open_town(sqlite_settings) as town, anyio.create_task_group() as group:
        await town.open(town.seller(reader(Tickets(6))))
        firm = await town.client("firm", "principal")
        buyer = await town.client("thrifty", principal_id=firm.agent_id)
        limits = Limits(approval_over_minor=PRICE_MINOR - 1)
        mandate = await firm.give_mandate(buyer.agent_id, limits, currency="XTS", seconds=600)
        shopper = Shopper(buyer, policy_named("cheapest"), mandate_id=mandate.id)
        journeys: list[Journey] = []

        async def shop() -> None:
            journeys.append(await shopper.run(need()))
            group.cancel_scope.cancel()

        group.start_soon(shop)
        async with anyio.create_task_group():
            message = (await firm.inbox(wait_seconds=10)).items[0]
            assert message.kind == "approval.requested"
            await firm.control(message.body["session_id"], answer, reason="as you wish")
        await anyio.sleep_forever()

    (journey,) = journeys
    assert journey.interventions == [answer]
    expected = ("advance", None) if answer == "approve" else ("leave", "approval_denied")
    assert (journey.outcome, journey.reason) == expected


async def test_a_cancelled_order_ends_the_journey_and_pays_what_came(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        tickets = Tickets(2)
        await town.open(town.seller(reader(tickets)))
        buyer, watch = await town.client("thrifty"), await town.overseer()
        shopper = Shopper(buyer, policy_named("cheapest"))

        async with anyio.create_task_group() as group:
            journey: list[Journey] = []

            async def shop() -> None:
                journey.append(await shopper.run(need()))

            group.start_soon(shop)
            session_id = await newest_session(watch)
            await until(watch, session_id, of_kind("delivery.chunk"), count=2)
            await watch.control(session_id, "cancel", reason="too loud")

        decision = await left(buyer, journey[0], "using", "other")
        assert "too loud" in decision["detail"]
        assert journey[0].interventions == ["cancel"]
        assert [output["page"] for output in journey[0].outputs] == ["a", "b"]
        assert await available(buyer) == GRANT_MINOR - PRICE_MINOR * 2 // 6


async def newest_session(watch: MarketClient) -> str:
    """Wait for the first order of the town, and return its session."""
    while True:
        for session in (await watch.sessions(state="open")).items:
            if session.orders:
                return session.id
        await anyio.lowlevel.checkpoint()


async def test_a_paused_order_is_waited_for_and_goes_on(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        tickets = Tickets(2)
        await town.open(town.seller(reader(tickets)))
        buyer, watch = await town.client("thrifty"), await town.overseer()
        shopper = Shopper(buyer, policy_named("cheapest"), patience_seconds=2.0)

        async with anyio.create_task_group() as group:
            journey: list[Journey] = []

            async def shop() -> None:
                journey.append(await shopper.run(need()))

            group.start_soon(shop)
            session_id = await newest_session(watch)
            await until(watch, session_id, of_kind("delivery.chunk"), count=2)
            await watch.control(session_id, "pause")
            tickets.give(4)
            await watch.control(session_id, "resume")

        assert journey[0].outcome == "advance"
        assert journey[0].interventions == ["pause", "resume"]


async def test_a_silent_seller_loses_the_order(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        service = await town.open(town.seller(reader(Tickets(1))))
        buyer = await town.client("thrifty")
        shopper = Shopper(buyer, policy_named("cheapest"), patience_seconds=0.3)

        journey = await shopper.run(need())

        await left(buyer, journey, "using", "timeout")
        assert await available(buyer) == GRANT_MINOR - PRICE_MINOR // 6
        (note,) = (await buyer.notes("sellers")).items
        assert note.value == {"seller_id": service.seller_id, "good": 0, "bad": 1}


async def giving_up(order: Order) -> AsyncIterator[Chunk]:
    yield Chunk({"page": "a"}, units=1)
    raise CannotDeliver("the book is lost")


async def breaking_down(order: Order) -> AsyncIterator[Chunk]:
    yield Chunk({"page": "a"}, units=1)
    raise RuntimeError("secret path /home/acme")


@pytest.mark.parametrize(
    ("handler", "told"), [(giving_up, "the book is lost"), (breaking_down, "RuntimeError")]
)
async def test_a_failed_delivery_costs_nothing_and_says_why(
    sqlite_settings: Settings, handler: Any, told: str
):
    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(handler))
        buyer = await town.client("thrifty")

        first = await Shopper(buyer, policy_named("cheapest")).run(need())
        again = await Shopper(buyer, policy_named("cheapest")).run(need())

        decision = await left(buyer, first, "using", "delivery_failed")
        assert told in decision["detail"]
        assert "secret" not in decision["detail"]
        assert again.reason == "delivery_failed", "the worker lives"
        assert await available(buyer) == GRANT_MINOR


@pytest.mark.parametrize(("refund", "paid_minor"), [("within-window", 0), ("never", PRICE_MINOR)])
async def test_a_bad_delivery_is_reviewed_so_and_sent_back_if_the_policy_allows(
    sqlite_settings: Settings, refund: str, paid_minor: int
):
    async with open_town(sqlite_settings) as town:
        service = await town.open(town.seller(reader(Tickets(6)), refund=refund))
        buyer = await town.client("thrifty")
        picky = need(check=lambda outputs: outputs[0]["page"] == "A")

        journey = await Shopper(buyer, policy_named("cheapest")).run(picky)

        await left(buyer, journey, "using", "quality")
        assert (await buyer.reviews(service.id)).items[0].verdict == "bad"
        assert await available(buyer) == GRANT_MINOR - paid_minor


async def test_policies_choose_differently_and_loyalty_remembers(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        tickets = Tickets(100)
        await town.open(town.seller(reader(tickets), slug="dear-reader", price="0.20"))
        await town.open(town.seller(reader(tickets), slug="cheap-reader", price="0.05"))
        buyer = await town.client("thrifty")
        limit = need(max_price_minor=10_000_000)
        bad = need(check=lambda outputs: False)

        first = await Shopper(buyer, policy_named("cheapest")).run(limit)
        await Shopper(buyer, policy_named("loyal")).run(bad)
        last = await Shopper(buyer, policy_named("loyal")).run(limit)

        cheap = (await buyer.services(q="cheap-reader")).items[0].service_id
        assert first.service_id == cheap
        assert last.service_id != first.service_id or last.outcome == "advance"
