"""Order caps: how large an order a seller may get, and whether it owes a bond.

All of it follows from what a *typical order* costs (``order_limits``). While a market is too young
to have one, no size is refused and no bond is due. From then on

- a seller's *bond* is due: so many typical orders. One whose bond holds less is *on probation*:
  what it earns is withheld until the bond is full, and no slot for newcomers is its own.
- an order is at most ``max(start cap, a tenth of what the seller has earned so far)``.
- a *frozen* seller gets nothing above one typical order (``catalog.freezing``).

The conditions are parts of the statements that make and redeem quotes: they cost no statement.
"""

from typing import Any, Final, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    ScalarSelect,
    Text,
    and_,
    bindparam,
    case,
    cast,
    func,
    select,
)

from market import ledger
from market.base.sql import Sql, among, upsert
from market.base.work import Snapshot, UnitOfWork
from market.catalog.errors import OrderCapExceeded
from market.catalog.freezing import is_frozen
from market.catalog.tables import order_limits, services
from market.protocol.money import Money

NEW_BELOW: Final = 10
"""Typical orders that a seller must have earned before it is no newcomer any more."""

PROVEN_PART: Final = 10
"""An order may be as large as one part in so many of what the seller has earned."""


class SellerGates(NamedTuple):
    """Which of some sellers are newcomers with a full bond, and which are frozen."""

    newcomers: frozenset[str]
    frozen: frozenset[str]


class OrderLimits(NamedTuple):
    """What follows from a typical order, in minor units; ``orders`` were counted for it."""

    currency: str
    typical_minor: int
    start_cap_minor: int
    bond_minor: int
    orders: int
    computed_at: Any


def cap_of(seller_id: ColumnElement[str], currency: ColumnElement[str]) -> ScalarSelect[Any]:
    """The largest order that a seller may get now, within a statement; null if there is no cap."""
    earned = cast(func.coalesce(ledger.earned_by(seller_id, currency), 0), BigInteger)
    start = order_limits.c.start_cap_minor
    proven = case((earned >= start * PROVEN_PART, earned // PROVEN_PART), else_=start)
    return _under_limits(
        case((is_frozen(seller_id), order_limits.c.typical_minor), else_=proven), currency
    )


def gate_of(seller_id: ColumnElement[str], currency: ColumnElement[str]) -> ColumnElement[Any]:
    """What an order with a seller is placed under, within a statement; mostly null.

    ``frozen``: the seller is. ``probation``: its bond is not full.
    """
    held = func.coalesce(ledger.bond_of(seller_id, currency), 0)
    owes = case((order_limits.c.bond_minor > held, "probation"))
    return case((is_frozen(seller_id), "frozen"), else_=_under_limits(owes, currency))


def _is_newcomer(seller_id: ColumnElement[str], currency: ColumnElement[str]) -> ColumnElement[Any]:
    """1 for one that has its bond and has earned little so far; null while there are no limits."""
    held = func.coalesce(ledger.bond_of(seller_id, currency), 0)
    earned = func.coalesce(ledger.earned_by(seller_id, currency), 0)
    is_new = and_(
        held >= order_limits.c.bond_minor, earned < order_limits.c.typical_minor * NEW_BELOW
    )
    return _under_limits(case((is_new, 1)), currency)


def _under_limits(value: ColumnElement[Any], currency: ColumnElement[str]) -> ScalarSelect[Any]:
    return (
        select(value)
        .where(order_limits.c.currency == currency)
        .correlate_except(order_limits)
        .scalar_subquery()
    )


_LIMITS: Final = Sql(select(order_limits).where(order_limits.c.currency == bindparam("currency")))
_CAP: Final = Sql(
    select(
        cap_of(bindparam("seller_id", type_=Text()), bindparam("currency", type_=Text())).label(
            "cap_minor"
        )
    )
)
_sellers = select(
    services.c.seller_id,
    services.c.currency,
    is_frozen(services.c.seller_id).label("is_frozen"),
    _is_newcomer(services.c.seller_id, services.c.currency).label("is_newcomer"),
).distinct()
_SELLERS: Final = Sql(among(_sellers, services.c.seller_id, "seller_ids"))
_SET: Final = Sql(
    upsert(
        order_limits,
        keys=["currency"],
        set_={
            name: bindparam(name, type_=order_limits.c[name].type)
            for name in OrderLimits._fields
            if name != "currency"
        },
    )
)


def seller_gates(snapshot: Snapshot, *, seller_ids: list[str]) -> SellerGates:
    """Return who of these sellers is a newcomer that has posted its bond, and who is frozen."""
    rows = snapshot.all(_SELLERS, seller_ids=seller_ids)
    frozen = frozenset(row.seller_id for row in rows if row.is_frozen)
    newcomers = frozenset(row.seller_id for row in rows if row.is_newcomer)
    return SellerGates(newcomers - frozen, frozen)


def order_limits_of(snapshot: Snapshot, *, currency: str) -> OrderLimits | None:
    """Return the limits of a currency, or None while it has no typical order."""
    row = snapshot.one(_LIMITS, currency=currency)
    return None if row is None else OrderLimits(*row)


def set_order_limits(
    uow: UnitOfWork, *, currency: str, typical_minor: int, orders: int
) -> OrderLimits:
    """Let the limits follow from what ``orders`` orders say a typical one costs."""
    limits = OrderLimits(
        currency=currency,
        typical_minor=typical_minor,
        start_cap_minor=typical_minor * uow.settings.start_cap_orders,
        bond_minor=typical_minor * uow.settings.bond_orders,
        orders=orders,
        computed_at=uow.now,
    )
    uow.run(_SET, **limits._asdict())
    return limits


def order_cap_minor(snapshot: Snapshot, *, seller_id: str, currency: str) -> int | None:
    """Return the largest order that a seller may get now; None if there is no cap."""
    row = snapshot.one(_CAP, seller_id=seller_id, currency=currency)
    return None if row.cap_minor is None else int(row.cap_minor)


def check_cap(cap_minor: int | None, *, amount_minor: int, currency: str) -> None:
    """Let pass what the seller's cap allows.

    Raises:
        OrderCapExceeded: it is a larger order.
    """
    if cap_minor is not None and amount_minor > cap_minor:
        raise OrderCapExceeded(
            f"This seller may get orders of up to {Money(cap_minor, currency)} now. Order less at "
            "a time, or choose another.",
            amount_minor=amount_minor,
            cap_minor=cap_minor,
            currency=currency,
        )
