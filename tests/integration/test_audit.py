"""The audit: silent on a whole store, and naming each kind of damage that was planted."""

import json
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import bindparam, delete, update

from market import orders, sessions
from market.audit import Finding, audit, audit_log, summary
from market.audit.told import Told, hear
from market.base.sql import Sql
from market.base.store import Store
from market.base.streams import entries, streams
from market.base.tables import UtcDateTime
from market.inbox import stream_of
from market.ledger.tables import postings, transactions
from market.mandates.tables import mandates
from market.orders.tables import chunks, receipts
from market.orders.tables import orders as order_rows
from market.protocol.chain import event_hash
from market.protocol.commitments import RECEIPT
from market.protocol.events import GENESIS, Event
from market.protocol.logfile import stored, text_of
from market.protocol.signing import SigningKey, read_payload
from market.protocol.wire import AskSupport, OrderView, WriteEvent, WriteEvents
from market.trust.tables import standings
from tests.damage import spoil
from tests.factories import Town, build_town, enter, mandate

PRICE = 400_000
UNKNOWN_ORDER = "ord_00000000000000000000000000"
REFUNDABLE = {"refund": "within-window", "refund_window_seconds": 3_600}


@pytest.fixture
async def town(store: Store) -> Town:
    return await build_town(store, policies=REFUNDABLE)


async def findings_of(store: Store) -> list[Finding]:
    return await store.scan(audit)


async def rules_broken(store: Store) -> set[str]:
    return {finding.rule for finding in await findings_of(store)}


async def log_of(store: Store, session_id: str) -> list[dict[str, Any]]:
    def query(snapshot):
        of_session = Sql(
            entries.select()
            .where(entries.c.stream_id == bindparam("session_id"))
            .order_by(entries.c.offset)
        )
        return [
            json.loads(bytes(row.data)) for row in snapshot.all(of_session, session_id=session_id)
        ]

    return await store.scan(query)


async def rewrite(store: Store, event: dict[str, Any]) -> None:
    """Put another event in the place of the one at its offset."""
    await spoil(
        store,
        entries,
        update(entries)
        .where(
            entries.c.stream_id == bindparam("session_id"),
            entries.c.offset == bindparam("place"),
        )
        .values(data=bindparam("event")),
        session_id=event["session_id"],
        place=event["offset"],
        event=stored(entry := msgspec.convert(event, Event), text_of(entry)),
    )


async def forge(store: Store, log: list[dict[str, Any]]) -> None:
    """Write a whole log anew, every hash recomputed, as a forger with time on its hands would."""
    head = GENESIS
    for event in log:
        event["prev_hash"] = head
        head = event["hash"] = event_hash(event)
        await rewrite(store, event)
    await spoil(
        store,
        streams,
        update(streams).where(streams.c.id == bindparam("session_id")).values(head=head),
        session_id=log[0]["session_id"],
    )


async def cancel(town: Town, order: OrderView) -> None:
    await town.control(order.session_id, "cancel")


async def refund(town: Town, order: OrderView) -> None:
    answer = await town.store.write(
        orders.support,
        caller=town.buyer.caller,
        order_id=order.id,
        request=AskSupport(action="refund"),
    )
    assert answer.answer == "done"


async def close(town: Town, order: OrderView) -> None:
    await town.store.write(
        orders.close_session, caller=town.buyer.caller, session_id=order.session_id, reason="done"
    )


# What is whole


async def test_an_empty_store_is_whole(store: Store):
    assert await findings_of(store) == []


async def test_every_way_an_order_goes_leaves_the_store_whole(town: Town):
    settled, refunded, refunded_later = [await town.settled() for _ in range(3)]
    await close(town, settled)
    await refund(town, refunded)
    await close(town, refunded_later)
    await refund(town, refunded_later)
    cancelled = await town.place()
    await town.deliver(cancelled)
    await cancel(town, cancelled)
    failed = await town.place()
    await town.store.write(
        orders.fail, caller=town.seller.caller, order_id=failed.id, reason="no paper"
    )
    await town.deliver(await town.place())
    delivered = await town.place()
    await town.deliver(delivered)
    await town.complete(delivered)

    assert await findings_of(town.store) == []


async def test_orders_under_a_mandate_leave_the_store_whole(store: Store):
    principal = await enter(store, "firm", "principal")
    town = await build_town(store, principal=principal)
    given = await mandate(principal, town.buyer, approval_over_minor=PRICE - 1)
    waiting = await town.place(mandate_id=given.id)
    denied = await town.place(mandate_id=given.id)

    await town.control(denied.session_id, "deny", principal)

    assert waiting.state == "awaiting_approval"
    assert await findings_of(store) == []


async def test_what_a_buyer_writes_about_orders_that_are_not_there_breaks_nothing(town: Town):
    order = await town.place()
    note = WriteEvent(kind="note.written", body={"text": "mine?"}, order_id=UNKNOWN_ORDER)

    await town.store.write(
        sessions.write,
        caller=town.buyer.caller,
        session_id=order.session_id,
        events=WriteEvents(events=[note]),
    )

    assert await findings_of(town.store) == []


async def test_a_long_log_is_read_in_pages_to_its_end(town: Town):
    order = await town.place()
    note = sessions.NewEvent("note.written", town.buyer.id, {"text": "x" * 1_000})
    for _ in range(6):
        await town.store.write(sessions.append, session_id=order.session_id, events=[note] * 100)

    assert await findings_of(town.store) == []

    log = await log_of(town.store, order.session_id)
    await rewrite(town.store, log[-1] | {"body": {"text": "y"}})
    assert [finding.where for finding in await findings_of(town.store)] == [
        f"{order.session_id}:{len(log) - 1}"
    ]


async def test_the_summary_counts_what_there_is(town: Town):
    await town.settled()
    await town.place()

    counted = await town.store.scan(summary)

    assert (counted.sessions, counted.events) == (2, 8 + 2)
    assert counted.orders == {"placed": 1, "settled": 1}
    assert (counted.receipts, counted.postings) == (1, 2 + 2 + 2 + 3)
    [money] = counted.money
    assert money.currency == "XTS"
    assert money.minted_minor == 10_000_000
    assert (money.escrows_minor, money.bonds_minor) == (PRICE, 0)
    assert money.fees_minor == 6_000
    assert money.wallets_minor == 10_000_000 - PRICE - 6_000


# What is broken


async def test_a_changed_posting_is_named(town: Town):
    await town.settled()

    await spoil(
        town.store, postings, update(postings).values(amount_minor=postings.c.amount_minor + 1)
    )

    assert "ledger" in await rules_broken(town.store)


@pytest.mark.parametrize("column", ["captured_minor", "returned_minor"])
async def test_an_order_that_says_another_amount_than_its_escrow_is_named(town: Town, column: str):
    order = await town.place()
    await town.deliver(order, units=2)
    await cancel(town, order)

    changed = update(order_rows).values({column: order_rows.c[column] - 1})
    await spoil(town.store, order_rows, changed)

    found = await findings_of(town.store)
    assert {"escrow", "orders", "receipts"} <= {finding.rule for finding in found}
    assert f"order {order.id}" in {finding.where for finding in found}


async def test_an_escrow_without_an_order_is_named(town: Town):
    order = await town.place()

    gone = delete(order_rows).where(order_rows.c.id == bindparam("order_id"))
    await spoil(town.store, order_rows, gone, order_id=order.id)

    assert {"escrow", "movements", "orders"} <= await rules_broken(town.store)


async def test_money_that_moved_at_another_moment_than_the_log_says_is_named(town: Town):
    order = await town.settled()

    await spoil(
        town.store,
        transactions,
        update(transactions)
        .where(transactions.c.reason == "escrow.capture")
        .values(recorded_at=bindparam("moment", type_=UtcDateTime())),
        moment=town.store.clock.now() + timedelta(seconds=1),
    )

    found = await findings_of(town.store)
    assert {finding.rule for finding in found} == {"movements"}
    assert {finding.where for finding in found} == {f"order {order.id}"}
    assert len(found) == 2


async def test_a_forged_log_with_every_hash_in_order_is_named(town: Town):
    order = await town.settled()
    log = await log_of(town.store, order.session_id)

    log[1]["body"]["amount_minor"] += 1
    await forge(town.store, log)

    assert await rules_broken(town.store) == {"movements", "receipts"}


async def test_an_event_that_announces_money_that_never_moved_is_named(town: Town):
    order = await town.settled()

    body = {"refunded_minor": PRICE, "currency": "XTS", "receipt_id": "rcp", "reason": "none"}
    event = sessions.NewEvent("order.refunded", "market", body, order.id)
    await town.store.write(sessions.append, session_id=order.session_id, events=[event])

    [finding] = await findings_of(town.store)
    assert finding.rule == "movements"
    assert "order.refund" in finding.detail


@pytest.mark.parametrize("counter", ["spent_minor", "orders"])
async def test_a_mandate_that_counted_wrongly_is_named(store: Store, counter: str):
    principal = await enter(store, "firm", "principal")
    town = await build_town(store, principal=principal)
    given = await mandate(principal, town.buyer, budget_minor=10 * PRICE)
    await town.place(mandate_id=given.id)

    await spoil(store, mandates, update(mandates).values({counter: mandates.c[counter] + 1}))

    [finding] = await findings_of(store)
    assert (finding.rule, finding.where) == ("mandates", f"mandate {given.id}")


async def test_an_order_in_another_state_than_its_log_is_named(town: Town):
    order = await town.place()

    await spoil(town.store, order_rows, update(order_rows).values(state="started"))

    [finding] = await findings_of(town.store)
    assert (finding.rule, finding.where) == ("orders", f"order {order.id}")


async def test_a_lost_chunk_is_named(town: Town):
    order = await town.place()
    await town.deliver(order)

    await spoil(town.store, chunks, delete(chunks))

    assert await rules_broken(town.store) == {"orders"}


async def test_a_receipt_that_the_market_did_not_sign_is_named(town: Town):
    order = await town.settled()
    [row] = await town.store.scan(lambda snapshot: snapshot.all(Sql(receipts.select())))

    forged = SigningKey.generate().sign(read_payload(row.receipt), typ=RECEIPT)
    await spoil(town.store, receipts, update(receipts).values(receipt=forged))

    [finding] = await findings_of(town.store)
    assert (finding.rule, finding.where) == ("receipts", f"receipt {order.receipt_id}")


async def test_a_receipt_that_is_gone_or_belongs_to_nobody_is_named(town: Town):
    order = await town.settled()

    await spoil(town.store, receipts, update(receipts).values(order_id="ord_nobody"))
    assert await rules_broken(town.store) == {"receipts"}

    await spoil(town.store, receipts, delete(receipts))
    [finding] = await findings_of(town.store)
    assert (finding.rule, finding.where) == ("orders", f"order {order.id}")


async def test_a_changed_event_is_named_where_it_stands(town: Town):
    order = await town.settled()
    log = await log_of(town.store, order.session_id)

    await rewrite(town.store, log[3] | {"actor_id": "somebody"})

    found = await findings_of(town.store)
    assert [(finding.rule, finding.where) for finding in found] == [
        ("log", f"{order.session_id}:3")
    ]


async def test_an_entry_that_is_no_event_is_named(town: Town):
    order = await town.place()

    await spoil(town.store, entries, update(entries).values(data=b"{}"))

    assert ("log", f"{order.session_id}:0") in {
        (finding.rule, finding.where) for finding in await findings_of(town.store)
    }


async def test_a_missing_event_is_named(town: Town):
    order = await town.settled()

    gone = delete(entries).where(
        entries.c.stream_id == bindparam("session_id"), entries.c.offset == 3
    )
    await spoil(town.store, entries, gone, session_id=order.session_id)

    found = await findings_of(town.store)
    assert {"streams", "log"} <= {finding.rule for finding in found}
    assert f"{order.session_id}:3" in {finding.where for finding in found}


async def test_a_log_cut_off_at_its_end_is_named(town: Town):
    order = await town.settled()
    log = await log_of(town.store, order.session_id)

    last = delete(entries).where(
        entries.c.stream_id == bindparam("session_id"), entries.c.offset == bindparam("place")
    )
    await spoil(town.store, entries, last, session_id=order.session_id, place=len(log) - 1)
    counted = update(streams).where(streams.c.id == bindparam("session_id"))
    fewer = counted.values(next_offset=len(log) - 1)
    await spoil(town.store, streams, fewer, session_id=order.session_id)

    assert {"log", "movements", "orders"} <= await rules_broken(town.store)


async def test_a_log_that_is_closed_by_halves_is_named(town: Town):
    order = await town.settled()
    await close(town, order)

    await spoil(town.store, streams, update(streams).values(is_closed=0))

    [finding] = await findings_of(town.store)
    assert (finding.rule, finding.where) == ("log", order.session_id)


async def test_a_session_without_a_log_is_named(town: Town):
    order = await town.place()

    await spoil(town.store, entries, delete(entries))
    await spoil(town.store, streams, delete(streams))

    assert Finding(rule="log", detail="the session has no log", where=order.session_id) in (
        await findings_of(town.store)
    )


async def test_a_message_lost_from_an_inbox_is_named(town: Town):
    await town.place()
    inbox_id = stream_of(town.seller.id)

    lost = delete(entries).where(entries.c.stream_id == bindparam("inbox_id"))
    await spoil(town.store, entries, lost, inbox_id=inbox_id)

    [finding] = await findings_of(town.store)
    assert (finding.rule, finding.where) == ("streams", f"stream {inbox_id}")


async def test_a_standing_that_the_facts_do_not_bear_out_is_named(town: Town):
    await town.settled()

    await spoil(town.store, standings, update(standings).values(settled=7))

    assert await rules_broken(town.store) == {"trust"}


async def test_one_log_can_be_audited_alone(town: Town):
    first, second = await town.settled(), await town.settled()
    log = await log_of(town.store, first.session_id)
    await rewrite(town.store, log[0] | {"kind": "note.written"})

    def query(snapshot, order: OrderView):
        return audit_log(snapshot, session_id=order.session_id)

    assert [finding.rule for finding in await town.store.scan(query, first)] == ["log"]
    assert await town.store.scan(query, second) == []


def test_a_log_is_heard_without_trusting_what_its_bodies_hold():
    event = Event(
        id="ses:0",
        session_id="ses",
        offset=0,
        kind="order.settled",
        stage="using",
        actor_id="market",
        order_id="ord",
        audience="order",
        recorded_at="2026-11-22T12:00:00.000000Z",
        body={},
        prev_hash=GENESIS,
        hash="",
    )
    told: dict[str, Told] = {}

    hear(told, msgspec.structs.replace(event, kind="delivery.chunk", body={"units": "many"}))
    hear(told, event)

    assert told == {"ord": Told(state="settled", chunks=1)}
