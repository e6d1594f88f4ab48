"""The list of orders that wait for an approval: whose it is, in which order, and what leaves it."""

from datetime import timedelta

import pytest

from market import orders
from market.base.clock import ManualClock
from market.base.paging import BadCursor
from market.base.settings import Settings
from market.base.store import Store
from market.base.work import Snapshot
from market.faces.http import acts
from market.orders import awaiting
from market.protocol.wire import ApprovalView, Page
from tests.aftermath import overseer
from tests.contract.conftest import START
from tests.factories import Party, Town, build_town, control, decision, enter, mandate, publish

PRICE = 400_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
async def principal(store: Store) -> Party:
    return await enter(store, "boss", "principal")


@pytest.fixture
async def town(store: Store, principal: Party) -> Town:
    return await build_town(store, principal=principal)


async def waiting_for(by: Party, cursor: str | None = None, limit: int = 100) -> Page[ApprovalView]:
    return await by.store.scan(
        orders.awaiting_approval, caller=by.caller, cursor=cursor, limit=limit
    )


async def ids_for(by: Party) -> list[str]:
    return [one.order_id for one in (await waiting_for(by)).items]


async def test_what_waits_is_listed_with_all_that_a_decision_needs(town: Town, principal: Party):
    given = await mandate(principal, town.buyer, approval_over_minor=100_000)
    order = await town.place(mandate_id=given.id)

    page = await waiting_for(principal)

    assert page == Page(
        items=[
            ApprovalView(
                order_id=order.id,
                session_id=order.session_id,
                mandate_id=given.id,
                principal_id=principal.id,
                buyer_id=town.buyer.id,
                seller_id=town.seller.id,
                service_id=town.service.id,
                slug=order.slug,
                units=order.units,
                amount_minor=PRICE,
                currency="XTS",
                placed_at="2026-11-22T12:00:00.000000Z",
                expires_at="2026-11-22T12:10:00.000000Z",
            )
        ],
        next=None,
    )


async def test_the_list_is_the_principals_and_the_overseers_alone(town: Town, principal: Party):
    """Z2: a stranger's list is empty, as is that of the buyer and of the seller."""
    given = await mandate(principal, town.buyer, approval_over_minor=100_000)
    order = await town.place(mandate_id=given.id)
    rival = await enter(town.store, "rival", "principal")
    watch = await overseer(town.store)

    assert await ids_for(principal) == await ids_for(watch) == [order.id]
    for other in (rival, town.buyer, town.seller):
        assert await ids_for(other) == []


async def test_pages_go_from_the_oldest_on_and_miss_none(town: Town, principal: Party):
    given = await mandate(principal, town.buyer, approval_over_minor=100_000)
    placed = [(await town.place(mandate_id=given.id)).id for _ in range(5)]
    watch = await overseer(town.store)

    for reader in (principal, watch):
        seen: list[list[str]] = []
        cursor = None
        while True:
            page = await waiting_for(reader, cursor, limit=2)
            seen.append([one.order_id for one in page.items])
            cursor = page.next
            if cursor is None:
                break
        assert seen == [placed[:2], placed[2:4], placed[4:]]

    with pytest.raises(BadCursor):
        await waiting_for(principal, "nonsense")


async def test_what_is_decided_revoked_or_too_late_waits_no_more(
    town: Town, principal: Party, clock: ManualClock
):
    given = await mandate(principal, town.buyer, approval_over_minor=100_000)
    approved, denied, late = [await town.place(mandate_id=given.id) for _ in range(3)]
    assert await ids_for(principal) == [approved.id, denied.id, late.id]

    signed = decision(principal, approved)
    await control(principal, approved.session_id, "approve", decision=signed)
    assert await ids_for(principal) == [denied.id, late.id]

    await control(principal, denied.session_id, "deny")
    assert await ids_for(principal) == [late.id]

    clock.advance(timedelta(seconds=599))
    assert await ids_for(principal) == [late.id]
    clock.advance(timedelta(seconds=1))
    assert await ids_for(principal) == [], "nobody may approve it any more"


async def test_a_revocation_says_what_is_spent_when_what_waited_is_denied(
    town: Town, principal: Party
):
    given = await mandate(principal, town.buyer, approval_over_minor=PRICE)
    placed = await town.place(mandate_id=given.id)
    service = await publish(
        town.seller, id="acme-dear", price={"per": "call", "amount": "0.80", "currency": "XTS"}
    )
    await town._replace(service=service).place(mandate_id=given.id)
    assert placed.state == "placed"
    assert len(await ids_for(principal)) == 1

    revoked = await town.store.write(
        acts.revoke_mandate, caller=principal.caller, mandate_id=given.id, reason="enough"
    )

    assert (revoked.spent_minor, revoked.orders) == (PRICE, 2), "a denied order counts as one"
    assert revoked.revoked_at is not None
    assert await ids_for(principal) == []


async def test_the_list_reads_what_waits_and_no_other_order(sqlite_settings: Settings):
    def plan(snapshot: Snapshot) -> str:
        own = awaiting._OWN.of("sqlite")
        values = own.bind({"after": "", "now": snapshot.now, "limit": 9, "agent_id": "boss"})
        rows = snapshot.connection.execute(f"EXPLAIN QUERY PLAN {own.text}", values).fetchall()
        return " ".join(str(row) for row in rows)

    store = Store.open(sqlite_settings)

    assert "USING INDEX ix_orders_awaiting_approval" in store.read_now(plan)
    store.close()
