"""Orders where it is tight: races of two workers, words that come late, who may undo what."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

import pytest

from market import audit, inbox, ledger, orders, sessions, trust
from market.base.clock import ManualClock
from market.base.errors import InsufficientScope, MarketError
from market.base.settings import Settings
from market.base.store import Store
from market.protocol.commitments import RECEIPT, ReceiptClaims
from market.protocol.wire import (
    AnswerControl,
    OpenSession,
    OrderView,
    SessionView,
    WriteEvent,
    WriteEvents,
)
from tests.factories import Party, Town, build_town, decision, enter, mandate
from tests.workers import Hold, somebody_waits, two_workers

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
READ_ONLY = frozenset({"read"})


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


class Waiting(NamedTuple):
    """An order that waits for its buyer's principal."""

    town: Town
    principal: Party
    order: OrderView


@pytest.fixture
async def waiting(store: Store) -> Waiting:
    principal = await enter(store, "boss", "principal")
    town = await build_town(store, principal=principal)
    allowed = await mandate(principal, town.buyer, approval_over_minor=100_000)
    return Waiting(town, principal, await town.place(mandate_id=allowed.id))


async def open_session(town: Town) -> SessionView:
    return await town.store.write(
        sessions.open_session,
        buyer_id=town.buyer.id,
        principal_id=town.buyer.caller.principal_id,
        request=OpenSession(need="pages"),
    )


async def close_session(store: Store, town: Town, session_id: str) -> SessionView:
    return await store.write(
        orders.close_session, caller=town.buyer.caller, session_id=session_id, reason="done"
    )


# What a receipt says


async def test_a_receipt_can_be_read_whatever_reason_was_given(town: Town):
    order = await town.place()

    await town.control(order.session_id, "cancel", reason="too\nslow " + "x" * 300)

    [receipt] = await town.store.read(
        orders.receipts_of, caller=town.buyer.caller, order_id=order.id
    )
    claims = town.store.signer.public.read(receipt.receipt, typ=RECEIPT, claims=ReceiptClaims)
    assert claims.reason == "too slow " + "x" * 191


async def test_a_reason_of_blanks_is_none(town: Town):
    order = await town.place()

    await town.control(order.session_id, "cancel", reason=" \n ")

    [receipt] = await town.store.read(
        orders.receipts_of, caller=town.buyer.caller, order_id=order.id
    )
    claims = town.store.signer.public.read(receipt.receipt, typ=RECEIPT, claims=ReceiptClaims)
    assert claims.reason is None


# Approval stays on the buyer's side


async def test_a_seller_does_not_read_why_an_order_was_approved(waiting: Waiting):
    town, principal, order = waiting

    why = "half our budget"
    signed = decision(principal, order, reason=why)
    await town.control(order.session_id, "approve", by=principal, reason=why, decision=signed)

    log = await town.log_of(order.session_id, town.seller)
    assert "half our budget" not in json.dumps(log)
    assert [entry["kind"] for entry in log if not entry.get("withheld")] == ["order.placed"]


@pytest.mark.parametrize("action", ["deny", "cancel"])
async def test_a_seller_never_learns_of_an_order_that_was_not_approved(
    waiting: Waiting, action: str
):
    town, principal, order = waiting

    await town.control(order.session_id, action, by=principal, reason="no")

    seller = town.seller.caller
    listed = await town.store.read(
        orders.orders_of, caller=seller, state="", session_id="", cursor=None, limit=9
    )
    box = await town.store.read(inbox.read, caller=seller, after=-1, limit=9)
    standing = await town.store.read(trust.standing, seller_id=town.seller.id)
    assert (listed.items, box.items, standing.cancelled) == ([], [], 0)
    for look in (orders.order, orders.receipts_of):
        with pytest.raises(orders.OrderNotFound):
            await town.store.read(look, caller=seller, order_id=order.id)
    with pytest.raises(orders.OrderNotFound):
        await town.deliver(order)


async def test_a_seller_still_sees_an_order_that_was_cancelled_after_its_approval(
    waiting: Waiting,
):
    town, principal, order = waiting
    signed = decision(principal, order)
    await town.control(order.session_id, "approve", by=principal, decision=signed)

    await town.control(order.session_id, "cancel")

    seen = await town.store.read(orders.order, caller=town.seller.caller, order_id=order.id)
    assert seen.state == "cancelled"


async def test_an_approval_that_comes_after_its_time_is_too_late(
    waiting: Waiting, clock: ManualClock
):
    town, principal, order = waiting
    clock.advance(timedelta(seconds=600))

    [answer] = await town.control(order.session_id, "approve", by=principal)

    assert (answer.answer, answer.detail) == ("too_late", "The time to approve is over.")
    assert await town.store.write(orders.expire, order_id=order.id) == "approval_expired"


async def test_who_denies_twice_is_too_late_the_second_time(waiting: Waiting):
    town, principal, order = waiting
    await town.control(order.session_id, "deny", by=principal)

    [again] = await town.control(order.session_id, "deny", by=principal)

    assert again.answer == "too_late"
    assert await town.available(town.buyer) == 10_000_000


# Pause


async def test_a_seller_does_not_lift_the_buyers_pause(town: Town):
    order = await town.place()
    await town.control(order.session_id, "pause", by=town.seller)
    await town.control(order.session_id, "pause")

    with pytest.raises(orders.NotForThisCaller):
        await town.control(order.session_id, "resume", by=town.seller)

    with pytest.raises(orders.OrderPaused):
        await town.deliver(order)
    await town.control(order.session_id, "resume")
    await town.deliver(order)


async def test_a_seller_lifts_its_own_pause_and_its_deadline_stood(town: Town, clock: ManualClock):
    order = await town.place()
    await town.control(order.session_id, "pause", by=town.seller)
    with pytest.raises(orders.OrderPaused):
        await town.deliver(order)
    clock.advance(timedelta(seconds=500))

    await town.control(order.session_id, "resume", by=town.seller)

    assert (await town.order(order)).deliver_by == order.deliver_by
    await town.deliver(order)


async def test_a_seller_that_pauses_beyond_its_deadline_has_failed(town: Town, clock: ManualClock):
    order = await town.place()
    await town.control(order.session_id, "pause", by=town.seller)
    clock.advance(timedelta(seconds=601))

    assert await town.store.read(orders.due) == [order.id]
    assert await town.store.write(orders.expire, order_id=order.id) == "failed"


async def test_a_pause_of_a_delivered_order_is_too_late_in_its_own_words(town: Town):
    order = await town.settled()

    [answer] = await town.control(order.session_id, "pause")

    assert answer.answer == "too_late"
    assert "'pause'" in answer.detail


# Scopes


async def test_a_token_that_only_reads_writes_answers_and_closes_nothing(town: Town):
    order = await town.place()
    [asked] = await town.control(order.session_id, "steer", text="page 2 first")
    buyer = town.buyer.caller._replace(scopes=READ_ONLY)
    seller = town.seller.caller._replace(scopes=READ_ONLY)
    before = await town.log_of(order.session_id)

    with pytest.raises(InsufficientScope):
        await town.store.write(
            sessions.write,
            caller=buyer,
            session_id=order.session_id,
            events=WriteEvents(events=[WriteEvent(kind="note.written", body={"text": "x"})]),
        )
    with pytest.raises(InsufficientScope):
        await town.store.write(
            orders.answer_control,
            caller=seller,
            session_id=order.session_id,
            offset=asked.offset,
            request=AnswerControl(answer="consumed"),
        )
    with pytest.raises(InsufficientScope):
        await town.store.write(
            orders.close_session, caller=buyer, session_id=order.session_id, reason="done"
        )

    assert await town.log_of(order.session_id) == before


# Many orders in one session


async def test_the_last_of_many_orders_in_a_session_can_be_read_cancelled_and_closed(
    sqlite_settings: Settings,
):
    store = Store.open(sqlite_settings.with_(synchronous="normal"))
    town = await build_town(store, minor=10**12)
    session = await open_session(town)
    for _ in range(1_001):
        last = await town.place(session_id=session.id)
    rest = await enter(store, "late", "seller")
    await store.write(
        sessions.join, session_id=session.id, agent_id=rest.id, order_id="ord_of_a_late_seller"
    )

    await town.control(session.id, "cancel", scope="all")
    with pytest.raises(orders.OrdersStillOpen) as refusal:
        await close_session(store, town, session.id)
    await town.control(session.id, "cancel", order_id=last.id)

    assert refusal.value.facts == {"order_ids": [last.id]}
    assert (await close_session(store, town, session.id)).state == "closed"
    assert await store.read(sessions.viewer_of, caller=rest.caller, session_id=session.id)
    store.close()


# Two workers


async def test_no_order_slips_into_a_session_that_another_worker_closes(
    postgres_settings: Settings,
):
    with two_workers(postgres_settings) as (left, right):
        town = await build_town(left)
        session = await open_session(town)
        place = Hold(orders.place)
        placing = asyncio.create_task(
            town._replace(store=Through(left, place)).place(
                await town.quote(), session_id=session.id
            )
        )
        await place.has_worked()
        closing = asyncio.create_task(close_session(right, town, session.id))
        await somebody_waits(postgres_settings)
        place.let_go()

        with pytest.raises(orders.OrdersStillOpen):
            await closing

        order = await placing
        await town.control(session.id, "cancel", order_id=order.id)
        assert (await close_session(right, town, session.id)).state == "closed"
        assert await left.scan(audit.audit) == []


async def test_two_workers_answer_an_ignored_steer_once(
    postgres_settings: Settings, clock: ManualClock
):
    with two_workers(postgres_settings, clock=clock) as (left, right):
        town = await build_town(left)
        order = await town.place()
        await town.control(order.session_id, "steer", text="hello?")
        clock.advance(timedelta(seconds=11))
        first = Hold(orders.answer_unanswered)
        answering = asyncio.create_task(left.write(first))
        await first.has_worked()
        too = asyncio.create_task(right.write(orders.answer_unanswered))
        await somebody_waits(postgres_settings)
        first.let_go()

        assert [await answering, await too] == [1, 0]

        log = await town.log_of(order.session_id)
        assert [entry["kind"] for entry in log].count("control.answered") == 1


@pytest.mark.parametrize("seed", range(3))
async def test_whatever_races_over_two_workers_every_order_ends_once_and_whole(
    postgres_settings: Settings, clock: ManualClock, seed: int
):
    """Cancel, pause, resume, chunk, complete, accept, fail, expire and support, all at once."""
    with two_workers(postgres_settings, clock=clock) as workers:
        town = await build_town(
            workers[0], policies={"refund": "within-window", "refund_window_seconds": 60}
        )
        chance = Random(seed)
        placed = [await town.place() for _ in range(6)]
        clock.advance(timedelta(seconds=599))
        moves = [move for order in placed for move in moves_of(town, order, workers, chance)]
        chance.shuffle(moves)

        answers = await asyncio.gather(*moves, return_exceptions=True)

        unexpected = [
            answer
            for answer in answers
            if isinstance(answer, BaseException) and not isinstance(answer, MarketError)
        ]
        assert unexpected == []
        for order in placed:
            await town.control(order.session_id, "resume")
        clock.advance(timedelta(days=1))
        for order in placed:
            await workers[1].write(orders.expire, order_id=order.id)
            assert (await town.order(order)).state in orders.ENDED
            kinds = [entry["kind"] for entry in await town.log_of(order.session_id)]
            assert sum(kinds.count(f"order.{state}") for state in orders.ENDED) == 1
        assert await workers[0].scan(audit.audit) == []
        assert await workers[0].scan(ledger.check) == []


def moves_of(town: Town, order: OrderView, workers: tuple[Store, Store], chance: Random) -> Any:
    """Everything that anybody may try with an order, each at a worker of its own."""

    def at() -> Town:
        return town._replace(store=chance.choice(workers))

    async def deliver() -> None:
        for index in range(2):
            await at().deliver(order, index, units=2)
        await at().complete(order)
        await at().accept(order)

    yield deliver()
    for action in ("cancel", "pause", "resume"):
        if chance.random() < 0.5:
            yield at().control(order.session_id, action)
    if chance.random() < 0.2:
        yield chance.choice(workers).write(
            orders.fail, caller=town.seller.caller, order_id=order.id, reason="broken"
        )
    yield chance.choice(workers).write(orders.expire, order_id=order.id)
    yield at().accept(order)


class Through:
    """A store that runs another verb in place of the one it is given."""

    def __init__(self, store: Store, verb: Hold) -> None:
        self.clock = store.clock
        self._store = store
        self._verb = verb

    async def write(self, _verb: Any, **members: Any) -> Any:
        return await self._store.write(self._verb, **members)
