"""Bonds: money that a seller leaves with the market against its own failures.

A bond is an account of the seller's, beside its wallet. It is *posted* from the wallet, or
*withheld* from what an order has just earned; *drawn* on when the wallet cannot cover a refund;
*forfeited* to the house, never to a buyer (or a seller's own fake buyer would carry it home); and
*released* to the wallet. Who owes a bond, when it may go, and for whom, is decided above.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement, ScalarSelect, bindparam, select

from market.base.sql import PerDialect, Sql
from market.base.work import Snapshot, UnitOfWork
from market.ledger.accounts import open_bond, open_wallet
from market.ledger.posting import Leg, Transaction, draw_key, post, was_posted
from market.ledger.tables import accounts

_balance = select(accounts.c.id, accounts.c.balance_minor).where(
    accounts.c.owner_id == bindparam("owner_id"),
    accounts.c.kind == bindparam("kind"),
    accounts.c.currency == bindparam("currency"),
)
_BALANCE: Final = Sql(_balance)
_LOCK: Final = Sql(PerDialect(_balance, _balance.with_for_update()))
_OWNER: Final = Sql(
    select(accounts.c.owner_id, accounts.c.currency, accounts.c.balance_minor).where(
        accounts.c.id == bindparam("account_id")
    )
)


def bond_of(seller_id: ColumnElement[str], currency: ColumnElement[str]) -> ScalarSelect[Any]:
    """What a seller's bond holds, for the statement of a room above; null where it has none."""
    return _of("bond", "balance_minor", seller_id, currency)


def earned_by(seller_id: ColumnElement[str], currency: ColumnElement[str]) -> ScalarSelect[Any]:
    """What a seller has earned so far, less what it refunded, for a statement above."""
    return _of("wallet", "earned_minor", seller_id, currency)


def bond_minor(snapshot: Snapshot, *, seller_id: str, currency: str) -> int:
    """Return what a seller's bond holds."""
    row = snapshot.one(_BALANCE, owner_id=seller_id, kind="bond", currency=currency)
    return 0 if row is None else int(row.balance_minor)


def spendable_bond_minor(uow: UnitOfWork, *, seller_id: str, currency: str) -> int:
    """Return what a seller's bond holds, and keep others from taking it until this work ends."""
    row = uow.one(_LOCK, owner_id=seller_id, kind="bond", currency=currency)
    return 0 if row is None else int(row.balance_minor)


def post_bond(
    uow: UnitOfWork, *, seller_id: str, currency: str, amount_minor: int, idempotency_key: str
) -> Transaction | None:
    """Move ``amount_minor`` from a seller's wallet into its bond.

    Raises:
        InsufficientFunds: the wallet holds less; nothing moved.
        TransactionDiffers: the key stands for another act.
    """
    assert amount_minor > 0
    return _move(
        uow,
        seller_id,
        currency,
        amount_minor,
        reason="bond.post",
        idempotency_key=f"bond:{seller_id}:{idempotency_key}",
    )


def release_bond(
    uow: UnitOfWork, *, seller_id: str, currency: str, amount_minor: int, idempotency_key: str
) -> Transaction | None:
    """Move ``amount_minor`` from a seller's bond back into its wallet.

    Raises:
        InsufficientFunds: the bond holds less; nothing moved.
        TransactionDiffers: the key stands for another act.
    """
    assert amount_minor > 0
    return _move(
        uow,
        seller_id,
        currency,
        -amount_minor,
        reason="bond.release",
        idempotency_key=f"bond:{seller_id}:{idempotency_key}",
    )


def withhold_bond(
    uow: UnitOfWork, *, seller_id: str, currency: str, most_minor: int, order_id: str
) -> int:
    """Move up to ``most_minor`` of what an order has just earned into the bond; return how much.

    Once per order.
    """
    wallet = uow.one(_LOCK, owner_id=seller_id, kind="wallet", currency=currency)
    amount_minor = min(most_minor, 0 if wallet is None else wallet.balance_minor)
    if amount_minor <= 0 or was_posted(uow, idempotency_key=f"{order_id}:withhold"):
        return 0
    _move(
        uow,
        seller_id,
        currency,
        amount_minor,
        reason="bond.withhold",
        idempotency_key=f"{order_id}:withhold",
        order_id=order_id,
    )
    return amount_minor


def forfeit_bond(
    uow: UnitOfWork,
    *,
    seller_id: str,
    currency: str,
    most_minor: int,
    spared_minor: int,
    order_id: str,
    dispute_id: str | None = None,
) -> int:
    """Move up to ``most_minor`` from the bond to the house; return how much.

    Once per order, and once per dispute about it. ``spared_minor`` of the bond is not touched.
    """
    key = f"{order_id}:forfeit" if dispute_id is None else f"{order_id}:forfeit:{dispute_id}"
    bond = uow.one(_LOCK, owner_id=seller_id, kind="bond", currency=currency)
    amount_minor = min(most_minor, 0 if bond is None else bond.balance_minor - spared_minor)
    if amount_minor <= 0 or was_posted(uow, idempotency_key=key):
        return 0
    post(
        uow,
        [Leg(bond.id, -amount_minor), Leg("fees", amount_minor)],
        reason="bond.forfeit",
        idempotency_key=key,
        order_id=order_id,
    )
    return int(amount_minor)


def draw_bond(
    uow: UnitOfWork, *, wallet_id: str, needed_minor: int, order_id: str, idempotency_key: str
) -> int:
    """Let a seller's bond fill up its wallet to ``needed_minor``; return what was drawn.

    Nothing moves when the wallet holds enough, or when the bond cannot make up the difference.
    ``idempotency_key`` is that of the payment it is for: once that is made, nothing is drawn.
    """
    wallet = uow.one(_OWNER, account_id=wallet_id)
    if wallet is None or wallet.balance_minor >= needed_minor:
        return 0
    missing_minor = int(needed_minor - wallet.balance_minor)
    held_minor = spendable_bond_minor(uow, seller_id=wallet.owner_id, currency=wallet.currency)
    if held_minor < missing_minor or was_posted(uow, idempotency_key=idempotency_key):
        return 0
    _move(
        uow,
        wallet.owner_id,
        wallet.currency,
        -missing_minor,
        reason="bond.draw",
        idempotency_key=draw_key(idempotency_key),
        order_id=order_id,
    )
    return missing_minor


def _move(
    uow: UnitOfWork,
    seller_id: str,
    currency: str,
    amount_minor: int,
    *,
    reason: str,
    idempotency_key: str,
    order_id: str | None = None,
) -> Transaction | None:
    """Move an amount from wallet to bond, or back if it is below zero."""
    wallet_id = open_wallet(uow, agent_id=seller_id, currency=currency)
    bond_id = open_bond(uow, seller_id=seller_id, currency=currency)
    return post(
        uow,
        [Leg(wallet_id, -amount_minor), Leg(bond_id, amount_minor)],
        reason=reason,
        idempotency_key=idempotency_key,
        order_id=order_id,
    )


def _of(
    kind: str,
    column: str,
    owner_id: ColumnElement[str],
    currency: ColumnElement[str],
) -> ScalarSelect[Any]:
    owned = accounts.alias(f"{kind}_of_seller")
    return (
        select(owned.c[column])
        .where(owned.c.owner_id == owner_id, owned.c.kind == kind, owned.c.currency == currency)
        .correlate_except(owned)
        .scalar_subquery()
    )
