"""V15: logs and mints tell every balance and every order. V16: they tell it at once."""

import asyncio
from collections import Counter
from collections.abc import Iterator

from sqlalchemy import select

from market import orders, sessions
from market.audit.told import Told, hear
from market.base import streams
from market.base.settings import Settings
from market.base.sql import Sql
from market.base.store import Store
from market.base.work import Snapshot
from market.ledger.tables import accounts, postings, transactions
from market.orders.tables import orders as order_rows
from market.protocol.events import Event
from market.protocol.logfile import read_entry
from market.protocol.wire import AskSupport, WriteEvent, WriteEvents
from market.sessions.tables import sessions as session_rows
from tests.factories import Town, build_town
from tests.workers import two_workers

REFUNDABLE = {"refund": "within-window", "refund_window_seconds": 3_600}
_SESSIONS = Sql(select(session_rows.c.id))
_MINTS = Sql(
    select(accounts.c.owner_id, postings.c.amount_minor)
    .join_from(postings, accounts, accounts.c.id == postings.c.account_id)
    .join(transactions, transactions.c.id == postings.c.transaction_id)
    .where(transactions.c.reason == "issuance.mint", accounts.c.kind == "wallet")
)
_BALANCES = Sql(
    select(accounts.c.owner_id, accounts.c.balance_minor).where(
        accounts.c.kind != "issuance", accounts.c.kind != "fees"
    )
)
_ORDERS = Sql(select(order_rows))


def events_of(snapshot: Snapshot, *, session_id: str) -> Iterator[Event]:
    """Every event of a session, from its bytes."""
    after = -1
    while page := streams.read(snapshot, stream_id=session_id, after=after).entries:
        for entry in page:
            event = read_entry(entry.data)
            assert isinstance(event, Event)
            yield event
        after = page[-1].offset


def replayed(snapshot: Snapshot) -> tuple[dict[str, int], dict[str, Told]]:
    """Balances by owner (an order owns its escrow) and orders, as mints and logs tell them."""
    balances: Counter[str] = Counter()
    for row in snapshot.all(_MINTS):
        balances[row.owner_id] += row.amount_minor
    told: dict[str, Told] = {}
    parties: dict[str, tuple[str, str]] = {}
    for session in snapshot.all(_SESSIONS):
        for event in events_of(snapshot, session_id=session.id):
            hear(told, event)
            if event.kind == "order.placed" and event.order_id is not None:
                parties[event.order_id] = (event.actor_id, event.body["seller_id"])
    for order_id, order in told.items():
        buyer_id, seller_id = parties[order_id]
        ways = {
            "escrow.hold": (buyer_id, order_id),
            "escrow.capture": (order_id, seller_id),
            "escrow.void": (order_id, buyer_id),
            "order.refund": (seller_id, buyer_id),
        }
        for movement in order.movements:
            giver, taker = ways[movement.reason]
            # The house's part: what the seller does not get, and need not give back.
            balances[giver] -= movement.amount_minor
            balances[taker] += movement.amount_minor
            balances[seller_id] -= movement.fee_minor
    return dict(balances), told


async def test_every_balance_and_every_order_is_rebuilt_from_the_logs(store: Store):
    town = await build_town(store, policies=REFUNDABLE)
    refunded, cancelled, failed = [await town.settled(), await town.place(), await town.place()]
    await store.write(
        orders.support,
        caller=town.buyer.caller,
        order_id=refunded.id,
        request=AskSupport(action="refund"),
    )
    await town.deliver(cancelled)
    await town.control(cancelled.session_id, "cancel")
    await store.write(orders.fail, caller=town.seller.caller, order_id=failed.id, reason="no paper")
    await town.settled()
    await town.deliver(await town.place())

    balances, told = await store.scan(replayed)

    kept = await store.scan(lambda snapshot: snapshot.all(_BALANCES))
    there = Counter[str]()
    for row in kept:
        there[row.owner_id] += row.balance_minor
    assert {owner: minor for owner, minor in balances.items() if minor} == {
        owner: minor for owner, minor in there.items() if minor
    }
    rows = await store.scan(lambda snapshot: snapshot.all(_ORDERS))
    assert {
        row.id: (row.state, row.chunks_delivered, row.units_delivered, row.delivery_digest)
        for row in rows
    } == {
        order_id: (order.state, order.chunks, order.units, order.digest)
        for order_id, order in told.items()
    }


async def write_and_read(town: Town, session_id: str, at: Store, number: int) -> bool:
    """Write a note at one worker; return whether it stands at its offset right then."""
    note = WriteEvent(kind="note.written", body={"text": f"note {number}"})
    landed = await at.write(
        sessions.write,
        caller=town.buyer.caller,
        session_id=session_id,
        events=WriteEvents(events=[note]),
    )
    [entry] = (
        await at.read(streams.read, stream_id=session_id, after=landed.first_offset - 1, limit=1)
    ).entries
    event = read_entry(entry.data)
    assert isinstance(event, Event)
    return (event.offset, event.body["text"]) == (landed.first_offset, f"note {number}")


async def test_what_is_acknowledged_is_there_for_the_next_read(store: Store):
    town = await build_town(store)
    order = await town.place()

    seen = await asyncio.gather(
        *(write_and_read(town, order.session_id, store, number) for number in range(40))
    )

    assert seen == [True] * 40


async def test_what_one_worker_acknowledged_the_other_reads(postgres_settings: Settings):
    with two_workers(postgres_settings) as (left, right):
        town = await build_town(left)
        order = await town.place()

        seen = await asyncio.gather(
            *(
                write_and_read(town, order.session_id, (left, right)[number % 2], number)
                for number in range(40)
            )
        )

        assert seen == [True] * 40
        placed = await town.place()
        there = await right.read(orders.order, caller=town.buyer.caller, order_id=placed.id)
        assert there == placed
