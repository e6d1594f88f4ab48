"""Forks of sessions: the same history, byte by byte; a life of its own; nothing moves for it."""

import json
from typing import Any

import msgspec
import pytest

from market import orders, sessions
from market.audit import audit
from market.base.caller import Caller
from market.protocol.chain import read_entry, verify_chain
from market.protocol.commitments import RECEIPT, ReceiptClaims
from market.protocol.folded import Folded, SnapshotView
from market.protocol.folding import fold
from market.protocol.wire import Control, ForkSession, OpenSession, SessionView
from market.sessions import Folds
from tests.factories import Town, enter
from tests.integration.test_sessions import OVERSEER, note


async def fork(
    town: Town, session_id: str, after: int, by: Caller | None = None, **changes: Any
) -> SessionView:
    return await town.store.write(
        sessions.fork,
        caller=by or town.buyer.caller,
        session_id=session_id,
        request=ForkSession(after=after, **changes),
    )


async def read(town: Town, session_id: str, reader: Caller | None = None) -> list[bytes]:
    found = await town.store.scan(
        sessions.events,
        caller=reader or town.buyer.caller,
        session_id=session_id,
        after=-1,
        limit=500,
    )
    return [event.json for event in found.events]


async def write(town: Town, session_id: str, text: str = "more") -> None:
    await town.store.write(
        sessions.write, caller=town.buyer.caller, session_id=session_id, events=note(text)
    )


@pytest.fixture
async def source(town: Town) -> SessionView:
    """A session with four events."""
    opened = await town.store.write(
        sessions.open_session,
        buyer_id=town.buyer.id,
        principal_id=None,
        request=OpenSession(need="tables", labels={"policy": "cheapest"}),
    )
    for number in range(3):
        await write(town, opened.id, f"note {number}")
    return opened


async def test_a_fork_begins_with_the_same_bytes_and_goes_its_own_way(
    town: Town, source: SessionView
):
    made = await fork(town, source.id, 1)
    await write(town, made.id, "another way")
    await write(town, source.id, "the first way")

    old, new = await read(town, source.id), await read(town, made.id)

    assert new[:2] == old[:2]
    assert [json.loads(event)["kind"] for event in new[2:]] == ["session.forked", "note.written"]
    forked = json.loads(new[2])
    assert forked["prev_hash"] == json.loads(old[1])["hash"]
    assert forked["session_id"] == made.id
    assert forked["body"] == {
        "source_session_id": source.id,
        "source_offset": 1,
        "source_hash": forked["prev_hash"],
        "need": "tables",
        "labels": {"policy": "cheapest"},
    }
    for log in (old, new):
        last = verify_chain(read_entry(json.loads(event)) for event in log)
        assert last == json.loads(log[-1])["hash"]
    assert await town.store.scan(audit) == []


async def test_a_fork_is_a_session_of_the_same_buyer_that_names_its_source(
    town: Town, source: SessionView
):
    made = await fork(town, source.id, 0, labels={"policy": "loyal"})

    assert (made.source_session_id, made.source_offset) == (source.id, 0)
    assert (made.buyer_id, made.state, made.next_offset) == (town.buyer.id, "open", 2)
    assert (made.need, made.labels) == ("tables", {"policy": "loyal"})
    assert source.source_session_id is None


async def test_an_overseers_fork_is_the_buyers(town: Town, source: SessionView):
    made = await fork(town, source.id, 2, OVERSEER)

    assert made.buyer_id == town.buyer.id
    await write(town, made.id)


async def test_strangers_and_sellers_fork_nothing(town: Town):
    order = await town.settled()
    stranger = await enter(town.store, "nosy", "buyer")

    for other in (stranger, town.seller):
        with pytest.raises(sessions.SessionNotFound):
            await fork(town, order.session_id, 0, other.caller)


@pytest.mark.parametrize("after", [4, 5, 2**40])
async def test_what_has_not_happened_cannot_be_forked(town: Town, source: SessionView, after: int):
    with pytest.raises(sessions.BadForkPoint) as refused:
        await fork(town, source.id, after)

    assert refused.value.facts["last_offset"] == 3


async def test_a_closed_session_is_forked_before_its_end(town: Town, source: SessionView):
    await town.store.write(
        sessions.close, caller=town.buyer.caller, session_id=source.id, reason="done"
    )
    with pytest.raises(sessions.BadForkPoint):
        await fork(town, source.id, 4)

    made = await fork(town, source.id, 3)

    await write(town, made.id)
    assert (made.state, made.next_offset) == ("open", 5)


async def test_a_fork_of_a_fork_holds_and_generations_are_limited(town: Town, source: SessionView):
    made = source
    for generation in range(sessions.MAX_GENERATIONS):
        made = await fork(town, made.id, 3 + generation)
    log = await read(town, made.id)

    assert log[:4] == await read(town, source.id)
    assert verify_chain(read_entry(json.loads(event)) for event in log) == made.head_hash
    assert await town.store.scan(audit) == []
    with pytest.raises(sessions.BadForkPoint):
        await fork(town, made.id, 4)


async def test_orders_of_the_history_stay_the_sources(town: Town):
    order = await town.settled()
    last = len(await read(town, order.session_id)) - 1
    money = await town.available(town.buyer)

    made = await fork(town, order.session_id, last)

    assert made.orders == []
    assert await town.available(town.buyer) == money
    with pytest.raises(orders.OrderNotFound):
        await town.store.write(
            orders.control,
            caller=town.buyer.caller,
            session_id=made.id,
            request=Control(action="cancel", order_id=order.id),
        )
    with pytest.raises(sessions.SessionNotFound):
        await read(town, made.id, town.seller.caller)


async def test_a_fork_buys_anew_and_receipts_of_both_hold(town: Town):
    first = await town.settled()
    made = await fork(town, first.session_id, 0)

    again = await town.place(session_id=made.id)
    for index in range(2):
        await town.deliver(again, index, units=2)
    await town.complete(again)
    again = await town.accept(again)

    for order in (first, again):
        [receipt] = await town.store.read(
            orders.receipts_of, caller=town.buyer.caller, order_id=order.id
        )
        claims = town.store.signer.public.read(receipt.receipt, typ=RECEIPT, claims=ReceiptClaims)
        log = await read(town, order.session_id)
        assert claims.session_id == order.session_id
        assert json.loads(log[claims.last_offset])["hash"] == claims.log_hash
    assert (await read(town, made.id))[0] == (await read(town, first.session_id))[0]
    assert await town.store.scan(audit) == []


async def test_a_snapshot_of_a_fork_has_the_history_and_says_whose_it_is(town: Town):
    order = await town.settled()
    last = len(await read(town, order.session_id)) - 1
    made = await fork(town, order.session_id, last)

    found = await sessions.snapshot(
        town.store, Folds(), caller=town.buyer.caller, session_id=made.id
    )
    view = msgspec.json.decode(found.json, type=SnapshotView, strict=True)

    folded = Folded()
    for event in await read(town, made.id):
        fold(folded, read_entry(json.loads(event)))
    assert view.orders == folded.orders
    assert view.orders[order.id].session_id == order.session_id
    assert view.forked_from is not None
    assert view.forked_from.session_id == order.session_id
    assert view.head_hash == made.head_hash
