"""What a suspended agent has under way: denied, paused, hidden, in slices, by chores."""

import pytest

from market import chores, identity, ledger, orders
from market.base.clock import Clock, ManualClock
from market.base.store import Store
from market.orders import suspending
from tests.integration.test_control import NOON, build_firm, log_of

APPROVED_OVER = 100_000


@pytest.fixture
def clock() -> Clock:
    return ManualClock(NOON)


async def test_a_waiting_approval_of_a_suspended_agent_is_denied_and_its_money_is_back(
    store: Store,
):
    """L6: nothing of a suspended buyer's waits for a word that might still spend."""
    firm = await build_firm(store, approval_over_minor=APPROVED_OVER)
    buyer = firm.town.buyer
    before = (await store.read(ledger.wallet, agent_id=buyer.id)).balances
    order = await firm.place()

    done = await store.write(
        orders.shut_out, agent_id=buyer.id, overseer_id=firm.overseer.id, reason="fraud"
    )

    assert done == 1
    after = await store.read(orders.order, caller=firm.overseer.caller, order_id=order.id)
    assert after.state == "cancelled"
    assert (await store.read(ledger.wallet, agent_id=buyer.id)).balances == before
    kinds = [event["kind"] for event in await log_of(firm.overseer, firm.session_id)]
    assert "approval.denied" in kinds


async def test_what_another_worker_still_placed_is_paused_by_the_chore_and_then_no_more(
    store: Store, clock: ManualClock
):
    """I13, L6: an order that slipped in after the suspension does not stay."""
    firm = await build_firm(store)
    caller, buyer = firm.overseer.caller, firm.town.buyer
    await store.write(identity.suspend, caller=caller, agent_id=buyer.id, reason="fraud")
    late = await firm.place()

    assert await chores.finish_suspensions(store) == 1
    seen = await store.read(orders.order, caller=caller, order_id=late.id)
    assert seen.is_paused
    assert await chores.finish_suspensions(store) == 0
    assert len(await store.read(identity.unfinished_suspensions)) == 1

    clock.advance(suspending.LATE)
    await chores.finish_suspensions(store)
    assert await store.read(identity.unfinished_suspensions) == []


async def test_a_reinstated_agent_may_be_suspended_anew(store: Store, clock: ManualClock):
    firm = await build_firm(store)
    caller, seller = firm.overseer.caller, firm.town.seller
    for _ in range(2):
        await store.write(identity.suspend, caller=caller, agent_id=seller.id, reason="fraud")
        [found] = await store.read(identity.unfinished_suspensions)
        assert found.agent_id == seller.id
        clock.advance(suspending.LATE)
        await chores.finish_suspensions(store)
        assert await store.read(identity.unfinished_suspensions) == []
        await store.write(identity.reinstate, caller=caller, agent_id=seller.id)
