"""Orders: a purchase to the last unit, its endings, its interventions, and all that is refused."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from market import catalog, ledger, mandates, orders, sessions
from market.base.caller import BadCommitment
from market.base.clock import ManualClock
from market.base.store import Store
from market.protocol.commitments import (
    RECEIPT,
    DeliveryClaims,
    OrderClaims,
    ReceiptClaims,
)
from market.protocol.wire import AnswerControl, AskSupport, Chunk, OpenSession, PlaceOrder
from tests.factories import Town, build_town, decision, digest_of, enter, mandate, race

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PRICE = 400_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


async def kinds(town: Town, session_id: str) -> list[str]:
    return [event["kind"] for event in await town.log_of(session_id)]


async def nothing_is_wrong(store: Store) -> None:
    assert await store.scan(ledger.check) == []
    assert await store.scan(orders.check) == []


async def test_a_purchase_goes_from_quote_to_receipt_in_one_log(town: Town):
    settled = await town.settled()

    assert await kinds(town, settled.session_id) == [
        "session.opened",
        "order.placed",
        "order.started",
        "delivery.chunk",
        "delivery.chunk",
        "delivery.completed",
        "order.accepted",
        "order.settled",
    ]
    assert (settled.state, settled.captured_minor, settled.fee_minor) == ("settled", PRICE, 6_000)
    assert await town.available(town.seller) == PRICE - 6_000
    await nothing_is_wrong(town.store)


async def test_a_receipt_is_signed_by_the_market_and_says_what_happened(town: Town):
    settled = await town.settled()

    [receipt] = await town.store.read(
        orders.receipts_of, caller=town.seller.caller, order_id=settled.id
    )

    claims = town.store.signer.public.read(receipt.receipt, typ=RECEIPT, claims=ReceiptClaims)
    assert claims.outcome == "settled"
    assert (claims.held_minor, claims.captured_minor, claims.fee_minor) == (PRICE, PRICE, 6_000)
    assert claims.delivery_digest == digest_of(2)
    assert (claims.first_offset, claims.last_offset) == (1, 6)


async def test_accepting_twice_pays_once(town: Town):
    settled = await town.settled()

    again = await town.accept(settled)

    assert again == settled
    assert await town.available(town.seller) == PRICE - 6_000


async def test_a_per_unit_price_pays_what_was_delivered_and_returns_the_rest(store: Store):
    price = {"per": "unit", "amount": "0.10", "currency": "XTS"}
    town = await build_town(store, price=price)
    order = await town.place()
    await town.deliver(order, 0, units=3)
    await town.complete(order)

    settled = await town.accept(order)

    assert order.amount_minor == 400_000
    assert (settled.captured_minor, settled.returned_minor) == (300_000, 100_000)
    await nothing_is_wrong(store)


async def test_a_poor_wallet_places_nothing(store: Store):
    town = await build_town(store, minor=PRICE - 1)
    quote = await town.quote()

    with pytest.raises(ledger.InsufficientFunds):
        await town.place(quote)

    assert await town.available(town.buyer) == PRICE - 1
    page = await store.read(
        orders.orders_of, caller=town.buyer.caller, state="", session_id="", cursor=None, limit=9
    )
    assert page.items == []


async def test_only_one_of_four_racing_orders_gets_the_money(store: Store):
    town = await build_town(store, minor=PRICE)
    quotes = iter([await town.quote() for _ in range(4)])

    refusals = await race(4, lambda: town.place(next(quotes)), collect=ledger.InsufficientFunds)

    assert len(refusals) == 3
    assert await town.available(town.buyer) == 0


async def test_a_quote_is_paid_once(town: Town):
    quote = await town.quote()

    refusals = await race(8, lambda: town.place(quote), collect=catalog.QuoteUsed)

    assert len(refusals) == 7
    await nothing_is_wrong(town.store)


async def test_an_expired_quote_buys_nothing(town: Town, clock: ManualClock):
    quote = await town.quote()
    clock.advance(timedelta(seconds=301))

    with pytest.raises(catalog.QuoteExpired):
        await town.place(quote)


@pytest.mark.parametrize(
    ("member", "value"),
    [("amount_minor", 1), ("quote_digest", "A" * 43), ("seller_id", "B" * 43), ("currency", "EUR")],
)
async def test_an_altered_quote_buys_nothing(town: Town, member: str, value):
    with pytest.raises(orders.QuoteMismatch) as refusal:
        await town.place(**{member: value})

    assert refusal.value.facts == {"field": member}


async def test_another_buyers_quote_does_not_exist(town: Town):
    rival = await enter(town.store, "rival", "buyer")
    quote = await town.quote()

    with pytest.raises(catalog.QuoteNotFound):
        await town._replace(buyer=rival).place(quote)


async def test_an_order_signed_by_another_key_is_refused(town: Town):
    rival = await enter(town.store, "rival", "buyer")
    quote = await town.quote()
    foreign = rival.signs(
        OrderClaims,
        quote_id=quote.id,
        quote_digest=quote.digest,
        seller_id=quote.seller_id,
        amount_minor=quote.amount_minor,
        currency=quote.currency,
    )

    with pytest.raises(BadCommitment):
        town.buyer.caller.open(
            foreign.token, typ="order+jwt", claims=OrderClaims, now=town.store.clock.now()
        )


async def test_an_order_may_not_continue_a_strangers_session(town: Town):
    rival = await enter(town.store, "rival", "buyer")
    foreign = await town.store.write(
        sessions.open_session,
        buyer_id=rival.id,
        principal_id=None,
        request=OpenSession(need="mine"),
    )

    with pytest.raises(sessions.SessionNotFound):
        await town.place(session_id=foreign.id)


async def test_a_seller_delivers_only_its_own_orders(town: Town):
    rival = await enter(town.store, "rival", "seller")
    order = await town.place()

    with pytest.raises(orders.OrderNotFound):
        await town._replace(seller=rival).deliver(order)


async def test_a_chunk_sent_again_is_answered_again_and_logged_once(town: Town):
    """S12."""
    order = await town.place()
    first = await town.deliver(order)

    again = await town.deliver(order)

    assert (again.offset, again.repeated) == (first.offset, True)
    assert (await kinds(town, order.session_id)).count("delivery.chunk") == 1


async def test_a_chunk_may_not_skip_or_change(town: Town):
    """S10, S12: nor is another replayed in its place."""
    order = await town.place()
    await town.deliver(order)

    with pytest.raises(orders.ChunkOutOfOrder) as skipped:
        await town.deliver(order, 2)
    with pytest.raises(orders.ChunkChanged):
        await town.store.write(
            orders.deliver,
            caller=town.seller.caller,
            order_id=order.id,
            chunk=Chunk(index=0, units=1, output={"rows": ["another"]}),
        )

    assert skipped.value.facts == {"expected_index": 1}


async def test_a_delivery_holds_no_more_units_than_were_quoted(town: Town):
    order = await town.place()

    with pytest.raises(orders.DeliveryTooLarge):
        await town.deliver(order, units=5)


async def test_an_output_that_breaks_the_sellers_own_schema_is_refused(town: Town):
    order = await town.place()

    with pytest.raises(orders.OutputDoesNotFit, match="rows"):
        await town.store.write(
            orders.deliver,
            caller=town.seller.caller,
            order_id=order.id,
            chunk=Chunk(index=0, units=1, output={"lines": []}),
        )


async def test_a_delivery_is_what_the_seller_signed(town: Town):
    order = await town.place()
    await town.deliver(order)
    signed = town.seller.signs(
        DeliveryClaims, order_id=order.id, chunks=1, units=1, digest=digest_of(2)
    )

    with pytest.raises(orders.DeliveryMismatch) as refusal:
        await town.store.write(
            orders.complete, caller=town.seller.caller, order_id=order.id, signed=signed
        )

    assert refusal.value.facts == {"field": "digest"}


async def test_cancel_midway_pays_what_was_delivered_to_the_last_unit(store: Store):
    town = await build_town(store, price={"per": "call", "amount": "0.333333", "currency": "XTS"})
    order = await town.place()
    await town.deliver(order, 0, units=1)

    [answer] = await town.control(order.session_id, "cancel", reason="enough")

    after = await town.order(order)
    assert (answer.answer, after.state) == ("accepted", "cancelled")
    assert (after.captured_minor, after.returned_minor) == (83_333, 250_000)
    assert await town.available(town.seller) == 83_333 - after.fee_minor
    assert (await kinds(town, order.session_id))[-3:] == [
        "control.requested",
        "order.cancelled",
        "control.answered",
    ]
    await nothing_is_wrong(store)


async def test_a_seller_that_cancels_is_paid_nothing(town: Town):
    order = await town.place()
    await town.deliver(order, 0, units=2)

    await town.control(order.session_id, "cancel", by=town.seller)

    after = await town.order(order)
    assert (after.captured_minor, after.returned_minor) == (0, PRICE)


async def test_a_cancel_racing_the_last_chunk_has_one_winner(town: Town):
    for _ in range(5):
        order = await town.place()
        await town.deliver(order, 0, units=2)

        async def finish(order=order) -> str:
            await town.deliver(order, 1, units=2)
            return (await town.complete(order)).state

        finished, answers = await asyncio.gather(
            finish(), town.control(order.session_id, "cancel"), return_exceptions=True
        )

        after = await town.order(order)
        if answers[0].answer == "accepted":
            assert isinstance(finished, orders.WrongState | orders.DeliveryMismatch)
            assert after.state == "cancelled"
        else:
            assert (finished, answers[0].answer) == ("delivered", "too_late")
            assert after.state == "delivered"
    await nothing_is_wrong(town.store)


async def test_a_paused_order_takes_no_chunk_until_it_is_resumed(town: Town, clock: ManualClock):
    order = await town.place()
    await town.control(order.session_id, "pause")
    with pytest.raises(orders.OrderPaused):
        await town.deliver(order)
    clock.advance(timedelta(minutes=59))

    assert await town.store.read(orders.due) == []
    await town.control(order.session_id, "resume")
    await town.deliver(order)

    assert (await town.order(order)).deliver_by == "2026-11-22T13:09:00.000000Z"


async def test_a_steer_is_the_workers_to_answer(town: Town):
    order = await town.place()
    [asked] = await town.control(order.session_id, "steer", text="only page 2, please")

    answered = await town.store.write(
        orders.answer_control,
        caller=town.seller.caller,
        session_id=order.session_id,
        offset=asked.offset,
        request=AnswerControl(answer="consumed"),
    )

    assert (asked.answer, answered.answer) == (None, "consumed")
    with pytest.raises(orders.ControlNotFound):
        await town.store.write(
            orders.answer_control,
            caller=town.seller.caller,
            session_id=order.session_id,
            offset=asked.offset,
            request=AnswerControl(answer="refused"),
        )


async def test_the_market_answers_a_steer_that_the_worker_ignores(town: Town, clock: ManualClock):
    order = await town.place()
    await town.control(order.session_id, "steer", text="hello?")
    clock.advance(timedelta(seconds=11))

    assert await town.store.write(orders.answer_unanswered) == 1

    assert (await kinds(town, order.session_id))[-1] == "control.answered"
    assert await town.store.write(orders.answer_unanswered) == 0


async def test_a_stranger_cannot_intervene_or_look(town: Town):
    stranger = await enter(town.store, "stranger", "buyer")
    order = await town.place()

    with pytest.raises(sessions.SessionNotFound):
        await town.control(order.session_id, "cancel", by=stranger)
    with pytest.raises(orders.OrderNotFound):
        await town.store.read(orders.order, caller=stranger.caller, order_id=order.id)
    assert "control.requested" not in await kinds(town, order.session_id)


async def test_an_undelivered_order_fails_by_its_deadline_and_returns_everything(
    town: Town, clock: ManualClock
):
    """S11."""
    order = await town.place()
    await town.deliver(order, 0, units=2)
    clock.advance(timedelta(seconds=601))

    with pytest.raises(orders.DeadlinePassed):
        await town.deliver(order, 1)
    due = await town.store.read(orders.due)
    happened = await town.store.write(orders.expire, order_id=due[0])

    assert (due, happened) == ([order.id], "failed")
    assert (await town.order(order)).returned_minor == PRICE
    assert await town.store.write(orders.expire, order_id=order.id) == "nothing"


async def test_a_delivery_that_nobody_inspects_is_accepted_by_its_deadline(
    town: Town, clock: ManualClock
):
    order = await town.place()
    await town.deliver(order)
    await town.complete(order)
    clock.advance(timedelta(seconds=3_601))

    assert await town.store.write(orders.expire, order_id=order.id) == "accepted"

    assert (await town.order(order)).state == "settled"


async def test_a_seller_that_gives_up_returns_everything(town: Town):
    order = await town.place()

    failed = await town.store.write(
        orders.fail, caller=town.seller.caller, order_id=order.id, reason="broken input"
    )

    assert (failed.state, failed.returned_minor) == ("failed", PRICE)
    assert await town.available(town.buyer) == 10_000_000


async def test_an_order_above_the_limit_waits_for_the_principal(store: Store):
    principal = await enter(store, "boss", "principal")
    town = await build_town(store, principal=principal)
    allowed = await mandate(principal, town.buyer, approval_over_minor=100_000)
    order = await town.place(mandate_id=allowed.id)

    with pytest.raises(orders.OrderNotFound):
        await town.deliver(order)
    with pytest.raises(orders.NotForThisCaller):
        await town.control(order.session_id, "approve")
    signed = decision(principal, order)
    [answer] = await town.control(order.session_id, "approve", by=principal, decision=signed)
    await town.deliver(order)

    assert (order.state, answer.answer) == ("awaiting_approval", "accepted")
    assert (await town.order(order)).state == "started"


async def test_a_denied_order_returns_everything_to_wallet_and_mandate(store: Store):
    principal = await enter(store, "boss", "principal")
    town = await build_town(store, principal=principal)
    allowed = await mandate(principal, town.buyer, approval_over_minor=100_000, budget_minor=PRICE)
    order = await town.place(mandate_id=allowed.id)

    await town.control(order.session_id, "deny", by=principal, reason="not now")

    after = await store.read(mandates.mandate, caller=principal.caller, mandate_id=allowed.id)
    assert (await town.order(order)).state == "cancelled"
    assert await town.available(town.buyer) == 10_000_000
    assert after.spent_minor == 0


async def test_an_unanswered_approval_expires(store: Store, clock: ManualClock):
    principal = await enter(store, "boss", "principal")
    town = await build_town(store, principal=principal)
    allowed = await mandate(principal, town.buyer, approval_over_minor=100_000)
    order = await town.place(mandate_id=allowed.id)
    clock.advance(timedelta(seconds=601))

    assert await store.write(orders.expire, order_id=order.id) == "approval_expired"

    assert "approval.expired" in await kinds(town, order.session_id)
    await nothing_is_wrong(store)


async def test_a_buyer_that_acts_for_a_principal_needs_a_mandate(store: Store):
    principal = await enter(store, "boss", "principal")
    town = await build_town(store, principal=principal)

    with pytest.raises(mandates.MandateRequired):
        await town.place()


async def test_parallel_orders_never_exceed_the_mandate(store: Store):
    principal = await enter(store, "boss", "principal")
    town = await build_town(store, minor=100 * PRICE, principal=principal)
    allowed = await mandate(principal, town.buyer, budget_minor=5 * PRICE)
    quotes = iter([await town.quote() for _ in range(16)])

    refusals = await race(
        16,
        lambda: town.place(next(quotes), mandate_id=allowed.id),
        collect=mandates.MandateExceeded,
    )

    assert len(refusals) == 11
    await nothing_is_wrong(store)


async def test_a_refund_follows_the_policy_that_was_bought(store: Store, clock: ManualClock):
    policies = {"refund": "within-window", "refund_window_seconds": 60}
    town = await build_town(store, policies=policies)
    settled, forgotten = await town.settled(), await town.settled()

    async def ask(order):
        return await store.write(
            orders.support,
            caller=town.buyer.caller,
            order_id=order.id,
            request=AskSupport(action="refund"),
        )

    first, again = await ask(settled), await ask(settled)
    clock.advance(timedelta(seconds=61))
    late = await ask(forgotten)

    assert (first.answer, first.order.refunded_minor) == ("done", PRICE)
    assert await town.available(town.seller) == PRICE - 6_000
    assert again.order.refunded_minor == PRICE
    assert (late.answer, late.order.refunded_minor) == ("refused", 0)
    assert await town.available(town.buyer) == 10_000_000 - PRICE
    await nothing_is_wrong(store)


async def test_a_service_without_refunds_answers_that_it_gives_none(town: Town):
    settled = await town.settled()

    answer = await town.store.write(
        orders.support,
        caller=town.buyer.caller,
        order_id=settled.id,
        request=AskSupport(action="refund"),
    )

    assert (answer.answer, answer.order.refunded_minor) == ("refused", 0)


async def test_a_session_closes_when_its_orders_have_ended(town: Town):
    order = await town.place()

    async def close():
        return await town.store.write(
            orders.close_session,
            caller=town.buyer.caller,
            session_id=order.session_id,
            reason="done",
        )

    with pytest.raises(orders.OrdersStillOpen):
        await close()
    await town.control(order.session_id, "cancel")

    assert (await close()).state == "closed"


async def test_a_request_with_a_wrong_scope_moves_no_money(town: Town):
    quote = await town.quote()
    signed = town.buyer.signs(
        OrderClaims,
        quote_id=quote.id,
        quote_digest=quote.digest,
        seller_id=quote.seller_id,
        amount_minor=quote.amount_minor,
        currency=quote.currency,
    )
    reader = town.buyer.caller._replace(scopes=frozenset({"read"}))

    with pytest.raises(Exception, match="pay"):
        await town.store.write(
            orders.place,
            caller=reader,
            request=PlaceOrder(quote_id=quote.id, commitment=signed.token),
            signed=signed,
        )
