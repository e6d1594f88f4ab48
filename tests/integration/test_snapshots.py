"""Snapshots: what a late joiner gets, for each viewer, folded once and carried on."""

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec
import pytest

from market import sessions
from market.base.caller import Caller
from market.base.store import Store
from market.protocol.chain import read_entry
from market.protocol.folded import Folded, SnapshotView
from market.protocol.folding import fold
from market.protocol.wire import OpenSession, SessionView
from market.sessions import Folds, NewEvent
from tests.integration.test_sessions import BUYER, SELLER, STRANGER

PLACED = {"slug": "acme-pdf", "amount_minor": 400, "currency": "XTS", "units": 4}


@pytest.fixture
async def session(store: Store) -> SessionView:
    opened = await store.write(
        sessions.open_session,
        buyer_id="buyer",
        principal_id=None,
        request=OpenSession(need="key sentences"),
    )
    await store.write(sessions.join, session_id=opened.id, agent_id="seller", order_id="ord_1")
    return opened


async def put(store: Store, session_id: str, *events: NewEvent) -> None:
    for first in range(0, len(events), 200):
        batch = events[first : first + 200]
        await store.write(sessions.append, session_id=session_id, events=batch)


def placed(order_id: str = "ord_1") -> NewEvent:
    return NewEvent("order.placed", "buyer", PLACED, order_id)


def chunk(number: int, order_id: str = "ord_1", text: str = "") -> NewEvent:
    body = {"index": number, "units": 1, "output": {"page": number, "text": text}, "digest": "d"}
    return NewEvent("delivery.chunk", "seller", body, order_id)


def decision() -> NewEvent:
    return NewEvent("decision.made", "buyer", {"stage": "finding", "outcome": "advance"})


async def snapshot(
    store: Store, folds: Folds, session_id: str, reader: Caller = BUYER
) -> SnapshotView:
    found = await sessions.snapshot(store, folds, caller=reader, session_id=session_id)
    view = msgspec.json.decode(found.json, type=SnapshotView, strict=True)
    assert found.offset == view.next_offset - 1
    return view


async def folded_anew(store: Store, session_id: str, reader: Caller) -> dict[str, Any]:
    """What the reader's own client makes of the log."""
    folded = Folded()
    after = -1
    while (
        page := await store.scan(
            sessions.events, caller=reader, session_id=session_id, after=after, limit=500
        )
    ).events:
        for shown in page.events:
            fold(folded, read_entry(msgspec.json.decode(shown.json)))
        after = folded.next_offset - 1
    return parts(folded)


def parts(folded: Folded) -> dict[str, Any]:
    return {name: getattr(folded, name) for name in Folded.__struct_fields__}


@pytest.mark.parametrize("reader", [BUYER, SELLER], ids=lambda one: one.agent_id)
async def test_a_snapshot_is_what_the_readers_own_log_comes_to(
    store: Store, session: SessionView, reader: Caller
):
    folds = Folds()
    await put(store, session.id, placed(), decision(), placed("ord_of_a_rival"), chunk(0))
    first = await snapshot(store, folds, session.id, reader)
    await put(store, session.id, chunk(1), chunk(0, "ord_of_a_rival"), decision())

    second = await snapshot(store, folds, session.id, reader)

    assert first.next_offset == 5
    assert second.next_offset == second.session.next_offset == 8
    assert second.head_hash == second.session.head_hash
    assert parts(second) == await folded_anew(store, session.id, reader)


async def test_a_seller_learns_from_a_snapshot_no_more_than_from_the_log(
    store: Store, session: SessionView
):
    await put(store, session.id, placed(), decision(), placed("ord_of_a_rival"), chunk(0))

    seen = await snapshot(store, Folds(), session.id, SELLER)

    assert list(seen.orders) == ["ord_1"]
    assert (seen.decisions, seen.session.need) == ([], "")
    assert seen.next_offset == 5


async def test_a_stranger_gets_no_snapshot(store: Store, session: SessionView):
    with pytest.raises(sessions.SessionNotFound):
        await sessions.snapshot(store, Folds(), caller=STRANGER, session_id=session.id)


async def test_a_long_delivery_is_one_order_and_folded_once(store: Store, session: SessionView):
    folds = Folds()
    chunks = [chunk(number) for number in range(2_000)]
    completed = NewEvent("delivery.completed", "seller", {"digest": "d"}, "ord_1")
    await put(store, session.id, placed(), *chunks, completed)
    first = await sessions.snapshot(store, folds, caller=BUYER, session_id=session.id)
    units, again = store.units, await snapshot(store, folds, session.id)

    order = again.orders["ord_1"]
    assert order.outputs == [chunk(number).body["output"] for number in range(2_000)]
    assert (order.state, order.units_delivered) == ("delivered", 2_000)
    assert len(first.json) < 100_000
    assert folds.held_bytes <= len(first.json)
    assert store.units == units, "a snapshot writes nothing"


async def test_kept_folds_are_bounded_and_a_dropped_one_is_folded_anew(
    store: Store, session: SessionView
):
    other = await store.write(
        sessions.open_session,
        buyer_id="buyer",
        principal_id=None,
        request=OpenSession(need="other"),
    )
    for one in (session, other):
        await put(store, one.id, placed(), *[chunk(n, text="x" * 900) for n in range(10)])
    folds = Folds(max_bytes=15_000)

    seen = [(await snapshot(store, folds, one.id)) for one in (session, other, session)]

    assert folds.held_bytes <= 15_000
    assert parts(seen[0]) == parts(seen[2])


@pytest.mark.parametrize("reader", [BUYER, SELLER], ids=lambda one: one.agent_id)
async def test_snapshots_and_tails_among_writers_come_to_the_whole_log(
    store: Store, session: SessionView, reader: Caller
):
    folds = Folds()
    await put(store, session.id, placed())

    async def write(order_id: str) -> None:
        for number in range(20):
            await put(store, session.id, chunk(number, order_id), decision())

    async def join(place: int) -> Folded:
        readings = sessions.follow(store, caller=reader, session_id=session.id, after=place - 1)
        async with asyncio.timeout(20), aclosing(readings):
            await anext(readings)
        folded: Folded = await snapshot(store, folds, session.id, reader)
        following = sessions.follow(
            store, caller=reader, session_id=session.id, after=folded.next_offset - 1
        )
        async with asyncio.timeout(20), aclosing(following) as readings:
            async for reading in readings:
                for shown in reading.events:
                    fold(folded, read_entry(msgspec.json.decode(shown.json)))
                if folded.next_offset == 82:
                    break
        return folded

    late, *_ = await asyncio.gather(
        asyncio.gather(*[join(place) for place in range(1, 81, 8)]),
        write("ord_1"),
        write("ord_of_a_rival"),
    )

    whole = await folded_anew(store, session.id, reader)
    assert [parts(folded) for folded in late] == [whole] * 10


async def test_a_hundred_late_joiners_at_once_cost_one_fold(store: Store, session: SessionView):
    await put(store, session.id, placed(), *[chunk(number) for number in range(50)])
    folds = Folds()

    seen = await asyncio.gather(*[snapshot(store, folds, session.id) for _ in range(100)])

    assert {view.next_offset for view in seen} == {52}
    assert folds.entries_folded == 52
