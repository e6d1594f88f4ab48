"""Gates: what keeps a seller small until it has proved itself, and makes failing dear.

What a *typical order* costs is found by trust; ``catalog.caps`` says what follows from it. Here is
what an order's end means for its seller's bond and freeze:

- Who is on *probation* gets nothing paid out before its bond is full: what an order earns is
  withheld for it. So a bond may be posted, or earned.
- A *failure* that is the seller's (the ledger saw that it did not deliver, or its own schema was
  broken) costs the bond the order's price or half a full bond, whichever is more: two failures
  take it all. The buyer has its escrow back already; the forfeit goes to the house. A dispute
  that gives back a part of the payment costs that part of it.
- When the seller's short memory falls below ``FREEZE_BELOW``, it is frozen.

Only orders that are placed under a gate, or fail, cost a statement for this.
"""

from datetime import timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, func, select

from market import catalog, inbox, ledger, trust
from market.base.caller import Caller
from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.orders.bonds import seller_limits
from market.orders.debts import judged_elsewhere_minor
from market.orders.rows import locked
from market.orders.tables import orders
from market.protocol.wire import SellerLimitsView

FREEZE_BELOW: Final = 0.4
"""The short memory below which a seller is frozen."""

STRIKES: Final = 2
"""Failures that take a full bond."""

TYPICAL_OVER: Final = timedelta(days=30)
TYPICAL_FOR: Final = timedelta(hours=1)
"""How far back orders are counted, and how long what was found stands."""

_COUNT: Final = Sql(
    select(func.count().label("orders")).where(
        orders.c.state == "settled",
        orders.c.currency == bindparam("currency"),
        orders.c.ended_at >= bindparam("since", type_=UtcDateTime()),
        orders.c.captured_minor > 0,
        orders.c.refunded_minor == 0,
    )
)


class Typical(NamedTuple):
    """What a typical order costs, and how many orders settled lately."""

    typical_minor: int
    orders: int


def typical_order(snapshot: Snapshot) -> Typical | None:
    """Return what a typical order costs now; None if the one that stands is recent, or none can be.

    It needs a batch of trust, and ``typical_after_orders`` orders that settled in the last 30 days
    for good. Reads them all: scan it.
    """
    currency = snapshot.settings.currency
    limits = catalog.order_limits_of(snapshot, currency=currency)
    if limits is not None and limits.computed_at + TYPICAL_FOR > snapshot.now:
        return None
    since = snapshot.now - TYPICAL_OVER
    count = snapshot.one(_COUNT, currency=currency, since=since).orders
    typical_minor = trust.typical_minor(snapshot, currency=currency)
    if typical_minor is None or count < snapshot.settings.typical_after_orders:
        return None
    return Typical(typical_minor, count)


def leave_gate(uow: UnitOfWork, row: Any, *, is_good: bool, earned_minor: int) -> None:
    """Do what the end of an order means that was placed under a gate.

    ``is_good``: it settled. ``earned_minor`` is what the seller has just got for it. To be called
    after trust has been told.
    """
    if row.gate == "frozen":
        _end_small(uow, row.seller_id, is_good)
    limits = catalog.order_limits_of(uow, currency=row.currency)
    if limits is None or earned_minor <= 0:
        return
    held = ledger.bond_minor(uow, seller_id=row.seller_id, currency=row.currency)
    ledger.withhold_bond(
        uow,
        seller_id=row.seller_id,
        currency=row.currency,
        most_minor=min(limits.bond_minor - held, earned_minor),
        order_id=row.id,
    )


def forfeit(uow: UnitOfWork, row: Any) -> None:
    """Let a seller's bond answer for an order that failed by its fault. Once per order.

    To be called behind the buyer's refund. What is owed of that stays in the bond, and so does what
    an overseer awarded to any buyer.
    """
    _forfeit(uow, row, _price_of_failure(uow, row), dispute_id=None)


def forfeit_part(
    uow: UnitOfWork, row: Any, *, dispute_id: str, part_minor: int, whole_minor: int
) -> None:
    """Let a seller's bond answer for a dispute by which a part of a payment went back. Once.

    It costs the same part of what a failure would; to be called, and to leave, as ``forfeit``.
    """
    cost_minor = -(-_price_of_failure(uow, row) * part_minor // whole_minor)
    _forfeit(uow, row, cost_minor, dispute_id=dispute_id)


def freeze_if_failing(uow: UnitOfWork, *, seller_id: str) -> bool:
    """Freeze a seller whose short memory is below ``FREEZE_BELOW``; return whether it is so."""
    recent = _short_memory(uow, seller_id)
    if recent >= FREEZE_BELOW:
        return False
    reason = f"its last orders went badly: short memory {recent:.2f} is below {FREEZE_BELOW}"
    if catalog.freeze(uow, seller_id=seller_id, reason=reason):
        body = {"reason": reason, "small_orders": catalog.SMALL_ORDERS}
        _tell(uow, seller_id, "seller.frozen", body)
    return True


def unfreeze(uow: UnitOfWork, *, caller: Caller, seller_id: str, reason: str) -> SellerLimitsView:
    """Lift a freeze, as an overseer; the seller is told.

    Raises:
        OverseersOnly: the caller is none.
        NotFrozen: the seller is not frozen.
    """
    catalog.unfreeze(uow, caller=caller, seller_id=seller_id, reason=reason)
    _tell(uow, seller_id, "seller.unfrozen", {"reason": reason})
    return seller_limits(uow, seller_id=seller_id)


def _price_of_failure(snapshot: Snapshot, row: Any) -> int:
    limits = catalog.order_limits_of(snapshot, currency=row.currency)
    strike_minor = 0 if limits is None else -(-limits.bond_minor // STRIKES)
    return max(strike_minor, int(row.amount_minor))


def _forfeit(uow: UnitOfWork, row: Any, most_minor: int, *, dispute_id: str | None) -> None:
    own_minor = locked(uow, order_id=row.id).owed_minor
    forfeited_minor = ledger.forfeit_bond(
        uow,
        seller_id=row.seller_id,
        currency=row.currency,
        most_minor=most_minor,
        spared_minor=own_minor + judged_elsewhere_minor(uow, row),
        order_id=row.id,
        dispute_id=dispute_id,
    )
    if forfeited_minor:
        body = {
            "order_id": row.id,
            "amount_minor": forfeited_minor,
            "currency": row.currency,
        }
        _tell(uow, row.seller_id, "bond.forfeited", body)


def _end_small(uow: UnitOfWork, seller_id: str, is_good: bool) -> None:
    has_recovered = is_good and _short_memory(uow, seller_id) >= FREEZE_BELOW
    if catalog.end_small_order(
        uow, seller_id=seller_id, is_good=is_good, has_recovered=has_recovered
    ):
        _tell(uow, seller_id, "seller.unfrozen", {"reason": "enough orders ended well"})


def _short_memory(snapshot: Snapshot, seller_id: str) -> float:
    return trust.score_of(trust.memory_of(trust.standing(snapshot, seller_id=seller_id))).short


def _tell(uow: UnitOfWork, seller_id: str, kind: str, body: dict[str, Any]) -> None:
    inbox.deliver(uow, agent_id=seller_id, kind=kind, body=body)
