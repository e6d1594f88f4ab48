"""Whose a bond is: what two agree on waits for all others, and no promise outlives the bond."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from market import ledger, orders
from market.base.clock import Clock, ManualClock, parse_rfc3339
from market.base.settings import Settings
from market.base.store import Store
from market.chores import pay_owed_refunds
from market.protocol.wire import OrderView
from tests.aftermath import (
    answer,
    delivered,
    empty,
    open_dispute,
    overseer,
    read,
    refund,
    resolve,
    support,
)
from tests.factories import Town, build_town, enter
from tests.integration.test_gates import (
    FEE,
    NOON,
    PRICE,
    WEEK,
    bonded,
    failed,
    give,
    ledger_is_whole,
    limits,
    messages,
    move,
    typical,
)

FULL = 3 * PRICE
STRIKE = FULL // 2
NET = PRICE - FEE
DAY = timedelta(days=1)
MONTH = timedelta(days=30)
SECOND = timedelta(seconds=1)
POLICIES = {"refund": "within-window", "refund_window_seconds": 3_600, "redo": 1}


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def store(settings: Settings, clock: Clock) -> Iterator[Store]:
    opened = Store.open(settings.with_(signup_grant_minor=0), clock=clock)
    yield opened
    opened.close()


@pytest.fixture
async def town(store: Store) -> Town:
    """A seller with a full bond, where a typical order costs what its own do."""
    built = await build_town(store, minor=1_000_000_000, policies=POLICIES)
    await typical(store)
    await bonded(built)
    return built


async def other_buyer(town: Town) -> Town:
    """The same seller, and a buyer who has nothing to do with the first."""
    ann = await enter(town.store, "ann", "buyer")
    await give(town.store, ann, 1_000_000_000)
    return town._replace(buyer=ann)


async def owing(town: Town) -> OrderView:
    """A refund that two agreed on, and that stays owed since another's order is open."""
    order = await town.settled()
    await empty(town, town.seller)
    await answer(town, await open_dispute(town, order), "concede")
    assert (await town.order(order)).owed_minor == PRICE
    return order


# What a seller gives of its own free will


async def test_a_refund_of_ones_free_will_takes_nothing_from_the_bond(town: Town):
    order = await town.settled()
    await empty(town, town.seller, but=NET - 1)
    before = await town.available(town.buyer)

    with pytest.raises(ledger.RefundNotCovered):
        await refund(town, order)

    assert (await limits(town)).bond_minor == FULL
    assert await town.available(town.buyer) == before
    assert (await town.order(order)).owed_minor == 0


# What two agree on, or bring about


async def by_concession(town: Town, order: OrderView, clock: ManualClock) -> None:
    await answer(town, await open_dispute(town, order), "concede")


async def by_silence(town: Town, order: OrderView, clock: ManualClock) -> None:
    await open_dispute(town, order)
    clock.advance(timedelta(hours=1, seconds=1))
    for dispute_id in await town.store.scan(orders.due_disputes):
        await town.store.write(orders.expire_dispute, dispute_id=dispute_id)


async def by_own_policy(town: Town, order: OrderView, clock: ManualClock) -> None:
    assert (await support(town, order, "refund")).answer == "owed"


async def by_a_failed_redo(town: Town, order: OrderView, clock: ManualClock) -> None:
    asked = await support(town, order, "redo")
    said = {"caller": town.seller.caller, "reason": "I cannot"}
    await town.store.write(orders.fail, order_id=asked.redo_order_id, **said)


@pytest.mark.parametrize("way", [by_concession, by_silence, by_own_policy, by_a_failed_redo])
async def test_a_fake_buyer_carries_no_bond_home_while_others_may_claim(
    town: Town, clock: ManualClock, way: Callable[[Town, OrderView, ManualClock], Awaitable[None]]
):
    """T5: whatever a seller and its accomplice agree on, the bond stays for everybody else."""
    honest = await other_buyer(town)
    theirs = await honest.settled()
    order = await town.settled()
    await empty(town, town.seller)
    before = await town.available(town.buyer)

    await way(town, order, clock)

    after = await town.order(order)
    assert (after.refunded_minor, after.owed_minor) == (0, PRICE)
    assert await town.available(town.buyer) == before
    assert await pay_owed_refunds(town.store) == 0
    warden = await overseer(town.store)
    claim = await open_dispute(honest, theirs)
    given = await resolve(honest, warden, claim, PRICE)
    assert (given.refunded_minor, given.owed_minor) == (PRICE, 0)


async def test_what_the_log_decides_waits_too(store: Store):
    """T5: two that agree can make the log say that units are missing."""
    price = {"per": "call", "amount": "0.40", "currency": "XTS"}
    town = await build_town(store, minor=1_000_000_000, price=price)
    await typical(store)
    await bonded(town)
    honest = await other_buyer(town)
    await honest.settled()
    order = await delivered(town, units=2)
    await town.accept(order)
    await empty(town, town.seller)

    found = await open_dispute(town, order, "incomplete")

    assert (found.decided_by, found.refunded_minor) == ("policy", 0)
    assert found.owed_minor > 0


async def test_an_open_order_of_another_keeps_the_bond_where_it_is(town: Town):
    honest = await other_buyer(town)
    await honest.place()

    await owing(town)

    # The forfeit does not wait; what is owed to this buyer is spared by it, and more is left.
    assert (await limits(town)).bond_minor == FULL - STRIKE >= PRICE


async def test_what_two_agreed_on_is_paid_when_nobody_else_can_claim(
    town: Town, clock: ManualClock
):
    honest = await other_buyer(town)
    await honest.settled()
    order = await owing(town)
    before = await town.available(town.buyer)
    clock.advance(WEEK - SECOND)
    assert await pay_owed_refunds(town.store) == 0
    clock.advance(SECOND)

    assert await pay_owed_refunds(town.store) == 1

    assert await town.available(town.buyer) == before + PRICE
    assert (await town.order(order)).owed_minor == 0
    assert await town.store.scan(ledger.check) == []


async def test_two_that_are_owed_do_not_wait_for_each_other(town: Town, clock: ManualClock):
    honest = await other_buyer(town)
    await honest.settled()
    first, second = await town.settled(), await town.settled()
    await empty(town, town.seller)
    for order in (first, second):
        assert (await support(town, order, "refund")).answer == "owed"
    clock.advance(WEEK)

    assert await pay_owed_refunds(town.store) == 2

    assert (await limits(town)).bond_minor == FULL - 2 * NET


async def test_what_two_agreed_on_shields_no_bond(town: Town):
    """T4: an accomplice's claim is no place to keep a bond from being forfeited."""
    honest = await other_buyer(town)
    await honest.place()
    for _ in range(3):
        await town.settled()
    shields = [await town.settled() for _ in range(3)]
    await empty(town, town.seller)
    for order in shields:
        await support(town, order, "refund")
    assert (await limits(town)).bond_minor == FULL

    await failed(honest)
    await failed(honest)

    assert (await limits(town)).bond_minor == 0


# What an overseer awards


async def test_what_an_overseer_awards_is_drawn_at_once(town: Town):
    """M11: a third has looked at it; the orders of others that are open do not keep it back."""
    honest = await other_buyer(town)
    await honest.place()
    order = await town.settled()
    await empty(town, town.seller)
    before = await town.available(town.buyer)
    opened = await open_dispute(town, order)

    given = await resolve(town, await overseer(town.store), opened, PRICE)

    assert (given.refunded_minor, given.owed_minor) == (PRICE, 0)
    assert await town.available(town.buyer) == before + PRICE
    assert (await limits(town)).bond_minor == FULL - NET - STRIKE
    assert await town.store.scan(ledger.check) == []


async def test_what_two_agree_on_leaves_what_an_overseer_awarded(town: Town, clock: ManualClock):
    """M11: behind those who may still claim, and behind those who were judged to be right."""
    honest = await other_buyer(town)
    theirs = [await honest.settled() for _ in range(2)]
    order = await town.settled()
    await empty(town, town.seller)
    warden = await overseer(town.store)
    awarded = [
        await resolve(honest, warden, await open_dispute(honest, one), PRICE) for one in theirs
    ]
    assert [one.owed_minor for one in awarded] == [0, PRICE]
    left_minor = (await limits(town)).bond_minor
    part = await support(town, order, "refund", amount_minor=left_minor // 2)
    assert part.answer == "owed"
    clock.advance(MONTH)

    assert await pay_owed_refunds(town.store) == 0

    await give(town.store, town.seller, NET - left_minor, key="sales")
    assert await pay_owed_refunds(town.store) == 1
    assert (await read(honest, awarded[1])).owed_minor == 0
    assert (await town.order(order)).owed_minor == left_minor // 2


# Until when it stays


@pytest.mark.parametrize(
    "promise",
    [
        {"dispute_window_seconds": int(MONTH.total_seconds())},
        {"refund": "within-window", "refund_window_seconds": int(MONTH.total_seconds())},
        {"redo": 1, "redo_window_seconds": int(MONTH.total_seconds())},
    ],
)
async def test_a_bond_stays_for_as_long_as_the_manifest_promises(
    store: Store, clock: ManualClock, promise: dict[str, Any]
):
    """T5: who sells with a month to dispute leaves its bond for a month."""
    town = await build_town(store, minor=1_000_000_000, policies=promise)
    await typical(store)
    await bonded(town)
    order = await town.settled()
    clock.advance(MONTH)

    with pytest.raises(orders.BondNeeded) as refused:
        await move(town, orders.release_bond, FULL)

    assert refused.value.facts["order_id"] == order.id
    assert until_of(refused.value) == NOON + MONTH
    clock.advance(SECOND)
    assert (await move(town, orders.release_bond, FULL)).bond_minor == 0
    await ledger_is_whole(store)


async def test_a_redo_begins_the_time_of_the_bond_anew(store: Store, clock: ManualClock):
    promise = {"redo": 1, "redo_window_seconds": 60, "dispute_window_seconds": 30 * 86_400}
    town = await build_town(store, minor=1_000_000_000, policies=promise)
    await bonded(town)
    order = await town.settled()
    clock.advance(SECOND)
    again = (await support(town, order, "redo")).redo_order_id
    redo = await town.store.read(orders.order, caller=town.buyer.caller, order_id=again)
    clock.advance(SECOND)
    await town.deliver(redo, 0, units=4)
    await town.complete(redo)
    clock.advance(MONTH)

    with pytest.raises(orders.BondNeeded):
        await move(town, orders.release_bond, 1)

    clock.advance(SECOND)
    assert (await move(town, orders.release_bond, 1)).bond_minor == FULL - 1


async def test_an_order_of_which_nothing_is_left_keeps_no_bond(store: Store, clock: ManualClock):
    promise = {"dispute_window_seconds": 30 * 86_400}
    town = await build_town(store, minor=1_000_000_000, policies=promise)
    await bonded(town)
    await refund(town, await town.settled())
    clock.advance(WEEK + SECOND)

    assert (await move(town, orders.release_bond, FULL)).bond_minor == 0


# What a lost dispute costs


async def test_a_dispute_costs_the_bond_in_proportion(town: Town):
    """One unit of four is a quarter of a failure, and four such disputes are no more than one."""
    order = await town.settled()

    for number in range(1, 4):
        await answer(town, await open_dispute(town, order, claim_minor=PRICE // 4), "concede")
        assert (await limits(town)).bond_minor == FULL - number * STRIKE // 4

    assert (await messages(town)).count("bond.forfeited") == 3
    await ledger_is_whole(town.store)


async def test_the_smallest_dispute_costs_one_unit(town: Town):
    order = await town.settled()

    await answer(town, await open_dispute(town, order, claim_minor=1), "concede")

    assert (await limits(town)).bond_minor == FULL - -(-STRIKE // PRICE)


async def test_a_dispute_that_was_owed_costs_the_bond_once_it_is_paid(store: Store):
    """T5: an empty wallet saves nobody from the forfeit; it comes behind the buyer's refund."""
    town = await build_town(store, minor=1_000_000_000)
    order = await town.settled()
    await empty(town, town.seller)
    await typical(store)
    await bonded(town, minor=NET // 2)
    dispute = await answer(town, await open_dispute(town, order), "concede")
    assert (dispute.refunded_minor, dispute.owed_minor) == (0, PRICE)
    assert (await limits(town)).bond_minor == NET // 2
    await give(store, town.seller, NET, key="sales")

    assert await pay_owed_refunds(store) == 1

    after = await read(town, dispute)
    assert (after.refund_minor, after.refunded_minor, after.owed_minor) == (PRICE, PRICE, 0)
    assert await town.available(town.seller) == 0
    assert (await limits(town)).bond_minor == 0
    assert (await messages(town)).count("bond.forfeited") == 1
    assert await store.scan(ledger.check) == []


def until_of(refusal: orders.BondNeeded) -> datetime:
    """The moment that a refusal names."""
    return parse_rfc3339(str(refusal.detail).rsplit(" ", 1)[1].rstrip("."))
