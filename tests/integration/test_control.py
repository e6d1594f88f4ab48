"""Control: scopes, ranks, pauses that end, answers that always come, the kill switch."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import pytest

from market import audit, identity, orders, sessions
from market.base.clock import ManualClock
from market.base.errors import MarketError
from market.base.settings import Settings
from market.base.store import Store
from market.base.work import UnitOfWork
from market.chores import expire_orders
from market.faces.http import acts
from market.orders import rows
from market.protocol.wire import (
    AnswerControl,
    Control,
    OpenSession,
    OrderView,
    QuoteView,
    WriteEvent,
    WriteEvents,
)
from market.sessions import writing
from tests.factories import (
    Party,
    Town,
    build_town,
    control,
    decision,
    enter,
    log_of,
    mandate,
    publish,
)
from tests.workers import Hold, somebody_waits, two_workers

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
OVERSEER_SCOPES = frozenset(identity.SCOPES["overseer"])
PRICE = 400_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


class Firm(NamedTuple):
    """A buyer under its principal, a seller, an overseer, and a session to buy in."""

    town: Town
    principal: Party
    overseer: Party
    mandate_id: str
    session_id: str

    async def place(self, session_id: str | None = None) -> OrderView:
        return await self.town.place(
            mandate_id=self.mandate_id, session_id=session_id or self.session_id
        )


async def build_firm(store: Store, **limits: Any) -> Firm:
    principal = await enter(store, "boss", "principal")
    town = await build_town(store, minor=100 * PRICE, principal=principal)
    warden = await enter(store, "warden", "principal")
    # The settings name overseers before the market starts; this one is made by hand.
    caller = warden.caller._replace(kind="overseer", scopes=OVERSEER_SCOPES)
    given = await mandate(principal, town.buyer, **limits)
    session = await store.write(
        sessions.open_session,
        buyer_id=town.buyer.id,
        principal_id=principal.id,
        request=OpenSession(need="pages"),
    )
    return Firm(town, principal, warden._replace(caller=caller), given.id, session.id)


@pytest.fixture
async def firm(store: Store) -> Firm:
    return await build_firm(store)


def unanswered(log: list[dict[str, Any]]) -> set[int]:
    """The offsets of interventions without exactly one answer."""
    asked = {event["offset"] for event in log if event["kind"] == "control.requested"}
    answers = [
        event["body"]["request_offset"] for event in log if event["kind"] == "control.answered"
    ]
    return {offset for offset in asked | set(answers) if answers.count(offset) != 1}


# Scopes


async def test_own_is_what_the_buyer_has_placed_and_still_runs(firm: Firm):
    first, second, ended = [await firm.place() for _ in range(3)]
    await control(firm.town.buyer, firm.session_id, "cancel", order_id=ended.id)

    answers = await control(firm.town.buyer, firm.session_id, "cancel", scope="own")

    assert [(view.order_id, view.answer) for view in answers] == [
        (first.id, "accepted"),
        (second.id, "accepted"),
    ]
    assert await control(firm.town.buyer, firm.session_id, "cancel", scope="own") == []


async def test_own_is_what_a_seller_delivers_and_nothing_of_a_rivals(firm: Firm):
    mine = await firm.place()
    rival = await enter(firm.town.store, "rival", "seller")
    service = await publish(rival, id="rival-pdf")
    other = firm.town._replace(seller=rival, service=service)
    theirs = await other.place(mandate_id=firm.mandate_id, session_id=firm.session_id)

    answers = await control(firm.town.seller, firm.session_id, "cancel", scope="own")

    assert [view.order_id for view in answers] == [mine.id]
    assert (await firm.town.order(theirs)).state == "placed"


async def test_own_of_who_has_placed_nothing_is_nothing(firm: Firm):
    await firm.place()

    assert await control(firm.principal, firm.session_id, "cancel", scope="own") == []


async def test_without_an_order_it_is_said_what_to_name(firm: Firm):
    with pytest.raises(sessions.OrderNeeded, match="No order is open in this session"):
        await control(firm.town.buyer, firm.session_id, "cancel")
    await firm.place()
    await firm.place()
    with pytest.raises(sessions.OrderNeeded, match=r"has 2 orders: name one \(order_id;"):
        await control(firm.town.buyer, firm.session_id, "cancel")


@pytest.mark.parametrize("scope", ["own", "all"])
async def test_a_wider_scope_names_no_order(firm: Firm, scope: str):
    order = await firm.place()

    with pytest.raises(sessions.BadControl):
        await control(firm.town.buyer, firm.session_id, "cancel", scope=scope, order_id=order.id)

    assert (await firm.town.order(order)).state == "placed"


async def test_a_seller_does_not_intervene_in_all(firm: Firm):
    await firm.place()

    with pytest.raises(orders.NotForThisCaller):
        await control(firm.town.seller, firm.session_id, "pause", scope="all")


# A session that is paused as a whole


async def test_nothing_is_spent_in_a_session_after_the_offset_of_its_pause(firm: Firm):
    order = await firm.place()
    whole, one = await control(firm.principal, firm.session_id, "pause", scope="all")
    before = await firm.town.available(firm.town.buyer)

    with pytest.raises(sessions.SessionPaused) as refusal:
        await firm.place()

    assert (whole.order_id, whole.answer) == (None, "accepted")
    assert (one.order_id, one.answer) == (order.id, "accepted")
    assert refusal.value.facts == {"paused_by": "principal", "pause_offset": whole.offset}
    assert await firm.town.available(firm.town.buyer) == before
    view = await firm.town.store.read(
        sessions.session, caller=firm.town.buyer.caller, session_id=firm.session_id
    )
    assert view.paused_by == "principal"


async def test_a_resumed_session_takes_orders_again(firm: Firm):
    order = await firm.place()
    await control(firm.town.buyer, firm.session_id, "pause", scope="all")

    answers = await control(firm.town.buyer, firm.session_id, "resume", scope="all")

    assert [view.answer for view in answers] == ["accepted", "accepted"]
    await firm.town.deliver(order)
    await firm.place()


async def test_a_paused_session_leaves_the_buyers_others_alone(firm: Firm):
    await control(firm.town.buyer, firm.session_id, "pause", scope="all")

    order = await firm.town.place(mandate_id=firm.mandate_id)

    assert order.session_id != firm.session_id


async def test_the_pause_of_one_order_does_not_pause_its_session(firm: Firm):
    order = await firm.place()
    await control(firm.town.buyer, firm.session_id, "pause", order_id=order.id)

    await firm.place()


async def test_nothing_is_approved_in_a_paused_session(store: Store):
    firm = await build_firm(store, approval_over_minor=100_000)
    order = await firm.place()
    await control(firm.overseer, firm.session_id, "pause", scope="all")

    said = {"order_id": order.id, "decision": decision(firm.principal, order)}
    with pytest.raises(sessions.SessionPaused):
        await control(firm.principal, firm.session_id, "approve", **said)

    await control(firm.overseer, firm.session_id, "resume", scope="all")
    [answer] = await control(firm.principal, firm.session_id, "approve", **said)
    assert answer.answer == "accepted"


async def test_a_seller_does_not_learn_that_the_whole_session_is_paused(firm: Firm):
    await firm.place()
    whole, _ = await control(firm.overseer, firm.session_id, "pause", scope="all")

    log = await log_of(firm.town.seller, firm.session_id)

    assert log[whole.offset].get("withheld")
    assert log[whole.offset + 1].get("withheld")


async def test_a_closed_session_is_not_paused(firm: Firm):
    await firm.town.store.write(
        orders.close_session,
        caller=firm.town.buyer.caller,
        session_id=firm.session_id,
        reason="done",
    )

    with pytest.raises(sessions.SessionClosed):
        await control(firm.town.buyer, firm.session_id, "pause", scope="all")


async def test_an_order_of_a_closed_session_is_not_controlled(firm: Firm):
    order = await firm.place()
    await control(firm.town.buyer, firm.session_id, "cancel", order_id=order.id)
    await firm.town.store.write(
        orders.close_session,
        caller=firm.town.buyer.caller,
        session_id=firm.session_id,
        reason="done",
    )

    for action in ("cancel", "steer"):
        with pytest.raises(sessions.SessionClosed):
            await control(firm.town.buyer, firm.session_id, action, order_id=order.id)


async def test_no_order_slips_into_a_session_that_another_worker_pauses(
    postgres_settings: Settings,
):
    with two_workers(postgres_settings) as (left, right):
        firm = await build_firm(left)
        pause = Hold(orders.control)
        pausing = asyncio.create_task(
            left.write(
                pause,
                caller=firm.town.buyer.caller,
                session_id=firm.session_id,
                request=Control(action="pause", scope="all"),
            )
        )
        await pause.has_worked()
        town = firm.town._replace(store=right)
        quote = await town.quote()
        placing = asyncio.create_task(
            town.place(quote, mandate_id=firm.mandate_id, session_id=firm.session_id)
        )
        await somebody_waits(postgres_settings)
        pause.let_go()
        await pausing

        with pytest.raises(sessions.SessionPaused):
            await placing

        assert await left.scan(audit.audit) == []


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_races_over_two_workers_nothing_is_spent_while_a_session_is_paused(
    postgres_settings: Settings, clock: ManualClock, seed: int
):
    """Orders, chunks, signs of life, steers, chores, and interventions in all of them, at once."""
    with two_workers(postgres_settings, clock=clock) as workers:
        firm = await build_firm(workers[0])
        chance = Random(seed)
        placed = [await firm.place() for _ in range(4)]
        quotes = [await firm.town.quote() for _ in range(8)]
        moves = list(moves_of(firm, placed, quotes, workers, chance))
        chance.shuffle(moves)

        answers = await asyncio.gather(*moves, return_exceptions=True)

        unexpected = [
            answer
            for answer in answers
            if isinstance(answer, BaseException) and not isinstance(answer, MarketError)
        ]
        assert unexpected == []
        clock.advance(timedelta(seconds=10))
        await workers[1].write(orders.answer_unanswered)
        log = await log_of(firm.overseer, firm.session_id)
        assert unanswered(log) == set()
        assert spent_while_paused(log) == []
        assert await workers[0].scan(audit.audit) == []


def moves_of(
    firm: Firm,
    placed: list[OrderView],
    quotes: list[QuoteView],
    workers: tuple[Store, Store],
    chance: Random,
) -> Iterator[Any]:
    """What many may do in one session, each at a worker of its own."""

    def at(party: Party) -> Party:
        return party._replace(store=chance.choice(workers))

    for quote in quotes:
        town = firm.town._replace(store=chance.choice(workers))
        yield town.place(quote, mandate_id=firm.mandate_id, session_id=firm.session_id)
    for who in (firm.town.buyer, firm.principal, firm.overseer):
        for action in ("pause", "resume"):
            yield control(at(who), firm.session_id, action, scope="all")
    yield control(at(firm.town.buyer), firm.session_id, "resume", scope="own")
    yield control(at(firm.town.seller), firm.session_id, "pause", scope="own")
    yield control(at(firm.town.buyer), firm.session_id, "cancel", order_id=placed[0].id)
    for order in placed:
        town = firm.town._replace(store=chance.choice(workers))
        yield town.deliver(order, 0, units=1)
        yield control(at(firm.town.buyer), firm.session_id, "steer", order_id=order.id, text="go")
        worker = chance.choice(workers)
        yield worker.write(orders.heartbeat, caller=firm.town.seller.caller, order_id=order.id)
    for store in workers:
        yield expire_orders(store)


def spent_while_paused(log: list[dict[str, Any]]) -> list[int]:
    """The offsets at which an order was placed between a pause of the session and its end."""
    is_paused = False
    spent = []
    for event in log:
        if event["kind"] == "control.requested" and event["order_id"] is None:
            is_paused = event["body"]["action"] == "pause"
        elif event["kind"] == "order.placed" and is_paused:
            spent.append(event["offset"])
    return spent


# Ranks


RANKS = ["seller", "buyer", "principal", "overseer"]


def parties(firm: Firm) -> dict[str, Party]:
    return {
        "seller": firm.town.seller,
        "buyer": firm.town.buyer,
        "principal": firm.principal,
        "overseer": firm.overseer,
    }


@pytest.mark.parametrize("pauses", RANKS)
async def test_a_pause_is_lifted_by_the_same_rank_or_a_higher_one(firm: Firm, pauses: str):
    who = parties(firm)
    for lifts in RANKS:
        order = await firm.place()
        await control(who[pauses], firm.session_id, "pause", order_id=order.id)
        resume = control(who[lifts], firm.session_id, "resume", order_id=order.id)

        if RANKS.index(lifts) >= RANKS.index(pauses):
            [answer] = await resume
            assert answer.answer == "accepted"
            await firm.town.deliver(order)
        else:
            with pytest.raises(orders.NotForThisCaller):
                await resume
            assert (await firm.town.order(order)).is_paused


@pytest.mark.parametrize("then", RANKS)
async def test_a_pause_on_a_pause_keeps_the_higher_rank(firm: Firm, then: str):
    who = parties(firm)
    order = await firm.place()
    await control(firm.principal, firm.session_id, "pause", order_id=order.id)
    await control(who[then], firm.session_id, "pause", order_id=order.id)

    with pytest.raises(orders.NotForThisCaller):
        await control(firm.town.buyer, firm.session_id, "resume", order_id=order.id)
    if then == "overseer":
        with pytest.raises(orders.NotForThisCaller):
            await control(firm.principal, firm.session_id, "resume", order_id=order.id)
    await control(firm.overseer, firm.session_id, "resume", order_id=order.id)


async def test_a_paused_session_is_resumed_by_the_same_rank_or_a_higher_one(firm: Firm):
    await control(firm.overseer, firm.session_id, "pause", scope="all")
    await control(firm.town.buyer, firm.session_id, "pause", scope="all")

    for lower in (firm.town.buyer, firm.principal):
        with pytest.raises(orders.NotForThisCaller):
            await control(lower, firm.session_id, "resume", scope="all")
    await control(firm.overseer, firm.session_id, "resume", scope="all")
    await firm.place()


async def test_resuming_all_leaves_what_a_higher_rank_has_paused(firm: Firm):
    held, free = await firm.place(), await firm.place()
    await control(firm.overseer, firm.session_id, "pause", order_id=held.id)
    await control(firm.town.buyer, firm.session_id, "pause", order_id=free.id)

    answers = await control(firm.town.buyer, firm.session_id, "resume", scope="own")

    assert [view.answer for view in answers] == ["refused", "accepted"]
    assert (await firm.town.order(held)).is_paused
    assert unanswered(await log_of(firm.town.buyer, firm.session_id)) == set()


# The end of a pause


async def test_a_pause_that_nobody_lifts_ends_with_a_cancel_by_the_market(
    firm: Firm, clock: ManualClock
):
    order = await firm.place()
    await firm.town.deliver(order, 0, units=1)
    await control(firm.town.buyer, firm.session_id, "pause")
    clock.advance(timedelta(seconds=3_599))
    assert await expire_orders(firm.town.store) == 0
    clock.advance(timedelta(seconds=1))

    assert await expire_orders(firm.town.store) == 1

    after = await firm.town.order(order)
    assert (after.state, after.captured_minor) == ("cancelled", PRICE // 4)
    asked, ended, answered = (await log_of(firm.town.buyer, firm.session_id))[-3:]
    assert (asked["kind"], asked["actor_id"]) == ("control.requested", "market")
    assert asked["body"]["action"] == "cancel"
    assert ended["body"]["reason"] == "paused for 3600 s, and nobody resumed it"
    assert answered["body"]["request_offset"] == asked["offset"]
    assert await firm.town.store.scan(audit.audit) == []


async def test_pausing_again_does_not_put_the_end_of_a_pause_off(firm: Firm, clock: ManualClock):
    await firm.place()
    await control(firm.town.buyer, firm.session_id, "pause")
    clock.advance(timedelta(seconds=3_000))
    await control(firm.principal, firm.session_id, "pause")
    clock.advance(timedelta(seconds=600))

    assert await expire_orders(firm.town.store) == 1


# Answers


async def test_an_order_that_ends_leaves_no_steer_without_an_answer(firm: Firm):
    order = await firm.place()
    await control(firm.town.buyer, firm.session_id, "steer", text="page 2 first")
    await control(firm.town.buyer, firm.session_id, "cancel", order_id=order.id)
    await firm.town.store.write(
        orders.close_session,
        caller=firm.town.buyer.caller,
        session_id=firm.session_id,
        reason="done",
    )

    log = await log_of(firm.town.buyer, firm.session_id)

    assert unanswered(log) == set()
    steered = [event for event in log if event.get("body", {}).get("action") == "steer"]
    assert [event["body"].get("answer") for event in steered] == [None, "too_late"]


async def test_the_market_has_answered_for_a_silent_worker_by_the_time_it_promised(
    firm: Firm, clock: ManualClock
):
    await firm.place()
    await control(firm.town.buyer, firm.session_id, "steer", text="hello?")
    clock.advance(timedelta(seconds=7))
    assert await firm.town.store.write(orders.answer_unanswered) == 0
    clock.advance(timedelta(seconds=2))

    assert await firm.town.store.write(orders.answer_unanswered) == 1

    log = await log_of(firm.town.buyer, firm.session_id)
    [asked] = [event for event in log if event["kind"] == "control.requested"]
    assert log[-1]["kind"] == "control.answered"
    assert log[-1]["recorded_at"] <= asked["body"]["answer_by"] == "2026-11-22T12:00:10.000000Z"


@pytest.mark.parametrize("said", ["consumed", "refused"])
async def test_what_became_of_a_steer_is_recorded(firm: Firm, said: str):
    order = await firm.place()
    [asked] = await control(firm.town.buyer, firm.session_id, "steer", text="page 2 first")

    await firm.town.store.write(
        orders.answer_control,
        caller=firm.town.seller.caller,
        session_id=order.session_id,
        offset=asked.offset,
        request=AnswerControl(answer=said, detail="as you wish"),
    )

    answered = (await log_of(firm.town.buyer, firm.session_id))[-1]
    assert (answered["actor_id"], answered["body"]["answer"]) == (firm.town.seller.id, said)


# The kill switch


async def suspend(firm: Firm, agent_id: str) -> None:
    await firm.town.store.write(
        acts.suspend, caller=firm.overseer.caller, agent_id=agent_id, reason="fraud"
    )


@pytest.mark.parametrize("who", ["seller", "buyer"])
async def test_suspending_an_agent_pauses_what_it_has_running(firm: Firm, who: str):
    running, paused, ended = [await firm.place() for _ in range(3)]
    await firm.town.deliver(running)
    await control(firm.town.buyer, firm.session_id, "pause", order_id=paused.id)
    await control(firm.town.buyer, firm.session_id, "cancel", order_id=ended.id)

    await suspend(firm, parties(firm)[who].id)
    await suspend(firm, parties(firm)[who].id)

    for order in (running, paused):
        assert (await firm.town.order(order)).is_paused
        with pytest.raises(orders.NotForThisCaller):
            await control(firm.principal, firm.session_id, "resume", order_id=order.id)
    log = await log_of(firm.overseer, firm.session_id)
    reasons = [e["body"]["reason"] for e in log if e["kind"] == "control.requested"]
    assert reasons == ["", "", "agent suspended: fraud", "agent suspended: fraud"]
    assert unanswered(log) == set()
    await control(firm.overseer, firm.session_id, "resume", order_id=running.id)
    await firm.town.deliver(running, 1)


async def test_suspending_an_agent_leaves_the_orders_of_others(firm: Firm):
    order = await firm.place()
    stranger = await enter(firm.town.store, "stranger", "buyer")

    await suspend(firm, stranger.id)

    assert not (await firm.town.order(order)).is_paused


async def test_an_order_that_ends_answers_however_many_steers_wait(firm: Firm):
    order = await firm.place()

    def steer_often(uow: UnitOfWork) -> None:
        for _ in range(1_001):
            orders.control(
                uow,
                caller=firm.town.buyer.caller,
                session_id=firm.session_id,
                request=Control(action="steer", order_id=order.id),
            )

    await firm.town.store.write(steer_often)

    await control(firm.town.buyer, firm.session_id, "cancel", order_id=order.id)

    log: list[dict[str, Any]] = []
    while len(log) < 2_006:
        reading = await firm.town.store.read(
            sessions.events,
            caller=firm.town.buyer.caller,
            session_id=firm.session_id,
            after=len(log) - 1,
            limit=500,
        )
        log += [json.loads(event.json) for event in reading.events]
    assert len(log) == reading.next_offset
    assert unanswered(log) == set()


async def test_a_control_that_names_a_run_without_its_scope_touches_no_order(firm: Firm):
    order = await firm.place()

    with pytest.raises(sessions.BadControl):
        await control(firm.town.buyer, firm.session_id, "cancel", run="search")

    row = await firm.town.store.read(orders.order_row, order_id=order.id)
    assert row.state == "placed"


async def test_a_sellers_view_of_a_session_does_not_say_that_the_whole_is_paused(firm: Firm):
    order = await firm.place()
    await control(firm.overseer, firm.session_id, "pause", scope="all")

    views = [
        await firm.town.store.read(
            sessions.session, caller=party.caller, session_id=firm.session_id
        )
        for party in (firm.town.seller, firm.town.buyer)
    ]

    assert [view.paused_by for view in views] == [None, "overseer"]
    assert [view.orders for view in views] == [[order.id], [order.id]]


async def test_in_a_full_log_orders_are_still_cancelled_settled_and_closed(
    firm: Firm, monkeypatch: pytest.MonkeyPatch
):
    town = firm.town
    orders_there = [await firm.place() for _ in range(3)]
    await town.deliver(orders_there[0])
    monkeypatch.setattr(writing, "MAX_EVENTS", 1)
    note = WriteEvents(events=[WriteEvent(kind="note.written", body={"text": "one more"})])
    with pytest.raises(sessions.SessionFull):
        await town.store.write(
            sessions.write, caller=town.buyer.caller, session_id=firm.session_id, events=note
        )

    await town.complete(orders_there[0])
    await town.accept(orders_there[0])
    await control(firm.overseer, firm.session_id, "pause", scope="all")
    await control(firm.overseer, firm.session_id, "resume", scope="all")
    await control(town.buyer, firm.session_id, "cancel", scope="own")
    await town.store.write(
        orders.close_session, caller=town.buyer.caller, session_id=firm.session_id, reason="done"
    )

    states = [(await town.order(order)).state for order in orders_there]
    assert states == ["settled", "cancelled", "cancelled"]
    log = await log_of(town.buyer, firm.session_id)
    assert unanswered(log) == set()
    assert [event["kind"] for event in log].index("session.closed") == len(log) - 1
    assert await town.store.scan(audit.audit) == []


@pytest.mark.parametrize("scope", ["own", "all"])
async def test_the_same_intervention_again_reaches_the_rest_of_very_many_orders(
    firm: Firm, monkeypatch: pytest.MonkeyPatch, scope: str
):
    monkeypatch.setattr(rows, "MAX_AT_ONCE", 2)
    placed = [await firm.place() for _ in range(3)]

    async def paused() -> list[bool]:
        return [(await firm.town.order(order)).is_paused for order in placed]

    for _ in range(2):
        await control(firm.town.buyer, firm.session_id, "pause", scope=scope)
    assert await paused() == [True] * 3

    for _ in range(2):
        await control(firm.town.buyer, firm.session_id, "resume", scope=scope)
    assert await paused() == [False] * 3
