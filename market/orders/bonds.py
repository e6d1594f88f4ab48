"""Bonds of sellers: posted, looked at, and released when nothing hangs on them any more."""

from datetime import timedelta
from typing import Any, Final

from sqlalchemy import bindparam, or_, select

from market import catalog, identity, ledger
from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.errors import NotFound
from market.base.sql import Sql
from market.base.tables import UtcDateTime
from market.base.work import Snapshot, UnitOfWork
from market.orders.errors import BondNeeded
from market.orders.tables import orders
from market.protocol.wire import MoveBond, SellerLimitsView

_NEEDS_IT: Final = Sql(
    select(orders.c.id, orders.c.ended_at, orders.c.owed_minor, orders.c.dispute_id)
    .where(
        orders.c.seller_id == bindparam("seller_id"),
        or_(
            orders.c.ended_at.is_(None),
            orders.c.ended_at > bindparam("since", type_=UtcDateTime()),
            orders.c.owed_minor > 0,
            orders.c.dispute_id.is_not(None),
        ),
    )
    .order_by(orders.c.id.desc())
    .limit(1)
)


def post_bond(
    uow: UnitOfWork, *, caller: Caller, request: MoveBond, idempotency_key: str
) -> SellerLimitsView:
    """Move money from a seller's wallet into its bond. A repeat with the same key moves no more.

    Raises:
        SellersOnly: the caller is no seller.
        InsufficientFunds: its wallet holds less.
        CurrencyMismatch: the market trades in another currency.
    """
    _check(uow, caller, request)
    ledger.post_bond(
        uow,
        seller_id=caller.agent_id,
        currency=request.currency,
        amount_minor=request.amount_minor,
        idempotency_key=f"post:{idempotency_key}",
    )
    return seller_limits(uow, seller_id=caller.agent_id)


def release_bond(
    uow: UnitOfWork, *, caller: Caller, request: MoveBond, idempotency_key: str
) -> SellerLimitsView:
    """Move money from a seller's bond back into its wallet, once no order hangs on it any more.

    Who releases what is due is on probation again. A repeat with the same key moves no more.

    Raises:
        SellersOnly: the caller is no seller.
        BondNeeded: an order is open, disputed or not fully refunded, or ended too short ago.
        InsufficientFunds: the bond holds less.
        CurrencyMismatch: the market trades in another currency.
    """
    _check(uow, caller, request)
    _check_free(uow, caller.agent_id)
    ledger.release_bond(
        uow,
        seller_id=caller.agent_id,
        currency=request.currency,
        amount_minor=request.amount_minor,
        idempotency_key=f"release:{idempotency_key}",
    )
    return seller_limits(uow, seller_id=caller.agent_id)


def seller_limits(snapshot: Snapshot, *, seller_id: str) -> SellerLimitsView:
    """Return what a seller has at stake, and how large an order it may get. Limits are public.

    Raises:
        NotFound: no seller has this id.
    """
    if identity.agent(snapshot, agent_id=seller_id).kind != "seller":
        raise NotFound("No seller has this id.")
    currency = snapshot.settings.currency
    limits = catalog.order_limits_of(snapshot, currency=currency)
    bond_minor = ledger.bond_minor(snapshot, seller_id=seller_id, currency=currency)
    due_minor = 0 if limits is None else limits.bond_minor
    since = catalog.frozen_since(snapshot, seller_id=seller_id)
    return SellerLimitsView(
        seller_id=seller_id,
        currency=currency,
        typical_minor=None if limits is None else limits.typical_minor,
        bond_minor=bond_minor,
        bond_due_minor=due_minor,
        is_on_probation=bond_minor < due_minor,
        order_cap_minor=catalog.order_cap_minor(snapshot, seller_id=seller_id, currency=currency),
        frozen_since=None if since is None else rfc3339(since),
    )


def _check(uow: UnitOfWork, caller: Caller, request: MoveBond) -> None:
    caller.need("publish")
    if caller.kind != "seller":
        raise catalog.SellersOnly(f"The caller is registered as a {caller.kind}.")
    if request.currency != uow.settings.currency:
        raise ledger.CurrencyMismatch(f"This market trades in {uow.settings.currency}.")


def _check_free(uow: UnitOfWork, seller_id: str) -> None:
    cool_off = timedelta(seconds=uow.settings.bond_cool_off_seconds)
    order: Any = uow.one(_NEEDS_IT, seller_id=seller_id, since=uow.now - cool_off)
    if order is None:
        return
    if order.ended_at is None:
        detail = f"{order.id} is open."
    elif order.owed_minor or order.dispute_id is not None:
        detail = f"{order.id} is disputed, or a refund of it is owed."
    else:
        free_at = rfc3339(order.ended_at + cool_off)
        detail = f"{order.id} ended not long ago; the bond answers for it until {free_at}."
    raise BondNeeded(detail, order_id=order.id)
