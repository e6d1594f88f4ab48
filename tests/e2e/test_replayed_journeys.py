"""One journey, forked and replayed with another policy: the same history, another choice."""

from collections.abc import Mapping
from typing import Any

import pytest

from buyer_agents import Candidate, Experience, Shopper, Weighing, policy_named
from market.audit import audit
from market.base.settings import Settings
from market.base.store import Store
from market.protocol.events import STAGES, Event
from tests.e2e.proofs import log_of
from tests.town import GRANT_MINOR, Tickets, need, open_town, reader


class Dearest(Weighing):
    """The highest price, as if it said how good a thing is."""

    def parts(
        self, candidate: Candidate, lowest_minor: int, experience: Experience
    ) -> Mapping[str, float]:
        return {"price": candidate.amount_minor / 1_000_000}


def place_of(log: list[Event], kind: str, **body: Any) -> int:
    return next(one.offset for one in log if one.kind == kind and body.items() <= one.body.items())


def stages_decided(log: list[Event]) -> list[str]:
    return [event.body["stage"] for event in log if event.kind == "decision.made"]


@pytest.mark.parametrize(
    "branch",
    [
        {"kind": "session.opened"},
        {"kind": "finding.listed"},
        {"kind": "decision.made", "stage": "finding"},
        {"kind": "decision.made", "stage": "evaluating"},
    ],
    ids=["before all", "before the first decision", "before evaluating", "before trust"],
)
async def test_a_journey_replayed_with_another_policy_chooses_another_seller(
    sqlite_settings: Settings, branch: dict[str, Any]
):
    async with open_town(sqlite_settings) as town:
        cheap = await town.open(town.seller(reader(Tickets(6)), slug="cheap", price="0.10"))
        dear = await town.open(town.seller(reader(Tickets(6)), slug="dear", price="0.20"))
        buyer = await town.client("thrifty")
        first = await Shopper(buyer, policy_named("cheapest")).run(need())
        history = await log_of(buyer, first.session_id)
        after = place_of(history, **branch)
        searches = [event.kind for event in history[: after + 1]].count("finding.listed")

        fork = await buyer.fork_session(first.session_id, after, labels={"policy": "dearest"})
        again = await Shopper(buyer, Dearest()).replay(fork, need())

        assert (first.service_id, again.service_id) == (cheap.id, dear.id)
        assert (again.outcome, again.stage) == ("advance", STAGES[-1]), again.detail
        log = await log_of(buyer, again.session_id)
        assert log[: after + 1] == history[: after + 1]
        assert log[after + 1].kind == "session.forked"
        assert stages_decided(log) == list(STAGES)
        # What was found before the fork is not searched again.
        assert [event.kind for event in log].count("finding.listed") == max(searches, 1)
        [balance] = (await buyer.wallet()).balances
        assert balance.available_minor == GRANT_MINOR - 600_000 - 1_200_000
    store = Store.open(sqlite_settings)
    try:
        assert await store.scan(audit) == []
    finally:
        store.close()


async def test_a_journey_forked_after_its_choice_buys_of_the_same_seller_anew(
    sqlite_settings: Settings,
):
    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(reader(Tickets(12)), slug="cheap", price="0.10"))
        buyer = await town.client("thrifty")
        first = await Shopper(buyer, policy_named("cheapest")).run(need())
        history = await log_of(buyer, first.session_id)
        after = place_of(history, "order.placed")

        fork = await buyer.fork_session(first.session_id, after)
        again = await Shopper(buyer, Dearest()).replay(fork, need())

        assert again.service_id == first.service_id
        assert again.order_id != first.order_id
        assert again.outcome == "advance", again.detail
        assert stages_decided(await log_of(buyer, fork.id)) == list(STAGES)
        [order] = (await buyer.session(fork.id)).orders
        assert order == again.order_id


async def test_a_replay_may_leave_where_the_first_went_on(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(reader(Tickets(6)), slug="cheap", price="0.10"))
        buyer = await town.client("thrifty")
        first = await Shopper(buyer, policy_named("cheapest")).run(need())
        history = await log_of(buyer, first.session_id)

        fork = await buyer.fork_session(first.session_id, place_of(history, "finding.listed"))
        again = await Shopper(buyer, Dearest()).replay(fork, need(max_price_minor=1))

        assert (first.outcome, again.outcome) == ("advance", "leave")
        assert (again.stage, again.reason) == ("evaluating", "price")
