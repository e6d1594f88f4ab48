"""The audit's rules over holds, payees, mandates, endings and kept answers: each planted, named."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from sqlalchemy import bindparam, insert, update

from market import orders, sessions
from market.audit import Finding, audit
from market.base.clock import ManualClock
from market.base.once import Once, answers
from market.base.sql import Sql
from market.base.store import Store
from market.base.tables import UtcDateTime
from market.base.work import UnitOfWork
from market.ledger.tables import accounts
from market.mandates.tables import mandates
from market.orders.tables import receipts
from market.protocol.commitments import OrderClaims
from market.protocol.wire import OpenSession, OrderView, PlaceOrder, SessionView
from tests.damage import spoil
from tests.factories import Party, Town, build_town, enter, mandate

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
PRICE = 400_000


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


async def findings_of(store: Store) -> list[Finding]:
    return await store.scan(audit)


async def only_finding(store: Store) -> Finding:
    [finding] = await findings_of(store)
    return finding


async def placed_once(town: Town, key: str = "key-1") -> OrderView:
    """An order placed under an idempotency key, as over HTTP."""
    quote = await town.quote()
    signed = town.buyer.signs(
        OrderClaims,
        quote_id=quote.id,
        quote_digest=quote.digest,
        seller_id=quote.seller_id,
        amount_minor=quote.amount_minor,
        currency=quote.currency,
    )
    return await town.store.write_once(
        Once(town.buyer.id, key, "fingerprint"),
        orders.place,
        caller=town.buyer.caller,
        request=PlaceOrder(quote_id=quote.id, commitment=signed.token),
        signed=signed,
    )


# Holds


async def test_a_hold_that_nobody_ended_in_time_is_named(town: Town, clock: ManualClock):
    forgotten = await town.place()
    clock.advance(timedelta(hours=1))
    await town.place()

    finding = await only_finding(town.store)

    assert (finding.rule, finding.where) == ("holds", f"order {forgotten.id}")
    assert finding.detail == (
        "expected to have ended at 2026-11-22T12:10:00.000000Z, found placed with "
        f"{PRICE} held at 2026-11-22T13:00:00.000000Z"
    )


async def test_a_store_that_rested_is_as_old_as_its_last_write(town: Town, clock: ManualClock):
    await town.place()

    clock.advance(timedelta(days=1))

    assert await findings_of(town.store) == []


async def test_a_sweep_may_take_its_time(town: Town, clock: ManualClock):
    await town.place()
    clock.advance(timedelta(seconds=659))
    await town.place()

    assert await findings_of(town.store) == []


# Payees


async def test_money_that_went_to_a_stranger_is_named(town: Town):
    """Whoever edits an account's owner has not changed one sum."""
    order = await town.settled()
    stranger = await enter(town.store, "stranger", "seller")

    given = update(accounts).where(accounts.c.owner_id == bindparam("seller_id"))
    await spoil(
        town.store,
        accounts,
        given.values(owner_id=bindparam("stranger_id")),
        seller_id=town.seller.id,
        stranger_id=stranger.id,
    )

    wrongful, short, unearned = await findings_of(town.store)
    assert {wrongful.rule, short.rule, unearned.rule} == {"movements"}
    assert unearned.detail == "expected 0 earned, found 394000"
    assert wrongful.where.startswith("transaction txn_")
    assert f"escrow.capture of order {order.id}" in wrongful.detail
    assert f"found 394000 on an account of {stranger.id}" in wrongful.detail
    assert short.where == f"order {order.id}"
    assert "expected the seller to get 394000" in short.detail


async def test_a_seller_that_counts_more_than_it_earned_is_named(town: Town):
    await town.settled()

    more = update(accounts).where(accounts.c.owner_id == bindparam("seller_id"))
    counted = more.values(earned_minor=accounts.c.earned_minor + 1)
    await spoil(town.store, accounts, counted, seller_id=town.seller.id)

    finding = await only_finding(town.store)
    assert finding.where.startswith("account acc_")
    assert finding.detail == "expected 394000 earned, found 394001"


# Endings


async def test_an_order_that_ended_twice_is_named(town: Town):
    order = await town.settled()

    [issued] = await town.store.scan(lambda snapshot: snapshot.all(Sql(receipts.select())))
    again = insert(receipts).values(**(issued._asdict() | {"id": "rcp_again"}))
    await spoil(town.store, receipts, again)
    body = {"captured_minor": 0, "fee_minor": 0, "returned_minor": 0, "currency": "XTS"}
    failed = sessions.NewEvent("order.failed", "market", body, order.id)
    await town.store.write(sessions.append, session_id=order.session_id, events=[failed])

    found = await findings_of(town.store)
    details = {finding.detail for finding in found if finding.where == f"order {order.id}"}
    assert f"expected one receipt of its ending, found 2: {min('rcp_again', issued.id)} to " in (
        "".join(details)
    )
    assert "order.failed at offset 8, when it had been settled" in details


# Mandates


async def bound(store: Store, **limits: Any) -> tuple[Town, Party, OrderView]:
    """An order under a mandate with these limits, and the principal that gave it."""
    principal = await enter(store, "boss", "principal")
    town = await build_town(store, principal=principal)
    given = await mandate(principal, town.buyer, **limits)
    return town, principal, await town.place(mandate_id=given.id)


HOURLY = {"period_budget_minor": 10 * PRICE, "period_seconds": 3_600}


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"period_spent_minor": PRICE - 1}, f"{PRICE - 1} by 1"),
        ({"period_orders": 2}, f"{PRICE} by 2"),
    ],
)
async def test_a_period_that_counted_wrongly_is_named(
    store: Store, changes: dict[str, int], found: str
):
    _, _, order = await bound(store, **HOURLY)
    assert await findings_of(store) == []

    await spoil(store, mandates, update(mandates).values(**changes))

    finding = await only_finding(store)
    assert (finding.rule, finding.where) == ("mandates", f"mandate {order.mandate_id}")
    assert finding.detail == (
        f"expected {PRICE} to {PRICE} spent by 1 to 1 orders in period 0, found {found}"
    )


async def test_periods_that_follow_each_other_leave_the_store_whole(
    store: Store, clock: ManualClock
):
    town, _, first = await bound(store, **HOURLY)
    clock.advance(timedelta(seconds=3_600))
    await store.write(orders.expire, order_id=first.id)
    second = await town.place(mandate_id=first.mandate_id)

    assert await findings_of(store) == []

    await spoil(store, mandates, update(mandates).values(period_spent_minor=0))
    assert (await only_finding(store)).where == f"mandate {second.mandate_id}"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"buyer_id": "somebody"}, "of somebody in XTS"),
        ({"currency": "EUR"}, "in EUR, 0 s"),
        ({"revoked_at": NOON - timedelta(seconds=60)}, "60 s after its end"),
        ({"expires_at": NOON - timedelta(seconds=31)}, "31 s after its end"),
    ],
)
async def test_an_order_that_its_mandate_did_not_allow_is_named(
    store: Store, changes: dict[str, Any], said: str
):
    _, _, order = await bound(store)

    await spoil(store, mandates, update(mandates).values(**moments(changes)))

    finding = await only_finding(store)
    assert (finding.rule, finding.where) == ("mandates", f"order {order.id}")
    assert said in finding.detail


def moments(changes: dict[str, Any]) -> dict[str, Any]:
    """Moments as their column keeps them: a statement of a test binds them itself."""
    return {
        name: value if isinstance(value, str) else bindparam(None, value, type_=UtcDateTime())
        for name, value in changes.items()
    }


# Kept answers


async def test_answers_whose_effects_are_there_are_whole(town: Town):
    await placed_once(town)
    await town.store.write_once(
        Once(town.buyer.id, "key-2", "fingerprint"), open_session, buyer=town.buyer
    )

    assert await findings_of(town.store) == []


def open_session(uow: UnitOfWork, *, buyer: Party) -> SessionView:
    return sessions.open_session(
        uow, buyer_id=buyer.id, principal_id=None, request=OpenSession(need="pages")
    )


async def test_an_answer_that_tells_of_another_order_than_there_is_is_named(town: Town):
    order = await placed_once(town)
    cheaper = update(answers).values(answer=bindparam("text"))

    told = msgspec.json.encode(msgspec.structs.replace(order, amount_minor=1)).decode()
    await spoil(town.store, answers, cheaper, text=told)

    finding = await only_finding(town.store)
    assert (finding.rule, finding.where) == ("answers", f"answer {town.buyer.id} key-1")
    assert finding.detail == f"expected amount_minor 1 in {order.id}, found {PRICE}"


@pytest.mark.parametrize("prefix", ["ord", "rev", "mdt", "ses"])
async def test_an_answer_without_its_effect_is_named(town: Town, prefix: str):
    await placed_once(town)
    thing = f"{prefix}_00000000000000000000000000"

    lost = update(answers).values(answer=bindparam("text"))
    await spoil(town.store, answers, lost, text=f'{{"id": "{thing}"}}')

    finding = await only_finding(town.store)
    assert finding.where == f"answer {town.buyer.id} key-1"
    assert finding.detail == f"expected {thing}, which it told of; found nothing"


@pytest.mark.parametrize("damaged", ["{", '{"id": 7}', '{"order_id": "ord_of_nobody"}'])
async def test_a_damaged_answer_is_named(town: Town, damaged: str):
    await placed_once(town)

    await spoil(town.store, answers, update(answers).values(answer=bindparam("t")), t=damaged)

    assert (await only_finding(town.store)).rule == "answers"


async def test_answers_are_read_to_the_last_page(town: Town):
    def keep_many(uow: UnitOfWork) -> None:
        for number in range(1_001):
            uow.run(
                Sql(insert(answers)),
                agent_id="agent",
                key=f"key-{number:05}",
                fingerprint="fingerprint",
                answer="[]" if number < 1_000 else '{"id": "ord_of_nobody"}',
                is_refusal=False,
                answered_at=uow.now,
            )

    await town.store.write(keep_many)

    assert (await only_finding(town.store)).where == "answer agent key-01000"
