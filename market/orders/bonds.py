"""Bonds of sellers: posted, looked at, and released when nothing hangs on them any more."""

from market import catalog, identity, ledger
from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.errors import NotFound
from market.base.work import Snapshot, UnitOfWork
from market.orders.errors import BondNeeded
from market.orders.hanging import hanging
from market.protocol.wire import MoveBond, SellerLimitsView


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
        BondNeeded: an order is open, disputed or not fully refunded, ended too short ago, or may
            still be claimed upon.
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
    found = hanging(uow, seller_id=seller_id)
    if found is not None:
        raise BondNeeded(found.why, order_id=found.order_id)
