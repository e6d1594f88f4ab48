"""Gates: bonds, order caps and freezes, as orders go well and badly."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from market import catalog, chores, identity, inbox, ledger, mandates, orders
from market.audit import audit
from market.base.clock import Clock, ManualClock
from market.base.errors import InsufficientScope, NotFound
from market.base.migration import downgrade, migrate
from market.base.settings import Settings
from market.base.store import Store
from market.protocol.wire import (
    Chunk,
    GiveRefund,
    MoveBond,
    OrderView,
    ReleasePayment,
    SellerLimitsView,
)
from market.trust import batches
from tests.aftermath import answer, empty, open_dispute, resolve, support
from tests.factories import (
    Party,
    Town,
    build_town,
    enter,
    mandate,
    post_review,
    publish,
    race,
)
from tests.workers import Hold, somebody_waits, two_workers

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PRICE = 400_000
FEE = 6_000
WEEK = timedelta(days=7)
FULL_REFUND = GiveRefund(reason="it was not as I said")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def store(settings: Settings, clock: Clock) -> Iterator[Store]:
    opened = Store.open(
        settings.with_(typical_after_orders=2, start_cap_orders=4, signup_grant_minor=0),
        clock=clock,
    )
    yield opened
    opened.close()


@pytest.fixture
async def town(store: Store) -> Town:
    return await build_town(store, minor=1_000_000_000)


async def typical(store: Store, minor: int = PRICE) -> None:
    """Let a typical order cost this much."""
    await store.write(catalog.set_order_limits, currency="XTS", typical_minor=minor, orders=100)


async def batch(store: Store) -> None:
    """Let trust weigh everything now."""
    prepared = await store.scan(batches.prepare)
    assert await store.write(batches.put, prepared=prepared)


async def limits(town: Town, seller: Party | None = None) -> SellerLimitsView:
    return await town.store.read(orders.seller_limits, seller_id=(seller or town.seller).id)


async def move(
    town: Town, verb: Any, minor: int, *, by: Party | None = None, key: str = "one"
) -> SellerLimitsView:
    return await town.store.write(
        verb,
        caller=(by or town.seller).caller,
        request=MoveBond(amount_minor=minor, currency="XTS"),
        idempotency_key=key,
    )


async def give(store: Store, party: Party, minor: int, *, key: str = "given") -> None:
    await store.write(
        ledger.mint, agent_id=party.id, amount_minor=minor, currency="XTS", idempotency_key=key
    )


async def bonded(town: Town, *, minor: int = 3 * PRICE) -> None:
    await give(town.store, town.seller, minor)
    await move(town, orders.post_bond, minor)


async def failed(town: Town, **changes: Any) -> OrderView:
    order = await town.place(**changes)
    return await town.store.write(
        orders.fail, caller=town.seller.caller, order_id=order.id, reason="I cannot"
    )


async def frozen(town: Town) -> None:
    """Let the seller fail until it is frozen."""
    for _ in range(2):
        await failed(town)
    assert (await limits(town)).frozen_since is not None


async def overseer(store: Store) -> Party:
    """An overseer by its token; nothing here asks who registered it."""
    party = await enter(store, "watch", "seller")
    scopes = frozenset(identity.SCOPES["overseer"])
    return party._replace(caller=party.caller._replace(kind="overseer", scopes=scopes))


async def messages(town: Town) -> list[str]:
    """The kinds of what stands in the seller's inbox."""
    view = await town.store.read(inbox.read, caller=town.seller.caller, after=-1, limit=100)
    return [message.kind for message in view.items]


async def ledger_is_whole(store: Store) -> None:
    assert await store.scan(ledger.check) == []
    assert await store.scan(orders.check) == []
    assert [found for found in await store.scan(audit) if found.rule == "movements"] == []


# The typical order


async def test_a_young_market_has_no_typical_order_and_limits_nobody(town: Town):
    await town.settled()

    assert await town.store.scan(orders.typical_order) is None
    shown = await limits(town)
    assert (shown.typical_minor, shown.order_cap_minor, shown.bond_due_minor) == (None, None, 0)
    assert not shown.is_on_probation


async def test_a_typical_order_is_the_median_of_thirty_days(
    town: Town, store: Store, clock: ManualClock
):
    await town.settled()
    await town.settled()
    assert await chores.renew_order_limits(store) == 0  # before trust has weighed anything
    await batch(store)

    assert await chores.renew_order_limits(store) == 1

    shown = await limits(town)
    assert (shown.typical_minor, shown.bond_due_minor) == (PRICE, 3 * PRICE)
    assert shown.order_cap_minor == 4 * PRICE
    assert await chores.renew_order_limits(store) == 0  # it stands for an hour
    clock.advance(timedelta(days=31))
    assert await store.scan(orders.typical_order) is None  # and nothing settled since


async def test_a_failed_order_says_nothing_of_what_is_typical(town: Town):
    await failed(town)
    await failed(town)
    await batch(town.store)

    assert await town.store.scan(orders.typical_order) is None


# Order caps


async def test_nobody_without_a_past_gets_an_order_above_the_start_cap(town: Town):
    """T5: cheap sales first, then one big order: the cap is tied to what was earned."""
    await typical(town.store, PRICE // 4)
    await town.quote()  # four typical orders are just within the cap
    await typical(town.store, PRICE // 5)

    with pytest.raises(catalog.OrderCapExceeded) as refused:
        await town.quote()

    assert refused.value.facts["cap_minor"] == 4 * (PRICE // 5)
    assert refused.value.facts["amount_minor"] == PRICE


async def test_a_quote_from_before_is_not_redeemed_above_the_cap(town: Town):
    """T5: a quote that was made while the cap was higher does not pass under it."""
    quote = await town.quote()
    await typical(town.store, PRICE // 5)

    with pytest.raises(catalog.OrderCapExceeded):
        await town.place(quote)

    await typical(town.store)
    assert (await town.place(quote)).state == "placed"  # the refusal has not used it up


async def test_the_cap_grows_to_a_tenth_of_what_was_earned_and_shrinks_with_refunds(town: Town):
    """T5: the cap is proven volume, as the ledger has it."""
    store = town.store
    for _ in range(5):
        order = await town.settled()
    earned = 5 * (PRICE - FEE)
    await typical(store, 10_000)

    assert (await limits(town)).order_cap_minor == earned // 10

    await store.write(
        orders.refund, caller=town.seller.caller, order_id=order.id, request=FULL_REFUND
    )
    assert (await limits(town)).order_cap_minor == (earned - PRICE + FEE) // 10
    await ledger_is_whole(store)


# Bonds


async def test_a_seller_posts_a_bond_and_a_repeat_posts_no_more(town: Town):
    await typical(town.store)
    await give(town.store, town.seller, 5 * PRICE)

    shown = await move(town, orders.post_bond, 3 * PRICE)
    again = await move(town, orders.post_bond, 3 * PRICE)

    assert shown == again
    assert (shown.bond_minor, shown.bond_due_minor) == (3 * PRICE, 3 * PRICE)
    assert not shown.is_on_probation
    assert await town.available(town.seller) == 2 * PRICE
    await ledger_is_whole(town.store)


async def test_a_bond_that_the_wallet_does_not_hold_is_not_posted(town: Town):
    with pytest.raises(ledger.InsufficientFunds):
        await move(town, orders.post_bond, 1)

    assert (await limits(town)).bond_minor == 0


async def test_only_sellers_post_bonds_and_in_the_markets_currency(town: Town):
    with pytest.raises(InsufficientScope):
        await move(town, orders.post_bond, 1, by=town.buyer)
    with pytest.raises(ledger.CurrencyMismatch):
        await town.store.write(
            orders.post_bond,
            caller=town.seller.caller,
            request=MoveBond(amount_minor=1, currency="EUR"),
            idempotency_key="one",
        )


async def test_nobody_but_a_seller_has_limits(town: Town):
    with pytest.raises(NotFound):
        await limits(town, town.buyer)


async def test_on_probation_earnings_fill_the_bond_before_they_are_paid_out(town: Town):
    """T4: a bond may be earned: nothing is paid out to a new identity before it is full."""
    await typical(town.store)

    for _ in range(4):
        await town.settled()

    net = PRICE - FEE
    shown = await limits(town)
    assert shown.bond_minor == 3 * PRICE
    assert not shown.is_on_probation
    assert await town.available(town.seller) == 4 * net - 3 * PRICE
    await ledger_is_whole(town.store)


async def test_a_failure_costs_half_a_bond_and_two_take_it_all(town: Town):
    """T4: a bond is forfeited on failure, to the house."""
    await typical(town.store)
    await bonded(town)
    fees = await town.store.read(ledger.house_balance, kind="fees", currency="XTS")

    await failed(town)
    assert (await limits(town)).bond_minor == 3 * PRICE // 2
    await failed(town)

    shown = await limits(town)
    assert (shown.bond_minor, shown.is_on_probation) == (0, True)
    after = await town.store.read(ledger.house_balance, kind="fees", currency="XTS")
    assert after - fees == 3 * PRICE
    assert (await messages(town)).count("bond.forfeited") == 2
    await ledger_is_whole(town.store)


async def test_a_buyer_gains_nothing_from_a_sellers_bond(town: Town):
    """T4: or a seller's own fake buyer would carry the forfeited bond home."""
    await typical(town.store)
    await bonded(town)
    before = await town.available(town.buyer)

    await failed(town)

    assert await town.available(town.buyer) == before


async def test_one_fresh_identity_that_fails_ends_poorer_than_it_began(town: Town):
    """T4: whitewashing does not pay: with the default bond a failing identity only loses.

    It takes what it can get: every order that still comes, and the buyer takes the first two as
    good, for want of looking; then it stops delivering and leaves for the next name.
    """
    store = town.store
    assert store.settings.bond_orders == Settings().bond_orders == 3
    await typical(store)
    start = 3 * PRICE
    await give(store, town.seller, start)
    await move(town, orders.post_bond, start)
    for _ in range(2):
        await town.settled()
    for _ in range(2):
        await failed(town)

    wealth = await town.available(town.seller) + (await limits(town)).bond_minor

    assert wealth < start
    await ledger_is_whole(store)


async def test_one_that_posts_no_bond_and_fails_leaves_with_nothing(town: Town):
    """T4: what an identity without a bond has earned is at stake like a bond."""
    await typical(town.store)
    for _ in range(2):
        await town.settled()
    for _ in range(2):
        await failed(town)

    assert await town.available(town.seller) == 0
    assert (await limits(town)).bond_minor == 0


async def test_a_seller_that_is_good_gets_everything_back(
    town: Town, store: Store, clock: ManualClock
):
    await typical(store)
    await bonded(town)
    await town.settled()
    clock.advance(WEEK + timedelta(seconds=1))

    shown = await move(town, orders.release_bond, 3 * PRICE)

    assert (shown.bond_minor, shown.is_on_probation) == (0, True)
    assert await town.available(town.seller) == 3 * PRICE + PRICE - FEE
    with pytest.raises(ledger.InsufficientFunds):
        await move(town, orders.release_bond, 1, key="two")
    await ledger_is_whole(store)


async def test_a_bond_stays_while_an_order_hangs_on_it(
    town: Town, store: Store, clock: ManualClock
):
    """T5: who plans to leave cannot take the bond along before the last orders are judged."""
    await typical(store)
    await bonded(town)
    order = await town.place()
    with pytest.raises(orders.BondNeeded, match="open"):
        await move(town, orders.release_bond, 1)

    await town.deliver(order, 0, units=4)
    await town.complete(order)
    await town.accept(order)
    clock.advance(WEEK - timedelta(seconds=1))

    with pytest.raises(orders.BondNeeded) as refused:
        await move(town, orders.release_bond, 1)
    assert refused.value.facts["order_id"] == order.id
    assert (await limits(town)).bond_minor == 3 * PRICE


async def test_a_stranger_cannot_release_anothers_bond(town: Town):
    await bonded(town)
    rival = await enter(town.store, "rival", "seller")

    with pytest.raises(ledger.InsufficientFunds):
        await move(town, orders.release_bond, 1, by=rival)


async def test_a_refund_that_the_wallet_cannot_cover_is_taken_from_the_bond(town: Town):
    """M11: a buyer's refund comes before a seller's bond."""
    await typical(town.store)
    order = await town.settled()  # all of it is withheld
    assert await town.available(town.seller) == 0
    before = await town.available(town.buyer)

    await judged(town, order)

    assert await town.available(town.buyer) == before + PRICE
    assert (await limits(town)).bond_minor == 0
    await ledger_is_whole(town.store)


async def test_a_refund_that_neither_covers_moves_nothing(town: Town):
    order = await town.settled()
    await move(town, orders.post_bond, PRICE - FEE)
    await typical(town.store)
    await failed(town)  # the bond goes

    with pytest.raises(ledger.RefundNotCovered):
        await town.store.write(
            orders.refund, caller=town.seller.caller, order_id=order.id, request=FULL_REFUND
        )

    await ledger_is_whole(town.store)


# Freezes


async def test_a_seller_that_fails_is_frozen_and_shown_as_such(town: Town):
    """T5: after a fall the short memory lets nothing but small orders through."""
    await typical(town.store)
    await frozen(town)

    shown = await limits(town)
    report = await town.store.read(catalog.trust_report, service_id=town.service.id)
    found = await town.store.scan(catalog.search, query=catalog.SearchQuery(q="tables"))
    assert shown.frozen_since is not None
    assert shown.order_cap_minor == PRICE  # one typical order
    assert "frozen" in report.flags
    assert found.items[0].flags == ["frozen"]
    assert "seller.frozen" in await messages(town)


async def test_a_frozen_seller_has_three_small_orders_at_a_time(town: Town):
    await typical(town.store)
    await frozen(town)
    placed = [await town.place() for _ in range(3)]

    with pytest.raises(catalog.SellerFrozen) as refused:
        await town.place()

    assert refused.value.facts["max_orders"] == 3
    await town.store.write(
        orders.fail, caller=town.seller.caller, order_id=placed[0].id, reason="no"
    )
    assert (await town.place()).state == "placed"


async def test_of_many_racing_orders_a_frozen_seller_gets_three(town: Town):
    """T5: the count holds against orders that are placed at once."""
    await typical(town.store)
    await frozen(town)
    quotes = [await town.quote() for _ in range(8)]

    orders_left = iter(quotes)
    refused = await race(8, lambda: town.place(next(orders_left)), collect=catalog.SellerFrozen)

    assert len(refused) == 5


async def test_three_good_orders_in_a_row_end_a_freeze(town: Town):
    await typical(town.store)
    await frozen(town)
    await town.settled()
    await town.settled()
    assert (await limits(town)).frozen_since is not None

    await town.settled()

    assert (await limits(town)).frozen_since is None
    assert (await limits(town)).order_cap_minor == 4 * PRICE
    assert "seller.unfrozen" in await messages(town)


async def test_a_failure_in_between_begins_the_count_anew(town: Town):
    await typical(town.store)
    await frozen(town)
    await town.settled()
    await town.settled()
    await failed(town)
    await town.settled()

    assert (await limits(town)).frozen_since is not None


async def test_orders_for_next_to_nothing_end_no_freeze(town: Town):
    """T5: a seller that buys three trifles of itself has not recovered; three real orders do it."""
    await town.settled()
    await batch(town.store)
    await typical(town.store)
    for _ in range(3):
        await failed(town)
    assert (await limits(town)).frozen_since is not None
    trifle = {"per": "call", "amount": "0.000004", "currency": "XTS"}
    service = await publish(town.seller, id="trifle", price=trifle)
    for number in range(4):
        fake = await enter(town.store, f"fake-{number}", "buyer")
        await give(town.store, fake, 100)
        await town._replace(buyer=fake, service=service).settled()
    assert (await limits(town)).frozen_since is not None

    for _ in range(3):
        await town.settled()

    assert (await limits(town)).frozen_since is None


async def test_an_order_that_is_never_approved_gives_its_place_back(
    store: Store, clock: ManualClock
):
    """The count of a frozen seller's orders survives those that it never hears of."""
    principal = await enter(store, "house", "principal")
    town = await build_town(store, principal=principal)
    await typical(store)
    given = await mandate(principal, town.buyer)
    for _ in range(2):
        await failed(town, mandate_id=given.id)
    await store.write(
        mandates.revoke, caller=principal.caller, mandate_id=given.id, reason="another comes"
    )
    given = await mandate(principal, town.buyer, approval_over_minor=1)

    for _ in range(4):
        waiting = await town.place(mandate_id=given.id)
        assert waiting.state == "awaiting_approval"
        clock.advance(timedelta(hours=1))
        assert await store.write(orders.expire, order_id=waiting.id) == "approval_expired"

    assert (await limits(town)).frozen_since is not None


async def test_an_overseer_lifts_a_freeze_and_says_why(town: Town):
    await typical(town.store)
    await frozen(town)
    watch = await overseer(town.store)

    shown = await town.store.write(
        orders.unfreeze, caller=watch.caller, seller_id=town.seller.id, reason="a storm, not them"
    )

    assert shown.frozen_since is None
    with pytest.raises(catalog.NotFrozen):
        await town.store.write(
            orders.unfreeze, caller=watch.caller, seller_id=town.seller.id, reason="again"
        )


async def test_nobody_else_lifts_a_freeze(town: Town):
    await frozen(town)

    for party in (town.seller, town.buyer):
        with pytest.raises(InsufficientScope):
            await town.store.write(
                orders.unfreeze, caller=party.caller, seller_id=town.seller.id, reason="please"
            )
    assert (await limits(town)).frozen_since is not None


async def test_one_failure_among_many_good_orders_freezes_nobody(store: Store, town: Town):
    for _ in range(4):
        await town.settled()
    for number in range(6):
        other = await enter(store, f"buyer-{number}", "buyer")
        await give(store, other, 10 * PRICE)
        await town._replace(buyer=other).settled()

    await failed(town)

    assert (await limits(town)).frozen_since is None


# Newcomers in search


async def test_a_newcomer_with_its_bond_gets_a_place_that_its_rank_does_not_give(store: Store):
    """T4: exploration slots are for those who have put a bond at stake."""
    buyer = await enter(store, "buyer", "buyer")
    sellers = [await listed(store, number) for number in range(40)]
    for seller in sellers:
        await give(store, seller, 100 * PRICE)
    await typical(store)
    town = Town(store, buyer, sellers[-1], None)  # type: ignore[arg-type]

    assert await explored(store) == set()  # nobody has a bond yet
    for seller in sellers[30:]:
        await move(town, orders.post_bond, 3 * PRICE, by=seller)

    shown = await explored(store)
    assert shown
    assert shown <= {seller.id for seller in sellers[30:]}


async def test_pages_of_a_search_show_every_service_once_with_newcomers_among_them(store: Store):
    sellers = [await listed(store, number) for number in range(40)]
    for seller in sellers:
        await give(store, seller, 100 * PRICE)
    await typical(store)
    town = Town(store, sellers[0], sellers[0], None)  # type: ignore[arg-type]
    for seller in sellers[20:]:
        await move(town, orders.post_bond, 3 * PRICE, by=seller)

    shown, cursor = [], None
    while True:
        query = catalog.SearchQuery(q="tables", limit=12, cursor=cursor)
        page = await store.scan(catalog.search, query=query, lot="somebody")
        shown += [item.service_id for item in page.items]
        cursor = page.next
        if cursor is None:
            break

    assert len(shown) == len(set(shown)) == 40


async def listed(store: Store, number: int) -> Party:
    seller = await enter(store, f"seller-{number}", "seller")
    price = {"per": "call", "amount": f"0.{41 + number}", "currency": "XTS"}
    await publish(seller, id=f"tables-{number}", price=price)
    return seller


async def explored(store: Store) -> set[str]:
    """The sellers that first pages show for being new, for some who ask."""
    found = set()
    for number in range(10):
        page = await store.scan(
            catalog.search, query=catalog.SearchQuery(q="tables"), lot=f"agent-{number}"
        )
        found |= {item.seller_id for item in page.items if "explored" in item.parts}
    return found


# Among the other rooms


async def test_bad_words_of_the_crowd_freeze_nobody(town: Town):
    """T3: the short memory is deaf to reviews of buyers whom nobody vouches for."""
    for _ in range(4):
        await review(town, await town.settled(), "bad")
    await batch(town.store)

    await review(town, await town.settled(), "bad")

    assert (await limits(town)).frozen_since is None


async def test_a_refund_of_ones_own_will_costs_no_bond(town: Town):
    await bonded(town)
    await typical(town.store)
    order = await town.settled()

    await town.store.write(
        orders.refund, caller=town.seller.caller, order_id=order.id, request=FULL_REFUND
    )

    assert (await limits(town)).bond_minor == 3 * PRICE


async def test_a_dispute_that_a_seller_loses_costs_its_bond(town: Town):
    """T5: the refund first, from the wallet; then the bond answers for the fault."""
    store = town.store
    await bonded(town)
    await typical(store)
    order = await town.settled()

    await conceded(town, order)

    assert (await town.order(order)).refunded_minor == PRICE
    assert (await limits(town)).bond_minor == 3 * PRICE // 2
    await ledger_is_whole(store)


@pytest.mark.parametrize("units", [2, 4])
async def test_a_dispute_costs_the_bond_the_same_before_and_after_the_settlement(
    town: Town, units: int
):
    """T5: who disputes a delivery at once is no kinder to its seller than who accepts it first."""
    store = town.store
    await bonded(town)
    await typical(store)
    order = await town.place()
    await town.deliver(order, 0, units=4)
    await town.complete(order)

    await conceded(town, order, claim_minor=units * PRICE // 4)

    assert (await limits(town)).bond_minor == 3 * PRICE - units * (3 * PRICE // 2) // 4
    await ledger_is_whole(store)


async def test_what_a_buyer_had_released_comes_out_of_the_bond_before_it_is_forfeited(town: Town):
    """M11: a buyer's refund comes first: here it takes more than a forfeit would leave."""
    store = town.store
    await bonded(town, minor=PRICE)
    order = await released(town)
    await empty(town, town.seller)
    await town.complete(order)
    before = await town.available(town.buyer)
    await typical(store)

    await conceded(town, order)

    after = await town.order(order)
    assert (after.state, after.refunded_minor, after.owed_minor) == ("failed", PRICE, 0)
    assert await town.available(town.buyer) == before + PRICE
    assert (await limits(town)).bond_minor == 0
    assert (await messages(town)).count("bond.forfeited") == 1  # of what was left: the fee's part
    assert await store.scan(ledger.check) == []


async def test_what_is_refused_three_times_goes_back_before_the_bond_is_forfeited(town: Town):
    """M11: also of what the buyer had released, and without anybody's word."""
    store = town.store
    await bonded(town, minor=PRICE)
    order = await released(town)
    await empty(town, town.seller)
    await typical(store)

    for _ in range(orders.MAX_REJECTED):
        with pytest.raises(orders.OutputDoesNotFit):
            await store.write(
                orders.deliver,
                caller=town.seller.caller,
                order_id=order.id,
                chunk=Chunk(index=1, units=0, output={"no": "such member"}),
            )

    after = await town.order(order)
    assert (after.state, after.refunded_minor, after.owed_minor) == ("failed", PRICE, 0)
    assert await store.scan(ledger.check) == []


async def test_a_redo_that_fails_gives_back_before_the_bond_is_forfeited(store: Store):
    """M11: also where the first order was released, and was still inspected."""
    town = await build_town(store, minor=1_000_000_000, policies={"redo": 1})
    await bonded(town, minor=PRICE)
    order = await released(town)
    await town.complete(order)
    asked = await support(town, order, "redo")
    await empty(town, town.seller)
    await typical(store)

    await store.write(
        orders.fail, caller=town.seller.caller, order_id=asked.redo_order_id, reason="I cannot"
    )

    after = await town.order(order)
    assert (after.state, after.refunded_minor, after.owed_minor) == ("failed", PRICE, 0)
    assert await store.scan(ledger.check) == []


async def test_what_a_seller_owes_to_a_buyer_does_not_fall_to_the_house(town: Town):
    """M11: a bond too small for what an overseer awarded is not forfeited for the next failure."""
    store = town.store
    order = await town.settled()
    await empty(town, town.seller)
    await typical(store)
    await give(store, town.seller, PRICE // 2)
    await move(town, orders.post_bond, PRICE // 2)
    await judged(town, order)
    assert (await town.order(order)).owed_minor == PRICE

    await failed(town)

    assert (await limits(town)).bond_minor == PRICE // 2
    await give(store, town.seller, PRICE // 2, key="sales")
    assert await chores.pay_owed_refunds(store) == 1
    assert (await town.order(order)).refunded_minor == PRICE
    assert await store.scan(ledger.check) == []


async def test_two_workers_forfeit_one_bond_without_a_refusal(postgres_settings: Settings):
    """M14: who fails two orders at once loses its bond once; neither failure is refused."""
    settings = postgres_settings.with_(signup_grant_minor=0)
    with two_workers(settings, clock=ManualClock(NOON)) as (left, right):
        town = await build_town(left, minor=1_000_000_000)
        await typical(left)
        await bonded(town, minor=PRICE)
        placed = [await town.place() for _ in range(2)]
        said = {"caller": town.seller.caller, "reason": "I cannot"}
        first = Hold(orders.fail)
        failing = asyncio.create_task(left.write(first, order_id=placed[0].id, **said))
        await first.has_worked()
        too = asyncio.create_task(right.write(orders.fail, order_id=placed[1].id, **said))
        await somebody_waits(settings)
        first.let_go()

        ended = [await failing, await too]

        assert [order.state for order in ended] == ["failed", "failed"]
        assert (await limits(town)).bond_minor == 0
        await ledger_is_whole(left)


async def test_going_back_before_there_were_bonds_loses_no_money(town: Town, settings: Settings):
    """A bond goes back to its wallet by a transaction, like any other money."""
    await bonded(town)
    await town.settled()
    town.store.close()

    downgrade(settings, revision="0022")
    migrate(settings)

    store = Store.open(settings)
    try:
        assert await store.scan(ledger.check) == []
        again = town._replace(store=store)
        assert await again.available(town.seller) == 3 * PRICE + PRICE - FEE
        await typical(store, 100)
        shown = await limits(again)
        assert (shown.bond_minor, shown.order_cap_minor) == (0, (PRICE - FEE) // 10)
    finally:
        store.close()


async def released(town: Town) -> OrderView:
    """A bought order of which all units are delivered in one part, and paid; it still runs."""
    order = await town.place()
    await town.deliver(order, 0, units=4)
    return await town.store.write(
        orders.release,
        caller=town.buyer.caller,
        order_id=order.id,
        request=ReleasePayment(units=None),
    )


async def conceded(town: Town, order: OrderView, **more: Any) -> None:
    """A dispute that the seller loses by its own word."""
    await answer(town, await open_dispute(town, order, **more), "concede")


async def judged(town: Town, order: OrderView) -> None:
    """A dispute that an overseer decides for the buyer, before the seller has said a word."""
    opened = await open_dispute(town, order)
    warden = await overseer(town.store)
    await resolve(town, warden, opened, opened.claim_minor)


async def review(town: Town, order: OrderView, verdict: str) -> None:
    await post_review(town.buyer, order, verdict=verdict)
