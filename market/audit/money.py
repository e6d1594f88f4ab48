"""Money across rooms: escrows, movements and mandates against orders, as queries for what is not.

The databases do the comparing; each query returns the rows that break a rule, at most ``MAX_ROWS``.
"""

from typing import Any, Final

from sqlalchemy import and_, case, func, or_, select

from market.audit.findings import MAX_ROWS, Finding
from market.audit.logs import ACTS, NUMBERED
from market.base.sql import Sql, sum_of
from market.base.work import Snapshot
from market.ledger.tables import accounts, postings, transactions
from market.mandates.tables import mandates
from market.orders import ENDED
from market.orders.tables import orders


def _flow(reason: str) -> Any:
    return sum_of(case((transactions.c.reason == reason, postings.c.amount_minor)))


_held, _captured, _voided = map(_flow, ("escrow.hold", "escrow.capture", "escrow.void"))
_is_ended = or_(*(orders.c.state == state for state in sorted(ENDED)))
_owed = case((_is_ended, 0), else_=orders.c.amount_minor - orders.c.captured_minor)
_ORDER = [
    orders.c.id,
    orders.c.state,
    orders.c.amount_minor,
    orders.c.captured_minor,
    orders.c.returned_minor,
    accounts.c.balance_minor,
]
_ESCROWS: Final = Sql(
    select(
        *_ORDER,
        _held.label("held_minor"),
        (-_captured).label("taken_minor"),
        (-_voided).label("voided_minor"),
    )
    .outerjoin_from(orders, accounts, accounts.c.id == orders.c.escrow_id)
    .outerjoin(postings, postings.c.account_id == accounts.c.id)
    .outerjoin(transactions, transactions.c.id == postings.c.transaction_id)
    .group_by(*_ORDER)
    .having(
        or_(
            accounts.c.balance_minor.is_(None),
            accounts.c.balance_minor != _owed,
            _held != orders.c.amount_minor,
            -_captured != orders.c.captured_minor,
            -_voided != orders.c.returned_minor,
        )
    )
    .limit(MAX_ROWS)
)
_ESCROWS_OF_NOBODY: Final = Sql(
    select(accounts.c.id, accounts.c.owner_id, accounts.c.balance_minor)
    .outerjoin_from(accounts, orders, orders.c.escrow_id == accounts.c.id)
    .where(
        accounts.c.kind == "escrow",
        or_(orders.c.id.is_(None), orders.c.id != accounts.c.owner_id),
    )
    .limit(MAX_ROWS)
)
_STRAY: Final = Sql(
    select(transactions.c.id, transactions.c.reason, transactions.c.order_id)
    .outerjoin_from(transactions, orders, orders.c.id == transactions.c.order_id)
    .where(
        transactions.c.order_id.is_not(None),
        or_(
            orders.c.id.is_(None),
            and_(
                transactions.c.idempotency_key.not_in(
                    [transactions.c.order_id + f":{act}" for act in ACTS]
                ),
                *(
                    transactions.c.idempotency_key.not_like(transactions.c.order_id + f":{act}:%")
                    for act in NUMBERED
                ),
            ),
        ),
    )
    .limit(MAX_ROWS)
)
_used = sum_of(orders.c.amount_minor - orders.c.returned_minor)
_MANDATE = [mandates.c.id, mandates.c.spent_minor, mandates.c.orders]
_MANDATES: Final = Sql(
    select(*_MANDATE, _used.label("used_minor"), func.count(orders.c.id).label("placed"))
    .outerjoin_from(mandates, orders, orders.c.mandate_id == mandates.c.id)
    .group_by(*_MANDATE)
    .having(or_(_used != mandates.c.spent_minor, func.count(orders.c.id) != mandates.c.orders))
    .limit(MAX_ROWS)
)


def escrows(snapshot: Snapshot) -> list[Finding]:
    """V4, V6: escrows that do not hold what their order's state says."""
    return [
        Finding(
            rule="escrow",
            where=f"order {row.id}",
            detail=f"the order is {row.state} with {row.amount_minor} held, {row.captured_minor} "
            f"captured and {row.returned_minor} returned; its escrow has {row.balance_minor} of "
            f"{row.held_minor} held, {row.taken_minor} captured and {row.voided_minor} voided",
        )
        for row in snapshot.all(_ESCROWS)
    ] + [
        Finding(
            rule="escrow",
            where=f"account {row.id}",
            detail=f"an escrow of {row.balance_minor} belongs to {row.owner_id}, no such order",
        )
        for row in snapshot.all(_ESCROWS_OF_NOBODY)
    ]


def strays(snapshot: Snapshot) -> list[Finding]:
    """V5: movements for an order that is not there, or that is none of the four it may have."""
    return [
        Finding(
            rule="movements",
            where=f"transaction {row.id}",
            detail=f"{row.reason} for {row.order_id}, which has no such movement to make",
        )
        for row in snapshot.all(_STRAY)
    ]


def mandate_counters(snapshot: Snapshot) -> list[Finding]:
    """Mandates whose counters are not what their orders cost, less what came back."""
    return [
        Finding(
            rule="mandates",
            where=f"mandate {row.id}",
            detail=f"it counts {row.spent_minor} spent in {row.orders} orders; its orders say "
            f"{row.used_minor} in {row.placed}",
        )
        for row in snapshot.all(_MANDATES)
    ]
